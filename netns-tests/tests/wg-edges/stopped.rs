//! catalyst-routed is stopped in order, and later configured without the tunnel.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Namespace, poll, scenario, stays};
use serde_json::json;

use crate::lab::{Lab, SERVICE, SERVICE_6};

#[test]
fn wg_edges_guards_outlive_a_stop_and_go_with_the_configuration() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::up(network)?;
        let edge = lab.a.namespace.clone().context("edge A has a namespace")?;
        let floods = [
            lab.flood("flood", &lab.client, &SERVICE.to_string(), &[])?,
            lab.flood("flood-6", &lab.client, SERVICE_6, &[])?,
        ];
        let whole = shown(&edge)?;
        let routed = lab.a.routed.take().context("catalyst-routed does not run")?;
        let status = routed.terminate(LONG)?;
        ensure!(status.success(), "{status}");
        ensure!(shown(&edge)? == whole, "{whole}\nthen\n{}", shown(&edge)?);
        lab.call().context("after the stop")?;
        lab.check_sealed().context("after the stop")?;

        // Without each layer in turn, the next one holds.
        for (what, layer) in [
            ("without the device", "ip link del wg-beta"),
            ("without the rule", "ip rule del priority 1790"),
            ("without the rule of IPv6", "ip -6 rule del priority 1790"),
        ] {
            edge.run(layer)?;
            stays(Duration::from_secs(1), || Ok(()))?;
            let said = lab.client.say(&format!("ping -c 1 -W 1 {SERVICE}"))?;
            ensure!(said.contains(" 0 received"), "{what}: {said}");
            lab.check_sealed().context(what)?;
        }
        lab.a.start_routed()?;
        lab.wait_up().context("a start after the stop")?;
        lab.check_sealed().context("a start after the stop")?;
        drop(floods);

        let config = &mut lab.a.config;
        config["plugins"]["wireguard"]["tunnels"] = json!({});
        let peer = config["peers"]["beta"].as_object_mut().context("peer beta")?;
        peer.remove("tunnel");
        peer.remove("allowed_prefixes");
        Lab::reload(&lab.a)?;
        poll("nothing of ours", LONG, || {
            let left = shown(&edge)?;
            ensure!(left.is_empty(), "{left}");
            Ok(())
        })?;
        let rows = lab.a.ctl_json(&["show", "tunnels"])?["tunnels"].clone();
        ensure!(rows.as_array().is_some_and(Vec::is_empty), "{rows}");
        // Now there is nothing to keep it in, and the capture sees what was kept.
        lab.client.say(&format!("ping -c 1 -W 1 {SERVICE}"))?;
        poll("what is no longer guarded", LONG, || {
            ensure!(!lab.look()?.clear.is_empty(), "{}", lab.seen);
            Ok(())
        })
    })
}

/// Guards, routes, rules, devices and the filter of edge A, without what is counted. Nothing of ours: nothing at all.
fn shown(edge: &Namespace) -> Result<String> {
    let mut all = String::new();
    for family in ["-4", "-6"] {
        all += &edge.say(&format!("ip {family} route show table 1790"))?;
        all += &edge.run(&format!("ip {family} rule show priority 1790"))?;
    }
    all += &edge.run("ip -oneline link show type wireguard")?;
    all += &edge.run("nft --stateless list ruleset")?;
    // A table that never was, or is empty again.
    let said = |line: &&str| !line.ends_with(": FIB table does not exist.") && *line != "Dump terminated";
    Ok(all.lines().filter(said).collect::<Vec<_>>().join("\n"))
}
