//! What a reload announces beforehand is what then happens, and the announcement changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalyst_core::attrs::Attrs;
use catalyst_core::event::{Aggregate, LocalRoute, Members, SpeakerConfig};
use catalyst_core::policy::Policy;
use catalyst_core::route::Destination;
use catalyst_core::speaker::Preview;
use catalyst_core::view::{NameChanges, NameList, Note, PeerAction, RouteChanges};

use super::aggregates::aggregate;
use super::config::{address, destination, each_its_own, name, network, one_as, peer, service};
use super::net::{Net, Rng};

type Local = BTreeMap<Destination, Option<LocalRoute>>;
/// Attributes by peer and name.
type Held = BTreeMap<Arc<str>, BTreeMap<String, Arc<Attrs>>>;

/// In pages of `limit` paths.
fn foresee(net: &Net, node: usize, new: &SpeakerConfig, local: Local, limit: usize) -> RouteChanges {
    let speaker = &net.nodes[node].speaker;
    let old = net.nodes[node].config.clone();
    let mut preview = Preview::new(old, new.clone(), &speaker.surroundings(new), local, net.now);
    let mut after = None;
    loop {
        let page = speaker.table_page(after.as_ref(), limit);
        after = page.last();
        if after.is_none() {
            return preview.finish(net.now);
        }
        preview.page(&page, net.now);
    }
}

fn accepted(net: &Net, node: usize) -> Held {
    let views = net.nodes[node].speaker.routes(None, usize::MAX, net.now);
    let mut held = Held::new();
    for view in views
        .iter()
        .filter(|view| !view.draining && view.note == Note::Accepted)
    {
        if let Some(peer) = &view.learned_from {
            held.entry(peer.clone())
                .or_default()
                .insert(view.destination.to_string(), view.attrs.clone());
        }
    }
    held
}

fn told(net: &Net, node: usize, peers: &BTreeSet<Arc<str>>) -> Held {
    let speaker = &net.nodes[node].speaker;
    let of = |peer: &Arc<str>| {
        let told = speaker.advertised(peer, None, usize::MAX);
        (
            peer.clone(),
            told.into_iter()
                .map(|(name, attrs)| (name.to_string(), attrs))
                .collect(),
        )
    };
    peers.iter().map(of).collect()
}

fn listed(names: Vec<&String>) -> NameList {
    NameList {
        count: names.len() as u64,
        first: names.into_iter().map(|name| name.as_str().into()).collect(),
    }
}

fn changes(before: Option<&BTreeMap<String, Arc<Attrs>>>, after: Option<&BTreeMap<String, Arc<Attrs>>>) -> NameChanges {
    let none = BTreeMap::new();
    let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
    NameChanges {
        gained: listed(after.keys().filter(|name| !before.contains_key(*name)).collect()),
        lost: listed(before.keys().filter(|name| !after.contains_key(*name)).collect()),
        changed: listed(
            after
                .keys()
                .filter(|name| before.get(*name).is_some_and(|it| *it != after[*name]))
                .collect(),
        ),
    }
}

/// Foresees, applies, compares: of the peers whose sessions are up and stay so, or end for good.
pub(crate) fn check(net: &mut Net, node: usize, change: impl FnOnce(&mut SpeakerConfig)) {
    let mut new = net.nodes[node].config.clone();
    change(&mut new);
    let touched = net.nodes[node].speaker.peer_changes(&new);
    let views = net.nodes[node].speaker.peers(net.now);
    let up: BTreeSet<_> = views
        .iter()
        .filter(|it| it.state == "Established")
        .map(|it| &it.name)
        .collect();
    let comes = |name: &Arc<str>| {
        let of = touched.iter().find(|it| it.name == *name).map(|it| it.action);
        matches!(of, Some(PeerAction::Add | PeerAction::Reset)) || !up.contains(name)
    };
    let peers = net.nodes[node].config.peers.iter().chain(&new.peers);
    let peers: BTreeSet<Arc<str>> = peers.map(|it| it.name.clone()).filter(|name| !comes(name)).collect();
    let seen = format!("{:?}", net.nodes[node].speaker.routes(None, usize::MAX, net.now));
    let foreseen = foresee(net, node, &new, Local::new(), 7);
    assert_eq!(
        foreseen,
        foresee(net, node, &new, Local::new(), usize::MAX),
        "pages do not matter"
    );
    assert_eq!(
        seen,
        format!("{:?}", net.nodes[node].speaker.routes(None, usize::MAX, net.now))
    );
    let before = (accepted(net, node), told(net, node, &peers));
    net.reconfigure(node, |config| *config = new);
    let after = (accepted(net, node), told(net, node, &peers));
    for peer in peers {
        let happened = (
            changes(before.0.get(&peer), after.0.get(&peer)),
            changes(before.1.get(&peer), after.1.get(&peer)),
        );
        let said = foreseen.peers.get(&peer).cloned().unwrap_or_default();
        assert_eq!(said, happened, "node {node}, peer {peer}, {touched:?}");
    }
}

/// 0 - 1 - 2 in a line; 0 and 2 offer three names each.
fn line() -> Net {
    let mut net = Net::up(network(&each_its_own(3), &[(0, 1), (1, 2)]), 1);
    for text in ["a", "b", "c"] {
        net.offer(0, &format!("{text}.zero.example"));
        net.offer(2, &format!("{text}.two.example"));
    }
    net.rest();
    net
}

#[test]
fn routes_gained_and_lost_are_told_per_peer_and_direction() {
    let net = line();
    let mut new = net.nodes[1].config.clone();
    new.peers[0].import = Some(Policy::reject().into());
    new.peers[0].export = Some(Policy::reject().into());
    let foreseen = foresee(&net, 1, &new, Local::new(), 100);
    let (zero, two) = (&foreseen.peers["n000"], &foreseen.peers["n002"]);
    assert_eq!((zero.0.lost.count, zero.1.lost.count), (3, 3));
    assert_eq!(
        (two.0.lost.count, two.1.lost.count),
        (0, 3),
        "what 0 told goes from 2 as well"
    );
    assert_eq!(
        foreseen.selected.lost.first,
        [
            "a.zero.example".into(),
            "b.zero.example".into(),
            "c.zero.example".into()
        ]
    );
    assert_eq!(
        foresee(&net, 1, &net.nodes[1].config, Local::new(), 100),
        RouteChanges::default()
    );
}

#[test]
fn a_peer_that_comes_is_told_what_export_gives_it() {
    let net = line();
    let mut new = net.nodes[1].config.clone();
    new.peers.push(peer(7, &each_its_own(8)[7]));
    let touched = net.nodes[1].speaker.peer_changes(&new);
    assert_eq!(
        touched.iter().map(|it| (&*it.name, it.action)).collect::<Vec<_>>(),
        [("n007", PeerAction::Add)]
    );
    assert_eq!(
        foresee(&net, 1, &new, Local::new(), 100).peers["n007"].1.gained.count,
        6
    );
}

#[test]
fn services_that_come_change_and_go_count_as_well() {
    let mut net = line();
    net.offer(1, "old.one.example");
    net.offer(1, "moved.one.example");
    net.rest();
    let mut moved = service("moved.one.example");
    moved.weight = 9;
    let services = Local::from([
        (destination("old.one.example"), None),
        (destination("moved.one.example"), Some(LocalRoute::Service(moved))),
        (
            destination("new.one.example"),
            Some(LocalRoute::Service(service("new.one.example"))),
        ),
    ]);
    let foreseen = foresee(&net, 1, &net.nodes[1].config, services, 2);
    let told = &foreseen.peers["n002"].1;
    assert_eq!(told.gained.first, ["new.one.example".into()]);
    assert_eq!(told.lost.first, ["old.one.example".into()]);
    assert_eq!(told.changed.first, ["moved.one.example".into()]);
    assert_eq!(net.nodes[1].speaker.local_services().len(), 2);
}

/// Of whatever organisation.
fn any(text: &str) -> Aggregate {
    Aggregate {
        members: Members::Any,
        ..aggregate(text)
    }
}

#[test]
fn an_aggregate_is_foreseen_with_what_it_stands_for_and_without() {
    let mut net = line();
    for at in 0..20 {
        net.offer(1, &format!("s{at}.one.example"));
    }
    net.rest();
    let told = |net: &Net, aggregates: Vec<Aggregate>| {
        let mut new = net.nodes[1].config.clone();
        new.aggregates = aggregates;
        foresee(net, 1, &new, Local::new(), 7)
            .peers
            .remove("n002")
            .unwrap_or_default()
            .1
    };
    let foreseen = told(&net, vec![aggregate("*.one.example"), aggregate("*.three.example")]);
    assert_eq!(
        foreseen.gained.first,
        ["*.one.example".into()],
        "nothing is below the other one"
    );
    assert_eq!(foreseen.lost.count, 20);
    check(&mut net, 1, |config| {
        config.aggregates = vec![aggregate("*.one.example")];
    });
    net.rest();
    let foreseen = told(&net, Vec::new());
    assert_eq!(
        (foreseen.lost.first, foreseen.gained.count),
        (vec!["*.one.example".into()], 20)
    );
    // Its last member goes with the same change: it is not born only to be missed.
    let services = (0..20).map(|at| (destination(&format!("s{at}.one.example")), None));
    let foreseen = foresee(&net, 1, &net.nodes[1].config, services.collect(), 7);
    assert_eq!(foreseen.peers["n002"].1.lost.first, ["*.one.example".into()]);
    // What our own organisation really offers under the name goes before it, and hides nothing.
    net.offer(1, "*.one.example");
    net.rest();
    let foreseen = told(&net, Vec::new());
    assert_eq!(foreseen, NameChanges::default());
    check(&mut net, 1, |config| config.aggregates.clear());
    net.rest();
    check(&mut net, 1, |config| {
        config.aggregates = vec![any("*"), aggregate("*.one.example")];
    });
}

#[test]
fn peer_changes_say_what_happens_to_sessions() {
    let net = line();
    let said = |change: fn(&mut SpeakerConfig)| {
        let mut new = net.nodes[1].config.clone();
        change(&mut new);
        let touched = net.nodes[1].speaker.peer_changes(&new);
        touched
            .iter()
            .map(|it| format!("{} {:?} {}", it.name, it.action, it.keys.join(",")))
            .collect::<Vec<_>>()
    };
    assert!(said(|_| {}).is_empty());
    assert_eq!(
        said(|new| new.peers[0].export = Some(Policy::reject().into())),
        ["n000 Keep export"]
    );
    assert_eq!(said(|new| new.peers[0].node = Some("n000".into())), ["n000 Keep node"]);
    assert_eq!(said(|new| new.peers[0].node = Some("n001".into())), ["n000 Reset node"]);
    assert_eq!(said(|new| new.peers[0].address.set_port(9)), ["n000 Keep address"]);
    assert_eq!(
        said(|new| new.peers[0].address.set_ip(address(9))),
        ["n000 Reset address"]
    );
    assert_eq!(said(|new| drop(new.peers.remove(0))), ["n000 Remove "]);
}

#[test]
fn what_is_foreseen_happens_in_random_networks() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let count = 4 + rng.index(4);
        let who = if seed % 2 == 0 {
            each_its_own(count)
        } else {
            one_as(count)
        };
        let edges: BTreeSet<(usize, usize)> = (1..count)
            .flat_map(|node| [(rng.index(node), node), (0, node)])
            .collect();
        let mut configs = network(&who, &edges.into_iter().collect::<Vec<_>>());
        configs[0].reflector = true;
        let mut net = Net::up(configs, seed);
        for at in 0..20 {
            let node = net.rng.index(count);
            net.offer(node, &format!("svc-{}.example", at % 13));
            net.offer(node, ["*.example", "*.dc.example", "db.dc.example"][at % 3]);
        }
        net.rest();
        for _ in 0..12 {
            let node = net.rng.index(count);
            let (what, at) = (net.rng.below(10), net.rng.index(net.nodes[node].config.peers.len()));
            let policy = if net.rng.below(2) == 0 {
                Policy::accept()
            } else {
                Policy::reject()
            };
            check(&mut net, node, |config| match what {
                0 => config.peers[at].import = Some(policy.into()),
                1 => config.peers[at].export = Some(policy.into()),
                2 => config.domains = vec![name("svc-3.example")],
                3 => config.reflector = !config.reflector,
                4 => config.peers[at].next_hop = (address(60 + at), 7).into(),
                5 => config.peers[at].client = !config.peers[at].client,
                6 => config.aggregates = vec![aggregate("*.example")],
                7 => config.aggregates = vec![any("*.example"), aggregate("*.dc.example")],
                8 => config.aggregates.clear(),
                _ if config.peers.len() > 1 => drop(config.peers.remove(at)),
                _ => config.domains.clear(),
            });
            net.rest();
        }
    }
}
