//! `catalystctl peer ...` against real daemons.

use serde_json::{Value, json};

use super::support::{Node, until};

/// Two nodes with graceful restart; `b` offers `b.acme`.
fn pair(subnet: &str) -> (Node, Node) {
    let (ip_a, ip_b) = (format!("{subnet}.1"), format!("{subnet}.2"));
    let peer = |name: &str, asn: u32, ip: &str, source: &str| format!("{name}={asn}@{ip}:17900,source={source}");
    let graceful = |name: &str| format!("peers[\"{name}\"].graceful_restart={{}}");
    let a = Node::start(
        &ip_a,
        &[
            ("listen", &format!("{ip_a}:17900")),
            ("peer", &peer("b", 65002, &ip_b, &ip_a)),
            ("set", &graceful("b")),
        ],
    );
    let b = Node::start(
        &ip_b,
        &[
            ("listen", &format!("{ip_b}:17900")),
            ("name", "b"),
            ("as", "65002"),
            ("peer", &peer("a", 65001, &ip_a, &ip_b)),
            ("set", &graceful("a")),
            ("service", "b.acme=http@http://127.0.0.1:1"),
        ],
    );
    until("a has b's route", || a.ctl(&["show", "route", "b.acme"]).code == 0);
    (a, b)
}

fn peer(node: &Node, name: &str) -> Value {
    node.json(&["show", "peer", name])
}

fn last_error(node: &Node, name: &str) -> String {
    peer(node, name)["last_error"].as_str().unwrap().to_owned()
}

#[test]
fn a_peer_is_disabled_with_a_message_and_enabled_again() {
    let (a, b) = pair("127.80.20");
    let answer = a.ctl(&["peer", "disable", "b", "--message", "moving to another rack"]);
    assert_eq!((answer.code, answer.out.as_str()), (0, "disabled b\n"), "{answer:?}");
    until("the message at b", || {
        last_error(&b, "a").ends_with("Administrative Shutdown): moving to another rack")
            || last_error(&b, "a").ends_with("the session is stopped here: moving to another rack")
    });
    assert_eq!(
        a.ctl(&["show", "route", "b.acme"]).code,
        1,
        "a hard reset keeps nothing"
    );
    let shown = peer(&a, "b");
    assert_eq!(
        (&shown["state"], &shown["session"]["disabled"]),
        (&json!("Idle"), &json!("moving to another rack"))
    );
    let table = a.ctl(&["show", "peers"]).out;
    assert!(table.contains("disabled: moving to another rack"), "{table}");
    let told = a.ctl(&["show", "peer", "b"]).out;
    assert!(
        told.contains("until it is enabled or the daemon starts again: moving to another rack"),
        "{told}"
    );

    let answer = a.ctl(&["peer", "refresh", "b"]);
    assert_eq!(
        (answer.code, answer.err.as_str()),
        (1, "catalystctl: b: the peer is disabled; enable it first\n")
    );
    assert_eq!(
        a.json(&["peer", "enable", "b"]),
        json!({ "name": "b", "done": "enabled" })
    );
    until("the session", || peer(&a, "b")["state"] == "Established");
}

#[test]
fn a_peer_is_reset_and_refreshed() {
    let (a, b) = pair("127.80.21");
    assert_eq!(a.ctl(&["peer", "refresh", "b"]).out, "refreshing b\n");
    assert_eq!(
        a.ctl(&["peer", "reset", "b", "--message", "new cable"]).out,
        "reset b\n"
    );
    until("a session of its own", || {
        let shown = peer(&a, "b");
        shown["state"] == "Established" && shown["established_count"] == 2
    });
    assert!(
        last_error(&b, "a").ends_with("Cease, Administrative Reset: new cable"),
        "{}",
        last_error(&b, "a")
    );
    assert_eq!(a.ctl(&["peer", "reset", "b", "--hard"]).code, 0);
    until("a third session", || peer(&a, "b")["established_count"] == 3);
    assert!(last_error(&b, "a").contains("Cease, Hard Reset (Cease, Administrative Reset): reset by an operator"));
}

#[test]
fn an_unknown_peer_is_one_line() {
    let node = Node::start("127.80.22.1", &[]);
    for act in ["disable", "enable", "reset", "refresh"] {
        let answer = node.ctl(&["peer", act, "nobody"]);
        assert_eq!(
            (answer.code, answer.err.as_str()),
            (1, "catalystctl: no peer \"nobody\" is configured\n")
        );
    }
}
