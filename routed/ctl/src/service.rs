//! `service add` and `service remove`.

use catalyst_proto::admin::v1::AddServiceResponse;
use serde_json::{Map, Value, json};

use crate::args::{AddArgs, Endpoint};
use crate::client::Client;
use crate::failure::Outcome;
use crate::output::{Format, Output};

pub(crate) async fn add(args: AddArgs, client: &mut Client, out: &mut Output) -> Outcome {
    let service = service(&args).to_string();
    let AddServiceResponse { replaced, configured } = client.add_service(args.name.clone(), service).await?;
    if out.format == Format::Json {
        return out.json(&json!({ "name": args.name, "replaced": replaced, "configured": configured }));
    }
    let did = if replaced { "replaced" } else { "added" };
    let over = if configured {
        ", in place of the configuration's, over reloads and restarts too"
    } else {
        ""
    };
    out.line(&format!("{did} {}{over}", args.name))
}

pub(crate) async fn remove(name: String, client: &mut Client, out: &mut Output) -> Outcome {
    let configured = client.remove_service(name.clone()).await?;
    if out.format == Format::Json {
        return out.json(&json!({ "name": name, "configured": configured }));
    }
    let back = if configured {
        "; the configuration's is back with the next reload or restart"
    } else {
        ""
    };
    out.line(&format!("removed {name}{back}"))
}

/// The service as the configuration spells it. The daemon holds it to the configuration's rules.
fn service(args: &AddArgs) -> Value {
    let mut service = Map::new();
    service.insert("protocol".to_owned(), json!(args.protocol));
    service.insert("endpoints".to_owned(), args.endpoints.iter().map(endpoint).collect());
    let mut optional = |key: &str, value: Value| {
        if !value.is_null() {
            service.insert(key.to_owned(), value);
        }
    };
    optional("path", json!(args.path));
    optional("weight", json!(args.weight));
    optional("med", json!(args.med));
    if !args.communities.is_empty() {
        optional("communities", json!(args.communities));
    }
    Value::Object(service)
}

fn endpoint(endpoint: &Endpoint) -> Value {
    match endpoint.weight {
        Some(weight) => json!({ "url": endpoint.url, "weight": weight }),
        None => json!({ "url": endpoint.url }),
    }
}
