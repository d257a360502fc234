//! See README.md beside this file.

mod hostile;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Client, Example, LONG, Network, Node, Peering, peer, poll, scenario};
use serde_json::{Value, json};

/// An organisation of one node: its name, its AS, and the domain that is its own.
fn organisation(network: &mut Network, name: &str, asn: u32) -> Result<Node> {
    let mut node = network.node(name, asn, name)?.with_envoy();
    node.config["node"]["domains"] = json!([name]);
    Ok(node)
}

/// A, B and C, not running yet, with sessions that accept everything.
fn row(network: &mut Network) -> Result<[Node; 3]> {
    let mut a = organisation(network, "acme", 65001)?;
    let mut b = organisation(network, "beta", 65002)?;
    let mut c = organisation(network, "gamma", 65003)?;
    peer(&mut a, &mut b, Peering::Both);
    peer(&mut b, &mut c, Peering::Both);
    Ok([a, b, c])
}

fn start(nodes: &mut [Node; 3]) -> Result<()> {
    nodes.iter_mut().try_for_each(Node::start)?;
    let [a, b, c] = nodes;
    a.wait_established("beta")?;
    b.wait_established("gamma")?;
    c.wait_established("beta")
}

/// Where the Envoy of `organisation` comes in at `node`.
fn listener(node: &Node, organisation: &str) -> Result<SocketAddr> {
    let at = node.config["plugins"]["envoy"]["peer_listeners"][organisation].as_str();
    Ok(at.context("no such listener")?.parse()?)
}

fn wait_answered_by(node: &Node, host: &str, by: &str) -> Result<()> {
    poll(&format!("{host} answered by {by} at {}", node.name), LONG, || {
        node.check_answered_by(host, by)
    })
}

/// The path that `node` has from `peer`, selected or not.
fn path_from(node: &Node, name: &str, peer: &str) -> Result<Value> {
    let routes = node.routes()?;
    let path = routes
        .into_iter()
        .find(|route| route["name"] == name && route["learned_from"] == peer);
    path.with_context(|| format!("{} has no path to {name} from {peer}", node.name))
}

/// What `show route --why` says of the peers of `node`.
fn check_why(node: &Node, name: &str, says: &str) -> Result<()> {
    let why = node.ctl_ok(&["show", "route", name, "--why"])?;
    ensure!(why.contains(says), "{says:?} is not in\n{why}");
    Ok(())
}

#[test]
fn what_is_passed_on_is_what_policy_says() -> Result<()> {
    scenario(|network| {
        let mut nodes = row(network)?;
        for name in ["open.acme", "closed.acme"] {
            nodes[0].run_and_offer(Example::Http, name)?;
        }
        nodes[1].run_and_offer(Example::Http, "own.beta")?;
        let some = |names: Value| json!({ "to-gamma": { "statements": [{ "name": "chosen", "match": { "name": names }, "then": "accept" }] } });
        nodes[1].config["policies"] = some(json!(["open.acme", "*.beta"]));
        nodes[1].config["peers"]["gamma"]["export"] = json!("to-gamma");
        start(&mut nodes)?;
        let [_, b, c] = &mut nodes;
        for (name, by) in [("open.acme", "open.acme@acme"), ("own.beta", "own.beta@beta")] {
            c.wait_programmed(name)?;
            wait_answered_by(c, name, by)?;
        }
        ensure!(c.selected("open.acme")?["as_path"] == json!([65002, 65001]));
        ensure!(c.selected("open.acme")?["table"] == "external");

        // B itself calls it, and nobody of gamma does, whatever the Envoy of gamma asks for.
        b.wait_programmed("closed.acme")?;
        wait_answered_by(b, "closed.acme", "closed.acme@acme")?;
        check_why(
            b,
            "closed.acme",
            "gamma: to-gamma: rejected by default (chosen does not apply",
        )?;
        ensure!(c.selected("closed.acme").is_err(), "C was told of it");
        let client = Client::default();
        ensure!(client.get(listener(b, "gamma")?, "open.acme", "/")?.status == 200);
        ensure!(client.get(listener(b, "gamma")?, "closed.acme", "/")?.status == 404);

        b.config["policies"] = some(json!(["*.acme", "*.beta"]));
        b.write_config()?;
        b.ctl_ok(&["reload"])?;
        wait_answered_by(c, "closed.acme", "closed.acme@acme")?;
        b.config["policies"] = some(json!(["*.beta"]));
        b.write_config()?;
        b.ctl_ok(&["reload"])?;
        for name in ["open.acme", "closed.acme"] {
            c.wait_gone(name)?;
            poll(&format!("{name} closed to gamma"), LONG, || {
                let answer = client.get(listener(b, "gamma")?, name, "/")?;
                ensure!(answer.status == 404, "{answer:?}");
                Ok(())
            })?;
        }
        wait_answered_by(c, "own.beta", "own.beta@beta")?;
        ensure!(c.peer("beta")?["established_count"] == 1, "no session is reset");
        Ok(())
    })
}

#[test]
fn a_name_of_ours_from_outside_is_a_hijack() -> Result<()> {
    scenario(|network| {
        let mut nodes = row(network)?;
        nodes[0].run_and_offer(Example::Http, "pay.acme")?;
        for name in ["pay.acme", "fake.acme", "own.gamma"] {
            nodes[2].run_and_offer(Example::Http, name)?;
        }
        start(&mut nodes)?;
        let [a, b, _] = &nodes;
        a.wait_programmed("own.gamma")?;
        wait_answered_by(a, "own.gamma", "own.gamma@gamma")?;
        // B has no reason to refuse it: it is A's domain, not B's.
        b.wait_programmed("fake.acme")?;
        poll("the hijack counted at A", LONG, || {
            let shown = a.peer("beta")?;
            ensure!(shown["hijacks"] == 1, "{shown}");
            Ok(())
        })?;
        let text = a.ctl_ok(&["show", "peer", "beta"])?;
        ensure!(
            text.contains("1 path to our own domains, prefixes or tunnel addresses, refused"),
            "{text}"
        );
        let path = path_from(a, "fake.acme", "beta")?;
        ensure!(path["selected"] == false, "{path}");
        let reason = path["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("under our own domains"), "{path}");
        check_why(a, "fake.acme", "under our own domains")?;
        // Not B's either, nor C's: A answers for its domain alone, with what it has and with 404.
        a.check_answered_by("pay.acme", "pay.acme@acme")?;
        let answer = a.get("fake.acme", "/")?;
        ensure!(answer.status == 404, "{answer:?}");
        Ok(())
    })
}

/// B buys transit of A and of C, and would pass on everything.
#[test]
fn a_customer_passes_on_nothing_of_one_provider_to_the_other() -> Result<()> {
    scenario(|network| {
        let mut nodes = row(network)?;
        for (node, name) in nodes.iter_mut().zip(["own.acme", "own.beta", "own.gamma"]) {
            node.run_and_offer(Example::Http, name)?;
        }
        let [a, b, c] = &mut nodes;
        for (provider, node) in [(&mut *a, "acme"), (&mut *c, "gamma")] {
            provider.config["peers"]["beta"]["role"] = json!("provider");
            b.config["peers"][node]["role"] = json!("customer");
        }
        start(&mut nodes)?;
        let [a, b, c] = &nodes;
        for provider in [a, c] {
            provider.wait_programmed("own.beta")?;
            wait_answered_by(provider, "own.beta", "own.beta@beta")?;
        }
        for (name, by, other) in [
            ("own.acme", "own.acme@acme", "gamma"),
            ("own.gamma", "own.gamma@gamma", "acme"),
        ] {
            b.wait_programmed(name)?;
            wait_answered_by(b, name, by)?;
            check_why(b, name, &format!("{other}: "))?;
            check_why(b, name, "ONLY_TO_CUSTOMER")?;
        }
        // What B was told last, C and A would have been told since.
        for (node, name) in [(a, "own.gamma"), (c, "own.acme")] {
            ensure!(node.selected(name).is_err(), "{name} leaked to {}", node.name);
            let from_b = node
                .routes()?
                .into_iter()
                .filter(|route| route["learned_from"] == "beta");
            let names: Vec<Value> = from_b.map(|route| route["name"].clone()).collect();
            ensure!(names == [json!("own.beta")], "{names:?}");
        }
        Ok(())
    })
}
