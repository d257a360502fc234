//! What a new configuration would change, before anything does: two Speakers beside the real one, with the old
//! configuration and the new one, are given the same table in pages; where they differ is the answer.
//!
//! Whatever import, the decision and export are made of, the answer is made by them. It does not foresee what a peer will
//! send or withhold because of the change, nor what was refused on receipt and not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::export::Class;
use super::peer::Up;
use super::snapshot::{Neighbour, Offered, Surroundings, TablePage};
use super::{Phase, Speaker};
use crate::destination::Destination;
use crate::event::{ConnId, Event, LocalRoute, PeerName, SpeakerConfig};
use crate::intern::NameId;
use crate::rib::Note;
use crate::view::{NameChanges, NameList, RouteChanges};
use crate::wire::Families;

/// What is made of one name: attributes by peer, as canonical bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// What import accepts.
    imported: BTreeMap<PeerName, Vec<u8>>,
    /// What is advertised.
    exported: BTreeMap<PeerName, Vec<u8>>,
    /// What is selected, and where it was learned.
    selected: Option<(Vec<u8>, Option<PeerName>)>,
}

/// A look ahead, under way.
#[derive(Debug)]
pub struct Preview {
    before: Speaker,
    after: Speaker,
    /// The names of aggregates as they are offered now, and as they will be. Every page is looked at beside them, they
    /// themselves after the last one: they stand on members from any page.
    aggregates: [Vec<Offered>; 2],
    /// Services and prefixes that come, change or go with the new configuration, save for those already seen in a page.
    local: BTreeMap<Destination, Option<LocalRoute>>,
    /// Our ends of tunnels by the new configuration, save for those already seen in a page.
    tunnels: BTreeSet<Destination>,
    changes: RouteChanges,
}

impl Preview {
    /// Compares `old`, which is in force, with `new`. `local` are the services and prefixes that differ: `None` for one that
    /// goes.
    #[must_use]
    pub fn new(
        old: SpeakerConfig,
        new: SpeakerConfig,
        around: &Surroundings,
        local: BTreeMap<Destination, Option<LocalRoute>>,
        now: Instant,
    ) -> Self {
        let mut after = Speaker::beside(new, around, now);
        for (destination, local) in &local {
            // What is our own is known from the first page on: it concerns what others offer within it.
            match (destination.prefix(), local) {
                (Some(prefix), Some(_)) => drop(after.own_prefixes.add(prefix)),
                (Some(prefix), None) => drop(after.own_prefixes.remove(prefix)),
                (None, _) => {}
            }
        }
        let mut local = local;
        let aggregates = [around.aggregates.clone(), renewed(&around.aggregates, &mut local)];
        let own = after.peers.iter().filter_map(|peer| peer.own_tunnel());
        let tunnels = own.flat_map(|own| own.addresses.iter().map(|address| (*address).into()));
        Self {
            before: Speaker::beside(old, around, now),
            tunnels: tunnels.collect(),
            after,
            aggregates,
            local,
            changes: RouteChanges::default(),
        }
    }

    /// Takes a page of the table in.
    pub fn page(&mut self, page: &TablePage, now: Instant) {
        let is_aggregate = |offered: &&Offered| {
            let aggregates = self.aggregates[0].iter();
            aggregates
                .map(|known| &known.destination)
                .any(|known| *known == offered.destination)
        };
        let old: Vec<Offered> = page
            .names
            .iter()
            .filter(|offered| !is_aggregate(offered))
            .cloned()
            .collect();
        for offered in &old {
            self.tunnels.remove(&offered.destination);
        }
        let new = renewed(&old, &mut self.local);
        self.compare(&old, &new, now);
    }

    /// What differs, after the last page.
    #[must_use]
    pub fn finish(mut self, now: Instant) -> RouteChanges {
        let come: BTreeSet<Destination> = self.local.keys().chain(&self.tunnels).cloned().collect();
        let come: Vec<Offered> = come.into_iter().map(Offered::by_nobody).collect();
        let new = renewed(&come, &mut self.local);
        self.compare(&come, &new, now);
        let [old, new] = std::mem::take(&mut self.aggregates);
        self.compare(&old, &new, now);
        let of_peers = self.changes.peers.values_mut();
        let all = of_peers.flat_map(|(imported, exported)| [imported, exported]);
        for changes in all.chain([&mut self.changes.selected]) {
            let lists = [&mut changes.gained, &mut changes.lost, &mut changes.changed];
            lists.into_iter().for_each(NameList::sort);
        }
        self.changes
    }

    fn compare(&mut self, old: &[Offered], new: &[Offered], now: Instant) {
        let mut before = self.before.work_out(old, &self.aggregates[0], now);
        let mut after = self.after.work_out(new, &self.aggregates[1], now);
        let all: BTreeSet<&Destination> = old.iter().chain(new).map(|offered| &offered.destination).collect();
        for destination in all {
            let (before, after) = (before.remove(destination), after.remove(destination));
            self.note(
                &destination.to_string(),
                &before.unwrap_or_default(),
                &after.unwrap_or_default(),
            );
        }
    }

    fn note(&mut self, name: &str, before: &Outcome, after: &Outcome) {
        if before == after {
            return;
        }
        let changes = &mut self.changes;
        changes
            .selected
            .note(name, before.selected.as_ref(), after.selected.as_ref());
        let peers: BTreeSet<&PeerName> = [&before.imported, &before.exported, &after.imported, &after.exported]
            .into_iter()
            .flat_map(BTreeMap::keys)
            .collect();
        for peer in peers {
            let (imported, exported) = changes.peers.entry(peer.clone()).or_default();
            imported.note(name, before.imported.get(peer), after.imported.get(peer));
            exported.note(name, before.exported.get(peer), after.exported.get(peer));
        }
        changes
            .peers
            .retain(|_, (imported, exported)| !imported.is_empty() || !exported.is_empty());
    }
}

/// The same with what this node will offer of it, which is taken out of `local`.
fn renewed(offered: &[Offered], local: &mut BTreeMap<Destination, Option<LocalRoute>>) -> Vec<Offered> {
    let renew = |offered: &Offered| Offered {
        local: local
            .remove(&offered.destination)
            .unwrap_or_else(|| offered.local.clone()),
        ..offered.clone()
    };
    offered.iter().map(renew).collect()
}

impl NameChanges {
    fn note<T: PartialEq>(&mut self, name: &str, before: Option<&T>, after: Option<&T>) {
        match (before, after) {
            (None, Some(_)) => self.gained.add(name),
            (Some(_), None) => self.lost.add(name),
            (Some(before), Some(after)) if before != after => self.changed.add(name),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

impl Speaker {
    /// A Speaker of this configuration with every session up, as far as routes can tell, and no data plane.
    fn beside(config: SpeakerConfig, around: &Surroundings, now: Instant) -> Self {
        let dynamic = around.neighbours.iter().filter(|known| known.config.dynamic.is_some());
        let dynamic = dynamic.filter_map(|known| config.dynamic_again(&known.config));
        let peers = config.peers.iter().cloned().chain(dynamic).collect();
        let config = SpeakerConfig {
            planes: Vec::new(),
            drain: Duration::ZERO,
            peers,
            ..config
        };
        let mut it = Self::new(config, now);
        it.phase = Phase::Settled;
        it.unusable.clone_from(&around.unusable);
        it.tunnels.set_up(&around.tunnels_up);
        it.closed.clone_from(&around.closed);
        it.note_usability();
        for prefix in &around.prefixes {
            it.own_prefixes.add(*prefix);
        }
        for (conn, index) in (0..).zip(it.peers.places()) {
            let name = &it.peers[index].config.name;
            let known = around.neighbours.iter().find(|known| known.config.name == *name);
            it.pretend_up(index, ConnId(conn), known, now);
        }
        it
    }

    fn pretend_up(&mut self, index: usize, conn: ConnId, known: Option<&Neighbour>, now: Instant) {
        let peer = &mut self.peers[index];
        if let Some(known) = known.filter(|known| known.router_id.asn == peer.config.asn) {
            peer.router_id = known.router_id.clone();
        }
        if peer.config.tunnel.is_some() {
            self.join_import_class(index);
        }
        let peer = &mut self.peers[index];
        let local = known.and_then(|known| known.local);
        let class = self.exports.join(Class::of_session(peer, local), &mut self.rib.attrs);
        let families = known.map_or(peer.config.families, |known| {
            known.families.common(peer.config.families)
        });
        peer.up = Some(Up {
            sent_end_of_rib: true,
            awaits_end_of_rib: Families::NONE,
            ..Up::new(conn, class, families, None, now)
        });
    }

    /// What this Speaker makes of these names and prefixes in a table of them, of what is `beside` them, and of the members
    /// that aggregates had before. The table is empty again afterwards.
    fn work_out(&mut self, offered: &[Offered], beside: &[Offered], now: Instant) -> BTreeMap<Destination, Outcome> {
        let mut names: Vec<NameId> = offered.iter().map(|offered| self.take_offered(offered, now)).collect();
        let beside: Vec<NameId> = beside.iter().map(|offered| self.take_offered(offered, now)).collect();
        self.select_dirty(now);
        let outcome = names
            .iter()
            .map(|name| (self.rib.names.destination(*name), self.outcome(*name)));
        let outcomes = outcome.collect();
        let aggregates = self.aggregates.clone();
        names.extend(beside);
        for name in names {
            self.services.remove(&name);
            let peers: Vec<_> = self.rib.paths_of(name).map(|(_, path)| path.peer).collect();
            for peer in peers {
                self.rib.remove(name, peer);
            }
        }
        self.select_dirty(now);
        // Their members stay counted: pages come one by one, and an aggregate stands for all of them.
        self.aggregates = aggregates;
        for index in self.peers.places() {
            self.forget_import(index);
            self.peers[index].out.clear(&mut self.rib);
        }
        self.rib.sweep();
        self.effects.clear();
        outcomes
    }

    fn take_offered(&mut self, offered: &Offered, now: Instant) -> NameId {
        match &offered.local {
            Some(LocalRoute::Service(service)) => self.handle(Event::ServiceAdd(service.clone()), now),
            // What is our own is known already, of prefixes in other pages too.
            Some(LocalRoute::Prefix(prefix)) => self.originate(prefix, now),
            None => {}
        }
        let names = &mut self.rib.names;
        let name = offered.destination.with_key(|key| names.intern(key));
        for (peer, raw) in &offered.paths {
            if let Some(index) = self.peers.find(peer) {
                self.hear(index, name, raw);
            }
        }
        name
    }

    fn outcome(&mut self, name: NameId) -> Outcome {
        let mut outcome = Outcome::default();
        for (_, path) in self.rib.paths_of(name) {
            if let Some(peer) = self.peer(path.peer).filter(|_| path.note == Note::Accepted) {
                outcome
                    .imported
                    .insert(peer.config.name.clone(), self.rib.attrs.raw(path.attr).to_vec());
            }
        }
        let entry = self.rib.names.get(name);
        if entry.loc_attr != 0 {
            let learned_from = self.peer(entry.loc_source).map(|peer| peer.config.name.clone());
            outcome.selected = Some((self.rib.attrs.raw(entry.loc_attr).to_vec(), learned_from));
        }
        for index in self.peers.places() {
            let attr = self.export(index, name);
            if attr != 0 {
                let peer = self.peers[index].config.name.clone();
                outcome.exported.insert(peer, self.rib.attrs.raw(attr).to_vec());
            }
        }
        outcome
    }
}
