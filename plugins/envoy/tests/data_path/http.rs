//! HTTP and gRPC through one, two and three nodes.

use std::net::SocketAddr;

use catalyst_envoy::bootstrap::bootstrap_json;
use catalyst_envoy::config::XdsAddress;
use catalyst_plugin::Protocol::{Http, HttpGrpc};
use catalyst_plugin::{Endpoint, Target};
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;
use tonic::transport;
use tonic::{Code, Status};

use crate::client::{connect, get, h2, request, until};
use crate::envoy::{DEADLINE, binary};
use crate::node::{Node, local, remote, weighted_local};
use crate::services;

#[tokio::test]
async fn a_local_service_answers_on_ingress_and_egress() {
    let service = services::http("orders").await;
    let mut node = Node::start("a", 65001).await;
    node.add([local("orders.acme", Http, &[service.at])]).await;
    for at in [node.config.ingress, node.config.egress, node.config.peer_listener] {
        let reply = get(at, "orders.acme", "/x?y=1").await;
        assert_eq!((reply.status, reply.who()), (200, "orders"));
        assert!(reply.body.contains("GET /x?y=1\n"), "{}", reply.body);
        assert_eq!(reply.received("x-catalyst-scope"), None);
        assert_eq!(reply.received("x-catalyst-via"), None);
        let reply = h2(at, Method::GET, "http://orders.acme/h2", &[]).await.unwrap();
        assert_eq!((reply.status, reply.who()), (200, "orders"));
    }
}

#[tokio::test]
async fn names_come_in_any_case_with_any_port() {
    let service = services::http("orders").await;
    let mut node = Node::start("a", 65001).await;
    node.add([local("orders.acme", Http, &[service.at])]).await;
    for host in ["Orders.ACME", "orders.acme:80", "ORDERS.acme:65000", "orders.acme."] {
        let reply = get(node.config.ingress, host, "/").await;
        assert_eq!((reply.status, reply.who()), (200, "orders"), "{host}");
        assert_eq!(reply.received("host"), Some("orders.acme"), "{host}");
    }
}

#[tokio::test]
async fn an_unknown_name_is_404_in_words() {
    let mut node = Node::start("a", 65001).await;
    for host in ["nobody.acme", "a;b", "a:b:c", "-"] {
        let reply = get(node.config.egress, host, "/").await;
        assert_eq!(reply.status, 404, "{host}: {}", reply.body);
        assert!(reply.body.starts_with("no route to "), "{host}: {}", reply.body);
    }
    let service = services::http("orders").await;
    node.add([local("orders.acme", Http, &[service.at])]).await;
    node.remove(&["orders.acme"]).await;
    assert_eq!(
        until(node.config.egress, "orders.acme", "no route to orders.acme")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn endpoints_share_by_weight() {
    let (heavy, light) = (services::http("heavy").await, services::http("light").await);
    let mut node = Node::start("a", 65001).await;
    node.add([weighted_local("orders.acme", Http, &[(heavy.at, 3), (light.at, 1)])])
        .await;
    let mut count = 0;
    for _ in 0..80 {
        count += usize::from(get(node.config.ingress, "orders.acme", "/").await.who() == "heavy");
    }
    assert!(
        (56..=64).contains(&count),
        "{count} of 80 went to the endpoint of weight 3 of 4"
    );
}

#[tokio::test]
async fn a_changed_endpoint_fails_no_request() {
    let mut service = services::http("first").await;
    let mut node = Node::start("a", 65001).await;
    node.add([local("orders.acme", Http, &[service.at])]).await;
    let ingress = node.config.ingress;
    let (answered, mut answers) = tokio::sync::watch::channel(String::new());
    let load = tokio::spawn(async move { hammer(ingress, "orders.acme", "last", &answered).await });
    let names = (0..20).map(|n| &*format!("next-{n}").leak());
    for name in names.chain(["last"]) {
        let next = services::http(name).await;
        node.add([local("orders.acme", Http, &[next.at])]).await;
        // One request at a time: once the new endpoint answers, none is on its way to the old one.
        answers.wait_for(|who| who == name).await.unwrap();
        std::mem::replace(&mut service, next).finish().await;
    }
    assert!(load.await.unwrap() > 0);
    drop(service);
}

/// Requests until `last` answers, telling who answers; each of them must succeed.
async fn hammer(at: SocketAddr, host: &str, last: &str, answered: &tokio::sync::watch::Sender<String>) -> usize {
    let mut count = 0;
    loop {
        let reply = request(at, host, "/", &[]).await.unwrap();
        assert_eq!(reply.status, 200, "after {count} requests: {}", reply.body);
        answered.send_replace(reply.who().to_owned());
        if reply.who() == last {
            return count;
        }
        count += 1;
    }
}

#[tokio::test]
async fn http_crosses_one_and_two_hops() {
    let service = services::http("orders").await;
    let (mut a, mut b, mut c) = (
        Node::start("a", 65001).await,
        Node::start("b", 65002).await,
        Node::start("c", 65003).await,
    );
    c.add([local("orders.acme", Http, &[service.at])]).await;
    b.add([remote("orders.acme", Http, &[(c.config.peer_listener, 1)])])
        .await;
    a.add([remote("orders.acme", Http, &[(b.config.peer_listener, 1)])])
        .await;
    for node in [&c, &b, &a] {
        let reply = get(node.config.ingress, "Orders.acme:8080", "/deep").await;
        assert_eq!((reply.status, reply.who()), (200, "orders"));
        assert_eq!(reply.received("host"), Some("orders.acme"));
        assert_eq!(reply.received("x-catalyst-scope"), None);
    }
}

#[tokio::test]
async fn next_hops_share_by_weight_and_a_dead_one_is_503() {
    let (one, two) = (services::http("one").await, services::http("two").await);
    let (mut a, mut b, mut c) = (
        Node::start("a", 65001).await,
        Node::start("b", 65001).await,
        Node::start("c", 65001).await,
    );
    b.add([local("orders.acme", Http, &[one.at])]).await;
    c.add([local("orders.acme", Http, &[two.at])]).await;
    a.add([remote(
        "orders.acme",
        Http,
        &[(b.config.peer_listener, 1), (c.config.peer_listener, 3)],
    )])
    .await;
    let mut twos = 0;
    for _ in 0..200 {
        twos += usize::from(get(a.config.egress, "orders.acme", "/").await.who() == "two");
    }
    // Random, 150 expected, standard deviation 6.
    assert!(
        (110..=190).contains(&twos),
        "{twos} of 200 went to the next hop of weight 3 of 4"
    );
    a.add([remote("orders.acme", Http, &[(b.config.peer_listener, 1)])])
        .await;
    b.envoy.kill().await;
    assert_eq!(get(a.config.egress, "orders.acme", "/").await.status, 503);
}

#[tokio::test]
async fn a_route_that_cannot_be_expressed_is_503_with_the_reason() {
    let mut node = Node::start("a", 65001).await;
    let route = remote("orders.acme", Http, &[("127.0.0.1:0".parse().unwrap(), 1)]);
    node.put(route.clone());
    let verdicts = node.apply(std::slice::from_ref(&route.name)).await;
    let refused = verdicts
        .values()
        .any(|verdict| format!("{verdict:?}").contains("no data plane"));
    assert!(refused, "{verdicts:?}");
    let reply = get(node.config.ingress, "orders.acme", "/").await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("cannot serve orders.acme"), "{}", reply.body);
}

async fn talk(at: SocketAddr, name: &str, words: &[&str]) -> Result<Vec<String>, Status> {
    let origin = format!("http://{name}").parse().unwrap();
    let channel = transport::Endpoint::from_shared(format!("http://{at}"))
        .unwrap()
        .origin(origin)
        .connect()
        .await
        .unwrap();
    let mut client = AggregatedDiscoveryServiceClient::new(channel);
    let words = words.iter().map(|word| DiscoveryRequest {
        type_url: (*word).into(),
        ..Default::default()
    });
    let requests = tokio_stream::iter(words.collect::<Vec<_>>());
    let mut responses = client.stream_aggregated_resources(requests).await?.into_inner();
    let mut heard = Vec::new();
    while let Some(response) = responses.message().await? {
        heard.push(format!("{} says {}", response.version_info, response.type_url));
    }
    Ok(heard)
}

#[tokio::test]
async fn grpc_streams_and_trailers_cross_nodes() {
    let service = services::grpc("greeter").await;
    let (mut a, mut b, mut c) = (
        Node::start("a", 65001).await,
        Node::start("b", 65002).await,
        Node::start("c", 65003).await,
    );
    c.add([local("greeter.acme", HttpGrpc, &[service.at])]).await;
    b.add([remote("greeter.acme", HttpGrpc, &[(c.config.peer_listener, 1)])])
        .await;
    a.add([remote("greeter.acme", HttpGrpc, &[(b.config.peer_listener, 1)])])
        .await;
    for at in [c.config.ingress, b.config.egress, a.config.ingress] {
        let heard = talk(at, "greeter.acme", &["one", "two"]).await.unwrap();
        assert_eq!(heard, ["greeter says one", "greeter says two"]);
        let status = talk(at, "greeter.acme", &["one", "fail"]).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Aborted, "as asked"));
    }
    let status = talk(a.config.ingress, "nobody.acme", &[]).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
}

#[tokio::test]
async fn a_dead_dns_name_concerns_its_own_service_only() {
    let service = services::http("orders").await;
    let mut node = Node::start("a", 65001).await;
    let named = |name: &str, host: &str| {
        let mut route = local(name, Http, &[service.at]);
        route.target = Target::Local(vec![Endpoint {
            host: host.into(),
            port: service.at.port(),
            weight: 1,
        }]);
        route
    };
    node.add([
        named("dead.acme", "no-such-host.invalid"),
        local("orders.acme", Http, &[service.at]),
    ])
    .await;
    assert_eq!(get(node.config.ingress, "dead.acme", "/").await.status, 503);
    assert_eq!(get(node.config.ingress, "orders.acme", "/").await.who(), "orders");
}

#[tokio::test]
async fn a_websocket_crosses_nodes() {
    let service = services::websocket("chat").await;
    let (mut a, mut b) = (Node::start("a", 65001).await, Node::start("b", 65002).await);
    b.add([local("chat.acme", Http, &[service.at])]).await;
    a.add([remote("chat.acme", Http, &[(b.config.peer_listener, 1)])]).await;
    let mut socket = connect(a.config.ingress).await;
    let request = "GET / HTTP/1.1\r\nhost: chat.acme\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    assert!(services::read_head(&mut socket).await.starts_with("HTTP/1.1 101 "));
    socket.write_all(b"ping").await.unwrap();
    let mut heard = [0; 9];
    timeout(DEADLINE, socket.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"chat\nping");
}

#[tokio::test]
async fn the_bootstrap_is_valid_in_both_forms() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = crate::node::config("a", 65001, "acme", &dir);
    for xds in [
        XdsAddress::Unix("relative/xds.sock".into()),
        XdsAddress::Tcp("[::1]:18000".parse().unwrap()),
    ] {
        config.xds = xds;
        let path = dir.path().join("bootstrap.json");
        std::fs::write(&path, bootstrap_json(&config)).unwrap();
        let checked = Command::new(binary())
            .args(["--mode", "validate", "-c"])
            .arg(&path)
            .output()
            .await
            .unwrap();
        let output = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success() && !output.contains("deprecated"), "{output}");
    }
}
