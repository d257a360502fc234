//! Traffic while names, wildcards and tcp services come and go on both nodes: nothing fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use catalyst_plugin::Protocol::{Http, Tcp};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::client::{get, tcp, try_get};
use crate::node::{Node, local, remote};
use crate::services;

const ROUNDS: usize = 30;

/// Requests over one connection until told to stop; every one must be answered by `who`. Returns their number.
async fn load(at: SocketAddr, host: &'static str, who: &'static str, stop: Arc<AtomicBool>) -> usize {
    let socket = TokioIo::new(TcpStream::connect(at).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        sender.ready().await.unwrap();
        let request = Request::builder()
            .uri("/")
            .header("host", host)
            .body(Empty::<Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(
            status == 200 && body.starts_with(who.as_bytes()),
            "{host} after {count}: {status} {body:?}"
        );
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_fails_while_names_wildcards_and_tcp_services_come_and_go() {
    let (web, wild, db) = (
        services::http("web").await,
        services::http("wild").await,
        services::tcp("db").await,
    );
    let (mut a, mut b) = (Node::start("a", 65001).await, Node::start("b", 65002).await);
    let hop = [(b.config.peer_listener, 1)];
    b.add([local("stable.acme", Http, &[web.at]), local("*.acme", Http, &[wild.at])])
        .await;
    a.add([remote("stable.acme", Http, &hop), remote("*.acme", Http, &hop)])
        .await;
    let stop = Arc::new(AtomicBool::new(false));
    let ingress = a.config.ingress;
    let steady = [("stable.acme", "web"), ("other.acme", "wild")]
        .map(|(host, who)| tokio::spawn(load(ingress, host, who, stop.clone())));
    for round in 0..ROUNDS {
        let name = format!("n{round}.acme");
        b.add([
            local(&name, Http, &[web.at]),
            local("*.x.acme", Http, &[web.at]),
            local("db.acme", Tcp, &[db.at]),
        ])
        .await;
        a.add([
            remote(&name, Http, &hop),
            remote("*.x.acme", Http, &hop),
            remote("db.acme", Tcp, &hop),
        ])
        .await;
        for (host, who) in [(name.as_str(), "web"), ("y.x.acme", "web"), ("y.acme", "wild")] {
            let reply = try_get(ingress, host, "/").await.unwrap();
            assert_eq!((reply.status, reply.who()), (200, who), "{host} in round {round}");
        }
        assert_eq!(tcp(a.tcp(0), "x").await, ("db".into(), "x".into()), "round {round}");
        a.remove(&[&name, "*.x.acme", "db.acme"]).await;
        b.remove(&[&name, "*.x.acme", "db.acme"]).await;
    }
    stop.store(true, Ordering::Relaxed);
    for steady in steady {
        assert!(steady.await.unwrap() > ROUNDS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_outlives_its_next_hop() {
    let gate = Arc::new(Semaphore::new(0));
    let (slow, quick) = (
        services::gated("slow", gate.clone()).await,
        services::http("quick").await,
    );
    let (mut a, mut b, mut c) = (
        Node::start("a", 65001).await,
        Node::start("b", 65002).await,
        Node::start("c", 65003).await,
    );
    b.add([local("web.acme", Http, &[slow.at])]).await;
    c.add([local("web.acme", Http, &[quick.at])]).await;
    a.add([remote("web.acme", Http, &[(b.config.peer_listener, 1)])]).await;
    let ingress = a.config.ingress;
    let waiting = tokio::spawn(async move { get(ingress, "web.acme", "/").await });
    slow.reached().await;
    a.add([remote("web.acme", Http, &[(c.config.peer_listener, 1)])]).await;
    a.gone("hop/", b.config.peer_listener).await;
    assert_eq!(get(ingress, "web.acme", "/").await.who(), "quick");
    gate.add_permits(1);
    let reply = waiting.await.unwrap();
    assert_eq!((reply.status, reply.who()), (200, "slow"));
}
