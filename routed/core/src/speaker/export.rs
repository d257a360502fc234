//! Export: what of loc_rib a peer may see, and in which words. Computed once per attribute set and class of peers.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Speaker;
use super::peer::Peer;
use crate::attrs::{Attrs, DEFAULT_LOCAL_PREF};
use crate::event::SpeakerConfig;
use crate::intern::{AttrId, AttrTable, Cached, NameId};
use crate::rib::{LOCAL, PeerId};
use crate::wire;

/// Peers to which routes are written in the same words (an update group).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    internal: bool,
    next_hop_self: bool,
    next_hop: SocketAddr,
}

/// A class, and how many sessions are in it. Without any it is kept for those that come back.
#[derive(Debug)]
struct InUse {
    class: Class,
    users: u32,
}

/// The classes in use, and lists of organisations that routes share.
#[derive(Debug, Default)]
pub(super) struct Exports {
    classes: Vec<InUse>,
    organisations: Vec<Arc<[Arc<str>]>>,
}

/// So many classes without sessions are kept; beyond, their places are used again.
const UNUSED_KEPT: usize = 32;
/// So many lists of organisations are kept for sharing.
const SHARED_LISTS: usize = 64;

impl Exports {
    /// Takes an Established peer into its class; never 0.
    pub(super) fn join(&mut self, peer: &Peer, local: Option<SocketAddr>, attrs: &mut AttrTable) -> u16 {
        let mut next_hop = peer.config.next_hop;
        if let (true, Some(local)) = (next_hop.ip().is_unspecified(), local) {
            next_hop.set_ip(local.ip().to_canonical());
        }
        let next_hop_self = peer.config.next_hop_self || peer.outside;
        let class = Class {
            internal: peer.internal,
            next_hop_self,
            next_hop,
        };
        let known = self.classes.iter().position(|known| known.class == class);
        let index = known.unwrap_or_else(|| self.place(class, attrs));
        self.classes[index].users += 1;
        // At most one class per peer and local address; beyond the range of u16 the last one would be shared wrongly,
        // but import classes would have run out long before.
        u16::try_from(index + 1).unwrap_or(u16::MAX)
    }

    fn place(&mut self, class: Class, attrs: &mut AttrTable) -> usize {
        let unused = || self.classes.iter().enumerate().filter(|(_, known)| known.users == 0);
        let old = unused()
            .next()
            .map(|(index, _)| index)
            .filter(|_| unused().count() >= UNUSED_KEPT);
        let new = InUse { class, users: 0 };
        if let Some(index) = old {
            attrs.forget_exports(u16::try_from(index + 1).ok());
            self.classes[index] = new;
            return index;
        }
        self.classes.push(new);
        self.classes.len() - 1
    }

    /// A session has left its class.
    pub(super) fn leave(&mut self, class: u16) {
        self.classes[usize::from(class) - 1].users -= 1;
    }

    fn class(&self, class: u16) -> &Class {
        &self.classes[usize::from(class) - 1].class
    }

    fn share(&mut self, organisations: Vec<Arc<str>>) -> Arc<[Arc<str>]> {
        if let Some(known) = self.organisations.iter().find(|known| ***known == *organisations) {
            return known.clone();
        }
        let list: Arc<[Arc<str>]> = organisations.into();
        if self.organisations.len() == SHARED_LISTS {
            self.organisations.remove(0);
        }
        self.organisations.push(list.clone());
        list
    }
}

impl Speaker {
    /// Works out anew what a peer is to be told.
    pub(super) fn reexport(&mut self, index: usize) {
        let peer = &self.peers[index];
        let Some(up) = &peer.up else {
            return;
        };
        let (before, local) = (up.class, self.conns.get(&up.conn).map(|conn| conn.local));
        let class = self.exports.join(peer, local, &mut self.rib.attrs);
        self.exports.leave(before);
        if let Some(up) = &mut self.peers[index].up {
            up.class = class;
        }
        self.mark_whole_table(index);
    }

    /// The attribute set that a peer is to hold for a name; 0: none.
    pub(super) fn export(&mut self, index: usize, name: NameId) -> AttrId {
        let entry = self.rib.names.get(name);
        let (attr, source) = (entry.loc_attr, entry.loc_source);
        if attr == 0 || !self.planes.gate_open || !self.may_export(index, attr, source) {
            return 0;
        }
        let class = match &self.peers[index].up {
            Some(up) if up.takes(name, &self.rib.names) => up.class,
            Some(_) | None => return 0,
        };
        // The words depend on the source only where it becomes the ORIGINATOR.
        let origin = match self.peer(source) {
            None => LOCAL,
            Some(peer) if peer.internal => source,
            Some(_) => PeerId::MAX,
        };
        match self.rib.attrs.cached(attr, class, origin) {
            Some(cached) => cached.attr,
            None => self.export_and_remember(attr, class, source, origin),
        }
    }

    /// The bytes that [`Speaker::export`] should give for a route that the peer may see, without any cache.
    pub(super) fn rewritten(&self, attr: AttrId, class: u16, source: PeerId) -> Option<Vec<u8>> {
        let mut attrs = Attrs::clone(&self.rib.attrs.decode(attr));
        rewrite(&mut attrs, self.exports.class(class), self.peer(source), &self.config);
        let fits = attrs.as_path.len() <= wire::MAX_HOPS && attrs.cluster_list.len() <= wire::MAX_CLUSTERS;
        Some(wire::encode_attrs(&attrs).to_vec()).filter(|raw| fits && raw.len() <= wire::MAX_ATTRS_BYTES)
    }

    fn export_and_remember(&mut self, attr: AttrId, class: u16, source: PeerId, origin: PeerId) -> AttrId {
        let mut attrs = Attrs::clone(&self.rib.attrs.decode(attr));
        rewrite(&mut attrs, self.exports.class(class), self.peer(source), &self.config);
        let set = self.rib.attrs.intern(&attrs);
        // What no receiver would take is not sent (docs/protocol.md, limits).
        let fits = attrs.as_path.len() <= wire::MAX_HOPS
            && attrs.cluster_list.len() <= wire::MAX_CLUSTERS
            && self.rib.attrs.raw(set).len() <= wire::MAX_ATTRS_BYTES;
        let exported = if fits { set } else { 0 };
        self.rib.attrs.remember(
            attr,
            class,
            origin,
            Cached {
                attr: exported,
                note: 0,
            },
        );
        exported
    }

    /// Split horizon, reflection, AS loops and policy.
    pub(super) fn may_export(&self, index: usize, attr: AttrId, source: PeerId) -> bool {
        let to = &self.peers[index];
        if to.never_gets(source) {
            return false;
        }
        if !to.internal && self.rib.attrs.hot(attr).as_path.contains(&to.config.asn) {
            return false;
        }
        let Some(from) = self.peer(source) else {
            return true;
        };
        if from.outside && to.outside && from.config.organisation == to.config.organisation {
            return false;
        }
        !(from.internal && to.internal) || self.config.reflector && (from.config.client || to.config.client)
    }

    /// The outside organisations that a route would be exported to, session up or not.
    pub(super) fn exported_to(&mut self, attr: AttrId, source: PeerId) -> Arc<[Arc<str>]> {
        let to = |index: &usize| {
            let peer = &self.peers[*index];
            peer.outside && self.may_export(*index, attr, source)
        };
        let organisation = |index: usize| self.peers[index].config.organisation.clone();
        let mut organisations: Vec<Arc<str>> = self.peers.places().into_iter().filter(to).map(organisation).collect();
        organisations.sort_unstable();
        organisations.dedup();
        self.exports.share(organisations)
    }
}

fn rewrite(attrs: &mut Attrs, class: &Class, from: Option<&Peer>, config: &SpeakerConfig) {
    if from.is_none() || class.next_hop_self {
        attrs.next_hop = class.next_hop;
    }
    if class.internal {
        attrs.local_pref.get_or_insert(DEFAULT_LOCAL_PREF);
        if let Some(from) = from.filter(|peer| peer.internal) {
            reflect(attrs, from, config);
        }
        return;
    }
    attrs.as_path.insert(0, config.identity.router_id.asn);
    attrs.local_pref = None;
    attrs.originator = None;
    attrs.cluster_list.clear();
    if from.is_some() {
        // RFC 4271 section 5.1.4: MED of one neighbour is not passed on to another.
        attrs.med = None;
    }
}

/// RFC 4456 section 8.
fn reflect(attrs: &mut Attrs, from: &Peer, config: &SpeakerConfig) {
    attrs.originator.get_or_insert_with(|| from.router_id.clone());
    attrs.cluster_list.insert(0, config.cluster.clone());
}
