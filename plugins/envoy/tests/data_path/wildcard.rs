//! Wildcards, stops and exact names.

use catalyst_plugin::Protocol::{Http, Tcp};

use crate::client::{get, try_get, until};
use crate::node::{Node, discard, local, remote};
use crate::services;

#[tokio::test]
async fn the_exact_name_then_the_longest_wildcard_serves() {
    let (all, dc1, exact) = (
        services::http("all").await,
        services::http("dc1").await,
        services::http("exact").await,
    );
    let mut node = Node::start("a", 65001).await;
    node.add([
        local("*", Http, &[all.at]),
        local("*.dc1.acme", Http, &[dc1.at]),
        local("orders.dc1.acme", Http, &[exact.at]),
        discard("*.lab.acme"),
        discard("gone.dc1.acme"),
        local("open.lab.acme", Http, &[exact.at]),
    ])
    .await;
    for (host, status, who) in [
        ("orders.dc1.acme", 200, "exact"),
        ("ORDERS.dc1.ACME:1", 200, "exact"),
        ("x.dc1.acme", 200, "dc1"),
        ("y.x.dc1.acme", 200, "dc1"),
        ("dc1.acme", 200, "all"),
        ("plain", 200, "all"),
        ("open.lab.acme", 200, "exact"),
        ("x.lab.acme", 404, "no route to x.lab.acme"),
        ("gone.dc1.acme", 404, "no route to gone.dc1.acme"),
        ("x.gone.dc1.acme", 200, "dc1"),
    ] {
        let reply = get(node.config.egress, host, "/").await;
        assert_eq!((reply.status, reply.who()), (status, who), "{host}");
    }
    node.remove(&["orders.dc1.acme", "*"]).await;
    until(node.config.egress, "orders.dc1.acme", "dc1").await;
    until(node.config.egress, "plain", "no route to plain").await;
}

#[tokio::test]
async fn a_tcp_name_below_a_wildcard_is_not_the_wildcards() {
    let (all, db) = (services::http("all").await, services::tcp("db").await);
    let mut node = Node::start("a", 65001).await;
    node.add([local("*.acme", Http, &[all.at]), local("db.acme", Tcp, &[db.at])])
        .await;
    assert_eq!(get(node.config.egress, "db.acme", "/").await.status, 404);
    assert_eq!(get(node.config.egress, "x.acme", "/").await.who(), "all");
}

#[tokio::test]
async fn a_wildcard_crosses_nodes() {
    let service = services::http("all").await;
    let (mut a, mut b) = (Node::start("a", 65001).await, Node::start("b", 65002).await);
    b.add([local("*.b.acme", Http, &[service.at])]).await;
    a.add([remote("*.b.acme", Http, &[(b.config.peer_listener, 1)])]).await;
    let reply = get(a.config.ingress, "Any.b.acme:99", "/").await;
    assert_eq!((reply.status, reply.who()), (200, "all"));
    assert_eq!(reply.received("host"), Some("any.b.acme"));
}

#[tokio::test]
async fn wildcards_come_and_go_without_a_failed_request() {
    let (wild, exact) = (services::http("wild").await, services::http("exact").await);
    let mut node = Node::start("a", 65001).await;
    node.add([local("orders.acme", Http, &[exact.at])]).await;
    let egress = node.config.egress;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let load = tokio::spawn(async move {
        let mut count = 0;
        while stopped.try_recv().is_err() {
            let reply = try_get(egress, "orders.acme", "/").await.unwrap();
            assert_eq!((reply.status, reply.who()), (200, "exact"), "after {count}");
            count += 1;
        }
        count
    });
    for _ in 0..10 {
        node.add([local("*.acme", Http, &[wild.at])]).await;
        assert_eq!(get(egress, "x.acme", "/").await.who(), "wild");
        node.remove(&["*.acme"]).await;
    }
    stop.send(()).unwrap();
    assert!(load.await.unwrap() > 20);
}
