//! What a network at rest should hold, worked out naively: every node takes what its neighbours would tell it, over
//! and over, until nothing changes. Written from DESIGN.md, not from the code under test; slow and simple.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use catalyst_core::attrs::{Attrs, RouterId, Tunnel};
use catalyst_core::event::{PeerConfig, SpeakerConfig};
use catalyst_core::name::ServiceName;
use catalyst_core::policy::{Action, Condition, Policy, Verdict};
use catalyst_core::prefix::Prefix;
use catalyst_core::route::{Destination, Table as OriginTable};
use catalyst_core::view::RouteView;
use catalyst_core::wire::{Families, Family};

use crate::config::address;
use crate::net::Net;

mod tunnels;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Path {
    as_path: Vec<u32>,
    next_hop: Option<SocketAddr>,
    origin: RouterId,
    organisation: Arc<str>,
    local_pref: Option<u32>,
    med: Option<u32>,
    communities: Vec<u32>,
    originator: Option<RouterId>,
    clusters: Vec<Arc<str>>,
    /// `None` for a prefix.
    weight: Option<u16>,
    tunnel: Option<Arc<Tunnel>>,
    /// The neighbour that told it; `None`: local.
    from: Option<usize>,
}

type Table = BTreeMap<Destination, Path>;

struct Model<'a> {
    net: &'a Net,
    /// Per node: its peers as (node, configuration), sessions that are up only.
    neighbours: Vec<Vec<(usize, &'a PeerConfig)>>,
    local: Vec<Table>,
}

/// Checks every table and every adj_rib_out of a network at rest.
pub fn check(net: &Net) {
    let model = Model::new(net);
    let tables = model.solve();
    for node in (0..net.nodes.len()).filter(|node| net.nodes[*node].alive) {
        model.check_selected(node, &tables[node]);
        for &(peer, config) in &model.neighbours[node] {
            model.check_advertised(node, peer, config, &tables[node]);
        }
    }
}

impl<'a> Model<'a> {
    fn new(net: &'a Net) -> Self {
        let neighbours = (0..net.nodes.len()).map(|node| neighbours(net, node)).collect();
        let local = (0..net.nodes.len()).map(|node| local(net, node)).collect();
        Self { net, neighbours, local }
    }

    fn config(&self, node: usize) -> &'a SpeakerConfig {
        &self.net.nodes[node].config
    }

    fn solve(&self) -> Vec<Table> {
        let mut tables = self.local.clone();
        for _ in 0..1000 {
            let next: Vec<Table> = (0..tables.len()).map(|node| self.round(node, &tables)).collect();
            if next == tables {
                return tables;
            }
            tables = next;
        }
        let next: Vec<Table> = (0..tables.len()).map(|node| self.round(node, &tables)).collect();
        panic!("the model finds no rest: {:#?}", restless(&tables, &next));
    }

    /// What a node selects if its neighbours have selected `tables`.
    fn round(&self, node: usize, tables: &[Table]) -> Table {
        let mut offers: BTreeMap<Destination, Vec<Path>> = BTreeMap::new();
        for (name, path) in &self.local[node] {
            offers.entry(name.clone()).or_default().push(path.clone());
        }
        for &(peer, config) in &self.neighbours[node] {
            let back = self.neighbours[peer].iter().find(|(back, _)| *back == node).unwrap().1;
            for (name, told) in self.told(peer, node, back, &tables[peer]) {
                let kept = self.import(node, peer, config, &name, told);
                if let Some(path) = kept.filter(|path| tunnels::is_usable(self.net, node, config, path)) {
                    offers.entry(name).or_default().push(path);
                }
            }
        }
        offers
            .into_iter()
            .map(|(name, paths)| (name, self.best(node, paths)))
            .collect()
    }

    /// The families of a session are those that both sides offer.
    fn speaks(&self, node: usize, peer: usize, family: Family) -> bool {
        families(self.net, node, peer).has(family)
    }

    /// Everything that a node tells a neighbour: what it may see of the table, and our end of the tunnel.
    fn told(&self, node: usize, to: usize, config: &PeerConfig, table: &Table) -> Table {
        let exports = table.iter();
        let exports =
            exports.filter_map(|(name, path)| Some((name.clone(), self.export(node, to, config, name, path)?)));
        let mut told: Table = exports.collect();
        let own = tunnels::told(self.config(node), node, config);
        told.extend(own.into_iter().filter(|(name, _)| self.speaks(node, to, name.family())));
        told
    }

    /// Whether a data plane has the listener of an outside peer's organisation closed.
    fn is_closed_to(&self, node: usize, config: &PeerConfig) -> bool {
        let outside = config.organisation != self.config(node).identity.organisation;
        let mut closed = self.net.nodes[node].closed.values().flatten();
        outside && closed.any(|(organisation, _)| *organisation == config.organisation)
    }

    fn export(&self, node: usize, to: usize, config: &PeerConfig, name: &Destination, path: &Path) -> Option<Path> {
        if !self.speaks(node, to, name.family()) || path.tunnel.is_some() {
            return None;
        }
        if name.family() == Family::Name && self.is_closed_to(node, config) {
            return None;
        }
        let ours = self.config(node);
        let own_as = ours.identity.router_id.asn;
        let from_config = path
            .from
            .map(|from| &self.neighbours[node].iter().find(|(it, _)| *it == from).unwrap().1);
        let internal = config.asn == own_as;
        if path.from == Some(to) {
            return None;
        }
        if !internal && path.as_path.contains(&config.asn) {
            return None;
        }
        let own_organisation = &ours.identity.organisation;
        if from_config.is_some_and(|from| from.organisation == config.organisation)
            && config.organisation != *own_organisation
        {
            return None;
        }
        let outside = config.organisation != *own_organisation;
        let mut told = self.ask(node, config.export.as_deref(), outside, name, path)?;
        if outside {
            let internal = &ours.internal_communities;
            told.communities
                .retain(|it| !internal.iter().any(|pattern| pattern.matches_standard(*it)));
        }
        let learned_inside = from_config.is_some_and(|from| from.asn == own_as);
        if path.from.is_none() || config.next_hop_self || config.organisation != *own_organisation {
            told.next_hop = Some(listener(node, config));
        }
        if internal {
            told.local_pref = told.local_pref.or(Some(100));
            if learned_inside {
                if !ours.reflector || !(config.client || from_config.unwrap().client) {
                    return None;
                }
                let from = path.from.unwrap();
                told.originator = told.originator.or(Some(self.config(from).identity.router_id.clone()));
                told.clusters.insert(0, ours.cluster.clone());
            }
            return Some(told);
        }
        told.as_path.insert(0, own_as);
        if path.from.is_some() {
            told.med = None;
        }
        Some(Path {
            local_pref: None,
            originator: None,
            clusters: Vec::new(),
            ..told
        })
    }

    fn import(&self, node: usize, from: usize, config: &PeerConfig, name: &Destination, told: Path) -> Option<Path> {
        let ours = self.config(node);
        let outside = config.organisation != ours.identity.organisation;
        let text = name.to_string();
        let own = |domain: &ServiceName| text == domain.as_str() || text.ends_with(&format!(".{domain}"));
        let looped = told.as_path.contains(&ours.identity.router_id.asn)
            || told.originator.as_ref() == Some(&ours.identity.router_id)
            || told.clusters.contains(&ours.cluster)
            || outside && told.organisation == ours.identity.organisation;
        if let Some(tunnel) = told.tunnel.as_ref().filter(|_| config.tunnel.is_some()) {
            // Nodes tell of themselves only, and name what they tell.
            let taken = !looped && tunnels::may_have(config, name) && tunnels::next_hop(config, from, outside, &told);
            assert!(name.prefix().is_some_and(|prefix| tunnel.addresses.contains(&prefix)));
            return taken.then_some(Path {
                from: Some(from),
                ..told
            });
        }
        let mut told = told;
        told.tunnel = None;
        if tunnels::goes_past(config, &told) || !tunnels::next_hop(config, from, outside, &told) {
            return None;
        }
        let refused = looped || outside && ours.domains.iter().any(own);
        let barred = outside && name.prefix().is_some_and(|prefix| self.bars(node, config, prefix));
        let told = Some(told).filter(|_| !refused && !barred)?;
        let kept = self.ask(node, config.import.as_deref(), outside, name, &told)?;
        Some(Path {
            from: Some(from),
            ..kept
        })
    }

    /// The plain reading of a policy, as far as these networks use it.
    fn ask(
        &self,
        node: usize,
        policy: Option<&Policy>,
        outside: bool,
        name: &Destination,
        path: &Path,
    ) -> Option<Path> {
        let Some(policy) = policy else {
            return (!outside).then(|| path.clone());
        };
        let internal = path.organisation == self.config(node).identity.organisation;
        let mut changed = path.clone();
        for statement in policy.statements() {
            if !statement.conditions.iter().all(|it| holds(it, name, path, internal)) {
                continue;
            }
            statement.actions.iter().for_each(|action| change(action, &mut changed));
            match statement.verdict {
                Verdict::Accept => return Some(changed),
                Verdict::Reject => return None,
                Verdict::Next => {}
            }
        }
        (!outside).then_some(changed)
    }

    /// Whether an outside peer may not offer a prefix: it is nobody's to offer, not allowed, or within our own.
    fn bars(&self, node: usize, config: &PeerConfig, prefix: Prefix) -> bool {
        let own = self.local[node].keys().filter_map(Destination::prefix);
        prefix.is_martian()
            || !config.allowed_prefixes.covers(prefix)
            || own.into_iter().any(|own| own.covers(prefix))
            || tunnels::bar(self.config(node), config, prefix)
    }

    fn best(&self, node: usize, paths: Vec<Path>) -> Path {
        paths
            .into_iter()
            .reduce(|one, other| {
                if self.compare(node, &one, &other).is_le() {
                    one
                } else {
                    other
                }
            })
            .unwrap()
    }

    fn compare(&self, node: usize, one: &Path, other: &Path) -> Ordering {
        let own_as = self.config(node).identity.router_id.asn;
        let asn = |path: &Path| {
            path.from
                .map_or(own_as, |from| self.config(from).identity.router_id.asn)
        };
        let router_id = |path: &Path| {
            let peer = path.from.unwrap_or(node);
            path.originator
                .clone()
                .unwrap_or(self.config(peer).identity.router_id.clone())
        };
        let local_pref = |path: &Path| path.local_pref.unwrap_or(100);
        local_pref(other)
            .cmp(&local_pref(one))
            .then(other.from.is_none().cmp(&one.from.is_none()))
            .then(one.as_path.len().cmp(&other.as_path.len()))
            .then_with(|| match one.as_path.first() == other.as_path.first() {
                true => one.med.unwrap_or(0).cmp(&other.med.unwrap_or(0)),
                false => Ordering::Equal,
            })
            .then((asn(one) == own_as).cmp(&(asn(other) == own_as)))
            .then(one.clusters.len().cmp(&other.clusters.len()))
            .then(router_id(one).cmp(&router_id(other)))
            .then(one.from.map(address).cmp(&other.from.map(address)))
    }

    fn check_selected(&self, node: usize, table: &Table) {
        let views = self.net.nodes[node].speaker.routes(None, usize::MAX, self.net.now);
        let mut seen: BTreeSet<Destination> = BTreeSet::new();
        for view in views.iter().filter(|view| view.selected) {
            // The best one comes first; multipath siblings follow.
            if !seen.insert(view.destination.clone()) {
                continue;
            }
            let expected = table.get(&view.destination);
            assert_eq!(
                Some(&self.of_view(node, view)),
                expected,
                "{} at node {node}",
                view.destination
            );
        }
        let expected: BTreeSet<Destination> = table.keys().cloned().collect();
        assert_eq!(seen, expected, "names selected at node {node}");
    }

    fn of_view(&self, node: usize, view: &RouteView) -> Path {
        let from = view.learned_from.as_ref().map(|peer| {
            let peers = &self.config(node).peers;
            let config = peers.iter().find(|config| config.name == *peer).unwrap();
            self.net.node_at(config.address.ip()).unwrap()
        });
        of_attrs(&view.attrs, from)
    }

    fn check_advertised(&self, node: usize, peer: usize, config: &PeerConfig, table: &Table) {
        let told = self.net.nodes[node].speaker.advertised(&config.name, None, usize::MAX);
        let told: Table = told
            .into_iter()
            .map(|(name, attrs)| (name, of_attrs(&attrs, Some(node))))
            .collect();
        let from = |path| Path {
            from: Some(node),
            ..path
        };
        let exports = self.told(node, peer, config, table).into_iter();
        let exports: Table = exports.map(|(name, path)| (name, from(path))).collect();
        assert_eq!(told, exports, "what node {node} advertises to node {peer}");
    }
}

/// The peer listener of a node for a neighbour.
fn listener(node: usize, config: &PeerConfig) -> SocketAddr {
    let mut listener = config.next_hop;
    if listener.ip().is_unspecified() {
        listener.set_ip(address(node));
    }
    listener
}

fn of_attrs(attrs: &Attrs, from: Option<usize>) -> Path {
    Path {
        as_path: attrs.as_path.clone(),
        next_hop: from.map(|_| attrs.next_hop),
        origin: attrs.origin_node.router_id.clone(),
        organisation: attrs.origin_node.organisation.clone(),
        local_pref: attrs.local_pref,
        med: attrs.med,
        communities: attrs.communities.clone(),
        originator: attrs.originator.clone(),
        clusters: attrs.cluster_list.clone(),
        weight: attrs.service.as_ref().map(|service| service.weight),
        tunnel: attrs.tunnel.clone(),
        from,
    }
}

/// What one more round changes, a line each.
fn restless(before: &[Table], after: &[Table]) -> Vec<String> {
    let told = |path: Option<&Path>| path.map(|path| (path.from, path.local_pref, path.as_path.clone()));
    let mut lines = Vec::new();
    for (node, (before, after)) in before.iter().zip(after).enumerate() {
        let names: BTreeSet<&Destination> = before.keys().chain(after.keys()).collect();
        for name in names.into_iter().filter(|name| before.get(name) != after.get(name)) {
            let (before, after) = (told(before.get(name)), told(after.get(name)));
            lines.push(format!("{name} at node {node}: {before:?} becomes {after:?}"));
        }
    }
    lines
}

fn holds(condition: &Condition, name: &Destination, path: &Path, internal: bool) -> bool {
    match condition {
        Condition::Name(patterns) => match name {
            Destination::Name(name) => patterns.iter().any(|pattern| pattern.matches(name.as_str())),
            Destination::Prefix(_) => false,
        },
        Condition::Community(patterns) => {
            let carried = |it: &u32| patterns.iter().any(|pattern| pattern.matches_standard(*it));
            path.communities.iter().any(carried)
        }
        Condition::Table(tables) => tables.contains(match internal {
            true => &OriginTable::Internal,
            false => &OriginTable::External,
        }),
        Condition::Family(_)
        | Condition::Protocol(_)
        | Condition::AsPath(_)
        | Condition::OriginOrganisation(_)
        | Condition::Peer(_)
        | Condition::Role(_)
        | Condition::NeighbourAs(_)
        | Condition::Prefix(_)
        | Condition::Not(_) => panic!("the model does not read {condition:?}"),
    }
}

fn change(action: &Action, path: &mut Path) {
    match action {
        Action::SetLocalPref(value) => path.local_pref = Some(*value),
        Action::AddCommunities(more) => {
            path.communities.extend(more);
            path.communities.sort_unstable();
            path.communities.dedup();
        }
        Action::RemoveCommunities(patterns) => path
            .communities
            .retain(|it| !patterns.iter().any(|pattern| pattern.matches_standard(*it))),
        Action::SetMed(_) | Action::AddLargeCommunities(_) | Action::Prepend(_) => {
            panic!("the model does not read {action:?}")
        }
    }
}

fn neighbours(net: &Net, node: usize) -> Vec<(usize, &PeerConfig)> {
    let peers = net.nodes[node]
        .config
        .peers
        .iter()
        .map(|peer| (net.node_at(peer.address.ip()).unwrap(), peer));
    let back = |peer: usize| {
        let mut back = net.nodes[peer].config.peers.iter();
        back.any(|config| net.node_at(config.address.ip()) == Some(node))
    };
    let joined = |peer: usize| {
        let both = net.nodes[node].alive && net.nodes[peer].alive && back(peer);
        both && !net.is_cut(node, peer) && !families(net, node, peer).is_empty()
    };
    peers.filter(|(peer, _)| joined(*peer)).collect()
}

/// The families that two nodes both offer each other.
fn families(net: &Net, one: usize, other: usize) -> Families {
    let offered = |node: usize, to: usize| {
        let mut peers = net.nodes[node].config.peers.iter();
        let peer = peers.find(|peer| net.node_at(peer.address.ip()) == Some(to));
        peer.map_or(Families::NONE, |peer| peer.families)
    };
    offered(one, other).common(offered(other, one))
}

/// The services and prefixes of a node, as it shows them itself: the only thing that the model takes from it.
fn local(net: &Net, node: usize) -> Table {
    let views = net.nodes[node].speaker.routes(None, usize::MAX, net.now);
    let own = views
        .iter()
        .filter(|view| view.learned_from.is_none() && !view.draining);
    own.map(|view| (view.destination.clone(), of_attrs(&view.attrs, None)))
        .collect()
}
