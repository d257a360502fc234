//! The configuration changes while sessions stand: what differs is applied, and no session is reset that need not be.
//!
//! What a change asks for is gathered in [`Redo`] and done once at the end: a peer whose policy and address listener both
//! changed is exported to once.

use std::collections::BTreeSet;
use std::time::Instant;

use super::peer::{Peer, session_config};
use super::{Phase, Speaker};
use crate::event::{Effect, PeerConfig, PeerName, SpeakerConfig};
use crate::intern::{NameFlags, NameId};
use crate::name::ServiceName;
use crate::prefix::Prefix;
use crate::rib::PeerId;
use crate::session::SessionEvent;
use crate::wire::Notification;
use crate::wire::subcode::cease;

use super::difference::{Difference, difference};
use super::planes::discards;
use super::tunnels::moved;

/// What is to be done anew once the new configuration stands; peers by their places.
#[derive(Debug, Default)]
struct Redo {
    /// Their adj_rib_in goes through import again.
    import: BTreeSet<usize>,
    /// Their adj_rib_out is worked out again.
    export: BTreeSet<usize>,
    /// They are asked for everything again: what import did not keep may be acceptable now.
    refresh: BTreeSet<usize>,
    /// What they have brought is held against their limits.
    limits: BTreeSet<usize>,
    /// The organisations that each route is exported to.
    scopes: bool,
    /// What they offer is decided anew.
    decide: BTreeSet<usize>,
    /// Addresses that have become those of tunnels, or are none any longer.
    addresses: BTreeSet<Prefix>,
    /// Whether some of them may be none any longer.
    addresses_went: bool,
}

impl Speaker {
    /// A peer is configured, or configured differently.
    pub(super) fn on_peer_add(&mut self, config: PeerConfig, now: Instant) {
        let mut redo = Redo::default();
        self.put_peer(config, &mut redo, now);
        self.redo(redo, now);
    }

    /// A peer is configured no longer.
    pub(super) fn on_peer_remove(&mut self, name: &str, now: Instant) {
        let mut redo = Redo::default();
        if let Some(index) = self.peers.find(name) {
            self.remove_peer(index, &mut redo, now);
        }
        self.redo(redo, now);
    }

    /// Applies the difference to a whole configuration. Identity and data planes stay what they were.
    pub(super) fn on_reconfigure(&mut self, new: SpeakerConfig, now: Instant) {
        if self.phase == Phase::Stopped {
            return;
        }
        let mut redo = Redo::default();
        let still_there = self.dynamic_configs(&new);
        // Every field is named: a new one has to decide here.
        let SpeakerConfig {
            identity: _,
            planes: _,
            domains,
            aggregates,
            internal_communities,
            reflector,
            cluster,
            hold_time,
            send_hold_time,
            drain,
            startup_wait,
            ack_wait,
            mut peers,
            dynamic_peers,
        } = new;
        let config = &mut self.config;
        let reflects_as_before = config.reflector == reflector && config.cluster == cluster;
        let offers_as_before = (config.hold_time, config.send_hold_time) == (hold_time, send_hold_time);
        (config.reflector, config.cluster) = (reflector, cluster);
        (config.hold_time, config.send_hold_time) = (hold_time, send_hold_time);
        config.drain = drain;
        (config.startup_wait, config.ack_wait) = (startup_wait, ack_wait);
        if !reflects_as_before {
            self.redo_reflection(&mut redo);
        }
        if !offers_as_before {
            self.configure_sessions(now);
        }
        let discards_before = discards(&self.config);
        if self.config.domains != domains {
            self.config.domains = domains;
            // From outside nothing under them is taken.
            redo.import.extend(self.outside_places());
        }
        if self.config.aggregates != aggregates {
            self.config.aggregates = aggregates;
            self.set_aggregates();
            redo.export.extend(self.outside_places());
        }
        self.change_discards(&discards_before);
        if self.config.internal_communities != internal_communities {
            self.config.internal_communities = internal_communities;
            self.rib.attrs.forget_exports();
            redo.export.extend(self.outside_places());
        }
        self.config.dynamic_peers = dynamic_peers;
        peers.extend(still_there);
        self.change_peers(peers, &mut redo, now);
        self.redo(redo, now);
    }

    /// What the dynamic peers are configured with by another configuration; those that have no place in it are left out.
    pub(super) fn dynamic_configs(&self, new: &SpeakerConfig) -> Vec<PeerConfig> {
        let dynamic = self.peers.iter().filter(|peer| peer.config.dynamic.is_some());
        dynamic.filter_map(|peer| new.dynamic_again(&peer.config)).collect()
    }

    /// Whether no other peer has the same names opened for its organisation as this one.
    fn opens_alone(&self, peer: &Peer) -> bool {
        let same = |other: &Peer| {
            let config = (
                &other.config.organisation,
                other.config.asn,
                other.role(),
                &other.export,
            );
            other.id != peer.id && config == (&peer.config.organisation, peer.config.asn, peer.role(), &peer.export)
        };
        peer.outside && (peer.export.reads().peer || !self.peers.iter().any(same))
    }

    fn change_peers(&mut self, peers: Vec<PeerConfig>, redo: &mut Redo, now: Instant) {
        let wanted: BTreeSet<_> = peers.iter().map(|peer| peer.name.clone()).collect();
        for index in self.peers.places() {
            if !wanted.contains(&self.peers[index].config.name) {
                self.remove_peer(index, redo, now);
            }
        }
        for peer in peers {
            self.put_peer(peer, redo, now);
        }
    }

    fn put_peer(&mut self, config: PeerConfig, redo: &mut Redo, now: Instant) {
        if self.phase == Phase::Stopped {
            return;
        }
        match self.peers.find(&config.name) {
            Some(index) => self.change_peer(index, config, redo, now),
            None => self.add_peer(config, redo, now),
        }
    }

    fn add_peer(&mut self, config: PeerConfig, redo: &mut Redo, now: Instant) {
        let Some(id) = self.free_id() else {
            return self.no_room(config.name);
        };
        let peer = Peer::new(id, config, &self.config, now);
        self.settle_in(peer, redo, now);
    }

    fn no_room(&mut self, peer: PeerName) {
        self.effects.push(Effect::SessionDown {
            peer,
            was_up: false,
            reason: "there is no room for more peers".into(),
            routes_kept: None,
        });
    }

    fn settle_in(&mut self, peer: Peer, redo: &mut Redo, now: Instant) {
        redo.scopes |= self.opens_alone(&peer);
        self.rib.add_peer(peer.id);
        let index = self.peers.insert(peer);
        self.join_import_class(index);
        self.join_opening_class(index);
        redo.addresses
            .extend(moved(None, self.peers[index].config.tunnel.as_ref()));
        self.tell_tunnel(index);
        self.configure_session(index, false, now);
        if self.phase != Phase::New && self.peers[index].disabled.is_none() {
            self.session(index, SessionEvent::Start, now);
        }
    }

    fn remove_peer(&mut self, index: usize, redo: &mut Redo, now: Instant) {
        let goodbye = Notification::cease(cease::PEER_DECONFIGURED, "this peer is no longer configured here");
        self.session(index, SessionEvent::Stop(goodbye), now);
        self.retire(index, redo);
    }

    fn retire(&mut self, index: usize, redo: &mut Redo) {
        let id = self.peers[index].id;
        redo.scopes |= self.opens_alone(&self.peers[index]);
        self.rib.drop_peer(id);
        self.leave_classes(index);
        redo.addresses
            .extend(moved(self.peers[index].config.tunnel.as_ref(), None));
        redo.addresses_went |= !redo.addresses.is_empty();
        self.forget_tunnel(index);
        self.peers.retire(index);
        redo.decide.remove(&index);
        redo.import.remove(&index);
        redo.export.remove(&index);
        redo.refresh.remove(&index);
        redo.limits.remove(&index);
    }

    fn change_peer(&mut self, index: usize, new: PeerConfig, redo: &mut Redo, now: Instant) {
        let peer = &self.peers[index];
        let asks = difference(&peer.config, &new, peer.established_with());
        if asks.is_nothing() {
            return;
        }
        redo.scopes |= peer.outside && asks.export;
        if asks.reset {
            return self.replace_peer(index, new, &asks, redo, now);
        }
        if asks.reflection {
            redo.export.extend(self.peers.places());
        }
        if asks.import {
            redo.import.insert(index);
        }
        if asks.export {
            redo.export.insert(index);
        }
        if asks.refresh {
            redo.refresh.insert(index);
        }
        if asks.limits {
            redo.limits.insert(index);
        }
        if asks.tunnel {
            redo.decide.insert(index);
        }
        redo.addresses
            .extend(moved(peer.config.tunnel.as_ref(), new.tunnel.as_ref()));
        redo.addresses_went |= !redo.addresses.is_empty();
        self.peers[index].configure(new);
        self.join_import_class(index);
        self.join_opening_class(index);
        if asks.own_tunnel {
            self.join_session_class(index);
            self.tell_tunnel(index);
        }
        self.configure_session(index, asks.redial, now);
    }

    /// The peer becomes another one: it gets an id of its own, so that nothing said of the old one is taken for it.
    fn replace_peer(&mut self, index: usize, new: PeerConfig, asks: &Difference, redo: &mut Redo, now: Instant) {
        let text = format!("the configuration of this peer has changed: {}", asks.keys.join(", "));
        let goodbye = Notification::cease(cease::OTHER_CONFIGURATION_CHANGE, text);
        self.session(index, SessionEvent::Stop(goodbye), now);
        // Before the old one is retired: its place must not be among those that are freed, it is still to be read.
        let id = self.free_id();
        self.retire(index, redo);
        let Some(id) = id else {
            return self.no_room(new.name);
        };
        let mut peer = Peer::new(id, new, &self.config, now);
        peer.continue_counting(&mut self.peers[index]);
        self.settle_in(peer, redo, now);
    }

    /// An id that nothing refers to.
    fn free_id(&mut self) -> Option<PeerId> {
        let next = self.peers.next_id();
        if next.is_none() || self.peers.is_crowded() {
            self.free_places();
        }
        self.peers.next_id()
    }

    /// Lets go of the removed peers that nothing refers to any longer.
    pub(super) fn free_places(&mut self) {
        let installed = self.planes.installed.values();
        let mut referred: BTreeSet<PeerId> = installed.map(|installed| installed.source).collect();
        let names = &self.rib.names;
        referred.extend(names.ids().map(|name| names.get(name).loc_source));
        let freed = self.peers.free(|id| referred.contains(&id));
        self.rib.attrs.forget_sources(&freed);
    }

    fn configure_sessions(&mut self, now: Instant) {
        for index in self.peers.places() {
            self.configure_session(index, false, now);
        }
    }

    fn configure_session(&mut self, index: usize, redial: bool, now: Instant) {
        let config = session_config(&self.peers[index].config, &self.config);
        self.session(index, SessionEvent::Configure { config, redial }, now);
    }

    /// Whether and how routes of our AS are passed on within it.
    fn redo_reflection(&mut self, redo: &mut Redo) {
        self.rib.attrs.forget_exports();
        for index in self.peers.places() {
            if self.peers[index].internal {
                redo.import.insert(index);
                redo.export.insert(index);
            }
        }
        redo.scopes = true;
    }

    fn change_discards(&mut self, before: &BTreeSet<ServiceName>) {
        let after = discards(&self.config);
        if self.planes.any() {
            after.difference(before).for_each(|name| self.add_discard(name));
            before.difference(&after).for_each(|name| self.remove_discard(name));
        }
    }

    fn outside_places(&self) -> Vec<usize> {
        let places = self.peers.places().into_iter();
        places.filter(|index| self.peers[*index].outside).collect()
    }

    fn add_discard(&mut self, name: &ServiceName) {
        let name = self.rib.names.intern(name.as_str().as_bytes());
        self.rib.names.retain(name);
        self.rib.names.get_mut(name).flags.set(NameFlags::DISCARD);
        self.rib.mark_dirty(name);
    }

    fn remove_discard(&mut self, name: &ServiceName) {
        if let Some(name) = self.rib.names.lookup(name.as_str().as_bytes())
            && self.rib.names.get_mut(name).flags.take(NameFlags::DISCARD)
        {
            self.rib.names.release(name);
            self.rib.mark_dirty(name);
        }
    }

    fn redo(&mut self, redo: Redo, now: Instant) {
        self.move_tunnel_addresses(&redo.addresses, !redo.addresses_went);
        for index in redo.decide {
            self.decide_again(index);
        }
        for index in redo.import {
            self.reimport(index, now);
        }
        for index in redo.refresh {
            self.ask_again(index, now);
        }
        for index in redo.export {
            self.reexport(index);
        }
        for index in redo.limits {
            self.limits_changed(index, now);
        }
        if redo.scopes && self.planes.any() {
            let selected = |name: &NameId| self.rib.names.get(*name).selected != 0;
            let names: Vec<NameId> = self.rib.names.ids().filter(selected).collect();
            names.into_iter().for_each(|name| self.rib.mark_dirty(name));
        }
    }
}
