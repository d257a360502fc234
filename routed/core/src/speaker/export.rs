//! Export: what of loc_rib a peer may see, and in which words. Computed once per attribute set and class of peers; where
//! the export policy reads the name, once per list of statements that apply.

use std::sync::Arc;

use super::Speaker;
use super::by_key::Place;
use super::peer::Peer;
use super::rewrite::{Words, fits, rewrite};
use crate::attrs::{Attrs, Tunnel};
use crate::event::{PeerName, SpeakerConfig};
use crate::intern::{AttrId, AttrTable, Cached, NameId, NameTable, Signs};
use crate::policy::{Action, Given, Key, Role, Rule};
use crate::rib::{LOCAL, PeerId};

/// Peers to which the same is exported (an update group).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// In which words; `None`: the question is only whether the policy accepts.
    words: Option<Words>,
    rule: Rule,
    /// Whether the policy falls back on rejecting.
    outside: bool,
    role: Option<Role>,
    /// Where the policy reads it.
    peer: Option<PeerName>,
    /// Of a class of sessions: what they are told of our end of the tunnel.
    tunnel: Option<Arc<Tunnel>>,
}

impl Class {
    fn of(peer: &Peer, words: Option<Words>) -> Self {
        let told = peer.own_tunnel().filter(|_| words.is_some());
        Self {
            tunnel: told.cloned(),
            words,
            rule: peer.export.clone(),
            outside: peer.outside,
            role: peer.role(),
            peer: peer.export.reads().peer.then(|| peer.policy_name().clone()),
        }
    }

    /// The words, of a class of sessions.
    pub(super) fn words(&self) -> Option<&Words> {
        self.words.as_ref()
    }

    /// The class of an Established session.
    pub(super) fn of_session(peer: &Peer, local: Option<std::net::SocketAddr>) -> Self {
        Self::of(peer, Some(words(peer, local)))
    }
}

/// How routes are worded for a peer; `local` is our address on its session.
pub(super) fn words(peer: &Peer, local: Option<std::net::SocketAddr>) -> Words {
    let mut next_hop = peer.config.next_hop;
    if let (true, Some(local)) = (next_hop.ip().is_unspecified(), local) {
        next_hop.set_ip(local.ip().to_canonical());
    }
    Words {
        internal: peer.internal,
        outside: peer.outside,
        next_hop_self: peer.config.next_hop_self || peer.outside,
        next_hop,
        role: peer.role(),
    }
}

/// Lists of organisations that routes share.
#[derive(Debug, Default)]
pub(super) struct Organisations(Vec<Arc<[Arc<str>]>>);

/// So many lists of organisations are kept for sharing.
const SHARED_LISTS: usize = 64;

impl Organisations {
    fn share(&mut self, organisations: Vec<Arc<str>>) -> Arc<[Arc<str>]> {
        if let Some(known) = self.0.iter().find(|known| ***known == *organisations) {
            return known.clone();
        }
        let list: Arc<[Arc<str>]> = organisations.into();
        if self.0.len() == SHARED_LISTS {
            self.0.remove(0);
        }
        self.0.push(list.clone());
        list
    }
}

/// Why a peer may not see a route, whatever an export policy says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Withheld {
    /// It came from this very peer.
    Own,
    /// Nothing is exported to the peer.
    Everything,
    /// The peer's AS is in AS_PATH.
    AsLoop,
    /// It came from the same organisation.
    SameOrganisation,
    /// RFC 4456 section 6: between two peers of our AS of which none is a client, or we are no reflector.
    NotReflected,
    /// NO_ADVERTISE.
    NoAdvertise,
    /// NO_EXPORT, and the peer is outside our AS.
    NoExport,
    /// RFC 9234 section 5, egress rule 2.
    OnlyToCustomer,
    /// TUNNEL is of use to nobody but who it was said to.
    Tunnel,
}

/// Notes of cached exports.
const ACCEPTED: u8 = 0;
const TOO_LONG: u8 = 2;
const REJECTED: Cached = Cached { attr: 0, note: 1 };

impl Speaker {
    /// Works out anew what a peer is to be told.
    pub(super) fn reexport(&mut self, index: usize) {
        self.join_session_class(index);
        self.mark_tunnel(index);
        self.mark_whole_table(index);
    }

    /// Has an Established session belong to the class that the configuration of its peer makes it one of.
    pub(super) fn join_session_class(&mut self, index: usize) {
        let peer = &self.peers[index];
        let Some(up) = &peer.up else {
            return;
        };
        let (before, local) = (up.class, self.conns.get(&up.conn).map(|conn| conn.local));
        let class = self.exports.join(Class::of_session(peer, local), &mut self.rib.attrs);
        self.exports.leave(before);
        if let Some(up) = &mut self.peers[index].up {
            up.class = class;
        }
    }

    /// Has an outside peer belong to the class that says what its organisation may reach, session up or not.
    pub(super) fn join_opening_class(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let asks = peer.outside && matches!(peer.export, Rule::Policy(_));
        let class = match asks {
            true => self.exports.join(Class::of(peer, None), &mut self.rib.attrs),
            false => 0,
        };
        let before = std::mem::replace(&mut peer.opening_class, class);
        if before != 0 {
            self.exports.leave(before);
        }
    }

    /// Our end of a tunnel in the words of a class.
    pub(super) fn word_tunnel(&mut self, class: u16, attr: AttrId) -> AttrId {
        let words = self.exports.get(class).words.as_ref();
        let result = reword(attr, words, None, &self.config, std::iter::empty(), &mut self.rib.attrs);
        self.rib.attrs.remember(attr, class, LOCAL, result);
        result.attr
    }

    /// The words depend on the source only where it becomes the ORIGINATOR.
    pub(super) fn origin(&self, source: PeerId) -> PeerId {
        match self.peer(source) {
            None => LOCAL,
            Some(peer) if peer.internal => source,
            Some(_) => PeerId::MAX,
        }
    }

    /// What comes of a route for the class of a place, of which the peer is one.
    #[inline]
    pub(super) fn exported(&mut self, index: usize, place: Place, source: PeerId, name: NameId) -> Cached {
        match &self.peers[index].export {
            Rule::Policy(policy) if policy.program().reads.key => self.exported_by_name(index, place, source, name),
            Rule::All | Rule::Nothing | Rule::Policy(_) => {
                let Place { class, origin, attr } = place;
                match self.rib.attrs.cached(attr, class, origin) {
                    Some(cached) => cached,
                    None => self.export_and_remember(index, place, source),
                }
            }
        }
    }

    fn exported_by_name(&mut self, index: usize, place: Place, source: PeerId, name: NameId) -> Cached {
        let Self {
            by_key,
            rib,
            peers,
            exports,
            config,
            ..
        } = self;
        let peer = &peers[index];
        let Rule::Policy(policy) = &peer.export else {
            return REJECTED;
        };
        let facing = (&**peer.policy_name(), peer.role());
        let entry = by_key.entry(place, policy, &rib.attrs, facing);
        if !entry.accepts(key_of(&rib.names, name), !peer.outside) {
            return REJECTED;
        }
        if let Some(known) = entry.known(&rib.attrs) {
            return known;
        }
        let words = exports.get(place.class).words.as_ref();
        let result = reword(
            place.attr,
            words,
            peers.get(source),
            config,
            entry.changes(),
            &mut rib.attrs,
        );
        entry.remember(result, &rib.attrs);
        result
    }

    fn export_and_remember(&mut self, index: usize, place: Place, source: PeerId) -> Cached {
        let Self {
            rib,
            peers,
            exports,
            config,
            ..
        } = self;
        let Place { class, origin, attr } = place;
        let peer = &peers[index];
        let mut applied = Vec::new();
        let accepts = match &peer.export {
            Rule::All => true,
            Rule::Nothing => false,
            Rule::Policy(policy) => {
                let attrs = rib.attrs.decode(attr);
                let given = Given {
                    attrs: &attrs,
                    table: rib.attrs.hot(attr).table,
                    peer: peer.policy_name(),
                    role: peer.role(),
                };
                let decision = policy.program().decide_for_all(&given, &mut applied);
                decision.map_or(!peer.outside, |decision| decision.accept)
            }
        };
        let result = if accepts {
            let words = exports.get(class).words.as_ref();
            let changes = peer
                .export
                .policy()
                .into_iter()
                .flat_map(|policy| policy.changes(&applied));
            reword(attr, words, peers.get(source), config, changes, &mut rib.attrs)
        } else {
            REJECTED
        };
        rib.attrs.remember(attr, class, origin, result);
        result
    }

    /// What keeps a route from a peer before any policy is asked: split horizon, loops, reflection, the communities and
    /// marks that forbid it.
    pub(super) fn withheld(&self, index: usize, attr: AttrId, source: PeerId) -> Option<Withheld> {
        let to = &self.peers[index];
        if to.never_gets(source) {
            return Some(if to.id == source {
                Withheld::Own
            } else {
                Withheld::Everything
            });
        }
        let hot = self.rib.attrs.hot(attr);
        if !to.internal && self.rib.attrs.passed(attr, to.config.asn) {
            return Some(Withheld::AsLoop);
        }
        if hot.signs.bar_any()
            && let Some(bar) = barred(to, hot.signs)
        {
            return Some(bar);
        }
        let from = self.peer(source)?;
        if from.outside && to.outside && from.config.organisation == to.config.organisation {
            return Some(Withheld::SameOrganisation);
        }
        let reflects = self.config.reflector && (from.config.client || to.config.client);
        (from.internal && to.internal && !reflects).then_some(Withheld::NotReflected)
    }

    /// Whether the listener of an outside peer's organisation may not know a name yet: what the peer was not told before
    /// waits for the data planes, whatever has changed.
    pub(super) fn is_unopened(&self, index: usize, name: NameId) -> bool {
        if self.planes.waiting.is_empty() {
            return false;
        }
        let peer = &self.peers[index];
        peer.outside && peer.out.advertised_attr(name) == 0 && self.planes.waiting.contains(name)
    }

    /// The outside organisations that a route would be exported to, session up or not.
    pub(super) fn exported_to(&mut self, name: NameId, attr: AttrId, source: PeerId) -> Arc<[Arc<str>]> {
        let mut organisations: Vec<Arc<str>> = Vec::new();
        for nth in 0..self.peers.len() {
            let index = self.peers.nth(nth);
            if self.opens(index, name, attr, source) {
                organisations.push(self.peers[index].config.organisation.clone());
            }
        }
        organisations.sort_unstable();
        organisations.dedup();
        self.organisations.share(organisations)
    }

    fn opens(&mut self, index: usize, name: NameId, attr: AttrId, source: PeerId) -> bool {
        let peer = &self.peers[index];
        if !peer.outside || self.withheld(index, attr, source).is_some() {
            return false;
        }
        let class = peer.opening_class;
        let place = Place {
            class,
            origin: LOCAL,
            attr,
        };
        class == 0 || self.exported(index, place, LOCAL, name).note == ACCEPTED
    }
}

/// A destination as policies see it.
pub(super) fn key_of(names: &NameTable, id: NameId) -> Key<'_> {
    match names.prefix(id) {
        Some(prefix) => Key::Prefix(prefix),
        None => Key::Name(names.text(id)),
    }
}

/// RFC 1997 and RFC 9234 section 5, egress rule 2.
fn barred(to: &Peer, signs: Signs) -> Option<Withheld> {
    if signs.has(Signs::TUNNEL) {
        return Some(Withheld::Tunnel);
    }
    if signs.has(Signs::ADVERTISE) {
        return Some(Withheld::NoAdvertise);
    }
    if signs.has(Signs::EXPORT) && !to.internal {
        return Some(Withheld::NoExport);
    }
    let upwards = matches!(to.role(), Some(Role::Customer | Role::Peer | Role::RouteServerClient));
    (signs.has(Signs::CUSTOMERS) && upwards).then_some(Withheld::OnlyToCustomer)
}

/// Writes an accepted route anew.
fn reword<'a>(
    attr: AttrId,
    words: Option<&Words>,
    from: Option<&Peer>,
    config: &SpeakerConfig,
    changes: impl Iterator<Item = &'a Action>,
    table: &mut AttrTable,
) -> Cached {
    let Some(words) = words else {
        return Cached {
            attr: 0,
            note: ACCEPTED,
        };
    };
    let mut attrs = Attrs::clone(&table.decode(attr));
    rewrite(&mut attrs, words, from, config, changes);
    let set = table.intern(&attrs);
    // What no receiver would take is not sent (docs/protocol.md, limits).
    if fits(&attrs, table.raw(set).len()) {
        Cached {
            attr: set,
            note: ACCEPTED,
        }
    } else {
        Cached {
            attr: 0,
            note: TOO_LONG,
        }
    }
}
