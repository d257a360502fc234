//! On ingress some hosts mean the graph, whatever wildcards exist.

use catalyst_plugin::Protocol::Http;

use crate::client::get;
use crate::node::{Node, local};
use crate::services;

#[tokio::test]
async fn ip_literals_localhost_and_listed_hosts_are_the_graph() {
    let (gateway, wild) = (services::http("gateway").await, services::http("wild").await);
    let at = gateway.at;
    let mut node = Node::with("a", 65001, "acme", |config| {
        config.gateway = Some(at);
        config.graphql_hosts = vec!["Graph.acme".into()];
    })
    .await;
    node.add([local("*", Http, &[wild.at])]).await;
    let ingress = node.config.ingress;
    for host in [
        "127.0.0.1",
        "127.0.0.1:8080",
        "localhost",
        "LOCALHOST:80",
        "[::1]",
        "[::1]:443",
        "graph.ACME:1",
    ] {
        let reply = get(ingress, host, "/graphql?query=x").await;
        assert_eq!((reply.status, reply.who()), (200, "gateway"), "{host}");
        assert!(reply.body.contains("GET /graphql?query=x\n"), "{}", reply.body);
        assert_eq!(get(ingress, host, "/other").await.status, 404, "{host}");
        assert_eq!(get(ingress, host, "/graphqlx").await.status, 404, "{host}");
    }
    assert_eq!(get(ingress, "graph.acme.x", "/graphql").await.who(), "wild");
    assert_eq!(
        get(node.config.egress, "localhost", "/graphql").await.who(),
        "wild",
        "egress knows no graph"
    );
}

#[tokio::test]
async fn without_a_gateway_there_is_no_graph() {
    let wild = services::http("wild").await;
    let mut node = Node::start("a", 65001).await;
    node.add([local("*", Http, &[wild.at])]).await;
    for host in ["127.0.0.1", "[::1]:443", "localhost"] {
        assert_eq!(get(node.config.ingress, host, "/graphql").await.status, 404, "{host}");
    }
}
