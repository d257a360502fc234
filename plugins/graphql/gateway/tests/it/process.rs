//! The process: its command line, its socket, its end.

use crate::services::products;
use crate::support::{Behaviour, Egress, Gateway, command, eventually, free_address, subgraph};
use catalyst_proto::gateway::v1::ObserveRequest;
use nix::sys::signal::{Signal, kill};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

fn output(arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(arguments).output().expect("the gateway runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn busy_port_is_one_clear_line() {
    let taken = std::net::TcpListener::bind(free_address()).expect("free port");
    let address = taken.local_addr().expect("address").to_string();
    let (code, text) = output(&["--listen", &address, "--control", "127.0.0.1:1"]);
    let expected = format!("catalyst-gateway: {address} is in use by another process; choose another with --listen\n");
    assert_eq!((code, text), (Some(1), expected));
}

#[test]
fn control_off_this_machine_is_refused() {
    let (code, text) = output(&["--control", "0.0.0.0:8094"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("0.0.0.0 is not loopback"), "{text}");
}

#[test]
fn help_has_examples() {
    let (code, text) = output(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("--refresh-interval") && text.contains("Examples:"),
        "{text}"
    );
}

#[tokio::test]
async fn control_socket_is_private() {
    let gateway = Gateway::start(&[]).await;
    let mode = std::fs::metadata(&gateway.socket).expect("socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn bad_change_is_refused_whole() {
    let (gateway, egress) = (Gateway::start(&[]).await, Egress::start().await);
    let good = subgraph("products", &egress);
    let mut bad = subgraph("bad", &egress);
    bad.egress = "nowhere".into();
    let refused = gateway.apply(vec![good, bad], &[]).await.expect_err("refused");
    assert_eq!(refused.message(), "subgraph \"bad\": its egress is no HOST:PORT");
    let held = gateway
        .control
        .clone()
        .observe(ObserveRequest {})
        .await
        .expect("observe")
        .into_inner();
    assert!(held.subgraphs.is_empty(), "{held:?}");
}

#[tokio::test]
async fn sigterm_lets_requests_end() {
    let (mut gateway, egress) = (
        Gateway::start(&["--request-timeout", "10s"]).await,
        Egress::start().await,
    );
    egress.set("products", products());
    gateway.add(&egress, &["products"]).await;
    gateway.until_serving(&["products"]).await;
    let (entered, release) = (
        Arc::new(tokio::sync::Notify::new()),
        Arc::new(tokio::sync::Notify::new()),
    );
    egress.set("products", gated(products(), &entered, &release));
    let socket = gateway.socket.clone();
    let pid = gateway.pid();
    let asked = gateway.query("{ products { id } }");
    let during = async {
        entered.notified().await;
        kill(pid, Signal::SIGTERM).expect("a child of ours");
        release.notify_one();
    };
    let ((status, answer), ()) = tokio::join!(asked, during);
    assert!(status.is_success() && answer.get("errors").is_none(), "{answer}");
    assert!(gateway.exited().await.success());
    eventually("the socket file is removed", async || (!socket.exists()).then_some(())).await;
}

/// Says when it is entered, and goes on when released.
fn gated(inner: Behaviour, entered: &Arc<tokio::sync::Notify>, release: &Arc<tokio::sync::Notify>) -> Behaviour {
    let Behaviour::Execute(inner) = inner else { return inner };
    let (entered, release) = (Arc::clone(entered), Arc::clone(release));
    Behaviour::Execute(Arc::new(move |request| {
        let (inner, entered, release) = (Arc::clone(&inner), Arc::clone(&entered), Arc::clone(&release));
        Box::pin(async move {
            entered.notify_one();
            release.notified().await;
            inner(request).await
        })
    }))
}
