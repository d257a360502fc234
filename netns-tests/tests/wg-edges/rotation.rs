//! Each edge changes its key under a flood and under requests by name.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use catalyst_netns_tests::{LONG, Load, Node, poll, scenario};
use serde_json::Value;

use crate::lab::{Lab, ORDERS, SERVICE, SERVICE_6, tunnel, wait_state};

/// One every 20 ms: longer than a change takes.
const PACKETS: &str = "3000";
/// Fewer in the time of a change would prove little; an emulated machine has answered 7 a second.
const LEAST_REQUESTS: u64 = 50;

#[test]
fn wg_edges_a_change_of_keys_loses_nothing() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::up(network)?;
        lab.a.wait_programmed(ORDERS)?;
        poll("an answer by name", LONG, || lab.a.check_answered_by(ORDERS, "service"))?;
        change(&mut lab, "a")?;
        change(&mut lab, "b")?;
        lab.wait_up()
    })
}

fn node<'a>(lab: &'a Lab, edge: &str) -> &'a Node {
    if edge == "a" { &lab.a } else { &lab.b }
}

/// The edge changes its key; the other one sees the new one.
fn change(lab: &mut Lab, edge: &str) -> Result<()> {
    let (other, name) = if edge == "a" { ("b", "acme") } else { ("a", "beta") };
    let before = key(node(lab, other), name)?;
    let logs = [format!("flood-{edge}"), format!("flood-6-{edge}")];
    let _floods = [
        lab.flood(&logs[0], &lab.client, &SERVICE.to_string(), &["-c", PACKETS])?,
        lab.flood(&logs[1], &lab.client, SERVICE_6, &["-c", PACKETS])?,
    ];
    let egress = lab.a.egress();
    let load = lab.a.inside(|| Ok(Load::start(1, egress, |_| Some(ORDERS.into()))))?;
    load.wait_for_more(1)?;
    let began = Instant::now();
    let answer = node(lab, edge).ctl_json(&["tunnel", "rotate", "--no-wait"])?;
    let next = answer["public_key"].as_str().context("a key")?.to_owned();
    let refused = node(lab, edge).ctl(&["tunnel", "rotate"])?;
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.contains("a change of our key is under way"), "{refused}");
    let mut seen = String::new();
    poll("the end of the change", LONG * 3, || {
        let shown = node(lab, edge).ctl_json(&["show", "tunnels"])?;
        let Some(phase) = shown["key_rotation"]["phase"].as_str() else {
            return Ok(());
        };
        if seen != phase {
            phase.clone_into(&mut seen);
            let table = node(lab, edge).ctl_ok(&["show", "tunnels"])?;
            eprintln!("{edge} after {:?}: {table}", began.elapsed());
        }
        bail!("{shown}")
    })?;
    let took = began.elapsed();
    let shown = node(lab, edge).ctl_json(&["show", "tunnels"])?;
    ensure!(shown["key_rotation_failure"] == Value::Null, "{shown}");
    let requests = load.finish()?;
    requests.check_all_good(LEAST_REQUESTS)?;
    for log in &logs {
        let said = fs::read_to_string(lab.a.folder().join(format!("{log}.log")))?;
        ensure!(
            !said.contains("transmitted"),
            "the flood ended before the change: {said}"
        );
    }
    // The other edge lets go of its second device a bit later.
    poll("no second device", LONG, || {
        for edge in [&lab.a, &lab.b] {
            let links = edge
                .namespace
                .as_deref()
                .context("a namespace")?
                .run("ip -o link show type wireguard")?;
            ensure!(links.lines().count() == 1 && !links.contains("_:"), "{links}");
        }
        Ok(())
    })?;
    for log in &logs {
        let summary = lab.check_nothing_lost(log, PACKETS)?;
        eprintln!("{edge}: {took:?}, {} requests; {log}: {summary}", requests.sent);
    }
    for (edge, peer) in [(&lab.a, "beta"), (&lab.b, "acme")] {
        wait_state(edge, peer, "up")?;
        ensure!(
            tunnel(edge, peer)?["key_change"] == Value::Null,
            "{}",
            tunnel(edge, peer)?
        );
    }
    let after = key(node(lab, other), name)?;
    ensure!(after == next && after != before, "{before} {next} {after}");
    lab.check_sealed()
}

fn key(node: &Node, peer: &str) -> Result<String> {
    let key = tunnel(node, peer)?["public_key"].as_str().context("a key")?.to_owned();
    Ok(key)
}
