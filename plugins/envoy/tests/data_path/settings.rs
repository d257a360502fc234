//! What can change while the plane runs: listeners of outside organisations come, go and move; so do the graph's hosts.

use std::net::SocketAddr;

use catalyst_plugin::Protocol::Http;
use tokio::net::TcpStream;

use crate::client::{get, until};
use crate::envoy::DEADLINE;
use crate::node::{Node, exported, local};
use crate::services;

/// Waits until nothing listens at an address.
async fn closed(at: SocketAddr) {
    let closes = async {
        while TcpStream::connect(at).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, closes).await.unwrap();
}

#[tokio::test]
async fn listeners_of_organisations_come_go_and_move() {
    let web = services::http("web").await;
    let mut node = Node::with("a", 65001, "acme", |config| Node::listen_for(config, "initech")).await;
    let initech = node.config.peer_listeners["initech"];
    node.add([
        exported(local("web.acme", Http, &[web.at]), &["globex", "initech"]),
        local("inner.acme", Http, &[web.at]),
    ])
    .await;

    node.reconfigure(|config| Node::listen_for(config, "globex")).await;
    let globex = node.config.peer_listeners["globex"];
    assert_eq!(until(globex, "web.acme", "web").await.status, 200);
    assert_eq!(get(globex, "inner.acme", "/").await.status, 404);
    assert_eq!(get(initech, "web.acme", "/").await.who(), "web");

    let moved = SocketAddr::new(globex.ip(), 8099);
    node.reconfigure(|config| {
        config.peer_listeners.insert("globex".into(), moved);
    })
    .await;
    assert_eq!(until(moved, "web.acme", "web").await.status, 200);
    closed(globex).await;

    node.reconfigure(|config| {
        config.peer_listeners.remove("initech");
    })
    .await;
    closed(initech).await;
    assert_eq!(get(moved, "web.acme", "/").await.who(), "web");
    assert_eq!(get(node.config.ingress, "inner.acme", "/").await.who(), "web");
}
