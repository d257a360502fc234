//! See README.md beside this file.

#[allow(dead_code, reason = "the topology wg-edges has more tests")]
#[path = "../wg-edges/frames.rs"]
mod frames;
#[allow(dead_code, reason = "the topology wg-edges has more tests")]
#[path = "../wg-edges/lab.rs"]
mod lab;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Network, Process, poll, scenario, stays};
use serde_json::{Value, json};

use lab::{Lab, SERVICE, SERVICE_6, TUNNEL_B, TUNNEL_B_6, tunnel, wait_state};

const PROGRAM: &str = "/usr/bin/wireguard-go";
/// Echo requests of a flood, 20 ms apart.
const FLOOD: usize = 500;

/// The lab of wg-edges, its tunnels by wireguard-go.
struct Userspace {
    lab: Lab,
}

impl Userspace {
    /// Nothing runs yet at the edges.
    fn new(network: &mut Network) -> Result<Self> {
        let mut this = Self {
            lab: Lab::new(network)?,
        };
        for (node, other) in [(&mut this.lab.a, "beta"), (&mut this.lab.b, "acme")] {
            let wireguard = &mut node.config["plugins"]["wireguard"];
            wireguard["userspace"] = json!(PROGRAM);
            wireguard["tunnels"][other]["device"] = json!(device(other));
        }
        Ok(this)
    }

    fn up(network: &mut Network) -> Result<Self> {
        let mut this = Self::new(network)?;
        this.lab.start()?;
        Ok(this)
    }
}

impl Drop for Userspace {
    /// wireguard-go outlives catalyst-routed, and ends with its device.
    fn drop(&mut self) {
        for (node, other) in [(&mut self.lab.a, "beta"), (&mut self.lab.b, "acme")] {
            node.routed = None;
            if let Some(namespace) = &node.namespace {
                // The second one is there in a change of keys. An error means that there is none.
                for second in ["", "_"] {
                    let _ = namespace.run(&format!("ip link del {}{second}", device(other)));
                }
            }
        }
    }
}

/// No other test has a device of this name.
fn device(other: &str) -> String {
    format!("ug{}-{other}", std::process::id())
}

/// The process that has the device to `other`.
fn wireguard_go(other: &str) -> Result<u32> {
    let arguments = format!("{PROGRAM}\0{}\0", device(other));
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if let Some(pid) = pid.filter(|_| command == arguments.as_bytes()) {
            return Ok(pid);
        }
    }
    anyhow::bail!("wireguard-go does not run for {}", device(other))
}

#[test]
fn userspace_edges_traffic_takes_the_tunnel() -> Result<()> {
    scenario(|network| {
        let mut us = Userspace::up(network)?;
        let lab = &mut us.lab;
        eprintln!("{}", lab.a.ctl_ok(&["show", "tunnels"])?);
        for address in [SERVICE.to_string(), SERVICE_6.to_owned()] {
            lab.client.run(&format!("ping -c 5 -i 0.2 -W 20 {address}"))?;
            // Longer than the device takes in one piece, and than the underlay does; the first is told so.
            poll("a long packet", LONG, || {
                lab.client.run(&format!("ping -c 1 -W 5 -s 3000 {address}")).map(drop)
            })?;
        }
        for (address, hop) in [(SERVICE.to_string(), TUNNEL_B), (SERVICE_6.to_owned(), TUNNEL_B_6)] {
            let said = lab.client.say(&format!("ping -c 1 -t 2 -W 20 {address}"))?;
            ensure!(said.contains(&format!("From {hop}")), "no {hop} in {said}");
        }
        let link = lab.edge_a()?.run(&format!("ip -d link show {}", device("beta")))?;
        ensure!(link.contains("tun type tun") && link.contains("mtu 1420"), "{link}");
        let addresses = lab
            .edge_a()?
            .run(&format!("ip -oneline address show {}", device("beta")))?;
        ensure!(!addresses.contains("fe80"), "{addresses}");
        lab.check_sealed()?;
        ensure!(lab.seen.wireguard > 0, "{:?}", lab.seen);
        eprintln!(
            "underlay: {} WireGuard, {} peering",
            lab.seen.wireguard, lab.seen.peering
        );
        Ok(())
    })
}

#[test]
fn userspace_edges_a_restart_writes_nothing_and_loses_nothing() -> Result<()> {
    scenario(|network| {
        let mut us = Userspace::up(network)?;
        let lab = &mut us.lab;
        lab.a.wait_established("beta")?;
        let process = wireguard_go("beta")?;
        let folder = lab.a.folder().to_owned();
        let arguments = ["monitor", "link", "address", "route", "rule"];
        let _monitor: Process = lab
            .edge_a()?
            .start(&folder, "monitor", Path::new("/usr/sbin/ip"), &arguments)?;
        let count = FLOOD.to_string();
        let _flood = lab.flood("flood", &lab.client, &SERVICE.to_string(), &["-c", &count])?;
        lab.a.kill_routed()?;
        lab.a.start_routed()?;
        lab.a.wait_established("beta")?;
        let summary = lab.check_nothing_lost("flood", &count)?;
        // Past the time that a start waits for its peers.
        stays(Duration::from_secs(3), || Ok(()))?;
        let shown = lab.a.ctl_json(&["show", "tunnels"])?;
        let monitored = fs::read_to_string(folder.join("monitor.log"))?;
        eprintln!("{summary}\n{shown:#}\nmonitor: {monitored:?}");
        ensure!(shown["writes"] == 0 && shown["drift_repairs"] == 0, "{shown:#}");
        ensure!(monitored.trim().is_empty(), "{monitored}");
        ensure!(wireguard_go("beta")? == process, "another process");
        lab.wait_up()?;
        lab.check_sealed()
    })
}

#[test]
fn userspace_edges_nothing_leaves_while_wireguard_go_is_dead() -> Result<()> {
    scenario(|network| {
        let mut us = Userspace::up(network)?;
        let lab = &mut us.lab;
        let edge = lab.a.namespace.clone().context("edge A has a namespace")?;
        let _floods = [
            lab.flood("flood", &lab.client, &SERVICE.to_string(), &[])?,
            lab.flood("flood-6", &lab.client, SERVICE_6, &[])?,
            lab.flood("flood-tunnel", &edge, TUNNEL_B, &[])?,
            lab.flood("flood-tunnel-6", &edge, TUNNEL_B_6, &[])?,
        ];
        let killed = wireguard_go("beta")?;
        edge.run(&format!("kill -KILL {killed}"))?;
        let before = Instant::now();
        poll("another process", LONG, || {
            ensure!(wireguard_go("beta")? != killed, "the same process");
            Ok(())
        })?;
        lab.wait_up()?;
        eprintln!("killed: passes again after {:?}", before.elapsed());
        lab.check_sealed().context("killed")?;

        // With nobody there to start it again.
        lab.a.kill_routed()?;
        lab.call().context("while catalyst-routed is dead")?;
        edge.run(&format!("kill -KILL {}", wireguard_go("beta")?))?;
        poll("no answer", LONG, || {
            ensure!(lab.call().is_err(), "there is an answer without a device");
            Ok(())
        })?;
        stays(Duration::from_secs(1), || Ok(()))?;
        lab.check_sealed().context("both killed")?;

        // Nobody can start it now: the cause is told, and nothing leaves.
        lab.a.config["plugins"]["wireguard"]["userspace"] = json!("/nowhere/wireguard-go");
        lab.a.start_routed()?;
        wait_state(&lab.a, "beta", "guarded")?;
        poll("the cause", LONG, || {
            let shown = lab.a.ctl_ok(&["show", "tunnels"])?;
            ensure!(shown.contains("/nowhere/wireguard-go"), "{shown}");
            Ok(())
        })?;
        eprintln!("{}", lab.a.ctl_ok(&["show", "tunnels"])?);
        ensure!(lab.call().is_err(), "there is an answer without a device");
        lab.check_sealed().context("no program")?;

        lab.a.kill_routed()?;
        lab.a.config["plugins"]["wireguard"]["userspace"] = json!(PROGRAM);
        lab.a.start_routed()?;
        lab.wait_up()?;
        lab.check_sealed().context("all of it back")
    })
}

/// Edge A's key is older than it may become, and is changed without anybody asking for it.
#[test]
fn userspace_edges_a_key_that_is_too_old_is_changed() -> Result<()> {
    scenario(|network| {
        let mut us = Userspace::new(network)?;
        let lab = &mut us.lab;
        lab.a.config["plugins"]["wireguard"]["rotate_every"] = json!("1h");
        let state = lab.a.folder().join("state");
        fs::create_dir_all(&state)?;
        let aged = json!({ "phase": "rest", "key_since": 1 });
        fs::write(state.join("rotation.json"), aged.to_string())?;
        lab.start()?;
        let before = tunnel(&lab.b, "acme")?;
        poll("the change of the key", LONG * 2, || {
            let shown = lab.a.ctl_json(&["show", "tunnels"])?;
            ensure!(shown["key_rotation"]["phase"].is_string(), "{shown}");
            Ok(())
        })?;
        let count = FLOOD.to_string();
        let _flood = lab.flood("flood", &lab.client, &SERVICE.to_string(), &["-c", &count])?;
        poll("its end", LONG * 2, || {
            let shown = lab.a.ctl_json(&["show", "tunnels"])?;
            ensure!(shown["key_rotation"]["phase"].is_null(), "{shown}");
            Ok(())
        })?;
        lab.check_nothing_lost("flood", &count)?;
        let after = tunnel(&lab.b, "acme")?;
        ensure!(after["public_key"] != before["public_key"], "{before} {after}");
        let kept: Value = serde_json::from_slice(&fs::read(state.join("rotation.json"))?)?;
        ensure!(kept["key_since"].as_u64() > Some(1), "{kept}");
        lab.wait_up()?;
        lab.check_sealed()
    })
}
