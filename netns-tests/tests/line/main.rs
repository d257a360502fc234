//! See README.md beside this file.

use anyhow::{Result, ensure};
use catalyst_netns_tests::{
    LONG, Network, Node, Peering, check_none_returned, check_reach, offer_every_kind, peer, poll, scenario,
    withdraw_http,
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Who is who in the line.
enum Identity {
    /// An AS and an organisation each.
    Each,
    /// One AS; the inner nodes reflect.
    OneAs,
}

fn line(network: &mut Network, identity: &Identity) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for (name, number) in NAMES.into_iter().zip(65001..) {
        nodes.push(match identity {
            Identity::Each => network.node(name, number, &format!("org-{name}"))?.with_envoy(),
            Identity::OneAs if matches!(name, "b" | "c") => network.node(name, 65001, "acme")?.with_envoy().reflector(),
            Identity::OneAs => network.node(name, 65001, "acme")?.with_envoy(),
        });
    }
    for index in 1..nodes.len() {
        let (left, right) = nodes.split_at_mut(index);
        peer(&mut left[index - 1], &mut right[0], Peering::Both);
    }
    for node in &mut nodes {
        offer_every_kind(node)?;
        node.start()?;
    }
    Ok(nodes)
}

/// The nodes from one index to another, both included.
fn way(nodes: &[Node], from: usize, to: usize) -> Vec<&Node> {
    if from <= to {
        nodes[from..=to].iter().collect()
    } else {
        nodes[to..=from].iter().rev().collect()
    }
}

fn every_service_is_reachable(nodes: &[Node]) -> Result<()> {
    for from in 0..nodes.len() {
        for to in (0..nodes.len()).filter(|to| *to != from) {
            check_reach(&nodes[from], &nodes[to], &way(nodes, from, to))?;
        }
    }
    nodes.iter().try_for_each(check_none_returned)
}

fn a_withdrawal_reaches_everyone(nodes: &[Node]) -> Result<()> {
    let [a, b, c, d] = nodes else {
        anyhow::bail!("four nodes")
    };
    let service = withdraw_http(d, &[a, b, c])?;
    d.add_service("http.d.test", &service)?;
    check_reach(a, d, &[a, b, c, d])
}

/// What the Envoy of `node` counts of requests that come from `neighbour`.
fn requests_from(node: &Node, neighbour: &Node) -> Result<u64> {
    let listener = if node.organisation == neighbour.organisation {
        "peer".to_owned()
    } else {
        format!("peer_{}", neighbour.organisation)
    };
    node.envoy_stat(&format!("http.{listener}.downstream_rq_total"))
}

/// Every hop from A to D as its own Envoy counts it.
fn hops(nodes: &[Node]) -> Result<Vec<u64>> {
    nodes.windows(2).map(|pair| requests_from(&pair[1], &pair[0])).collect()
}

fn a_request_passes_every_envoy(nodes: &[Node]) -> Result<()> {
    let before = hops(nodes)?;
    nodes[0].check_answered_by("http.d.test", "http.d.test@d")?;
    let expected: Vec<_> = before.iter().map(|count| count + 1).collect();
    poll("one request counted at each hop", LONG, || {
        let counted = hops(nodes)?;
        ensure!(counted == expected, "{before:?} became {counted:?}");
        Ok(())
    })
}

fn check(identity: &Identity) -> Result<()> {
    scenario(|network| {
        let nodes = line(network, identity)?;
        every_service_is_reachable(&nodes)?;
        a_request_passes_every_envoy(&nodes)?;
        a_withdrawal_reaches_everyone(&nodes)
    })
}

#[test]
fn with_an_as_and_an_organisation_each() -> Result<()> {
    check(&Identity::Each)
}

#[test]
fn inside_one_as_with_reflectors() -> Result<()> {
    check(&Identity::OneAs)
}
