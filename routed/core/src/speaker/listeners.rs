//! Peer listeners of data planes that are closed: who would come in there is told of no names, which nobody would answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Speaker;
use super::peer::Peer;
use crate::wire::{Families, Family};

/// The outside organisations whose listener a data plane cannot open, with its words, by data plane. What no data plane
/// has spoken of is open.
#[derive(Debug, Clone, Default)]
pub(super) struct Closed(BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<str>>>);

impl Closed {
    /// The data plane, and its words, for the organisation of an outside peer.
    pub(super) fn to(&self, peer: &Peer) -> Option<(&Arc<str>, &Arc<str>)> {
        if self.0.is_empty() || !peer.outside {
            return None;
        }
        let organisation = &peer.config.organisation;
        self.0
            .iter()
            .find_map(|(plane, closed)| Some((plane, closed.get(organisation)?)))
    }

    /// What of these families a peer may be told.
    pub(super) fn pass(&self, families: Families, peer: &Peer) -> Families {
        match self.to(peer) {
            Some(_) => families.without(Families::from_iter([Family::Name])),
            None => families,
        }
    }

    /// Takes in the word of a data plane; gives the organisations that are closed out, or let in again.
    fn set(&mut self, plane: Arc<str>, now: BTreeMap<Arc<str>, Arc<str>>) -> BTreeSet<Arc<str>> {
        let before = if now.is_empty() {
            self.0.remove(&plane)
        } else {
            self.0.insert(plane, now.clone())
        };
        let before: BTreeSet<_> = before.into_iter().flat_map(BTreeMap::into_keys).collect();
        let now: BTreeSet<_> = now.into_keys().collect();
        before.symmetric_difference(&now).cloned().collect()
    }
}

impl Speaker {
    /// A data plane says which peer listeners it cannot open; all others are open.
    pub(super) fn on_listeners(&mut self, plane: Arc<str>, closed: Vec<(Arc<str>, Arc<str>)>) {
        if !self.config.planes.iter().any(|config| config.name == plane) {
            return;
        }
        let moved = self.closed.set(plane, closed.into_iter().collect());
        if moved.is_empty() {
            return;
        }
        for index in self.peers.places() {
            let peer = &self.peers[index];
            if peer.outside && moved.contains(&peer.config.organisation) {
                self.mark_whole_table(index);
            }
        }
    }
}
