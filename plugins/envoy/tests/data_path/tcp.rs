//! TCP services: a port each on the egress side, CONNECT between nodes.

use catalyst_plugin::Protocol::{Http, Tcp};
use hyper::Method;

use crate::client::{get, h2, tcp};
use crate::node::{Node, local, remote};
use crate::services;

#[tokio::test]
async fn a_tcp_service_is_reached_locally_and_over_two_hops() {
    let service = services::tcp("db").await;
    let (mut a, mut b, mut c) = (
        Node::start("a", 65001).await,
        Node::start("b", 65002).await,
        Node::start("c", 65003).await,
    );
    c.add([local("db.acme", Tcp, &[service.at])]).await;
    b.add([remote("db.acme", Tcp, &[(c.config.peer_listener, 1)])]).await;
    a.add([remote("db.acme", Tcp, &[(b.config.peer_listener, 1)])]).await;
    let long = "x".repeat(1 << 20);
    for node in [&c, &b, &a] {
        assert_eq!(tcp(node.tcp(0), "hello").await, ("db".into(), "hello".into()));
        assert_eq!(tcp(node.tcp(0), &long).await, ("db".into(), long.clone()));
    }
}

#[tokio::test]
async fn tunnels_open_for_tcp_services_on_peer_listeners_only() {
    let (db, web) = (services::tcp("db").await, services::http("web").await);
    let mut node = Node::start("a", 65001).await;
    node.add([local("db.acme", Tcp, &[db.at]), local("web.acme", Http, &[web.at])])
        .await;
    let peer = node.config.peer_listener;
    assert_eq!(h2(peer, Method::CONNECT, "db.acme:1", &[]).await.unwrap().status, 200);
    for (at, uri, status) in [
        (peer, "web.acme:1", 404),
        (peer, "nobody.acme:1", 404),
        (node.config.ingress, "db.acme:1", 405),
        (node.config.egress, "db.acme:1", 405),
    ] {
        assert_eq!(h2(at, Method::CONNECT, uri, &[]).await.unwrap().status, status, "{uri}");
    }
    let reply = get(node.config.ingress, "db.acme", "/").await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (404, "db.acme is a tcp service: dial its own port\n")
    );
}

#[tokio::test]
async fn a_tcp_service_that_goes_frees_its_listener_and_gets_its_port_back() {
    let (db, other) = (services::tcp("db").await, services::tcp("other").await);
    let mut node = Node::start("a", 65001).await;
    node.add([local("db.acme", Tcp, &[db.at])]).await;
    assert_eq!(tcp(node.tcp(0), "1").await.0, "db");
    node.remove(&["db.acme"]).await;
    node.add([local("other.acme", Tcp, &[other.at])]).await;
    assert_eq!(tcp(node.tcp(1), "2").await.0, "other");
    node.add([local("db.acme", Tcp, &[db.at])]).await;
    assert_eq!(tcp(node.tcp(0), "3").await.0, "db");
}
