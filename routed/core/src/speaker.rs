//! The Speaker: owns sessions and RIBs, turns events into effects.
//!
//! [`Speaker::handle`] takes events into adj_rib_in and marks names; [`Speaker::flush`] ends a batch: the decision once
//! per marked name, the change for the data planes, export and packing per peer. The way of a route through the
//! modules: `sessions` -> `import` -> `select` -> `gate` (make before break) -> `export` -> `adj_rib_out`.

mod adj_rib_out;
mod aggregates;
mod audit;
mod begins;
mod by_key;
mod classes;
mod difference;
mod dynamic;
mod export;
mod exporter;
mod forward;
mod gate;
mod import;
mod judge;
mod limits;
mod listeners;
mod messages;
mod offers;
mod operate;
mod order;
mod pace;
mod peer;
mod peers;
mod planes;
mod prefixes;
mod preview;
mod reconfigure;
mod refresh;
mod refusals;
mod rewrite;
mod select;
mod services;
mod sessions;
mod shadowed;
mod show;
mod show_peers;
mod snapshot;
mod stale;
mod tunnels;
mod update_groups;
mod why;
mod withdraw;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};

use crate::attrs::Attrs;
use crate::destination::Destination;
use crate::event::{ConnId, Effect, Event, PeerName, SpeakerConfig};
use crate::intern::{IMPORTS, NameId};
use crate::prefix::Prefix;
use crate::rib::Rib;
use crate::route::RouteUpdate;
use crate::session::SessionEffect;
use crate::view::{PeerView, PlaneCounts, PlaneView, RibView, RouteView};
use aggregates::Aggregates;
#[doc(hidden)]
pub use audit::Held;
use by_key::ByKey;
use classes::Classes;
use dynamic::Callers;
use export::Organisations;
use listeners::Closed;
pub use messages::{MessageCounts, Messages};
use order::Order;
use peer::Conn;
use peers::Peers;
use planes::Planes;
use prefixes::OwnPrefixes;
pub use preview::Preview;
use services::Service;
pub use snapshot::{Surroundings, TablePage};
use stale::Deferral;
use tunnels::Tunnels;

/// The routing state of one node. One task owns it.
#[derive(Debug)]
pub struct Speaker {
    config: SpeakerConfig,
    epoch: Instant,
    rib: Rib,
    peers: Peers,
    conns: HashMap<ConnId, Conn>,
    callers: Callers,
    services: HashMap<NameId, Service>,
    own_prefixes: OwnPrefixes,
    /// Next hops that a data plane found dead.
    unusable: HashSet<SocketAddr>,
    tunnels: Tunnels,
    closed: Closed,
    /// Neither says anything of a next hop: [`Speaker::note_usability`].
    all_usable: bool,
    imports: Classes<import::Class>,
    exports: Classes<export::Class>,
    by_key: ByKey,
    organisations: Organisations,
    aggregates: Aggregates,
    planes: Planes,
    phase: Phase,
    deferral: Deferral,
    effects: Vec<Effect>,
    session_effects: Vec<SessionEffect>,
    watched: Option<BTreeSet<Destination>>,
    order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Built, not started.
    New,
    /// Until END-OF-RIB from every configured peer, or this instant.
    Starting(Instant),
    /// The table may be trusted.
    Settled,
    /// Goodbye was said; the data planes are left as they are.
    Stopped,
}

impl Speaker {
    /// A Speaker with every session in Idle. [`Speaker::start`] sets it going.
    #[must_use]
    pub fn new(mut config: SpeakerConfig, now: Instant) -> Self {
        let mut rib = Rib::new(config.identity.organisation.clone());
        let planes = Planes::new(&config, &mut rib.names);
        let peers = std::mem::take(&mut config.peers);
        let mut speaker = Self {
            epoch: now,
            rib,
            peers: Peers::default(),
            conns: HashMap::new(),
            callers: Callers::default(),
            services: HashMap::new(),
            own_prefixes: OwnPrefixes::default(),
            unusable: HashSet::new(),
            tunnels: Tunnels::default(),
            closed: Closed::default(),
            all_usable: true,
            imports: Classes::starting_at(IMPORTS),
            exports: Classes::starting_at(1),
            by_key: ByKey::default(),
            organisations: Organisations::default(),
            aggregates: Aggregates::default(),
            planes,
            phase: Phase::New,
            deferral: Deferral::Over(now),
            effects: Vec::new(),
            session_effects: Vec::new(),
            watched: None,
            order: Order::default(),
            config,
        };
        for peer in peers {
            speaker.on_peer_add(peer, now);
        }
        speaker.set_aggregates();
        speaker
    }

    /// Starts every session and emits the first `Routes(Reset)` if there are planes.
    pub fn start(&mut self, now: Instant) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Starting(now + self.config.startup_wait);
        self.deferral = Deferral::Until(now + self.config.startup_wait);
        if self.planes.any() {
            let reset = self.planes.reset(&self.rib.names, false);
            self.effects.push(Effect::Routes(reset));
        }
        self.start_sessions(now);
    }

    /// Takes one event in: RIBs in, dirty marks. Nothing is selected or sent before [`Speaker::flush`].
    pub fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Connected {
                peer,
                conn,
                local,
                remote,
            } => self.on_connected(&peer, conn, local, remote, now),
            Event::ConnectFailed { peer, error } => self.on_connect_failed(&peer, error, now),
            Event::Accepted { conn, local, remote } => self.on_accepted(conn, local, remote, now),
            Event::Frame { conn, kind, body } => self.on_frame(conn, kind, &body, now),
            Event::BadFrame { conn, length } => self.on_bad_frame(conn, length, now),
            Event::Closed { conn, reason } => self.on_closed(conn, reason, now),
            Event::Sent { conn, bytes } => self.on_sent(conn, bytes, now),
            Event::Heard { conn } => self.on_heard(conn, now),
            Event::Timeout => self.on_timeout(now),
            Event::ServiceAdd(service) => self.on_service_add(service, now),
            Event::ServiceRemove(name) => self.on_service_remove(&name),
            Event::PrefixAdd(prefix) => self.on_prefix_add(&prefix, now),
            Event::PrefixRemove(prefix) => self.on_prefix_remove(prefix),
            Event::PlaneUp(plane) => self.on_plane_up(&plane, now),
            Event::PlaneDown(plane) => self.on_plane_down(&plane, now),
            Event::PlaneReport(report) => self.on_plane_report(report),
            Event::NextHop { address, usable } => self.on_next_hop(address, usable),
            Event::Tunnel { address, up } => self.on_tunnel(address.to_canonical(), up),
            Event::Listeners { plane, closed } => self.on_listeners(plane, closed),
            Event::PeerAdd(peer) => self.on_peer_add(*peer, now),
            Event::PeerRemove(peer) => self.on_peer_remove(&peer, now),
            Event::Reconfigure(config) => self.on_reconfigure(*config, now),
            Event::Operate(operation) => self.on_operation(operation, now),
            Event::Leave => self.on_leave(now),
            Event::Shutdown(text) => self.on_shutdown(&text, now),
        }
    }

    /// Ends a batch: best path once per dirty name, export, packing. Call it after every event or batch of events.
    pub fn flush(&mut self, now: Instant) {
        if self.phase != Phase::Stopped {
            self.remove_ended(now);
            self.move_gate(now);
            self.select_dirty(now);
            self.end_drains(now);
            self.settle(now);
            self.end_deferral(now);
            self.emit_delta();
            self.send_all(now);
        }
        self.rib.sweep();
    }

    /// The effects since the last call, in order.
    pub fn drain_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// When it wants [`Event::Timeout`]; changes with every `handle` and `flush`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.peers.iter().filter_map(|peer| peer.session.poll_timeout());
        if self.phase == Phase::Stopped {
            return sessions.min();
        }
        let starting = match self.phase {
            Phase::Starting(until) => Some(until),
            Phase::New | Phase::Settled | Phase::Stopped => None,
        };
        let end_of_rib = self
            .peers
            .iter()
            .filter_map(|peer| peer.end_of_rib_due(self.deferral, self.config.ack_wait));
        let stale = self.stale_timeout();
        let callers = self.callers.due();
        let planes = self.planes.poll_timeout(self.config.hold_time, self.config.ack_wait);
        sessions
            .chain(starting)
            .chain(end_of_rib)
            .chain(stale)
            .chain(callers)
            .chain(planes)
            .min()
    }

    /// The connections whose hold timer has expired.
    #[must_use]
    pub fn silent(&self, now: Instant) -> Vec<ConnId> {
        let sessions = self.peers.iter().map(|peer| &peer.session);
        sessions.flat_map(|session| session.silent(now)).collect()
    }

    /// The key under `peers` or `dynamic_peers` by which whoever calls from an address may be a peer.
    #[must_use]
    pub fn key_of(&self, ip: IpAddr) -> Option<&PeerName> {
        self.find_key(ip.to_canonical())
    }

    /// The selected table now, for a data plane that asks for a Reset.
    #[must_use]
    pub fn reset(&self) -> RouteUpdate {
        self.planes.reset(&self.rib.names, self.is_settled())
    }

    /// Every path of every destination from `after` (exclusive) on in order, until `limit` paths are passed; whole
    /// destinations only.
    #[must_use]
    pub fn routes(&self, after: Option<&Destination>, limit: usize, now: Instant) -> Vec<RouteView> {
        self.show_routes(after, limit, now)
    }

    /// Every path of one destination, best first.
    #[must_use]
    pub fn route(&self, destination: &Destination, now: Instant) -> Vec<RouteView> {
        self.rib
            .names
            .lookup_destination(destination)
            .map_or_else(Vec::new, |id| self.show_name(id, now))
    }

    /// The longest prefix in use that an address is in: where traffic for the address goes.
    #[must_use]
    pub fn longest_match(&self, address: IpAddr) -> Option<Prefix> {
        self.find_longest(address)
    }

    /// Destinations whose selected route, status or paths changed since the last call (for `watch routes`); only collected
    /// while `watch(true)`.
    pub fn take_watched(&mut self) -> Vec<Destination> {
        self.watched
            .as_mut()
            .map_or_else(Vec::new, |names| std::mem::take(names).into_iter().collect())
    }

    /// Turns collection for [`Speaker::take_watched`] on or off.
    pub fn watch(&mut self, on: bool) {
        match (on, &self.watched) {
            (true, None) => self.watched = Some(BTreeSet::new()),
            (false, Some(_)) => self.watched = None,
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// What a peer has been told: destinations in order, from `after` (exclusive) on, at most `limit`, each with the
    /// attributes as they were sent. Empty while its session is down.
    #[must_use]
    pub fn advertised(&self, peer: &str, after: Option<&Destination>, limit: usize) -> Vec<(Destination, Arc<Attrs>)> {
        self.show_advertised(peer, after, limit)
    }

    /// Every peer, in order of name.
    #[must_use]
    pub fn peers(&self, now: Instant) -> Vec<PeerView> {
        self.show_peers(now)
    }

    /// How much the tables hold.
    #[must_use]
    pub fn sizes(&self) -> RibView {
        let held = self.rib.everything();
        RibView {
            in_use: self.rib.in_use(),
            accepted: held.accepted,
            rejected: held.rejected,
            stale: held.stale,
        }
    }

    /// Every data plane in numbers.
    #[must_use]
    pub fn plane_counts(&self) -> Vec<PlaneCounts> {
        self.planes.count_all()
    }

    /// Every data plane.
    #[must_use]
    pub fn planes(&self) -> Vec<PlaneView> {
        self.planes.show(&self.rib.names)
    }

    /// Whether every configured peer has sent END-OF-RIB, or `startup_wait` is over.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Settled | Phase::Stopped)
    }

    fn settle(&mut self, now: Instant) {
        let Phase::Starting(until) = self.phase else {
            return;
        };
        if now >= until
            || self
                .peers
                .iter()
                .all(|peer| peer.ever_ended_rib || peer.config.dynamic.is_some())
        {
            self.phase = Phase::Settled;
            self.planes.owe_delta();
        }
    }

    fn emit_delta(&mut self) {
        let settled = self.is_settled();
        if let Some(delta) = self.planes.take_delta(settled) {
            self.effects.push(Effect::Routes(delta));
        }
    }

    fn watch_name(&mut self, name: NameId) {
        // A data plane may speak of a change to a name that is gone by now, and whose place is free.
        if let Some(watched) = &mut self.watched
            && self.rib.names.is_live(name)
        {
            watched.insert(self.rib.names.destination(name));
        }
    }

    /// Ages are kept in tenths of a second: 13 years fit in a u32.
    fn tenths(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.epoch).as_millis() / 100;
        u32::try_from(since).unwrap_or(u32::MAX)
    }

    fn age(&self, since_tenths: u32, now: Instant) -> Duration {
        let since = Duration::from_millis(u64::from(since_tenths) * 100);
        now.saturating_duration_since(self.epoch).saturating_sub(since)
    }
}
