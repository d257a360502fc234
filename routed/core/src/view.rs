//! Snapshots of the Speaker's state for people and programs: what `show` prints.

mod policy_test;
mod session;
mod why;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::attrs::{Attrs, OriginNode, Tunnel};
use crate::event::PeerName;
use crate::route::{Destination, Endpoint, PlaneStatus, Table};
use crate::wire::{Families, Family};

pub use crate::rib::Note;
pub use policy_test::{Direction, PolicyQuestion, PolicyTest, PolicyTestError};
pub use session::{GracefulView, LimitView, MessageCounts, Messages, SessionView};
pub use why::{ExportReason, PathWhy, PeerWhy, WhyView};

/// One path to a name or prefix, as `show routes` and `show route NAME` print it.
#[derive(Debug, Clone)]
pub struct RouteView {
    /// What it leads to.
    pub destination: Destination,
    /// The table of its origin's organisation.
    pub table: Table,
    /// Whether it wins within its table.
    pub best: bool,
    /// Whether data planes use it (the winner over both tables, and its multipath siblings).
    pub selected: bool,
    /// The attributes after import policy; local routes carry this node's own.
    pub attrs: Arc<Attrs>,
    /// LOCAL_PREF in effect (the default where the attribute is absent).
    pub local_pref: u32,
    /// Where it was born.
    pub origin: OriginNode,
    /// The peer that sent it; `None`: local.
    pub learned_from: Option<PeerName>,
    /// The endpoints of a local service.
    pub endpoints: Vec<Endpoint>,
    /// How long this path stands unchanged.
    pub age: Duration,
    /// Kept over a graceful restart of its peer.
    pub stale: bool,
    /// Status per data plane that serves it; empty unless `selected`.
    pub data_planes: Vec<(Arc<str>, PlaneStatus)>,
    /// Whether import accepted it, or why not.
    pub note: Note,
    /// Why it is not selected or not advertised: the step of the decision process that beat it ("longer AS path"),
    /// the check that rejected it, or what it waits for; empty for a selected path with nothing to say.
    pub reason: String,
    /// Withdrawn, still in the data planes for `drain`.
    pub draining: bool,
}

/// The policy in force in one direction of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyView {
    /// The policy of this name.
    Named(Arc<str>),
    /// None, and the peer is of our organisation.
    AcceptAll,
    /// None, and the peer is outside (RFC 8212).
    RejectAll,
}

impl fmt::Display for PolicyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named(name) => name,
            Self::AcceptAll => "none: everything is accepted (inside the organisation)",
            Self::RejectAll => "none: everything is rejected (RFC 8212)",
        })
    }
}

/// One peer, as `show peers` and `show peer NAME` print it.
#[derive(Debug, Clone)]
pub struct PeerView {
    /// Its key in the configuration.
    pub name: PeerName,
    /// The key under `dynamic_peers` that it is a peer by.
    pub dynamic: Option<Arc<str>>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its configured AS.
    pub asn: u32,
    /// Its node name: configured, or as its OPEN said.
    pub node: Option<Arc<str>>,
    /// Its organisation.
    pub organisation: Arc<str>,
    /// State by the names of RFC 4271 section 8.2.2: Idle, Connect, Active, OpenSent, OpenConfirm, Established.
    pub state: &'static str,
    /// How long it has been Established, or has not been, whatever attempts came and went meanwhile.
    pub since: Duration,
    /// Whether the session is inside our AS.
    pub internal: bool,
    /// Whether the peer belongs to another organisation.
    pub outside: bool,
    /// The families that the session has agreed on; those that are offered to the peer while it is down.
    pub families: Families,
    /// Hold time in use, once negotiated.
    pub hold_time: Option<Duration>,
    /// Paths held from it (accepted by import policy).
    pub received: u64,
    /// Paths held from it that import policy or a check rejected.
    pub rejected: u64,
    /// Names and prefixes advertised to it.
    pub advertised: u64,
    /// Names and prefixes waiting to be sent.
    pub pending: u64,
    /// Whether it has sent END-OF-RIB of every family in this session.
    pub end_of_rib: bool,
    /// UPDATE messages received and sent in this session.
    pub updates_in: u64,
    /// See `updates_in`.
    pub updates_out: u64,
    /// Names and prefixes treated as withdrawn for a malformed attribute, a bad next hop, a bad leftmost AS or a prefix
    /// that the peer may not offer.
    pub treated_as_withdraw: u64,
    /// Why, the last time; empty if never.
    pub treated_as_withdraw_reason: String,
    /// Why routes of it were refused, in the order that the kinds of reasons first came up; those that are kept and never used
    /// (hijacks, leaks) too, policy and loops not.
    pub refusals: Vec<RefusalView>,
    /// Paths that it announced to names under our own domains, to our prefixes and addresses of tunnels: hijacks, never used.
    pub hijacks: u64,
    /// Paths that it announced against ONLY_TO_CUSTOMER (RFC 9234): route leaks, never used.
    pub leaks: u64,
    /// Why a data plane has the listener of its organisation closed, so that it is told of no names; `None`: it is open, or the
    /// peer is not outside.
    pub listener_closed: Option<Arc<str>>,
    /// Import policy.
    pub import: PolicyView,
    /// Export policy.
    pub export: PolicyView,
    /// Times that the session reached Established.
    pub established_count: u64,
    /// What the session agreed on and how it fares.
    pub session: SessionView,
    /// The last error in one line, with the NOTIFICATION's text where one was received or sent; empty if none.
    pub last_error: String,
    /// How long ago that was; `None` if there was none.
    pub last_error_age: Option<Duration>,
}

impl PeerView {
    /// Where it listens, in words. A dynamic peer is never dialled: it has no port.
    #[must_use]
    pub fn shown_address(&self) -> String {
        match self.address.port() {
            0 => self.address.ip().to_string(),
            _ => self.address.to_string(),
        }
    }
}

/// Routes of a peer that were refused for one kind of reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalView {
    /// The kind, in a few words.
    pub kind: &'static str,
    /// How many times since the peer is configured.
    pub count: u64,
    /// A route of the newest UPDATE with such.
    pub newest: String,
    /// Why that one was refused, in full.
    pub reason: Arc<str>,
}

/// Our end of the tunnels to an organisation, as its peers are told of it. It is no route: it leads nowhere from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTunnelView {
    /// The organisation.
    pub organisation: Arc<str>,
    /// What its peers are told.
    pub tunnel: Arc<Tunnel>,
    /// The peers that have been told of every address, in order of name.
    pub told: Vec<PeerName>,
}

/// One data plane, as `show plugins` prints it.
#[derive(Debug, Clone)]
pub struct PlaneView {
    /// How far it is.
    pub counts: PlaneCounts,
    /// What it refused, with its words (at most 100 are listed).
    pub rejected: Vec<(Destination, Arc<str>)>,
}

/// One data plane in numbers. They take no longer to tell where the table is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneCounts {
    /// Its name.
    pub name: Arc<str>,
    /// Whether an instance is connected.
    pub connected: bool,
    /// The version of the selected table that it has settled.
    pub version: u64,
    /// The version of the selected table now.
    pub latest: u64,
    /// Names that it serves.
    pub programmed: u64,
    /// Names that it is still working on.
    pub pending: u64,
    /// Names that it refused.
    pub rejected: u64,
}

/// How much the tables hold. It takes no longer to tell where they are long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RibView {
    /// Names and prefixes that have a path in use, by family.
    pub in_use: [(Family, u64); 3],
    /// Paths that import accepted, our own among them.
    pub accepted: u64,
    /// Paths that import policy or a check rejected.
    pub rejected: u64,
    /// Paths of both kinds that are stale.
    pub stale: u64,
}

/// What a new configuration does to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerChange {
    /// Its key in the configuration.
    pub name: PeerName,
    /// What happens to it.
    pub action: PeerAction,
    /// The keys that differ, as the configuration file spells them; empty for a peer that comes or goes.
    pub keys: Vec<&'static str>,
    /// Whether its session is Established now.
    pub established: bool,
}

/// What happens to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAction {
    /// It is new and will be dialled, unless passive.
    Add,
    /// It goes; its session ends.
    Remove,
    /// What its session said no longer holds: the session ends and is set up anew.
    Reset,
    /// It changes; its session stays.
    Keep,
}

/// Names, counted, of which only the first are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameList {
    /// How many there are.
    pub count: u64,
    /// The first of them, in order: at most [`NameList::LISTED`].
    pub first: Vec<Box<str>>,
}

impl NameList {
    /// So many names are listed.
    pub const LISTED: usize = 1000;

    pub(crate) fn add(&mut self, name: &str) {
        self.count += 1;
        if self.first.len() < Self::LISTED {
            self.first.push(name.into());
        }
    }

    /// Puts in order what was not added in order.
    pub(crate) fn sort(&mut self) {
        // Destinations have printed them.
        self.first.sort_by_cached_key(|name| name.parse::<Destination>().ok());
    }
}

/// How a set of routes differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameChanges {
    /// Names that come.
    pub gained: NameList,
    /// Names that go.
    pub lost: NameList,
    /// Names that stay with other attributes.
    pub changed: NameList,
}

impl NameChanges {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gained.count + self.lost.count + self.changed.count == 0
    }
}

/// How routes differ between two configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteChanges {
    /// The routes that this node uses.
    pub selected: NameChanges,
    /// Per peer: what is accepted from it, and what is advertised to it. Peers without a difference are left out.
    pub peers: BTreeMap<PeerName, (NameChanges, NameChanges)>,
}
