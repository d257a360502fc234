//! See README.md beside this file.

use anyhow::Result;
use catalyst_netns_tests::{
    Network, Node, Peering, check_none_returned, check_reach, offer_every_kind, peer, scenario, withdraw_http,
};

/// The hub and the leaves, each with an AS and an organisation of its own unless `one_as`.
fn star(network: &mut Network, one_as: bool) -> Result<(Node, Vec<Node>)> {
    let mut make = |name: &str, number: u32| -> Result<Node> {
        let organisation = if one_as {
            "acme".to_owned()
        } else {
            format!("org-{name}")
        };
        let node = network
            .node(name, if one_as { 65000 } else { number }, &organisation)?
            .with_envoy();
        Ok(if one_as && name == "h" { node.reflector() } else { node })
    };
    let mut hub = make("h", 65000)?;
    let mut leaves = Vec::new();
    for (name, number) in ["a", "b", "c", "d"].into_iter().zip(65001..) {
        let mut leaf = make(name, number)?;
        peer(&mut hub, &mut leaf, Peering::Both);
        leaves.push(leaf);
    }
    for node in leaves.iter_mut().chain([&mut hub]) {
        offer_every_kind(node)?;
        node.start()?;
    }
    Ok((hub, leaves))
}

fn check(one_as: bool) -> Result<()> {
    scenario(|network| {
        let (hub, leaves) = star(network, one_as)?;
        for leaf in &leaves {
            check_reach(leaf, &hub, &[leaf, &hub])?;
            check_reach(&hub, leaf, &[&hub, leaf])?;
            for other in leaves.iter().filter(|other| other.name != leaf.name) {
                check_reach(leaf, other, &[leaf, &hub, other])?;
            }
        }
        leaves.iter().chain([&hub]).try_for_each(check_none_returned)?;
        let [a, b, c, d] = &leaves[..] else {
            anyhow::bail!("four leaves")
        };
        withdraw_http(a, &[&hub, b, c, d]).map(drop)
    })
}

#[test]
fn with_an_as_and_an_organisation_each() -> Result<()> {
    check(false)
}

#[test]
fn inside_one_as_with_a_reflector() -> Result<()> {
    check(true)
}
