//! What a peer says that is not to be believed.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, poll, scenario};
use serde_json::{Value, json};

use crate::lab::{Lab, ORDERS, SERVICE, tunnel, wait_state};

#[test]
fn wg_edges_another_key_than_the_pinned_one_is_not_talked_to() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::new(network)?;
        lab.a.config["peers"]["beta"]["tunnel"]["public_key"] = json!("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=");
        lab.a.start()?;
        lab.b.start()?;
        wait_state(&lab.a, "beta", "wrong key")?;
        eprintln!("{}", lab.a.ctl_ok(&["show", "tunnels"])?);
        let said = lab.client.say(&format!("ping -c 2 -W 2 {SERVICE}"))?;
        ensure!(said.contains("nreachable"), "{said}");
        ensure!(lab.call().is_err(), "there is an answer");
        let peers = lab
            .a
            .namespace
            .as_ref()
            .map(|edge| edge.run("wg show wg-beta peers"))
            .transpose()?;
        ensure!(peers.is_some_and(|peers| peers.trim().is_empty()), "there is a peer");
        ensure!(lab.a.check_programmed(ORDERS).is_err(), "{ORDERS} is in use");
        lab.check_sealed()?;
        ensure!(lab.seen.wireguard <= 20, "{:?}", lab.seen);

        let key = lab
            .b
            .namespace
            .as_ref()
            .map(|edge| edge.run("wg show wg-acme public-key"))
            .transpose()?;
        lab.a.config["peers"]["beta"]["tunnel"]["public_key"] = json!(key.unwrap_or_default().trim());
        Lab::reload(&lab.a)?;
        lab.wait_up()?;
        let row = tunnel(&lab.a, "beta")?;
        ensure!(row["authenticated"] == true, "{row}");
        lab.check_sealed()
    })
}

#[test]
fn wg_edges_what_a_peer_may_not_offer_never_reaches_the_kernel() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::new(network)?;
        // Everything, our LAN, its own endpoint, our resolver, both ends of the tunnel.
        let offered = [
            "0.0.0.0/0",
            "::/0",
            "10.1.0.0/24",
            "198.51.100.0/24",
            "9.9.9.9/32",
            "10.255.0.1/32",
            "10.255.0.2/32",
        ];
        // Without a tunnel of its own nothing holds it back. Its next hop is still a tunnel address.
        for (section, key) in [
            ("/plugins", "wireguard"),
            ("/peers/acme", "tunnel"),
            ("/peers/acme", "allowed_prefixes"),
        ] {
            let section = lab.b.config.pointer_mut(section).and_then(Value::as_object_mut);
            section.context("a section")?.remove(key);
        }
        lab.b.config["prefixes"] = offered.iter().map(|prefix| (prefix.to_string(), json!({}))).collect();
        lab.a.start()?;
        lab.b.start()?;
        lab.a.wait_established("beta")?;
        poll("their refusal", LONG, || {
            let peer = lab.a.peer("beta")?;
            ensure!(peer["treated_as_withdraw"] == offered.len(), "{peer:#}");
            Ok(())
        })?;
        for prefix in offered {
            let output = lab.a.ctl(&["show", "route", prefix, "--why"])?;
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            eprintln!("{prefix}: {said}");
        }
        let edge = lab.edge_a()?;
        for command in ["ip route show table 1790", "ip -6 route show table 1790"] {
            let said = edge.run(command)?;
            ensure!(said.lines().all(|line| line.starts_with("unreachable ")), "{said}");
        }
        let allowed = edge.run("wg show wg-beta allowed-ips")?;
        ensure!(allowed.trim().is_empty(), "{allowed}");
        Ok(())
    })
}
