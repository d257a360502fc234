//! See README.md beside this file.

mod attributes;
mod deaf;
mod flood;

use anyhow::{Result, ensure};
use catalyst_netns_tests::{LONG, Network, Node, Peering, peer, poll};
use serde_json::Value;

/// `b` and its honest peer `d`, with keepalives every second so that one that is missed shows; then the nodes that the test
/// plays. Nothing runs yet.
fn meet(network: &mut Network) -> Result<(Node, Node, Node, Node)> {
    let mut b = network.node("b", 65002, "beta")?.hold_time("3s");
    let mut d = network.node("d", 65012, "beta")?.hold_time("3s");
    let mut gamma = network.node("gamma", 65003, "gamma")?;
    let mut delta = network.node("delta", 65004, "delta")?;
    peer(&mut b, &mut d, Peering::Both);
    peer(&mut b, &mut gamma, Peering::FirstDials);
    peer(&mut b, &mut delta, Peering::FirstDials);
    Ok((b, d, gamma, delta))
}

fn start(b: &mut Node, d: &mut Node) -> Result<()> {
    b.start()?;
    d.start()?;
    b.wait_established("d")?;
    d.wait_established("b")
}

/// # Errors
/// The session between `b` and `d` went down at some time.
fn check_honest(b: &Node, d: &Node) -> Result<()> {
    for (node, other) in [(b, "d"), (d, "b")] {
        let shown = node.peer(other)?;
        ensure!(
            shown["state"] == "Established" && shown["established_count"] == 1,
            "{shown:#}"
        );
    }
    Ok(())
}

fn wait_for(node: &Node, peer: &str, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
    poll(what, LONG, || {
        let shown = node.peer(peer)?;
        ensure!(look(&shown), "{shown:#}");
        Ok(shown)
    })
}

fn wait_for_log(node: &Node, words: &str) -> Result<()> {
    poll(&format!("{words:?} in the log of {}", node.name), LONG, || {
        let log = std::fs::read_to_string(node.folder.join("routed.log"))?;
        ensure!(log.contains(words), "{log}");
        Ok(())
    })
}
