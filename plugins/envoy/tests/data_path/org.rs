//! The listener of an outside organisation opens what is exported to it, and nothing else.

use catalyst_plugin::Protocol::{Http, Tcp};
use hyper::Method;

use crate::client::{get, h2, until};
use crate::node::{Node, discard, exported, local, remote};
use crate::services;

async fn bordered() -> Node {
    Node::with("a", 65001, "acme", |config| {
        Node::listen_for(config, "globex");
        Node::listen_for(config, "initech");
    })
    .await
}

#[tokio::test]
async fn only_exported_names_are_open() {
    let (web, db) = (services::http("web").await, services::tcp("db").await);
    let mut node = bordered().await;
    node.add([
        exported(local("web.acme", Http, &[web.at]), &["globex"]),
        exported(local("db.acme", Tcp, &[db.at]), &["globex"]),
        local("inner.acme", Http, &[web.at]),
        local("innerdb.acme", Tcp, &[db.at]),
    ])
    .await;
    let (globex, initech) = (
        node.config.peer_listeners["globex"],
        node.config.peer_listeners["initech"],
    );
    assert_eq!(get(globex, "web.acme", "/").await.who(), "web");
    assert_eq!(h2(globex, Method::CONNECT, "db.acme:1", &[]).await.unwrap().status, 200);
    for (at, host) in [(globex, "inner.acme"), (initech, "web.acme"), (globex, "own;web.acme")] {
        let reply = get(at, host, "/").await;
        assert_eq!(
            (reply.status, reply.body.starts_with("no route to")),
            (404, true),
            "{host}"
        );
    }
    for (at, uri) in [(globex, "innerdb.acme:1"), (initech, "db.acme:1")] {
        assert_eq!(h2(at, Method::CONNECT, uri, &[]).await.unwrap().status, 404, "{uri}");
    }
    node.add([local("web.acme", Http, &[web.at])]).await;
    assert_eq!(
        until(globex, "web.acme", "no route to web.acme").await.status,
        404,
        "exported no longer"
    );
    assert_eq!(get(node.config.ingress, "web.acme", "/").await.status, 200);
}

#[tokio::test]
async fn an_exported_wildcard_does_not_open_what_is_kept_back() {
    let (wild, secret) = (services::http("wild").await, services::http("secret").await);
    let mut node = bordered().await;
    let globex = node.config.peer_listeners["globex"];
    node.add([
        local("secret.acme", Http, &[secret.at]),
        local("*.lab.acme", Http, &[secret.at]),
    ])
    .await;
    node.add([exported(local("*.acme", Http, &[wild.at]), &["globex"])])
        .await;
    assert_eq!(get(globex, "x.acme", "/").await.who(), "wild");
    for host in ["secret.acme", "x.lab.acme"] {
        assert_eq!(get(globex, host, "/").await.status, 404, "{host}");
        assert_eq!(get(node.config.egress, host, "/").await.who(), "secret", "{host}");
    }
    node.remove(&["secret.acme"]).await;
    until(globex, "secret.acme", "wild").await;
}

#[tokio::test]
async fn an_exported_aggregate_opens_its_accepted_members() {
    let web = services::http("web").await;
    let mut node = bordered().await;
    let globex = node.config.peer_listeners["globex"];
    node.add([
        exported(discard("*.dc1.acme"), &["globex"]),
        exported(local("web.dc1.acme", Http, &[web.at]), &["globex"]),
        local("inner.dc1.acme", Http, &[web.at]),
    ])
    .await;
    assert_eq!(get(globex, "web.dc1.acme", "/").await.status, 200);
    assert_eq!(get(globex, "inner.dc1.acme", "/").await.status, 404);
    assert_eq!(get(globex, "other.dc1.acme", "/").await.status, 404);
}

#[tokio::test]
async fn a_request_crosses_from_one_organisation_to_the_other() {
    let web = services::http("web").await;
    let mut ours = bordered().await;
    let mut theirs = Node::with("g", 65100, "globex", |_| ()).await;
    let mut behind = Node::with("h", 65100, "globex", |_| ()).await;
    ours.add([exported(local("web.acme", Http, &[web.at]), &["globex"])])
        .await;
    theirs
        .add([remote("web.acme", Http, &[(ours.config.peer_listeners["globex"], 1)])])
        .await;
    behind
        .add([remote("web.acme", Http, &[(theirs.config.peer_listener, 1)])])
        .await;
    assert_eq!(get(theirs.config.ingress, "web.acme", "/").await.who(), "web");
    assert_eq!(get(behind.config.ingress, "web.acme", "/").await.who(), "web");
}
