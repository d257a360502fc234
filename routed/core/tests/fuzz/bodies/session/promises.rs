//! What a Speaker promises, checked on what comes out of it.
//!
//! To the driver: nothing is said on a connection that is gone, frames are whole and good, a peer is never told what it
//! was not agreed to be told. To the peer: what it was told, applied, is `show advertised`. To data planes: a Delta
//! follows what came before and changes something. To itself: `Speaker::audit`. To the operator: counts are what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use catalyst_core::attrs::Attrs;
use catalyst_core::event::{ConnId, Effect, PeerName};
use catalyst_core::route::{Destination, RouteUpdate, Selected};
use catalyst_core::wire::{Message, UpdateFrame};

use super::super::messages::{names, read_all};
use super::World;

/// What the world has seen of the Speaker.
#[derive(Default)]
pub struct Observed {
    /// The version of the selected table.
    pub version: u64,
    routes: BTreeMap<Destination, Selected>,
    up: BTreeSet<PeerName>,
    /// What was told on each connection, as its other side holds it.
    told: BTreeMap<ConnId, BTreeMap<Destination, Attrs>>,
    unsent: BTreeMap<ConnId, usize>,
}

impl Observed {
    /// Bytes that were given to be sent since the last call.
    pub fn unsent(&mut self, conn: ConnId) -> usize {
        self.unsent.remove(&conn).unwrap_or_default()
    }

    /// Nobody holds what was told there.
    pub fn is_gone(&mut self, conn: ConnId) {
        self.told.remove(&conn);
        self.unsent.remove(&conn);
    }

    fn told(&mut self, conn: ConnId, update: &UpdateFrame) {
        let held = self.told.entry(conn).or_default();
        for step in update.steps() {
            for text in names(&step.withdrawn) {
                held.remove(&text.parse().unwrap());
            }
            if step.announced.is_empty() {
                continue;
            }
            let attrs = step
                .attributes()
                .unwrap_or_else(|error| panic!("what we send is refused: {error}"));
            for text in names(&step.announced) {
                held.insert(text.parse().unwrap(), attrs.clone());
            }
        }
    }

    fn apply(&mut self, update: RouteUpdate) {
        match update {
            RouteUpdate::Reset { version, routes, .. } => {
                self.version = version;
                self.routes = routes.into_iter().map(|route| (route.destination(), route)).collect();
            }
            RouteUpdate::Delta { from, to, changes, .. } => {
                assert_eq!(
                    (from, to),
                    (self.version, self.version + 1),
                    "a Delta follows what came before"
                );
                self.version = to;
                for change in changes {
                    let before = match change.route.clone() {
                        Some(route) => self.routes.insert(change.destination.clone(), route),
                        None => self.routes.remove(&change.destination),
                    };
                    assert_ne!(before, change.route, "{}: nothing changes", change.destination);
                }
            }
        }
    }
}

impl World {
    pub(super) fn take_effects(&mut self) {
        for effect in self.speaker.drain_effects() {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { peer } => self.dials.push(peer),
            Effect::Send { conn, bytes } => self.sends(conn, bytes),
            Effect::Close { conn } => {
                assert!(self.conns.remove(&conn).is_some(), "{conn:?} is closed, and is gone");
                self.observed.is_gone(conn);
            }
            Effect::Routes(update) => self.observed.apply(update),
            Effect::SessionUp { peer } => assert!(self.observed.up.insert(peer.clone()), "{peer} comes up twice"),
            Effect::SessionDown { peer, was_up: true, .. } => {
                assert!(self.observed.up.remove(&peer), "{peer} goes down, and was not up");
            }
            // An attempt was refused; another connection may stand.
            Effect::SessionDown { was_up: false, .. } => {}
            Effect::Pause { conn, .. } => assert!(self.conns.contains_key(&conn), "{conn:?} is paused, and is gone"),
            Effect::Notice { .. } | Effect::Warning { .. } | Effect::Refused { .. } => {}
        }
    }

    fn sends(&mut self, conn: ConnId, mut bytes: Bytes) {
        assert!(self.conns.contains_key(&conn), "{conn:?} is written to, and is gone");
        *self.observed.unsent.entry(conn).or_default() += bytes.len();
        for message in read_all(&mut bytes) {
            if let Message::Update(update) = message {
                self.observed.told(conn, &update);
            }
        }
    }

    /// At the end of every batch; not of a recording, which the same promises were kept in without it.
    pub(super) fn check(&mut self) {
        if self.stopped || self.speaker.is_recorded() {
            return;
        }
        let wrong = self.speaker.audit();
        assert!(wrong.is_empty(), "after {:?}: {wrong:#?}", self.now - self.start);
        let routes = self.speaker.routes(None, usize::MAX, self.now);
        for peer in self.speaker.peers(self.now) {
            // What drains is no path any more.
            let held = routes.iter().filter(|route| !route.draining);
            let from: Vec<_> = held
                .filter(|route| route.learned_from.as_ref() == Some(&peer.name))
                .collect();
            assert_eq!(
                from.len() as u64,
                peer.received + peer.rejected,
                "paths of {}: {from:#?}",
                peer.name
            );
            let established = peer.state == "Established";
            assert_eq!(self.observed.up.contains(&peer.name), established, "{}", peer.name);
            let told = self.speaker.advertised(&peer.name, None, usize::MAX);
            assert_eq!(told.len() as u64, peer.advertised, "what {} was told", peer.name);
            if established && peer.pending == 0 {
                let plain = |(name, attrs): (Destination, Arc<Attrs>)| (name, Attrs::clone(&attrs));
                self.check_told(&peer.name, &told.into_iter().map(plain).collect());
            }
        }
    }

    /// One of the connections of the peer holds what the Speaker says that the peer was told.
    fn check_told(&self, peer: &PeerName, told: &BTreeMap<Destination, Attrs>) {
        let of_peer = self
            .conns
            .iter()
            .filter(|(_, index)| super::config::peer_name(**index) == *peer);
        let held: Vec<_> = of_peer.filter_map(|(conn, _)| self.observed.told.get(conn)).collect();
        let is_empty = told.is_empty() && held.is_empty();
        assert!(
            is_empty || held.contains(&told),
            "{peer} holds {held:#?}, not {told:#?}"
        );
    }
}
