//! What a peer says that is not to be believed.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Node, poll, scenario};
use serde_json::{Value, json};

use crate::lab::{Lab, ORDERS, SERVICE, TUNNEL_B, TUNNEL_B_6, tunnel, wait_state};

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
        let expected = [
            ("not within allowed_prefixes", 3),
            ("own prefix", 1),
            ("the peer's own endpoint", 1),
            ("tunnel address", 2),
        ];
        check_refusals(&lab.a, &expected)?;
        ensure!(learned_routes(&lab)?.is_empty(), "{:?}", learned_routes(&lab)?);
        let allowed = lab.edge_a()?.run("wg show wg-beta allowed-ips")?;
        ensure!(allowed.trim().is_empty(), "{allowed}");
        Ok(())
    })
}

#[test]
fn wg_edges_a_tunnel_is_no_way_in_for_what_a_peer_may_not_offer() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::new(network)?;
        // A quarter of everything, our LAN, its own endpoint as a network and as a host, our resolver. A default would not
        // go past its own configuration.
        let offered = [
            "128.0.0.0/2",
            "10.1.0.0/24",
            "198.51.100.0/24",
            "198.51.100.1/32",
            "9.9.9.9/32",
        ];
        let acme = lab.b.config.pointer_mut("/peers/acme").and_then(Value::as_object_mut);
        acme.context("a section")?.remove("allowed_prefixes");
        lab.b.config["prefixes"] = offered.iter().map(|prefix| (prefix.to_string(), json!({}))).collect();
        lab.a.start()?;
        lab.b.start()?;
        wait_state(&lab.a, "beta", "up")?;
        poll("their refusal", LONG, || {
            let expected = [
                ("not within allowed_prefixes", 2),
                ("own prefix", 1),
                ("the peer's own endpoint", 2),
            ];
            check_refusals(&lab.a, &expected)
        })?;
        eprintln!("{}", lab.a.ctl_ok(&["show", "peer", "beta"])?);
        let routes = learned_routes(&lab)?;
        ensure!(
            routes.len() == 2 && routes.iter().all(|route| is_of_tunnel(route)),
            "{routes:?}"
        );
        let allowed = lab.edge_a()?.run("wg show wg-beta allowed-ips")?;
        let allowed: Vec<&str> = allowed.split_whitespace().skip(1).collect();
        ensure!(
            allowed.len() == 2 && allowed.iter().all(|prefix| is_of_tunnel(prefix)),
            "{allowed:?}"
        );
        Ok(())
    })
}

#[test]
fn wg_edges_an_endpoint_within_what_is_behind_the_tunnel_makes_no_tunnel() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::new(network)?;
        // Edge A lets beta offer 10.2.0.0/16: the tunnel would run through itself.
        lab.b.config["plugins"]["wireguard"]["tunnels"]["acme"]["endpoint"] = json!("10.2.0.1:51820");
        lab.a.start()?;
        lab.b.start()?;
        let why = "its endpoint 10.2.0.1:51820 lies within 10.2.0.0/16";
        poll("the refusal of its tunnel", LONG, || {
            let row = tunnel(&lab.a, "beta")?;
            let reason = row["reason"].as_str().unwrap_or_default();
            ensure!(row["state"] == "guarded" && reason.contains(why), "{row}");
            Ok(())
        })?;
        // What is behind it is taken, and of no use: there is no tunnel to it.
        poll("its prefix out of use", LONG, || {
            let said = lab.a.ctl_ok(&["show", "route", "10.2.0.0/16"])?;
            ensure!(said.contains("next hop unusable"), "{said}");
            Ok(())
        })?;
        ensure!(learned_routes(&lab)?.is_empty(), "{:?}", learned_routes(&lab)?);
        let peers = lab.edge_a()?.run("wg show wg-beta peers")?;
        ensure!(peers.trim().is_empty(), "{peers}");
        lab.check_sealed()
    })
}

/// What `show peer` says of the kinds of reasons, and that it names them to people too.
fn check_refusals(node: &Node, expected: &[(&str, u64)]) -> Result<()> {
    let peer = node.peer("beta")?;
    let refusals = peer["refusals"].as_array().context("refusals")?;
    let mut found: Vec<(&str, u64)> = Vec::new();
    for refusal in refusals {
        let kind = refusal["kind"].as_str().context("kind")?;
        found.push((kind, refusal["count"].as_u64().context("count")?));
    }
    found.sort_unstable();
    ensure!(found == expected, "{refusals:#?}");
    let told = node.ctl_ok(&["show", "peer", "beta"])?;
    for (kind, count) in expected {
        ensure!(told.contains(&format!("{count} × {kind}")), "{told}");
    }
    Ok(())
}

/// The routes of edge A's table that lead somewhere.
fn learned_routes(lab: &Lab) -> Result<Vec<String>> {
    let edge = lab.edge_a()?;
    let all = [
        edge.run("ip route show table 1790")?,
        edge.run("ip -6 route show table 1790")?,
    ]
    .concat();
    let leads = |line: &&str| !line.starts_with("unreachable ");
    Ok(all.lines().filter(leads).map(str::to_owned).collect())
}

fn is_of_tunnel(route: &str) -> bool {
    route.starts_with(TUNNEL_B) || route.starts_with(TUNNEL_B_6)
}
