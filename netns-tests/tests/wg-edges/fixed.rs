//! A tunnel and prefixes by hand, to somebody who has WireGuard and nothing of ours.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Namespace, poll, scenario};
use serde_json::{Value, json};

use crate::lab::{Lab, SERVICE, SERVICE_6, TUNNEL_B, TUNNEL_B_6, tunnel, wait_state, write_secret};

/// Where the pre-shared key is, at edge A.
const PSK: &str = "psk";

#[test]
fn wg_edges_a_tunnel_by_hand_needs_no_peering() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::new(network)?;
        let plain = lab.b.namespace.clone().context("edge B has a namespace")?;
        let secret = plain.run("wg genpsk")?;
        write_secret(&lab.a, PSK, secret.as_bytes())?;
        let key = make_device(&plain, lab.b.folder())?;
        by_hand(&mut lab.a.config, &key)?;
        lab.a.start_routed()?;

        let ours = poll("the device", LONG, || lab.edge_a()?.run("wg show wg-beta public-key"))?;
        // Each end may call the other one.
        plain.run(&format!(
            "wg set wg0 peer {} preshared-key {} endpoint 192.0.2.1:51820 allowed-ips \
             10.255.0.1/32,fd00:255::1/128,10.1.0.0/16,fd00:1::/48",
            ours.trim(),
            lab.a.folder().join(PSK).display()
        ))?;
        wait_state(&lab.a, "by-hand", "up")?;
        let row = tunnel(&lab.a, "by-hand")?;
        ensure!(
            row["authenticated"] == true && row["endpoint"] == "198.51.100.1:51820",
            "{row}"
        );
        eprintln!("{}", lab.a.ctl_ok(&["show", "tunnels"])?);
        lab.wait_answers()?;
        for (address, hop) in [(SERVICE.to_string(), TUNNEL_B), (SERVICE_6.to_owned(), TUNNEL_B_6)] {
            let said = lab.client.say(&format!("ping -c 1 -t 2 -W 20 {address}"))?;
            ensure!(said.contains(&format!("From {hop}")), "no {hop} in {said}");
        }
        lab.check_sealed()?;
        ensure!(lab.seen.wireguard > 0 && lab.seen.peering == 0, "{}", lab.seen);

        let allowed = lab.edge_a()?.run("wg show wg-beta allowed-ips")?;
        ensure!(
            allowed.split_whitespace().count() == 5,
            "a key and four ranges: {allowed}"
        );

        lab.a.config["plugins"]["wireguard"]["static"] = json!({});
        Lab::reload(&lab.a)?;
        let edge = lab.edge_a()?;
        poll("no peer", LONG, || {
            let peers = edge.run("wg show wg-beta peers")?;
            ensure!(peers.trim().is_empty(), "{peers}");
            Ok(())
        })
    })
}

/// What an administrator types at the other end. Gives its public key.
fn make_device(edge: &Namespace, folder: &Path) -> Result<String> {
    let key = folder.join("wg0.key");
    fs::write(&key, edge.run("wg genkey")?)?;
    for command in [
        "ip link add wg0 type wireguard",
        &format!("wg set wg0 listen-port 51820 private-key {}", key.display()),
        &format!("ip address add {TUNNEL_B}/32 dev wg0"),
        &format!("ip address add {TUNNEL_B_6}/128 dev wg0"),
        "ip link set wg0 up",
        &format!("ip route add 10.1.0.0/16 dev wg0 src {TUNNEL_B}"),
        &format!("ip route add 10.255.0.1/32 dev wg0 src {TUNNEL_B}"),
        &format!("ip route add fd00:1::/48 dev wg0 src {TUNNEL_B_6}"),
        &format!("ip route add fd00:255::1/128 dev wg0 src {TUNNEL_B_6}"),
    ] {
        edge.run(command)?;
    }
    Ok(edge.run("wg show wg0 public-key")?.trim().to_owned())
}

/// No peers, no Envoy: a tunnel and what is behind it.
fn by_hand(config: &mut Value, key: &str) -> Result<()> {
    config["peers"] = json!({});
    let plugins = config["plugins"].as_object_mut().context("plugins")?;
    plugins.remove("envoy");
    config["plugins"]["wireguard"]["static"]["by-hand"] = json!({
        "organisation": "beta",
        "public_key": key,
        "preshared_key_file": PSK,
        "endpoint": "198.51.100.1:51820",
        "addresses": ["10.255.0.2/32", "fd00:255::2/128"],
        "prefixes": ["10.2.0.0/16", "fd00:2::/48"],
    });
    Ok(())
}
