//! Prefixes of this node.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Speaker;
use super::services::local_attrs;
use crate::destination::PrefixKey;
use crate::event::LocalPrefix;
use crate::intern::{AttrId, NameId};
use crate::prefix::{Prefix, PrefixSet};
use crate::rib::{LOCAL, Learned, Note, PeerId};

/// The prefixes that this node originates.
#[derive(Debug, Default)]
pub(super) struct OwnPrefixes {
    all: BTreeSet<Prefix>,
    cover: PrefixSet,
}

impl OwnPrefixes {
    pub(super) fn iter(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.all.iter().copied()
    }

    /// Whether a prefix is one of them or within one.
    pub(super) fn covers(&self, prefix: Prefix) -> bool {
        self.cover.covers(prefix)
    }

    pub(super) fn add(&mut self, prefix: Prefix) -> bool {
        self.cover.insert(prefix);
        self.all.insert(prefix)
    }

    pub(super) fn remove(&mut self, prefix: Prefix) -> bool {
        let was_there = self.all.remove(&prefix);
        if was_there {
            self.cover = self.all.iter().copied().collect();
        }
        was_there
    }
}

/// A path from outside that an own prefix concerns.
struct Concerned {
    name: NameId,
    peer: PeerId,
    attr_in: AttrId,
    since: u32,
}

impl Speaker {
    pub(super) fn on_prefix_add(&mut self, local: &LocalPrefix, now: Instant) {
        self.originate(local, now);
        if self.own_prefixes.add(local.prefix) {
            self.judge_again_within(local.prefix);
        }
    }

    pub(super) fn originate(&mut self, local: &LocalPrefix, now: Instant) {
        let (standard, large) = (&local.communities, &local.large_communities);
        let attrs = local_attrs(&self.config.identity, None, local.med, standard, large);
        let attr = self.rib.attrs.intern(&attrs);
        let name = self.rib.names.intern(PrefixKey::new(local.prefix).as_bytes());
        let learned = Learned {
            attr_in: attr,
            attr,
            note: Note::Accepted,
        };
        self.rib.upsert(name, LOCAL, learned, self.tenths(now));
    }

    pub(super) fn on_prefix_remove(&mut self, prefix: Prefix) {
        if let Some(name) = self.rib.names.lookup(PrefixKey::new(prefix).as_bytes()) {
            self.rib.remove(name, LOCAL);
        }
        if self.own_prefixes.remove(prefix) {
            self.judge_again_within(prefix);
        }
    }

    /// What outside peers have offered within a prefix that has become, or ceased to be, our own.
    fn judge_again_within(&mut self, prefix: Prefix) {
        for path in self.concerned_by(prefix) {
            self.reimport_path(usize::from(path.peer) - 1, path.name, path.attr_in, path.since);
        }
    }

    fn concerned_by(&self, prefix: Prefix) -> Vec<Concerned> {
        // Peers that are down may have left routes behind (graceful restart).
        let holds = |id: PeerId| self.rib.peer(id).accepted + self.rib.peer(id).rejected > 0;
        if !self.peers.iter().any(|peer| peer.outside && holds(peer.id)) {
            return Vec::new();
        }
        let outside = self.rib.all_paths().filter(|(_, path)| self.is_outside(path.peer));
        let within = outside.filter(|(_, path)| {
            self.rib
                .names
                .prefix(path.name)
                .is_some_and(|offered| prefix.covers(offered))
        });
        let concerned = within.map(|(_, path)| Concerned {
            name: path.name,
            peer: path.peer,
            attr_in: path.attr_in,
            since: path.since,
        });
        concerned.collect()
    }

    fn is_outside(&self, peer: PeerId) -> bool {
        self.peer(peer).is_some_and(|peer| peer.outside)
    }
}
