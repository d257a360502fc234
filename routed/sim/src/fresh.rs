//! A network of fresh Speakers with the configurations and offers of another one: whatever happened on the way, both
//! must come to hold, tell and open the same.

use std::collections::BTreeSet;

use catalyst_core::event::{Event, SpeakerConfig};

use crate::config::local_prefix;
use crate::net::Net;

/// Checks a network at rest against a fresh one.
pub fn equals_a_fresh_one(net: &Net) {
    let configs: Vec<SpeakerConfig> = net.nodes.iter().map(|node| node.config.clone()).collect();
    let mut fresh = Net::new(configs, 7);
    fresh.acknowledging = net.acknowledging;
    fresh.checks.whole_every = net.checks.whole_every;
    fresh.summing = net.summing;
    fresh.cut_as(net);
    let alive: Vec<usize> = (0..net.nodes.len()).filter(|node| net.nodes[*node].alive).collect();
    for node in &alive {
        fresh.start_node(*node);
    }
    for node in &alive {
        for offer in offers(net, *node) {
            fresh.event(*node, offer);
        }
        for address in net.nodes[*node].tunnels_up.clone() {
            fresh.event(*node, Event::Tunnel { address, up: true });
        }
        for (plane, closed) in net.nodes[*node].closed.clone() {
            fresh.event(*node, Event::Listeners { plane, closed });
        }
    }
    fresh.rest();
    for node in alive {
        let (seen, wanted): (BTreeSet<_>, BTreeSet<_>) = (as_seen(net, node), as_seen(&fresh, node));
        let wrong: Vec<_> = seen.difference(&wanted).collect();
        let missing: Vec<_> = wanted.difference(&seen).collect();
        assert!(
            wrong.is_empty() && missing.is_empty(),
            "node {node} holds {wrong:#?}, a fresh one {missing:#?}"
        );
    }
}

fn as_seen(net: &Net, node: usize) -> BTreeSet<String> {
    let speaker = &net.nodes[node].speaker;
    let views = speaker.routes(None, usize::MAX, net.now);
    let mut seen: BTreeSet<String> = views
        .iter()
        .map(|it| {
            let marks = (it.best, it.selected, it.draining, &it.reason);
            format!("{} from {:?} {marks:?} {:?}", it.destination, it.learned_from, it.attrs)
        })
        .collect();
    for peer in &net.nodes[node].config.peers {
        let told = speaker.advertised(&peer.name, None, usize::MAX);
        let told = told.iter();
        seen.extend(told.map(|(name, attrs)| format!("{} is told {name} {attrs:?}", peer.name)));
    }
    seen.extend(net.nodes[node].routes.values().map(|route| format!("{route:?}")));
    seen
}

/// What a node originates, as it says itself.
#[must_use]
pub fn offers(net: &Net, node: usize) -> Vec<Event> {
    let speaker = &net.nodes[node].speaker;
    let services = speaker.local_services().into_iter().map(Event::ServiceAdd);
    let views = speaker.routes(None, usize::MAX, net.now);
    let own = views.iter().filter(|view| view.learned_from.is_none());
    let prefixes = own.filter_map(|view| {
        let mut local = local_prefix(view.destination.prefix()?);
        local.communities.clone_from(&view.attrs.communities);
        Some(Event::PrefixAdd(local))
    });
    services.chain(prefixes).collect()
}
