//! The peers, each in a place that stays its own as long as anything refers to it.

use std::net::IpAddr;
use std::ops::{Index, IndexMut};

use super::peer::Peer;
use crate::rib::PeerId;

/// The highest id: the bit above it marks import classes in the attribute table.
const MAX_ID: PeerId = 0x7fff;
/// So many removed peers may wait before it is looked which of their places are free.
const RETIRED_KEPT: usize = 16;

/// A slab of peers. The place of id n is n - 1.
///
/// A removed peer is *retired* first: for a moment names may still be advertised, or drain, as learned from it, and how
/// they are treated goes by what it was. Its place is free once nothing says so any longer.
#[derive(Debug, Default)]
pub(super) struct Peers {
    places: Vec<Option<Peer>>,
    /// The places of the peers in order of name, without the retired ones.
    order: Vec<usize>,
}

impl Peers {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The place of the `nth` peer in order of name.
    pub(super) fn nth(&self, nth: usize) -> usize {
        self.order[nth]
    }

    /// The places in order of name, as they are now.
    pub(super) fn places(&self) -> Vec<usize> {
        self.order.clone()
    }

    /// In order of name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> + '_ {
        self.order.iter().map(|place| &self[*place])
    }

    /// In order of id: only where the order does not show.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> + '_ {
        self.places.iter_mut().flatten().filter(|peer| !peer.retired)
    }

    /// The place of the peer of this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.position(name).ok().map(|at| self.order[at])
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.order
            .binary_search_by(|place| (*self[*place].config.name).cmp(name))
    }

    /// The place of the peer with this address: incoming connections are told apart by it.
    pub(super) fn find_address(&self, ip: IpAddr) -> Option<usize> {
        self.order.iter().copied().find(|place| self[*place].address == ip)
    }

    /// The peer with this id, retired ones too; `None` for the local one.
    pub(super) fn get(&self, id: PeerId) -> Option<&Peer> {
        let place = usize::from(id).checked_sub(1)?;
        self.places.get(place)?.as_ref()
    }

    /// An id for a new peer; `None`: all are taken.
    pub(super) fn next_id(&self) -> Option<PeerId> {
        let free = self.places.iter().position(Option::is_none);
        let place = free.unwrap_or(self.places.len());
        PeerId::try_from(place + 1).ok().filter(|id| *id <= MAX_ID)
    }

    /// Puts a peer in the place of its id, which [`Peers::next_id`] gave; returns the place. Its name is not taken.
    pub(super) fn insert(&mut self, peer: Peer) -> usize {
        let place = usize::from(peer.id) - 1;
        if place >= self.places.len() {
            self.places.resize_with(place + 1, || None);
        }
        let at = self.position(&peer.config.name).unwrap_or_else(|at| at);
        self.places[place] = Some(peer);
        self.order.insert(at, place);
        place
    }

    /// Takes a peer out of the order; its place stays taken.
    pub(super) fn retire(&mut self, place: usize) {
        self[place].retired = true;
        self.order.retain(|other| *other != place);
    }

    /// Whether it is time to look which places of retired peers are free.
    pub(super) fn is_crowded(&self) -> bool {
        let retired = self.places.iter().flatten().filter(|peer| peer.retired).count();
        retired >= RETIRED_KEPT
    }

    /// Frees the places of retired peers that nothing refers to, and gives their ids.
    pub(super) fn free(&mut self, is_referred_to: impl Fn(PeerId) -> bool) -> Vec<PeerId> {
        let mut freed = Vec::new();
        for place in &mut self.places {
            if let Some(id) = place.as_ref().filter(|peer| peer.retired).map(|peer| peer.id)
                && !is_referred_to(id)
            {
                *place = None;
                freed.push(id);
            }
        }
        freed
    }
}

impl Index<usize> for Peers {
    type Output = Peer;
    fn index(&self, place: usize) -> &Peer {
        self.places[place]
            .as_ref()
            .expect("places are freed once nothing refers to them")
    }
}

impl IndexMut<usize> for Peers {
    fn index_mut(&mut self, place: usize) -> &mut Peer {
        self.places[place]
            .as_mut()
            .expect("places are freed once nothing refers to them")
    }
}
