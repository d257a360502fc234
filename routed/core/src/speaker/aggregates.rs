//! Aggregates: a wildcard that stands for its members towards other organisations (DESIGN.md; compare RFC 4271 section
//! 9.2.2.2). It is born here, so its path is our own; it exists while a member is acknowledged. Only export knows of it:
//! here its name is a discard where nobody offers it, and what another organisation offers of that name is used here and
//! not passed on.

use super::Speaker;
use super::services::{HEALTHY, local_attrs};
use crate::attrs::{Protocol, ServiceAttr};
use crate::event::{Aggregate, Members, SpeakerConfig};
use crate::intern::{AttrId, AttrTable, NameId};
use crate::policy::Rule;
use crate::rib::{PeerId, Rib};
use crate::route::Table;
use crate::wire::Family;

/// The source of aggregates: no peer.
pub(super) const AGGREGATE: PeerId = PeerId::MAX - 1;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    config: Aggregate,
    name: NameId,
    /// Held.
    attr: AttrId,
    /// Acknowledged members.
    members: u64,
}

impl Entry {
    fn stands(&self) -> bool {
        self.members > 0 || self.config.always
    }

    /// Whether a route to a name is one that this stands for.
    fn takes(&self, name: &str, attr: AttrId, attrs: &AttrTable) -> bool {
        if attr == 0 || name == self.config.name.as_str() || !self.config.name.covers(name) {
            return false;
        }
        let hot = attrs.hot(attr);
        let protocol = matches!(hot.protocol, Some(Protocol::Http | Protocol::HttpGrpc));
        protocol && (self.config.members == Members::Any || hot.table == Table::Internal)
    }

    fn goes_to(&self, peer: &str) -> bool {
        self.config
            .to
            .as_ref()
            .is_none_or(|to| to.iter().any(|name| &**name == peer))
    }
}

/// The aggregates of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Aggregates {
    entries: Vec<Entry>,
}

impl Aggregates {
    /// Whether there are none, which costs nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names and attribute sets that are held.
    pub(super) fn held(&self) -> impl Iterator<Item = (NameId, AttrId)> + '_ {
        self.entries.iter().map(|entry| (entry.name, entry.attr))
    }

    /// Its attribute set and how many members it has, of one that stands.
    pub(super) fn standing(&self, name: NameId) -> Option<(AttrId, u64)> {
        let entry = self.entries.iter().find(|entry| entry.name == name && entry.stands())?;
        Some((entry.attr, entry.members))
    }

    fn count_all(&mut self, rib: &Rib) {
        for name in rib.names.ids() {
            let attr = rib.names.get(name).loc_attr;
            if attr != 0 {
                self.count(name, 0, attr, rib);
            }
        }
    }

    /// Counts a member that comes or goes; gives the aggregates that begin or cease to stand.
    fn count(&mut self, name: NameId, before: AttrId, after: AttrId, rib: &Rib) -> Vec<NameId> {
        if rib.names.prefix(name).is_some() {
            return Vec::new();
        }
        let text = rib.names.text(name);
        let mut moved = Vec::new();
        for entry in &mut self.entries {
            let stood = entry.stands();
            entry.members -= u64::from(entry.takes(text, before, &rib.attrs));
            entry.members += u64::from(entry.takes(text, after, &rib.attrs));
            if entry.stands() != stood {
                moved.push(entry.name);
            }
        }
        moved
    }
}

impl Speaker {
    /// Puts the aggregates of the configuration in force, in place of those before. What peers are told is left as it is.
    pub(super) fn set_aggregates(&mut self) {
        let rib = &mut self.rib;
        let entries = self.config.aggregates.iter();
        let entries = entries.map(|config| new_entry(config, &self.config, rib)).collect();
        let mut aggregates = Aggregates { entries };
        aggregates.count_all(rib);
        let before = std::mem::replace(&mut self.aggregates, aggregates);
        for (name, attr) in before.held() {
            // Peers that were told of it are told that it is gone.
            self.mark_outside(name);
            self.rib.names.release(name);
            self.rib.attrs.release(attr);
        }
    }

    /// What [`Aggregates`] should be, counted anew.
    pub(super) fn aggregates_anew(&self) -> Aggregates {
        let mut aggregates = self.aggregates.clone();
        for entry in &mut aggregates.entries {
            entry.members = 0;
        }
        aggregates.count_all(&self.rib);
        aggregates
    }

    /// loc_rib has moved for a name: members are counted, and what that changes for peers is marked.
    pub(super) fn count_member(&mut self, name: NameId, before: AttrId, after: AttrId) {
        for moved in self.aggregates.count(name, before, after, &self.rib) {
            // With its only member, which is marked as it is: no other has to be looked at.
            self.mark_outside(moved);
        }
        if self.aggregates.standing(name).is_none() {
            return;
        }
        // The aggregate may be for those that what has come is not for, the peer that it came from for one.
        self.mark_outside(name);
        let is_ours = |attr: AttrId| attr != 0 && self.rib.attrs.hot(attr).table == Table::Internal;
        if is_ours(before) != is_ours(after) {
            self.mark_members(name);
        }
    }

    /// Our organisation really offers the name of an aggregate, or no longer: members are told again, or no more.
    fn mark_members(&mut self, aggregate: NameId) {
        let Some(entry) = self.aggregates.entries.iter().find(|entry| entry.name == aggregate) else {
            return;
        };
        let rib = &self.rib;
        let is_name = |name: &NameId| rib.names.is_live(*name) && rib.names.prefix(*name).is_none();
        let names = rib.names.ids().filter(is_name);
        let takes = |name: &NameId| entry.takes(rib.names.text(*name), rib.names.get(*name).loc_attr, &rib.attrs);
        let members: Vec<NameId> = names.filter(takes).collect();
        for name in members {
            self.mark_outside(name);
        }
    }

    fn mark_outside(&mut self, name: NameId) {
        let family = self.rib.names.family(name);
        for peer in self.peers.iter_mut() {
            let told = !peer.out.is_blank(name) || peer.export != Rule::Nothing;
            if peer.outside && told && peer.takes(family) {
                peer.out.mark(name, &mut self.rib.names);
            }
        }
    }

    /// Has a peer told of every aggregate that it may see.
    pub(super) fn mark_aggregates(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        for (name, _) in self.aggregates.held() {
            if peer.outside && peer.takes(Family::Name) {
                peer.out.mark(name, &mut self.rib.names);
            }
        }
    }

    /// What may be exported of a name to a peer, and where it comes from: the acknowledged part of loc_rib, or an
    /// aggregate in its place.
    pub(super) fn offered_to(&self, index: usize, name: NameId) -> (AttrId, PeerId) {
        let entry = self.rib.names.get(name);
        let loc = (entry.loc_attr, entry.loc_source);
        if self.aggregates.is_empty() || !self.peers[index].outside {
            return loc;
        }
        let peer = &self.peers[index].config.name;
        let here = |entry: &&Entry| entry.name == name && entry.stands() && entry.goes_to(peer);
        match self.aggregates.entries.iter().find(here) {
            Some(entry) if loc.0 == 0 || self.rib.attrs.hot(loc.0).table == Table::External => (entry.attr, AGGREGATE),
            Some(_) | None => loc,
        }
    }

    /// Whether a peer is told of an aggregate in place of a name.
    pub(super) fn is_replaced(&mut self, index: usize, name: NameId) -> bool {
        if self.aggregates.is_empty() || !self.peers[index].outside {
            return false;
        }
        let replacing = self.replacing(index, name);
        replacing
            .into_iter()
            .any(|aggregate| self.export(index, aggregate) != 0)
    }

    /// The aggregates that stand for a name towards a peer, if it is told of them. None stands for another aggregate, also
    /// where somebody offers the name of that one.
    pub(super) fn replacing(&self, index: usize, name: NameId) -> Vec<NameId> {
        let peer = &self.peers[index];
        if !peer.outside || self.rib.names.prefix(name).is_some() || self.offered_to(index, name).1 == AGGREGATE {
            return Vec::new();
        }
        let (text, attr) = (self.rib.names.text(name), self.rib.names.get(name).loc_attr);
        let replaces = |entry: &&Entry| entry.config.suppress && entry.takes(text, attr, &self.rib.attrs);
        let entries = self.aggregates.entries.iter().filter(replaces).map(|entry| entry.name);
        entries
            .filter(|aggregate| self.offered_to(index, *aggregate).1 == AGGREGATE)
            .collect()
    }
}

fn new_entry(config: &Aggregate, speaker: &SpeakerConfig, rib: &mut Rib) -> Entry {
    let service = ServiceAttr {
        // Between Envoys everything is HTTP/2, gRPC too.
        protocol: Protocol::Http,
        path: None,
        weight: 1,
        health: HEALTHY,
    };
    let (standard, large) = (&config.communities, &config.large_communities);
    let attrs = local_attrs(&speaker.identity, Some(service), config.med, standard, large);
    let attr = rib.attrs.intern(&attrs);
    let name = rib.names.intern(config.name.as_str().as_bytes());
    rib.attrs.retain(attr);
    rib.names.retain(name);
    Entry {
        config: config.clone(),
        name,
        attr,
        members: 0,
    }
}
