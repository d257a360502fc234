//! Snapshots of the Speaker's state for people and programs: what `show` prints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::attrs::{Attrs, OriginNode};
use crate::event::{PeerName, Policy};
use crate::name::ServiceName;
use crate::route::{Endpoint, PlaneStatus, Table};

/// One path to a name, as `show routes` and `show route NAME` print it.
#[derive(Debug, Clone)]
pub struct RouteView {
    /// The name.
    pub name: ServiceName,
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
    /// Status per data plane that serves its protocol; empty unless `selected`.
    pub data_planes: Vec<(Arc<str>, PlaneStatus)>,
    /// Why it is not selected or not advertised: the step of the decision process that beat it ("longer AS path"),
    /// the check that rejected it, or what it waits for; empty for a selected path with nothing to say.
    pub reason: String,
    /// Withdrawn, still in the data planes for `drain`.
    pub draining: bool,
}

/// One peer, as `show peers` and `show peer NAME` print it.
#[derive(Debug, Clone)]
pub struct PeerView {
    /// Its key in the configuration.
    pub name: PeerName,
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
    /// How long it has been in this state.
    pub since: Duration,
    /// Whether the session is inside our AS.
    pub internal: bool,
    /// Whether the peer belongs to another organisation.
    pub outside: bool,
    /// Hold time in use, once negotiated.
    pub hold_time: Option<Duration>,
    /// Paths held from it (accepted by import policy).
    pub received: u64,
    /// Paths held from it that import policy or a check rejected.
    pub rejected: u64,
    /// Names advertised to it.
    pub advertised: u64,
    /// Names waiting to be sent.
    pub pending: u64,
    /// Whether it has sent END-OF-RIB in this session.
    pub end_of_rib: bool,
    /// UPDATE messages received and sent in this session.
    pub updates_in: u64,
    /// See `updates_in`.
    pub updates_out: u64,
    /// Names treated as withdrawn for a malformed attribute, a bad next hop or a bad leftmost AS.
    pub treated_as_withdraw: u64,
    /// Why, the last time; empty if never.
    pub treated_as_withdraw_reason: String,
    /// Import policy.
    pub import: Policy,
    /// Export policy.
    pub export: Policy,
    /// Times that the session reached Established.
    pub established_count: u64,
    /// The last error in one line, with the NOTIFICATION's text where one was received or sent; empty if none.
    pub last_error: String,
}

/// One data plane, as `show plugins` prints it.
#[derive(Debug, Clone)]
pub struct PlaneView {
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
    /// Names that it refused, with its words (at most 100 are listed).
    pub rejected: Vec<(ServiceName, Arc<str>)>,
}
