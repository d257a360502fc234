//! Random networks, random events, from a seed. A failing seed says how to run it again.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::time::Duration;

use catalyst_core::event::{Event, LocalPrefix, PeerTunnel, SpeakerConfig};
use catalyst_core::policy::Policy;
use catalyst_core::prefix::Prefix;
use catalyst_core::wire::Families;

use super::config::{
    each_its_own, graceful, index_of, local_prefix, name, network, node_name, one_as, plane, service, tunnel,
    tunnel_addresses,
};
use super::fresh::equals_a_fresh_one;
use super::model;
use super::net::{Net, Rng};
use super::seeds::for_seeds;

const NODES: usize = 50;
const BATCHES: usize = 120;
const NAMES: u64 = 60;

/// A tree, so that all are joined, and some more edges.
pub(crate) fn random_edges(rng: &mut Rng, count: usize, more: usize) -> Vec<(usize, usize)> {
    let mut edges: BTreeSet<(usize, usize)> = (1..count).map(|node| (rng.index(node), node)).collect();
    for _ in 0..more {
        let (one, other) = (rng.index(count), rng.index(count));
        if one != other {
            edges.insert((one.min(other), one.max(other)));
        }
    }
    edges.into_iter().collect()
}

fn external(rng: &mut Rng, count: usize) -> Vec<SpeakerConfig> {
    let edges = random_edges(rng, count, count / 2);
    let mut configs = network(&each_its_own(count), &edges);
    vary(rng, &mut configs);
    configs
}

/// One AS: reflectors in a full mesh, the rest clients of one or two of them.
fn reflected(rng: &mut Rng, count: usize) -> Vec<SpeakerConfig> {
    let hubs = 4;
    let mut edges = BTreeSet::new();
    for one in 0..hubs {
        edges.extend((one + 1..hubs).map(|other| (one, other)));
    }
    for node in hubs..count {
        edges.insert((rng.index(hubs), node));
        edges.insert((rng.index(hubs), node));
    }
    let mut configs = network(&one_as(count), &edges.into_iter().collect::<Vec<_>>());
    vary(rng, &mut configs);
    let hub_names: Vec<_> = (0..hubs).map(node_name).collect();
    for config in &mut configs[..hubs] {
        config.reflector = true;
        for peer in &mut config.peers {
            peer.client = !hub_names.iter().any(|hub| **hub == *peer.name);
        }
    }
    configs
}

/// Prefixes that nest, of both families, and one that nobody takes from outside.
fn random_prefix(rng: &mut Rng) -> Prefix {
    let text = match rng.below(8) {
        0 => "10.0.0.0/8".to_owned(),
        1..=3 => format!("10.{}.0.0/16", rng.below(6)),
        4 => format!("10.{}.{}.0/24", rng.below(6), rng.below(3)),
        5 => format!("192.0.2.{}/32", rng.below(6)),
        6 => format!("2001:db8:{}::/48", rng.below(6)),
        _ => "169.254.7.0/24".to_owned(),
    };
    text.parse().unwrap()
}

/// Each side of each session allows some prefixes and offers some families.
fn vary(rng: &mut Rng, configs: &mut [SpeakerConfig]) {
    let allowed = [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "192.0.2.0/24",
        "2001:db8::/32",
        "0.0.0.0/0",
    ];
    let offers = [
        Families::ALL,
        Families::ALL,
        Families::ALL,
        Families::NAMES,
        Families::PREFIXES,
    ];
    add_tunnels(rng, configs);
    for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
        let some = allowed.iter().filter(|_| rng.below(3) > 0);
        peer.allowed_prefixes = some.map(|text| text.parse::<Prefix>().unwrap()).collect();
        peer.families = offers[rng.index(offers.len())];
    }
}

/// Some sessions have a tunnel: mostly both sides know of it, and traffic is to go through it.
fn add_tunnels(rng: &mut Rng, configs: &mut [SpeakerConfig]) {
    for (node, config) in configs.iter_mut().enumerate() {
        for peer in &mut config.peers {
            let other = index_of(peer.address.ip()).unwrap();
            let agreed = (node + other).is_multiple_of(4);
            if agreed == (rng.below(8) == 0) {
                continue;
            }
            peer.tunnel = Some(PeerTunnel {
                addresses: tunnel_addresses(other).into_iter().collect(),
                required: rng.below(3) == 0,
                own: (rng.below(8) > 0).then(|| tunnel(node, 1).into()),
            });
            if agreed && rng.below(4) > 0 {
                peer.next_hop.set_ip(tunnel_addresses(node)[rng.index(2)].address());
            }
        }
    }
}

/// A tunnel comes or goes, or has another key.
fn tunnel_event(net: &mut Net, node: usize) {
    let peers = net.nodes[node].config.peers.len();
    if peers == 0 {
        return;
    }
    let at = net.rng.index(peers);
    let other = index_of(net.nodes[node].config.peers[at].address.ip()).unwrap();
    if net.rng.below(4) > 0 {
        let address = tunnel_addresses(other)[net.rng.index(2)].address();
        let up = net.rng.below(3) > 0;
        return net.event(node, Event::Tunnel { address, up });
    }
    net.reconfigure(node, |config| {
        if let Some(own) = config.peers[at].tunnel.as_mut().and_then(|tunnel| tunnel.own.as_mut()) {
            *own = tunnel(node, own.serial + 1).into();
        }
    });
}

/// A data plane finds ports taken, or free again.
fn listeners_event(net: &mut Net, node: usize) {
    let config = net.nodes[node].config.clone();
    let Some(plane) = config.planes.first() else {
        return;
    };
    let organisations: BTreeSet<_> = config.peers.iter().map(|peer| peer.organisation.clone()).collect();
    let closed = organisations.into_iter().filter(|_| net.rng.below(4) == 0);
    let closed = closed.map(|organisation| (organisation, "in use".into())).collect();
    let plane = plane.name.clone();
    net.event(node, Event::Listeners { plane, closed });
}

fn prefix_event(net: &mut Net, node: usize) {
    let prefix = random_prefix(&mut net.rng);
    let event = if net.rng.below(5) < 3 {
        let communities = (0..net.rng.below(3)).map(|n| u32::try_from(n).unwrap()).collect();
        Event::PrefixAdd(LocalPrefix {
            communities,
            ..local_prefix(prefix)
        })
    } else {
        Event::PrefixRemove(prefix)
    };
    net.event(node, event);
}

fn random_event(net: &mut Net) {
    let count = net.nodes.len();
    let node = net.rng.index(count);
    if !net.nodes[node].alive {
        return;
    }
    if net.rng.below(3) == 0 {
        return prefix_event(net, node);
    }
    if net.rng.below(5) == 0 {
        return tunnel_event(net, node);
    }
    if net.rng.below(12) == 0 {
        return listeners_event(net, node);
    }
    let text = format!("svc-{}.example", net.rng.below(NAMES));
    match net.rng.below(10) {
        0..=4 => {
            let mut offered = service(&text);
            offered.weight = u16::try_from(net.rng.below(4)).unwrap();
            offered.communities = (0..net.rng.below(3)).map(|n| u32::try_from(n).unwrap()).collect();
            net.event(node, Event::ServiceAdd(offered));
        }
        5..=7 => net.withdraw(node, &text),
        _ => break_something(net, node),
    }
}

/// Another policy, another way to write routes, a peer that goes or comes back, on one side of a session.
fn random_reconfiguration(net: &mut Net, whole: &[SpeakerConfig]) {
    let node = net.rng.index(net.nodes.len());
    let at = net.rng.index(whole[node].peers.len());
    let (what, yes) = (net.rng.below(10), net.rng.below(2) == 0);
    let policy = if yes { Policy::accept() } else { Policy::reject() };
    let peer = &whole[node].peers[at];
    net.reconfigure(node, |config| {
        let known = config.peers.iter_mut().find(|it| it.name == peer.name);
        match (what, known) {
            (0, _) => config.reflector = yes,
            (1, _) => config.domains = yes.then(|| name("svc-7.example")).into_iter().collect(),
            (2 | 3, Some(_)) => config.peers.retain(|it| it.name != peer.name),
            (_, None) => {
                config.peers.push(peer.clone());
                config.peers.sort_by(|one, other| one.name.cmp(&other.name));
            }
            (4, Some(known)) => known.import = Some(policy.into()),
            (5, Some(known)) => known.export = Some(policy.into()),
            // Of two passive sides neither would dial.
            (6, Some(known)) => known.passive = yes && *peer.name > *node_name(node),
            (7, Some(known)) => {
                // A serial never goes back on a session.
                let known_or_first = known.tunnel.take().or_else(|| peer.tunnel.clone());
                known.tunnel = known_or_first.filter(|_| yes);
            }
            (8, Some(known)) => {
                let tunnel = known.tunnel.iter_mut();
                tunnel.for_each(|tunnel| tunnel.required = yes);
            }
            (_, Some(known)) => known.client = yes,
        }
    });
}

fn break_something(net: &mut Net, node: usize) {
    let peers = net.nodes[node].config.peers.len();
    if peers == 0 {
        return;
    }
    let at = net.rng.index(peers);
    let address = net.nodes[node].config.peers[at].address.ip();
    let peer = net.node_at(address).unwrap();
    match net.rng.below(4) {
        0 => net.cut(node, peer),
        1 => net.reset_sessions(node, peer),
        _ => net.mend(node, peer),
    }
}

/// A run of random events with rests between, checked at each rest; gives the sum over all bytes sent.
fn run(seed: u64, configs: Vec<SpeakerConfig>, batches: usize, audit_every: u64) -> u64 {
    let mut net = Net::new(configs, seed);
    net.delay = (1, 40);
    net.checks.whole_every = audit_every;
    net.acknowledging = true;
    for node in 0..net.nodes.len() {
        net.start_node(node);
    }
    for batch in 1..=batches {
        for _ in 0..net.rng.below(6) {
            random_event(&mut net);
        }
        let pause = net.rng.below(60);
        net.run_ms(pause);
        if batch % 40 == 0 {
            net.rest();
            audit_all(&net);
            model::check(&net);
        }
    }
    net.sum.finish()
}

fn audit_all(net: &Net) {
    for node in &net.nodes {
        assert_eq!(node.speaker.audit(), Vec::<String>::new());
    }
}

#[test]
fn random_external_networks_equal_the_naive_recompute() {
    for_seeds("random_external", 0..3, |seed| {
        let configs = external(&mut Rng::new(seed), NODES);
        run(seed, configs, BATCHES, 0);
    });
}

#[test]
fn random_reflected_networks_equal_the_naive_recompute() {
    for_seeds("random_reflected", 0..3, |seed| {
        let configs = reflected(&mut Rng::new(seed), NODES);
        run(seed, configs, BATCHES, 0);
    });
}

#[test]
fn small_networks_hold_their_invariants_all_the_time() {
    for_seeds("small_networks", 0..8, |seed| {
        let mut rng = Rng::new(seed);
        let count = 3 + rng.index(6);
        let mut configs = external(&mut rng, count);
        for config in &mut configs {
            config.planes = vec![plane("envoy", rng.below(3) > 0), plane("graphql", false)];
        }
        run(seed, configs, BATCHES, 5);
        run(seed, reflected(&mut rng, 6 + count), BATCHES, 5);
    });
}

/// A node dies, with a word or without, or a dead one comes back.
fn crash_something(net: &mut Net) {
    let node = net.rng.index(net.nodes.len());
    match (net.nodes[node].alive, net.rng.below(3)) {
        (false, _) => net.start_node(node),
        (true, 0) => net.vanish(node),
        (true, 1) => net.crash(node),
        (true, _) => {
            net.event(node, Event::Leave);
            net.crash(node);
        }
    }
}

#[test]
fn networks_with_graceful_restart_equal_the_naive_recompute() {
    for_seeds("networks_with_graceful", 0..16, |seed| {
        let mut rng = Rng::new(seed);
        let count = 4 + rng.index(5);
        let mut configs = if seed % 3 == 0 {
            reflected(&mut rng, 4 + count)
        } else {
            external(&mut rng, count)
        };
        for config in &mut configs {
            config.planes = vec![plane("envoy", rng.below(3) > 0)];
            config.hold_time = Duration::from_secs(9);
        }
        let mut net = Net::new(graceful(configs, Duration::from_secs(20)), seed);
        net.delay = (1, 40);
        net.checks.whole_every = 3;
        net.acknowledging = true;
        (0..net.nodes.len()).for_each(|node| net.start_node(node));
        for batch in 1..=BATCHES {
            random_event(&mut net);
            if batch % 4 == 0 {
                crash_something(&mut net);
            }
            let pause = net.rng.below(3000);
            net.run_ms(pause);
            if batch % 40 == 0 {
                net.rest();
                audit_all(&net);
                model::check(&net);
            }
        }
    });
}

#[test]
fn reconfigured_networks_equal_the_naive_recompute_and_fresh_ones() {
    for_seeds("reconfigured_networks", 0..12, |seed| {
        let mut rng = Rng::new(seed);
        let count = 4 + rng.index(5);
        let mut configs = if seed % 3 == 0 {
            reflected(&mut rng, 4 + count)
        } else {
            external(&mut rng, count)
        };
        for config in &mut configs {
            config.planes = vec![plane("envoy", rng.below(3) > 0)];
        }
        let mut net = Net::new(configs.clone(), seed);
        net.delay = (1, 40);
        net.checks.whole_every = 3;
        net.acknowledging = true;
        (0..configs.len()).for_each(|node| net.start_node(node));
        for batch in 1..=BATCHES {
            random_event(&mut net);
            random_reconfiguration(&mut net, &configs);
            let pause = net.rng.below(60);
            net.run_ms(pause);
            if batch % 40 == 0 {
                net.rest();
                audit_all(&net);
                model::check(&net);
                equals_a_fresh_one(&net);
            }
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in 0..3 {
        let go = || run(seed, external(&mut Rng::new(seed), 12), 80, 0);
        assert_eq!(go(), go(), "seed {seed}");
        let go = || run(seed, reflected(&mut Rng::new(seed), 16), 80, 0);
        assert_eq!(go(), go(), "seed {seed}, reflected");
    }
    let other = |seed| run(seed, external(&mut Rng::new(seed), 12), 80, 0);
    assert_ne!(other(0), other(1), "the sum tells runs apart");
}
