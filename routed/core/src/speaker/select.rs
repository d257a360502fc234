//! The decision for one name, and what it means for loc_rib and the data planes.

use std::sync::Arc;
use std::time::Instant;

use super::Speaker;
use crate::best_path::{
    Candidate, Decision, Freshness, OneMore, decide, find_detours, first_in_order, is_multipath, one_more,
};
use crate::destination::Destination;
use crate::intern::{AttrId, NameEntry, NameFlags, NameId, Signs};
use crate::name::ServiceName;
use crate::rib::{LOCAL, Note, Path, PathFlags, PathId, PeerId};
use crate::route::{NextHop, PrefixRoute, Protocol, Route, Selected, Table, Target};

/// What came of a decision.
#[derive(Debug, Default)]
struct Choice {
    /// 0: nobody offers the name.
    best: PathId,
    /// The best one is not fresh, and its attributes do not say so.
    stale: bool,
    /// Paths that share the traffic with the best one.
    siblings: Vec<PathId>,
}

impl Speaker {
    pub(super) fn select_dirty(&mut self, now: Instant) {
        if !self.rib.is_dirty() {
            return;
        }
        let names = self.rib.take_dirty();
        for &name in &names {
            let since = self.rib.clean(name);
            if !(since.one_more && self.stays(name)) {
                self.select(name, since.hard_loss, now);
            }
            self.watch_name(name);
        }
        self.rib.give_back(names);
    }

    fn select(&mut self, name: NameId, hard_loss: bool, now: Instant) {
        let choice = self.choose(name);
        self.rib.use_path(name, choice.best);
        self.rib
            .names
            .get_mut(name)
            .flags
            .put(NameFlags::NOT_FRESH, choice.stale);
        if self.planes.any() {
            self.install(name, &choice, hard_loss, now);
        }
        self.refresh_loc(name);
    }

    /// Whether the last decision stands though a path came: most of many paths lose to the best one, and this way it
    /// costs no look at the others.
    fn stays(&self, name: NameId) -> bool {
        let entry = self.rib.names.get(name);
        if entry.selected == 0 {
            return false;
        }
        let new = self.rib.path(entry.first);
        if new.note != Note::Accepted {
            return true;
        }
        if self.rib.has_stale(name) {
            return false;
        }
        let best = self.rib.path(entry.selected);
        match one_more(&self.candidate(&best), &self.candidate(&new)) {
            OneMore::Beaten => true,
            // Data planes want every next hop.
            OneMore::Tied => !self.planes.any(),
            OneMore::Unclear => false,
        }
    }

    fn choose(&self, name: NameId) -> Choice {
        let mut accepted = self.rib.paths_of(name).filter(|(_, path)| path.note == Note::Accepted);
        let Some((first, path)) = accepted.next() else {
            return Choice::default();
        };
        if accepted.next().is_none() {
            let best = if self.is_usable(&path) { first } else { 0 };
            return Choice {
                best,
                stale: best != 0 && path.flags.has(PathFlags::STALE),
                siblings: Vec::new(),
            };
        }
        self.choose_of_many(name)
    }

    fn choose_of_many(&self, name: NameId) -> Choice {
        if let Some(choice) = self.choose_in_order(name) {
            return choice;
        }
        let (paths, candidates, decision) = self.decide(name);
        let Some(selected) = decision.selected else {
            return Choice::default();
        };
        let siblings = (0..paths.len()).filter(|index| decision.is_multipath(&candidates, *index));
        Choice {
            best: paths[selected],
            stale: self.is_secretly_stale(paths[selected], candidates[selected].freshness),
            siblings: siblings.map(|index| paths[index]).collect(),
        }
    }

    /// The choice where it takes no decision of all steps over all paths.
    fn choose_in_order(&self, name: NameId) -> Option<Choice> {
        if self.rib.has_stale(name) {
            return None;
        }
        let accepted = || self.rib.paths_of(name).filter(|(_, path)| path.note == Note::Accepted);
        let candidates = || accepted().map(|(id, path)| (id, self.candidate(&path)));
        let (best, winner) = first_in_order(candidates())?;
        let siblings = if self.planes.any() {
            let shares = candidates().filter(|(id, it)| *id != best && is_multipath(&winner, it));
            shares.map(|(id, _)| id).collect()
        } else {
            Vec::new()
        };
        Some(Choice {
            best,
            stale: false,
            siblings,
        })
    }

    /// The decision over the accepted paths of a name, with what it was based on.
    pub(super) fn decide(&self, name: NameId) -> (Vec<PathId>, Vec<Candidate<'_>>, Decision) {
        let accepted = self.rib.paths_of(name).filter(|(_, path)| path.note == Note::Accepted);
        let (paths, mut candidates): (Vec<_>, Vec<_>) = accepted.map(|(id, path)| (id, self.candidate(&path))).unzip();
        if self.rib.has_stale(name) {
            self.find_detours(&paths, &mut candidates);
        }
        let decision = decide(&candidates);
        (paths, candidates, decision)
    }

    fn find_detours(&self, paths: &[PathId], candidates: &mut [Candidate<'_>]) {
        let paths = || paths.iter().map(|id| self.rib.path(*id));
        let origins: Vec<_> = paths().map(|path| self.rib.attrs.origin(path.attr)).collect();
        let restarts: Vec<bool> = paths()
            .zip(&origins)
            .map(|(path, origin)| self.comes_of_one_that_restarts(&path, *origin))
            .collect();
        find_detours(candidates, &origins, &restarts);
    }

    /// Whether a path is kept for its origin, our peer, to come back. What was lost by silence is not: the origin may be
    /// well, and only the way to it cut, around which any other way leads.
    fn comes_of_one_that_restarts(&self, path: &Path, origin: Option<(u32, &[u8])>) -> bool {
        let Some(peer) = self.peer(path.peer).filter(|_| path.flags.has(PathFlags::STALE)) else {
            return false;
        };
        let id = &peer.router_id;
        let restarts = peer.stale.is_some_and(|stale| !stale.silent);
        restarts && origin == Some((id.asn, id.node.as_bytes())) && self.is_usable(path)
    }

    /// Whether a path is not fresh for a reason that is known here alone.
    pub(super) fn is_secretly_stale(&self, path: PathId, freshness: Freshness) -> bool {
        freshness == Freshness::Detour || self.rib.path(path).flags.has(PathFlags::STALE)
    }

    fn candidate(&self, path: &Path) -> Candidate<'_> {
        let hot = self.rib.attrs.hot(path.attr);
        let ours = &self.config.identity.router_id;
        let peer = self.peer(path.peer);
        let originator = self.rib.attrs.originator(path.attr);
        let stale = path.flags.has(PathFlags::STALE) | hot.signs.has(Signs::STALE);
        Candidate {
            table: hot.table,
            next_hop_usable: self.is_usable(path),
            freshness: if stale { Freshness::Stale } else { Freshness::Fresh },
            local_pref: hot.local_pref,
            local: path.peer == LOCAL,
            hops: hot.hops,
            neighbour: (hot.hops > 0).then_some(hot.neighbour),
            origin: hot.origin,
            med: hot.med,
            external: peer.is_some_and(|peer| !peer.internal),
            cluster_len: hot.cluster_len,
            router_id: originator.unwrap_or_else(|| peer.map_or(ours, |peer| &peer.router_id)),
            peer_address: peer.map_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |peer| {
                peer.address
            }),
            protocol: hot.protocol,
        }
    }

    /// The peer of a path; `None` for the local one.
    pub(super) fn peer(&self, id: PeerId) -> Option<&super::peer::Peer> {
        self.peers.get(id)
    }

    fn is_usable(&self, path: &Path) -> bool {
        path.peer == LOCAL || self.all_usable || self.is_next_hop_usable(path)
    }

    /// Data planes or tunnels have moved: whether a look at next hops may find one that is not usable.
    pub(super) fn note_usability(&mut self) {
        self.all_usable = self.unusable.is_empty() && self.tunnels.is_empty();
    }

    #[inline(never)]
    fn is_next_hop_usable(&self, path: &Path) -> bool {
        let next_hop = self.rib.attrs.next_hop(path.attr);
        if self.tunnels.is_empty() {
            return !self.unusable.contains(&next_hop);
        }
        // What the tunnel is made by does not go through it.
        if self.rib.attrs.hot(path.attr).signs.has(Signs::TUNNEL) {
            return true;
        }
        let ip = next_hop.ip().to_canonical();
        let in_tunnel = self.peer(path.peer).is_some_and(|peer| peer.reaches_by_tunnel(ip));
        !self.unusable.contains(&next_hop) && (!in_tunnel || self.tunnels.is_up(ip))
    }

    pub(super) fn on_next_hop(&mut self, address: std::net::SocketAddr, usable: bool) {
        let changed = if usable {
            self.unusable.remove(&address)
        } else {
            self.unusable.insert(address)
        };
        if !changed {
            return;
        }
        self.note_usability();
        let attrs = &self.rib.attrs;
        let via = |path: &Path| path.peer != LOCAL && attrs.next_hop(path.attr) == address;
        let names: Vec<NameId> = self
            .rib
            .all_paths()
            .filter(|(_, path)| via(path))
            .map(|(_, path)| path.name)
            .collect();
        for name in names {
            if !usable {
                self.rib.names.get_mut(name).flags.set(NameFlags::HARD_LOSS);
            }
            self.rib.mark_dirty(name);
        }
        if !usable {
            self.planes.cut_drains_via(|hop| hop == address);
        }
    }

    fn install(&mut self, name: NameId, choice: &Choice, hard_loss: bool, now: Instant) {
        if choice.best == 0 && !hard_loss && self.drains(name, now) {
            return;
        }
        self.planes.cancel_drain(name);
        let (attr, source) = self.tell(name);
        let route = match choice.best {
            0 => self.discard(name),
            _ => Some(self.route_of(name, choice, attr, source)),
        };
        let changed = self.planes.route(name) != route.as_ref();
        self.planes.note_source(name, attr, source, &mut self.rib.attrs);
        if changed {
            self.planes.change(name, route, (attr, source), &mut self.rib);
            self.wait_for_planes(name, now);
        }
    }

    /// The attributes of the path in use as peers are told them, and its source. That a path is not fresh is no news while
    /// it stays in use: a restart remains between the two who see it. But what is told anew says so: where each of several
    /// nodes lost the session, and took the other's path for the fresh one, nobody would ever find out.
    #[inline]
    pub(super) fn tell(&mut self, name: NameId) -> (AttrId, PeerId) {
        let entry = self.rib.names.get(name);
        let (attr, source) = self.attr_and_source(entry.selected);
        if says_stale(entry, attr, source) {
            return (self.rib.attrs.as_stale(attr), source);
        }
        (attr, source)
    }

    /// As [`Speaker::tell`], of what is worked out already.
    pub(super) fn told(&self, name: NameId) -> (AttrId, PeerId) {
        let entry = self.rib.names.get(name);
        let (attr, source) = self.attr_and_source(entry.selected);
        let known = says_stale(entry, attr, source).then(|| self.rib.attrs.find_as_stale(attr));
        (known.flatten().unwrap_or(attr), source)
    }

    fn attr_and_source(&self, path: PathId) -> (AttrId, PeerId) {
        if path == 0 {
            return (0, LOCAL);
        }
        let path = self.rib.path(path);
        (path.attr, path.peer)
    }

    /// DESIGN.md: each `domains` entry installs a discard, so that a name of ours that nobody offers is not found,
    /// instead of being sent to a shorter wildcard.
    pub(super) fn discard(&self, name: NameId) -> Option<Selected> {
        let names = &self.rib.names;
        names
            .get(name)
            .flags
            .has(NameFlags::DISCARD)
            .then(|| discard_route(ServiceName::from_checked(names.text(name))))
    }

    fn route_of(&mut self, name: NameId, choice: &Choice, attr: AttrId, source: PeerId) -> Selected {
        let attrs = self.rib.attrs.decode_and_keep(attr);
        let target = if source == LOCAL {
            Target::Local(self.endpoints(name))
        } else {
            Target::Remote(self.next_hops(name, choice))
        };
        let table = self.rib.attrs.hot(attr).table;
        let origin = Some(attrs.origin_node.clone());
        let exported_to = self.exported_to(name, attr, source);
        match self.rib.names.destination(name) {
            Destination::Name(name) => Selected::Name(Arc::new(Route {
                name,
                // The decoder takes no name without SERVICE.
                protocol: attrs
                    .service
                    .as_ref()
                    .map_or(Protocol::Http, |service| service.protocol),
                path: attrs.service.as_ref().and_then(|service| service.path.clone()),
                table,
                origin,
                target,
                exported_to,
            })),
            Destination::Prefix(prefix) => Selected::Prefix(Arc::new(PrefixRoute {
                prefix,
                table,
                origin,
                target,
                exported_to,
                tunnel: attrs.tunnel.clone(),
            })),
        }
    }

    /// One entry per address, in order, save that the best path's is the first one of a prefix; where two paths share one,
    /// the better path's weight counts.
    fn next_hops(&self, name: NameId, choice: &Choice) -> Vec<NextHop> {
        let paths = std::iter::once(choice.best).chain(choice.siblings.iter().copied());
        let mut hops: Vec<NextHop> = paths.map(|path| self.next_hop(path)).collect();
        hops.sort_by_key(|hop| hop.address);
        hops.dedup_by_key(|hop| hop.address);
        if self.rib.names.prefix(name).is_some() {
            let best = self.next_hop(choice.best).address;
            hops.sort_by_key(|hop| hop.address != best);
        }
        hops
    }

    fn next_hop(&self, path: PathId) -> NextHop {
        let attr = self.rib.path(path).attr;
        NextHop {
            address: self.rib.attrs.next_hop(attr),
            weight: u32::from(self.rib.attrs.hot(attr).weight),
        }
    }
}

/// Whether a route is not fresh, and is not what peers have been told already.
fn says_stale(entry: &NameEntry, attr: AttrId, source: PeerId) -> bool {
    entry.flags.has(NameFlags::NOT_FRESH) && (entry.loc_attr, entry.loc_source) != (attr, source)
}

pub(super) fn discard_route(name: ServiceName) -> Selected {
    Selected::Name(Arc::new(Route {
        name,
        protocol: Protocol::Http,
        path: None,
        table: Table::Internal,
        origin: None,
        target: Target::Discard,
        exported_to: Arc::from([]),
    }))
}
