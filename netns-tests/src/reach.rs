//! Every kind of service from every node.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{Example, LONG, Node, echo, greet, poll};

const KINDS: [(&str, Example); 3] = [("http", Example::Http), ("grpc", Example::Grpc), ("tcp", Example::Tcp)];

fn name(kind: &str, origin: &Node) -> String {
    format!("{kind}.{}.test", origin.name)
}

/// Offers one HTTP, one gRPC and one TCP service at `node`: `http.NODE.test` and so on.
///
/// # Errors
/// A service does not come up.
pub fn offer_every_kind(node: &mut Node) -> Result<()> {
    for (kind, example) in KINDS {
        let name = name(kind, node);
        node.run_and_offer(example, &name)?;
    }
    Ok(())
}

/// Calls every service of `origin` from `client`, once it is programmed there.
///
/// # Errors
/// One of them is not answered by the instance at `origin`, or not by the path `nodes` (client and origin included).
pub fn check_reach(client: &Node, origin: &Node, nodes: &[&Node]) -> Result<()> {
    for (kind, _) in KINDS {
        client.wait_programmed(&name(kind, origin))?;
        check_path(client, &name(kind, origin), nodes)?;
    }
    let expected = |kind| format!("{}@{}", name(kind, origin), origin.name);
    let (http, grpc, tcp) = (name("http", origin), name("grpc", origin), name("tcp", origin));
    poll(&format!("{http} from {}", client.name), LONG, || {
        client.check_answered_by(&http, &expected("http"))
    })?;
    poll(&format!("{grpc} from {}", client.name), LONG, || {
        let answered = greet(client.egress(), &grpc)?;
        ensure!(answered == expected("grpc"), "{answered}");
        Ok(())
    })?;
    poll(&format!("{tcp} from {}", client.name), LONG, || {
        let answered = echo(client.tcp_address(&tcp)?, "hello")?;
        ensure!(answered == format!("{}: hello", expected("tcp")), "{answered}");
        Ok(())
    })
}

/// The AS path is what stands between: the AS numbers of `nodes` after the first, without repetition of our own.
fn check_path(client: &Node, name: &str, nodes: &[&Node]) -> Result<()> {
    let mut path: Vec<u32> = nodes
        .iter()
        .map(|node| node.asn)
        .filter(|asn| *asn != client.asn)
        .collect();
    path.dedup();
    let route = client.selected(name)?;
    ensure!(
        route["as_path"] == json!(path),
        "{name} at {}: {route}, expected {path:?}",
        client.name
    );
    let neighbour = nodes.get(1).map_or("", |node| node.name.as_str());
    ensure!(
        route["learned_from"] == neighbour,
        "{name} at {}: {route}, expected {neighbour}",
        client.name
    );
    Ok(())
}

/// # Errors
/// A service of `origin` came back to it from a peer.
pub fn check_none_returned(origin: &Node) -> Result<()> {
    for route in origin.routes()? {
        let own = route["origin_node"] == json!(origin.name) && route["origin_as"] == json!(origin.asn);
        ensure!(
            !own || route["learned_from"].is_null(),
            "{} holds its own route from a peer: {route}",
            origin.name
        );
    }
    Ok(())
}

/// Takes the HTTP service of `origin` back and waits until all `others` have lost it and say 404.
///
/// # Errors
/// It stays somewhere.
pub fn withdraw_http(origin: &Node, others: &[&Node]) -> Result<Value> {
    let name = name("http", origin);
    let service = origin.config["services"].get(&name).context("it was offered")?.clone();
    origin.remove_service(&name)?;
    for node in others {
        node.wait_gone(&name)?;
        poll(&format!("{name} answered with 404 at {}", node.name), LONG, || {
            let answer = node.get(&name, "/")?;
            ensure!(answer.status == 404, "{answer:?}");
            Ok(())
        })?;
    }
    Ok(service)
}
