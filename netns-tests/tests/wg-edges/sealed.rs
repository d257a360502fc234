//! Nothing leaves in the clear, whatever happens to the tunnel, and what can be put right is.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Network, poll, scenario, stays};
use serde_json::json;

use crate::lab::{Lab, SERVICE, SERVICE_6, TUNNEL_B, TUNNEL_B_6, tunnel, wait_state, write_secret};

const PSK: &str = "psk";

#[test]
fn wg_edges_nothing_leaves_in_the_clear() -> Result<()> {
    scenario(|network| {
        let mut lab = shared_secret(network)?;
        let edge = lab.a.namespace.clone().context("edge A has a namespace")?;
        let _floods = [
            lab.flood("flood", &lab.client, &SERVICE.to_string(), &[])?,
            lab.flood("flood-6", &lab.client, SERVICE_6, &[])?,
            lab.flood("flood-tunnel", &edge, TUNNEL_B, &[])?,
            lab.flood("flood-tunnel-6", &edge, TUNNEL_B_6, &[])?,
        ];
        let foreign: [(&str, &[&str]); 5] = [
            ("the device is deleted", &["ip link del wg-beta"]),
            (
                "the rules are deleted",
                &["ip rule del priority 1790", "ip -6 rule del priority 1790"],
            ),
            (
                "the routes are flushed",
                &["ip route flush table 1790", "ip -6 route flush table 1790"],
            ),
            ("the filter is deleted", &["nft flush ruleset"]),
            ("the peer is removed", &["PEER"]),
        ];
        for (what, commands) in foreign {
            let before = Instant::now();
            let key = tunnel(&lab.a, "beta")?["public_key"]
                .as_str()
                .context("a key")?
                .to_owned();
            for command in commands {
                match *command {
                    "PEER" => edge.run(&format!("wg set wg-beta peer {key} remove"))?,
                    command => edge.run(command)?,
                };
            }
            repaired(&mut lab, what)?;
            eprintln!("{what}: passes again after {:?}", before.elapsed());
        }
        let drift = lab.a.ctl_json(&["show", "tunnels"])?["drift_repairs"].as_u64();
        ensure!(drift.is_some_and(|repairs| repairs >= 5), "{drift:?} repairs");

        lab.a.kill_routed()?;
        lab.call().context("while catalyst-routed is dead")?;
        edge.run("ip link del wg-beta")?;
        stays(Duration::from_secs(1), || Ok(()))?;
        ensure!(lab.call().is_err(), "there is an answer without a device");
        lab.check_sealed().context("killed, and the device deleted")?;
        lab.a.start_routed()?;
        repaired(&mut lab, "a restart")?;

        let prefixes = lab.b.config["prefixes"].take();
        lab.b.config["prefixes"] = json!({});
        Lab::reload(&lab.b)?;
        gone(&mut lab, "a withdrawal")?;
        lab.b.config["prefixes"] = prefixes;
        Lab::reload(&lab.b)?;
        repaired(&mut lab, "an announcement")?;

        let file = lab.a.folder().join(PSK);
        let secret = fs::read(&file)?;
        fs::remove_file(&file)?;
        wait_state(&lab.a, "beta", "guarded")?;
        eprintln!("{}", lab.a.ctl_ok(&["show", "tunnels"])?);
        gone(&mut lab, "without a pre-shared key")?;
        write_secret(&lab.a, PSK, &secret)?;
        repaired(&mut lab, "a pre-shared key")?;

        Lab::reload(&lab.a)?;
        repaired(&mut lab, "a reload")?;
        eprintln!("{}", lab.seen);
        Ok(())
    })
}

fn shared_secret(network: &mut Network) -> Result<Lab> {
    let mut lab = Lab::new(network)?;
    let secret = lab.internet.run("wg genpsk")?;
    for (node, peer) in [(&mut lab.a, "beta"), (&mut lab.b, "acme")] {
        node.config["peers"][peer]["tunnel"]["preshared_key_file"] = json!(PSK);
        write_secret(node, PSK, secret.as_bytes())?;
    }
    lab.start()?;
    Ok(lab)
}

fn repaired(lab: &mut Lab, what: &str) -> Result<()> {
    lab.wait_up().with_context(|| format!("after {what}"))?;
    lab.check_sealed().with_context(|| format!("after {what}"))
}

/// The service is not to be reached, and nothing that was meant for it leaves.
fn gone(lab: &mut Lab, what: &str) -> Result<()> {
    poll(&format!("no way to the service: {what}"), LONG, || {
        let said = lab.client.say(&format!("ping -c 1 -W 1 {SERVICE}"))?;
        ensure!(said.contains(" 0 received"), "{said}");
        Ok(())
    })?;
    stays(Duration::from_secs(1), || Ok(()))?;
    lab.check_sealed().with_context(|| what.to_owned())
}

#[test]
fn wg_edges_a_cut_and_a_move_of_the_other_end() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::up(network)?;
        let _flood = lab.flood("flood", &lab.client, &SERVICE.to_string(), &[])?;
        lab.internet.run("sysctl -qw net.ipv4.ip_forward=0")?;
        let cut = Instant::now();
        wait_state(&lab.a, "beta", "down")?;
        eprintln!("down after {:?}", cut.elapsed());
        wait_state(&lab.b, "acme", "down")?;
        poll("10 s of a cut", LONG, || {
            ensure!(cut.elapsed() >= Duration::from_secs(10), "{:?}", cut.elapsed());
            Ok(())
        })?;
        lab.internet.run("sysctl -qw net.ipv4.ip_forward=1")?;
        let whole = Instant::now();
        repaired(&mut lab, "a cut")?;
        eprintln!("up after {:?}", whole.elapsed());

        let own = &mut lab.b.config["plugins"]["wireguard"]["tunnels"]["acme"];
        own["listen_port"] = json!(51821);
        own["endpoint"] = json!("198.51.100.1:51821");
        let moved = Instant::now();
        Lab::reload(&lab.b)?;
        poll("the new endpoint", LONG, || {
            let row = tunnel(&lab.a, "beta")?;
            ensure!(row["endpoint"] == "198.51.100.1:51821" && row["state"] == "up", "{row}");
            Ok(())
        })?;
        repaired(&mut lab, "a move")?;
        eprintln!("moved after {:?}", moved.elapsed());
        Ok(())
    })
}
