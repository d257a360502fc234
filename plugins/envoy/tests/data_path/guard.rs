//! The loop guard and the headers that nobody may bring along.

use catalyst_plugin::Protocol::{Http, Tcp};
use tokio::io::AsyncReadExt;

use crate::client::{connect, get, request};
use crate::node::{Node, exported, local, remote};
use crate::services;

const VIA: &str = "x-catalyst-via";

#[tokio::test]
async fn a_circle_ends_with_508() {
    let (mut a, mut b) = (Node::start("a", 65001).await, Node::start("b", 65002).await);
    a.add([remote("orders.acme", Http, &[(b.config.peer_listener, 1)])])
        .await;
    b.add([remote("orders.acme", Http, &[(a.config.peer_listener, 1)])])
        .await;
    for node in [&a, &b] {
        let reply = get(node.config.ingress, "orders.acme", "/").await;
        assert_eq!(reply.status, 508, "{}", reply.body);
        assert!(reply.body.starts_with("loop: "), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_circle_of_tunnels_ends() {
    let (mut a, mut b) = (Node::start("a", 65001).await, Node::start("b", 65002).await);
    a.add([remote("db.acme", Tcp, &[(b.config.peer_listener, 1)])]).await;
    b.add([remote("db.acme", Tcp, &[(a.config.peer_listener, 1)])]).await;
    let mut socket = connect(a.tcp(0)).await;
    let mut nothing = Vec::new();
    let ended = tokio::time::timeout(crate::envoy::DEADLINE, socket.read_to_end(&mut nothing))
        .await
        .unwrap();
    assert!(nothing.is_empty(), "{ended:?}");
}

#[tokio::test]
async fn each_node_adds_itself_and_clients_bring_nothing() {
    // The second "node" is a plain service: it shows what travels between nodes.
    let wire = services::http("wire").await;
    let mut node = Node::with("a", 65001, "acme", |config| Node::listen_for(config, "globex")).await;
    let as_hop = local("probe.acme", Http, &[wire.at]);
    node.add([as_hop]).await;
    for at in [node.config.ingress, node.config.egress] {
        let reply = request(at, "probe.acme", "/", &[(VIA, "65001/a, 1/x")]).await.unwrap();
        assert_eq!((reply.status, reply.received(VIA)), (200, None));
    }
    let peer = node.config.peer_listener;
    for (via, status) in [
        ("65001/a", 508),
        ("1/x, 65001/a", 508),
        ("65001/b", 200),
        ("165001/a", 200),
        ("", 200),
    ] {
        assert_eq!(
            request(peer, "probe.acme", "/", &[(VIA, via)]).await.unwrap().status,
            status,
            "{via}"
        );
    }
    let split = request(peer, "probe.acme", "/", &[(VIA, "1/x"), (VIA, "65001/a")])
        .await
        .unwrap();
    assert_eq!(split.status, 508, "two headers are one list");
    let long = vec!["1/x"; 65].join(",");
    assert_eq!(
        request(peer, "probe.acme", "/", &[(VIA, &long)]).await.unwrap().status,
        508
    );
}

#[tokio::test]
async fn between_organisations_the_as_counts() {
    let wire = services::http("wire").await;
    let mut node = Node::with("a", 65001, "acme", |config| Node::listen_for(config, "globex")).await;
    node.add([exported(local("probe.acme", Http, &[wire.at]), &["globex"])])
        .await;
    let at = node.config.peer_listeners["globex"];
    for (via, status) in [
        ("65001", 508),
        ("65001/z, 65009", 508),
        ("65009/z, 65009", 200),
        ("650011", 200),
    ] {
        assert_eq!(
            request(at, "probe.acme", "/", &[(VIA, via)]).await.unwrap().status,
            status,
            "{via}"
        );
    }
}

#[tokio::test]
async fn the_scope_header_is_not_the_clients() {
    let (open, secret) = (services::http("open").await, services::http("secret").await);
    let mut node = Node::with("a", 65001, "acme", |config| Node::listen_for(config, "globex")).await;
    node.add([
        exported(local("open.acme", Http, &[open.at]), &["globex"]),
        local("secret.acme", Http, &[secret.at]),
    ])
    .await;
    let at = node.config.peer_listeners["globex"];
    let spoofed = [
        ("x-catalyst-scope", "/secret.acme"),
        ("X-Catalyst-Scope", "/secret.acme"),
    ];
    for host in ["nobody.acme", "secret.acme", "\u{1}", "a b", ""] {
        let Ok(reply) = request(at, host, "/", &spoofed).await else {
            continue;
        };
        assert!(
            [400, 404].contains(&reply.status),
            "{host:?}: {} {}",
            reply.status,
            reply.body
        );
    }
    let reply = request(at, "open.acme", "/", &spoofed).await.unwrap();
    assert_eq!(
        (reply.status, reply.who(), reply.received("x-catalyst-scope")),
        (200, "open", None)
    );
}

#[tokio::test]
async fn clients_do_not_steer_envoy() {
    let service = services::http("orders").await;
    let mut node = Node::start("a", 65001).await;
    node.add([local("orders.acme", Http, &[service.at])]).await;
    let controls = [("x-envoy-max-retries", "1000"), ("X-Envoy-Upstream-Rq-Timeout-Ms", "1")];
    for at in [node.config.ingress, node.config.peer_listener] {
        let reply = request(at, "orders.acme", "/", &controls).await.unwrap();
        assert_eq!(reply.status, 200);
        assert!(
            !reply.body.contains("1000") && !reply.body.contains("rq-timeout"),
            "{}",
            reply.body
        );
    }
}
