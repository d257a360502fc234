//! See README.md beside this file.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Network, Node, Peering, peer, poll, scenario};
use serde_json::{Value, json};

/// What A offers, with what, and who is told: B, C, beta.
const OFFERED: [(&str, &[&str], [bool; 3]); 6] = [
    ("plain.acme", &[], [true, true, true]),
    ("stay.acme", &["no-export"], [true, false, false]),
    // no-export-subconfed, which has no name in a configuration: there are no confederations.
    ("sub.acme", &["65535:65283"], [true, false, false]),
    ("here.acme", &["no-advertise"], [false, false, false]),
    ("going.acme", &["graceful-shutdown"], [true, true, true]),
    ("named.acme", &["public", "backbone", "65001:1:2"], [true, true, true]),
];

struct Nodes {
    a: Node,
    others: [Node; 3],
}

fn start(network: &mut Network) -> Result<Nodes> {
    let mut a = network.node("a", 65001, "acme")?;
    let mut others = [
        network.node("b", 65001, "acme")?,
        network.node("c", 65003, "acme")?,
        network.node("beta", 65009, "beta")?,
    ];
    for other in &mut others {
        peer(&mut a, other, Peering::Both);
    }
    a.config["communities"] = json!({
        "public": "65001:100",
        "backbone": { "community": "65001:900", "internal": true },
    });
    for (name, communities, _) in OFFERED {
        a.offer(
            name,
            json!({ "protocol": "http", "endpoints": [{ "url": "http://127.0.0.1:9" }], "communities": communities }),
        );
    }
    a.start()?;
    others.iter_mut().try_for_each(Node::start)?;
    let nodes = Nodes { a, others };
    // What A has to say of its own it says before END-OF-RIB.
    for other in &nodes.others {
        poll(&format!("all of A at {}", other.name), LONG, || {
            let shown = other.peer("a")?;
            ensure!(shown["end_of_rib"] == true, "{shown}");
            Ok(())
        })?;
    }
    Ok(nodes)
}

fn names(node: &Node) -> Result<Vec<String>> {
    let routes = node.routes()?;
    let mut names: Vec<String> = routes
        .iter()
        .filter_map(|route| Some(route["name"].as_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

#[test]
fn well_known_communities_say_who_is_told() -> Result<()> {
    scenario(|network| {
        let nodes = start(network)?;
        for (place, other) in nodes.others.iter().enumerate() {
            let told = OFFERED
                .iter()
                .filter(|(_, _, told)| told[place])
                .map(|(name, ..)| *name);
            let mut told: Vec<&str> = told.collect();
            told.sort_unstable();
            ensure!(names(other)? == told, "{} was told of {:?}", other.name, names(other)?);
        }
        for (name, why) in [
            ("here.acme", "no-advertise"),
            ("stay.acme", "no-export, and the peer is outside our AS"),
        ] {
            let said = nodes.a.ctl_ok(&["show", "route", name, "--why"])?;
            ensure!(said.contains(why), "{said}");
        }
        // Inside the AS it is a route like any other; in another one, ours or not, the last resort (RFC 8326).
        for (other, local_pref) in nodes.others.iter().zip([100, 0, 0]) {
            let route = other.selected("going.acme")?;
            ensure!(route["local_pref"] == local_pref, "{route}");
            ensure!(other.selected("plain.acme")?["local_pref"] == 100);
        }
        Ok(())
    })
}

#[test]
fn named_communities_are_shown_by_name_and_internal_ones_stay_inside() -> Result<()> {
    scenario(|network| {
        let nodes = start(network)?;
        let text = nodes.a.ctl_ok(&["show", "route", "named.acme"])?;
        ensure!(text.contains("public") && text.contains("backbone"), "{text}");
        let inside = json!(["65001:100", "65001:900", "65001:1:2"]);
        let outside = json!(["65001:100", "65001:1:2"]);
        for (other, expected) in nodes.others.iter().zip([&inside, &inside, &outside]) {
            let route = other.selected("named.acme")?;
            ensure!(&route["communities"] == expected, "at {}: {route}", other.name);
        }
        // A name is a name for a number: by it, a route that came with the number is found.
        let mut a = nodes.a;
        a.config["policies"] =
            json!({ "few": { "statements": [{ "match": { "community": "public" }, "then": "accept" }] } });
        a.config["peers"]["beta"]["export"] = json!("few");
        a.write_config()?;
        a.ctl_ok(&["reload"])?;
        let [.., beta] = &nodes.others;
        poll("only what is public at beta", LONG, || {
            ensure!(names(beta)? == ["named.acme"], "{:?}", names(beta)?);
            Ok(())
        })?;
        let shown: Value = a.peer("beta")?;
        shown["advertised"]
            .as_u64()
            .filter(|count| *count == 1)
            .map(drop)
            .context("one is advertised")
    })
}
