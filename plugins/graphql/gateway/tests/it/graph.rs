//! From no graph to one of several services, and back.

use crate::services::{products, reviews, reviews_with_count, weather};
use crate::support::{Egress, Gateway, subgraph};
use catalyst_proto::gateway::v1::ObserveRequest;
use catalyst_proto::gateway::v1::state::Graph;
use catalyst_proto::gateway::v1::subgraph_state::Phase;
use http::StatusCode;
use serde_json::json;

const ACROSS: &str = "{ products { name price { cents } reviews { body } } refund { cents } }";

#[tokio::test]
async fn waiting_is_an_answer() {
    let gateway = Gateway::start(&[]).await;
    let (status, answer) = gateway.query("{ products { id } }").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "NO_SUBGRAPH_YET");
    assert_eq!(
        gateway.get("/readiness", "*/*").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let expected = json!({ "name": "gateway", "state": "waiting", "generation": 0, "subgraphs": {}, "errors": [] });
    assert_eq!(gateway.health().await, expected);
}

#[tokio::test]
async fn query_crosses_services_and_headers_go_along() {
    let (gateway, egress) = (Gateway::start(&["--name", "a"]).await, Egress::start().await);
    egress.set("products.dc1.acme", products());
    egress.set("reviews.dc2.acme", reviews());
    gateway.add(&egress, &["products.dc1.acme", "reviews.dc2.acme"]).await;
    gateway.until_serving(&["products.dc1.acme", "reviews.dc2.acme"]).await;

    let (status, answer) = gateway.query(ACROSS).await;
    let product = |id: &str| {
        json!({ "name": format!("product {id}"), "price": { "cents": 100 },
                "reviews": [{ "body": format!("review of {id}") }] })
    };
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        answer,
        json!({ "data": { "products": [product("1"), product("2")], "refund": { "cents": 5 } } })
    );

    let headers = [("authorization", "Bearer t"), ("cookie", "c=1"), ("x-other", "secret")];
    let (_, answer) = gateway.query_with("{ whoami }", &headers).await;
    assert_eq!(answer, json!({ "data": { "whoami": "Bearer t c=1 none" } }));

    let (_, answer) = gateway.query("mutation { rename(name: \"x\") }").await;
    assert_eq!(answer, json!({ "data": { "rename": "x" } }));

    let health = gateway.health().await;
    assert_eq!((&health["name"], &health["state"]), (&json!("a"), &json!("serving")));
    assert_eq!(health["subgraphs"]["reviews.dc2.acme"], json!({ "state": "serving" }));
    assert_eq!(gateway.get("/readiness", "*/*").await.0, StatusCode::OK);
    assert!(
        gateway
            .get("/metrics", "*/*")
            .await
            .2
            .contains("# TYPE http_server_request_duration")
    );
}

#[tokio::test]
async fn plain_service_joins_by_introspection() {
    let (gateway, egress) = (Gateway::start(&[]).await, Egress::start().await);
    egress.set("weather", weather());
    egress.set("products", products());
    gateway.add(&egress, &["products", "weather"]).await;
    gateway.until_serving(&["products", "weather"]).await;
    let (_, answer) = gateway.query("{ weather { place degrees } products { id } }").await;
    let expected =
        json!({ "weather": { "place": "here", "degrees": 21.5 }, "products": [{ "id": "1" }, { "id": "2" }] });
    assert_eq!(answer, json!({ "data": expected }));
}

#[tokio::test]
async fn service_is_waited_for() {
    let (gateway, egress) = (Gateway::start(&[]).await, Egress::start().await);
    egress.set("products", products());
    gateway.add(&egress, &["products", "reviews"]).await;
    let state = gateway
        .until("reviews is waited for while products serves", |state| {
            state.subgraphs.iter().any(|s| s.phase() == Phase::Serving)
                && state.subgraphs.iter().any(|s| s.reason == "answered 404")
        })
        .await;
    assert_eq!(state.graph(), Graph::Degraded);
    assert!(state.errors.is_empty(), "{state:?}");
    egress.set("reviews", reviews());
    gateway.until_serving(&["products", "reviews"]).await;
    assert!(gateway.query(ACROSS).await.1.get("errors").is_none());
}

#[tokio::test]
async fn withdrawn_service_is_a_clear_error_and_the_last_one_leaves_nothing() {
    let (gateway, egress) = (Gateway::start(&[]).await, Egress::start().await);
    egress.set("products", products());
    egress.set("reviews", reviews());
    gateway.add(&egress, &["products", "reviews"]).await;
    gateway.until_serving(&["products", "reviews"]).await;

    gateway.withdraw(&["reviews"]).await;
    gateway.until_serving(&["products"]).await;
    let (_, answer) = gateway.query("{ products { reviews { body } } }").await;
    let message = answer["errors"][0]["message"].as_str().expect("an error").to_owned();
    assert!(
        message.contains("\"reviews\"") && message.contains("\"Product\""),
        "{message}"
    );
    assert_eq!(
        gateway.query("{ products { id } }").await.1["data"]["products"][1]["id"],
        "2"
    );

    gateway.withdraw(&["products", "never-there"]).await;
    gateway
        .until("nothing is left", |state| {
            state.graph() == Graph::Waiting && state.subgraphs.is_empty()
        })
        .await;
    assert_eq!(
        gateway.query("{ products { id } }").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );

    gateway.add(&egress, &["products", "reviews"]).await;
    gateway.until_serving(&["products", "reviews"]).await;
    assert!(gateway.query(ACROSS).await.1.get("errors").is_none());
}

#[tokio::test]
async fn changed_schema_is_picked_up() {
    let (gateway, egress) = (
        Gateway::start(&["--refresh-interval", "50ms"]).await,
        Egress::start().await,
    );
    egress.set("products", products());
    egress.set("reviews", reviews());
    gateway.add(&egress, &["products", "reviews"]).await;
    let before = gateway.until_serving(&["products", "reviews"]).await.generation;
    egress.set("reviews", reviews_with_count());
    gateway
        .until("a new graph", |state| {
            state.generation > before && state.graph() == Graph::Serving
        })
        .await;
    assert_eq!(gateway.query("{ count }").await.1, json!({ "data": { "count": 42 } }));
}

#[tokio::test]
async fn set_outlives_its_plugin() {
    let (gateway, egress) = (Gateway::start(&[]).await, Egress::start().await);
    egress.set("products", products());
    gateway.add(&egress, &["products"]).await;
    let generation = gateway.until_serving(&["products"]).await.generation;
    // A new connection, as a restarted daemon makes one: it sees the set, and sending it again changes nothing.
    let path = gateway.socket.clone();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move {
            let stream = tokio::net::UnixStream::connect(path).await?;
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    });
    let channel = tonic::transport::Endpoint::from_static("http://gateway").connect_with_connector_lazy(connector);
    let mut control = catalyst_proto::gateway::v1::gateway_client::GatewayClient::new(channel);
    let held = control
        .observe(ObserveRequest {})
        .await
        .expect("observe")
        .into_inner()
        .subgraphs;
    assert_eq!(held, [subgraph("products", &egress)]);
    gateway.apply(held, &[]).await.expect("the same set");
    assert_eq!(gateway.until_serving(&["products"]).await.generation, generation);
}

#[tokio::test]
async fn page_is_offline() {
    let gateway = Gateway::start(&[]).await;
    let (status, headers, page) = gateway
        .get("/graphql", "text/html,application/xhtml+xml,*/*;q=0.8")
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(headers["content-type"].to_str().expect("text").starts_with("text/html"));
    assert!(
        headers["content-security-policy"]
            .to_str()
            .expect("text")
            .contains("default-src 'none'")
    );
    assert!(page.contains("<textarea id=\"query\""), "{page}");
    assert!(!page.contains("//"), "the page refers to another place");
    // A query in the address is a query, in a browser too.
    assert_eq!(
        gateway.get("/graphql?query=%7Ba%7D", "text/html").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
}
