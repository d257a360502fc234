//! Forwarding walks: from node to node as the data planes of each would send it. A walk to a name that somebody offers
//! ends at one who does; another end is a black hole.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_core::route::Forward;

use crate::net::Net;

/// No walk is longer: every hop is an AS or a hop inside one.
const MOST_HOPS: usize = 256;

/// Where a walk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At a node that says it has the service.
    At(usize),
    /// At a node that answers 404.
    Discarded(usize),
    /// At a node that knows no way, or that is down.
    Nowhere(usize),
    /// Never.
    Loop,
}

/// Walks from a node to a name.
#[must_use]
pub fn walk(net: &Net, from: usize, name: &str) -> End {
    let mut at = from;
    for _ in 0..MOST_HOPS {
        if !net.nodes[at].alive {
            return End::Nowhere(at);
        }
        at = match net.nodes[at].speaker.forward(name) {
            Some(Forward::Here) => return End::At(at),
            Some(Forward::Discard) => return End::Discarded(at),
            None => return End::Nowhere(at),
            Some(Forward::To(next)) => match net.node_at(next.ip()) {
                Some(next) => next,
                None => return End::Nowhere(at),
            },
        };
    }
    End::Loop
}

/// Who offers what.
#[must_use]
pub fn originators(net: &Net) -> BTreeMap<String, BTreeSet<usize>> {
    let mut all: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (index, node) in net.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
        for service in node.speaker.local_services() {
            all.entry(service.name.to_string()).or_default().insert(index);
        }
    }
    all
}

/// Walks from every node to every name that somebody offers. `whole`: everybody must reach it; else only those who have
/// a route to the very name, and nobody may run in circles.
pub fn check(net: &Net, whole: bool) {
    for (name, nodes) in originators(net) {
        for from in (0..net.nodes.len()).filter(|node| net.nodes[*node].alive) {
            check_one(net, from, &name, &nodes, whole);
        }
    }
}

/// One walk of [`check`].
pub fn check_one(net: &Net, from: usize, name: &str, originators: &BTreeSet<usize>, whole: bool) {
    let end = walk(net, from, name);
    let arrived = matches!(end, End::At(node) if originators.contains(&node));
    let must = whole || net.selected(from, name).is_some();
    assert!(
        arrived || !must && end != End::Loop,
        "a walk from node {from} to {name}, which {originators:?} offer, ends so: {end:?}"
    );
}
