//! One configured peer: its session, what it was sent, what is counted.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::adj_rib_out::AdjRibOut;
use super::import::Verdict;
use super::limits::LimitState;
use super::messages::Messages;
use super::pace::Pace;
use super::refusals::Refusals;
use super::stale::{Deferral, Stale};
use crate::attrs::{RouterId, Tunnel};
use crate::event::{ConnId, PeerConfig, PeerName, SpeakerConfig};
use crate::intern::{AttrId, NameId};
use crate::policy::{NameSet, Role, Rule};
use crate::rib::PeerId;
use crate::session::{Session, SessionConfig};
use crate::wire::{Families, Family, Open};

/// A connection of a configured peer.
#[derive(Debug)]
pub(super) struct Conn {
    /// The index of its peer.
    pub(super) peer: usize,
    pub(super) local: SocketAddr,
    /// Bytes of `Effect::Send` that have not reached the socket yet.
    pub(super) outstanding: usize,
}

/// The Established session.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) conn: ConnId,
    pub(super) since: Instant,
    /// How routes are written for it.
    pub(super) class: u16,
    /// The families agreed on.
    pub(super) families: Families,
    /// Our OPEN and its own; `None`: it is only pretended to be up (`preview`).
    pub(super) opens: Option<Box<Opens>>,
    pub(super) sent_end_of_rib: bool,
    /// The families whose END-OF-RIB is awaited.
    pub(super) awaits_end_of_rib: Families,
    /// A ROUTE-REFRESH of these is to be answered.
    pub(super) asked_again: Families,
    /// A ROUTE-REFRESH of these is being answered; its end marker is owed.
    pub(super) refreshing: Families,
    /// The peer tells all of these again: its begin marker came, its end marker is awaited.
    pub(super) refreshed: Families,
    pub(super) updates_in: u64,
    pub(super) updates_out: u64,
}

/// What a session agreed on.
#[derive(Debug)]
pub(super) struct Opens {
    pub(super) sent: Open,
    pub(super) received: Open,
}

impl Up {
    pub(super) fn new(conn: ConnId, class: u16, families: Families, opens: Option<Box<Opens>>, now: Instant) -> Self {
        Self {
            conn,
            since: now,
            class,
            families,
            opens,
            sent_end_of_rib: false,
            awaits_end_of_rib: families,
            asked_again: Families::NONE,
            refreshing: Families::NONE,
            refreshed: Families::NONE,
            updates_in: 0,
            updates_out: 0,
        }
    }

    /// Whether graceful restart was agreed on.
    pub(super) fn is_graceful(&self) -> bool {
        let offered = |open: &Open| open.graceful_restart.is_some();
        self.opens
            .as_ref()
            .is_some_and(|opens| offered(&opens.sent) && offered(&opens.received))
    }

    /// Whether the peer had just started when the session came up: its END-OF-RIB is not worth waiting for.
    pub(super) fn is_restarting(&self) -> bool {
        let graceful = self
            .opens
            .as_ref()
            .and_then(|opens| opens.received.graceful_restart.as_ref());
        graceful.is_some_and(|graceful| graceful.restarting)
    }

    /// Whether the peer answers ROUTE-REFRESH.
    pub(super) fn takes_refresh(&self) -> bool {
        self.opens.as_ref().is_some_and(|opens| opens.received.route_refresh)
    }
}

/// One configured peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// Stopped by an operator, with these words; until it is enabled or the daemon starts again.
    pub(super) disabled: Option<Arc<str>>,
    /// No longer configured: see [`Peers`](super::peers::Peers).
    pub(super) retired: bool,
    pub(super) config: PeerConfig,
    /// Inside our AS.
    pub(super) internal: bool,
    /// Of another organisation.
    pub(super) outside: bool,
    /// What decides on import and on export.
    pub(super) import: Rule,
    pub(super) export: Rule,
    /// Peers whose routes import judges alike; 0 before it is known.
    pub(super) import_class: u16,
    /// Outside peers with an export policy: those to whose organisations it opens the same; else 0.
    pub(super) opening_class: u16,
    /// The names that it may offer; `None`: any.
    allowed_names: Option<NameSet>,
    pub(super) address: IpAddr,
    pub(super) session: Session,
    /// As configured, and as its last OPEN said.
    pub(super) router_id: RouterId,
    pub(super) up: Option<Up>,
    /// Its routes have outlived its session.
    pub(super) stale: Option<Stale>,
    pub(super) out: AdjRibOut,
    /// The last attribute bytes received and what import made of them: neighbours often share them.
    pub(super) last_import: Option<(Bytes, Verdict)>,
    pub(super) ever_ended_rib: bool,
    pub(super) limits: LimitState,
    pub(super) pace: Pace,
    pub(super) messages: Messages,
    pub(super) treated_as_withdraw: u64,
    pub(super) treated_reason: Arc<str>,
    /// Why its routes were refused, those that are kept and never used too.
    pub(super) refusals: Refusals,
    /// Paths from it to names under our own domains, to our prefixes and addresses of tunnels.
    pub(super) hijacks: u64,
    /// Paths from it that ONLY_TO_CUSTOMER does not let come from it.
    pub(super) leaks: u64,
    pub(super) established_count: u64,
    /// Our end of its tunnel: each address, and its attributes before they are worded. Both are held.
    pub(super) told_tunnel: Vec<(NameId, AttrId)>,
}

impl Peer {
    pub(super) fn new(id: PeerId, config: PeerConfig, speaker: &SpeakerConfig, now: Instant) -> Self {
        let ours = &speaker.identity;
        let outside = config.organisation != ours.organisation;
        Self {
            id,
            disabled: None,
            retired: false,
            internal: config.asn == ours.router_id.asn,
            outside,
            import: Rule::new(config.import.as_ref(), outside),
            export: Rule::new(config.export.as_ref(), outside),
            import_class: 0,
            opening_class: 0,
            allowed_names: allowed_names(&config),
            address: config.address.ip().to_canonical(),
            session: Session::new(session_config(&config, speaker), now),
            router_id: RouterId {
                asn: config.asn,
                node: config.node.clone().unwrap_or_else(|| Arc::from("")),
            },
            up: None,
            stale: None,
            out: AdjRibOut::default(),
            last_import: None,
            ever_ended_rib: false,
            limits: LimitState::default(),
            pace: Pace::default(),
            messages: Messages::default(),
            treated_as_withdraw: 0,
            treated_reason: Arc::from(""),
            refusals: Refusals::default(),
            hijacks: 0,
            leaks: 0,
            established_count: 0,
            told_tunnel: Vec::new(),
            config,
        }
    }

    /// Takes another configuration, of the same session.
    pub(super) fn configure(&mut self, config: PeerConfig) {
        self.import = Rule::new(config.import.as_ref(), self.outside);
        self.export = Rule::new(config.export.as_ref(), self.outside);
        self.allowed_names = allowed_names(&config);
        self.config = config;
    }

    /// Goes on with the session, stopped, and the counters of what this peer was before.
    pub(super) fn continue_counting(&mut self, before: &mut Self) {
        // It knows which dials are still to be answered.
        std::mem::swap(&mut self.session, &mut before.session);
        self.disabled = before.disabled.take();
        self.established_count = before.established_count;
        self.messages = before.messages;
        self.treated_as_withdraw = before.treated_as_withdraw;
        self.treated_reason = before.treated_reason.clone();
        self.refusals = std::mem::take(&mut before.refusals);
        self.hijacks = before.hijacks;
        self.leaks = before.leaks;
    }

    /// Our end of the tunnel to it, as it is to be told.
    pub(super) fn own_tunnel(&self) -> Option<&Arc<Tunnel>> {
        self.config.tunnel.as_ref()?.own.as_ref()
    }

    /// Whether an address is one that it may have in its tunnel.
    pub(super) fn reaches_by_tunnel(&self, ip: IpAddr) -> bool {
        let tunnel = self.config.tunnel.as_ref();
        tunnel.is_some_and(|tunnel| tunnel.addresses.contains(ip))
    }

    /// What policies call it.
    pub(super) fn policy_name(&self) -> &PeerName {
        self.config.dynamic.as_ref().unwrap_or(&self.config.name)
    }

    /// The node name that its OPEN said, while the session is Established.
    pub(super) fn established_with(&self) -> Option<&str> {
        self.up.as_ref().map(|_| &*self.router_id.node)
    }

    /// Our role towards it; there are none inside an AS (RFC 9234 section 4).
    pub(super) fn role(&self) -> Option<Role> {
        self.config.role.filter(|_| !self.internal)
    }

    /// Whether an outside peer may offer a name.
    pub(super) fn may_offer(&self, name: &str) -> bool {
        self.allowed_names.as_ref().is_none_or(|allowed| allowed.contains(name))
    }

    /// Whether nothing of this source can ever be advertised to this peer: it is its own, or the policy says so.
    pub(super) fn never_gets(&self, source: PeerId) -> bool {
        self.id == source || self.export == Rule::Nothing
    }

    /// Whether the session is up and has agreed on a family.
    pub(super) fn takes(&self, family: Family) -> bool {
        self.up.as_ref().is_some_and(|up| up.families.has(family))
    }

    /// When END-OF-RIB is sent even though data planes have not confirmed everything. `None` while names wait for the
    /// send window (credit is an event of its own), and while END-OF-RIB is deferred.
    pub(super) fn end_of_rib_due(&self, deferral: Deferral, ack_wait: Duration) -> Option<Instant> {
        let up = self.up.as_ref()?;
        let since = match deferral {
            Deferral::Until(_) if up.is_graceful() => return None,
            Deferral::Over(at) if up.is_graceful() => up.since.max(at),
            Deferral::Until(_) | Deferral::Over(_) => up.since,
        };
        (!up.sent_end_of_rib && self.out.pending() == 0).then(|| since + ack_wait)
    }
}

/// What the session of a peer needs to know.
pub(super) fn session_config(peer: &PeerConfig, speaker: &SpeakerConfig) -> SessionConfig {
    let local = speaker.identity.clone();
    SessionConfig {
        peer_asn: peer.asn,
        peer_organisation: peer.organisation.clone(),
        peer_node: peer.node.clone(),
        hold_time: speaker.hold_time,
        send_hold_time: speaker.send_hold_time,
        role: peer.role,
        strict_role: peer.strict_role,
        families: peer.families,
        restart_time: peer.graceful_restart.map(|graceful| graceful.restart_time),
        passive: peer.passive,
        seed: seed(&[&local.router_id.node, &peer.name]),
        local,
    }
}

/// FNV-1a: the jitter of a session must not depend on the process.
fn seed(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn allowed_names(config: &PeerConfig) -> Option<NameSet> {
    config.allowed_names.as_deref().map(NameSet::new)
}
