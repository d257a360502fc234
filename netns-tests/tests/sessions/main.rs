//! See README.md beside this file.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};
use catalyst_core::wire::{Family, Message, Open, VERSION, encode};
use catalyst_netns_tests::{Example, LONG, Network, Node, Peering, peer, poll, scenario};
use serde_json::{Value, json};

/// Longer than any test waits.
const HOLD_TIME: Duration = Duration::from_secs(600);

fn pair(network: &mut Network) -> Result<(Node, Node)> {
    Ok((network.node("a", 65001, "acme")?, network.node("b", 65002, "acme")?))
}

fn start(nodes: [&mut Node; 2]) -> Result<()> {
    nodes.into_iter().try_for_each(Node::start)
}

/// Waits until the session is up, and sees to it that it came up once on each side.
fn check_session(a: &Node, b: &Node) -> Result<()> {
    a.wait_established("b")?;
    b.wait_established("a")?;
    for (node, other) in [(a, "b"), (b, "a")] {
        let shown = node.peer(other)?;
        ensure!(shown["established_count"] == 1, "{shown}");
    }
    Ok(())
}

fn wait_for_error(node: &Node, peer: &str, words: &[&str]) -> Result<Value> {
    poll(&format!("{words:?} in last_error of {}", node.name), LONG, || {
        let shown = node.peer(peer)?;
        let said = shown["last_error"].as_str().unwrap_or_default();
        ensure!(words.iter().all(|word| said.contains(word)), "{shown}");
        ensure!(shown["state"] != "Established", "{shown}");
        Ok(shown)
    })
}

#[test]
fn only_one_side_dials() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        peer(&mut a, &mut b, Peering::FirstDials);
        start([&mut a, &mut b])?;
        check_session(&a, &b)
    })
}

#[test]
fn the_other_side_dials() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        peer(&mut b, &mut a, Peering::FirstDials);
        start([&mut a, &mut b])?;
        check_session(&a, &b)
    })
}

#[test]
fn both_dial_at_once() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        peer(&mut a, &mut b, Peering::Both);
        start([&mut a, &mut b])?;
        a.wait_established("b")?;
        b.wait_established("a")
    })
}

#[test]
fn an_unknown_peer_is_refused() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        peer(&mut a, &mut b, Peering::Both);
        b.config["peers"] = json!({});
        start([&mut a, &mut b])?;
        poll("why a has no session", LONG, || {
            let shown = a.peer("b")?;
            ensure!(
                shown["last_error"].as_str().is_some_and(|said| !said.is_empty()),
                "{shown}"
            );
            Ok(())
        })?;
        ensure!(a.peer("b")?["established_count"] == 0, "no session comes up");
        ensure!(b.ctl_json(&["show", "peers"])? == json!([]), "b knows nobody");
        Ok(())
    })
}

#[test]
fn a_wrong_as_is_refused_with_a_text_that_the_other_side_shows() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        peer(&mut a, &mut b, Peering::FirstDials);
        b.config["peers"]["a"]["as"] = json!(65009);
        start([&mut a, &mut b])?;
        wait_for_error(&b, "a", &["65001", "65009"])?;
        wait_for_error(&a, "b", &["65001", "65009"]).map(drop)
    })
}

#[test]
fn a_wrong_organisation_is_refused() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        peer(&mut a, &mut b, Peering::FirstDials);
        b.config["peers"]["a"]["organisation"] = json!("globex");
        start([&mut a, &mut b])?;
        wait_for_error(&b, "a", &["acme", "globex"])?;
        wait_for_error(&a, "b", &["acme", "globex"]).map(drop)
    })
}

#[test]
fn a_shutdown_is_for_good_and_says_why() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        peer(&mut a, &mut b, Peering::Both);
        for (node, other) in [(&mut a, "b"), (&mut b, "a")] {
            node.config["peers"][other]["graceful_restart"] = json!({});
        }
        b.offer("b.acme", Example::Http.service(([127, 0, 0, 1], 1).into()));
        start([&mut a, &mut b])?;
        poll("b's route at a", LONG, || a.selected("b.acme").map(drop))?;
        b.ctl_ok(&["shutdown", "--message", "this rack moves"])?;
        let said = ["Hard Reset", "Administrative Shutdown", "this rack moves"];
        poll("the words at a", LONG, || {
            let shown = a.peer("b")?;
            let error = shown["last_error"].as_str().unwrap_or_default();
            ensure!(said.iter().all(|word| error.contains(word)), "{shown}");
            Ok(())
        })?;
        ensure!(a.routes()?.is_empty(), "graceful restart is for those who come back");
        poll("the end of b", LONG, || {
            ensure!(b.check_alive().is_err(), "it runs");
            Ok(())
        })
    })
}

/// A connection from the address of a node, which brings OPEN and then nothing: the node has died.
fn dying(node: &Node, at: &Node) -> Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((node.ip, 0).into())?;
        socket.connect(at.peering()).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    let mut open = bytes::BytesMut::new();
    let said = Open {
        version: VERSION,
        asn: node.asn,
        node: node.name.as_str().into(),
        organisation: node.organisation.as_str().into(),
        hold_time: HOLD_TIME,
        families: Family::ALL.to_vec(),
        route_refresh: true,
        role: None,
        graceful_restart: None,
    };
    encode(&Message::Open(said), &mut open);
    (&stream).write_all(&open)?;
    Ok(stream)
}

#[test]
fn a_connection_that_dies_in_open_confirm_keeps_nobody_out() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        peer(&mut a, &mut b, Peering::FirstDials);
        b.config["peering"]["hold_time"] = json!(format!("{}s", HOLD_TIME.as_secs()));
        b.start()?;
        let _dead = dying(&a, &b)?;
        poll("OpenConfirm at b", LONG, || {
            let shown = b.peer("a")?;
            ensure!(shown["state"] == "OpenConfirm", "{shown}");
            Ok(())
        })?;
        a.start()?;
        check_session(&a, &b)
    })
}

/// Both nodes at ::1, each at a port of its own.
fn move_to_ipv6(a: &mut Node, b: &mut Node) -> Result<()> {
    let [_, _, subnet, _] = a.ip.octets();
    let first = 20_000 + 2 * u16::from(subnet);
    for (node, other, port, far) in [(a, "b", first, first + 1), (b, "a", first + 1, first)] {
        node.config["peering"]["listen"] = json!(format!("[::1]:{port}"));
        node.config["peers"][other]["address"] = json!(format!("[::1]:{far}"));
        node.config["peers"][other]["source"] = json!("::1");
    }
    Ok(())
}

#[test]
fn over_ipv6() -> Result<()> {
    for ttl_security in [Value::Null, json!(1)] {
        scenario(|network| {
            let (mut a, mut b) = pair(network)?;
            peer(&mut a, &mut b, Peering::Both);
            move_to_ipv6(&mut a, &mut b)?;
            for (node, other) in [(&mut a, "b"), (&mut b, "a")] {
                if !ttl_security.is_null() {
                    node.config["peers"][other]["ttl_security"] = ttl_security.clone();
                }
            }
            b.offer("b.acme", Example::Http.service(([127, 0, 0, 1], 1).into()));
            start([&mut a, &mut b])?;
            a.wait_established("b")?;
            b.wait_established("a")?;
            poll("the route of b", LONG, || {
                let route = a.selected("b.acme")?;
                let next_hop = route["next_hop"].as_str().unwrap_or_default();
                ensure!(next_hop.starts_with("[::1]") || next_hop.starts_with("::1"), "{route}");
                Ok(())
            })
        })?;
    }
    Ok(())
}

/// What a sends is dropped by b, before there is a connection.
fn never_heard(a: &Node, b: &Node) -> Result<()> {
    wait_for_error(a, "b", &["no answer"])?;
    let shown = b.peer("a")?;
    ensure!(shown["state"] == "Active" && shown["established_count"] == 0, "{shown}");
    Ok(())
}

#[test]
fn ttl_security_of_one_peer_is_not_that_of_another_and_goes_with_a_reload() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        let mut c = network.node("c", 65003, "acme")?;
        peer(&mut a, &mut b, Peering::FirstDials);
        peer(&mut c, &mut b, Peering::FirstDials);
        b.config["peers"]["a"]["ttl_security"] = json!(1);
        start([&mut a, &mut b])?;
        c.start()?;
        c.wait_established("b")?;
        b.wait_established("c")?;
        never_heard(&a, &b)?;
        let section = b.config["peers"]["a"].as_object_mut();
        section.map(|section| section.remove("ttl_security"));
        b.write_config()?;
        b.ctl_ok(&["reload"])?;
        check_session(&a, &b)
    })
}

#[test]
fn ttl_security_is_for_both_sides() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        peer(&mut a, &mut b, Peering::FirstDials);
        b.config["peers"]["a"]["ttl_security"] = json!(1);
        start([&mut a, &mut b])?;
        // What a sends leaves with the usual TTL.
        never_heard(&a, &b)?;
        a.config["peers"]["b"]["ttl_security"] = json!(1);
        a.write_config()?;
        a.ctl_ok(&["reload"])?;
        a.ctl_ok(&["peer", "reset", "b"])?;
        a.wait_established("b")?;
        b.wait_established("a")
    })
}
