//! Why a route is used or not, and who is told of it: what `show route NAME --why` prints.

use std::fmt;
use std::sync::Arc;

use super::RouteView;
use crate::attrs::Attrs;
use crate::event::PeerName;
use crate::policy::Trace;
use crate::route::Destination;

/// Everything that can be said of one destination, worked out when it is asked for.
#[derive(Debug, Clone)]
pub struct WhyView {
    /// The name or prefix.
    pub destination: Destination,
    /// Every path, best first.
    pub paths: Vec<PathWhy>,
    /// Every peer, in order of name.
    pub peers: Vec<PeerWhy>,
}

/// Why one path stands where it does.
#[derive(Debug, Clone)]
pub struct PathWhy {
    /// The path.
    pub route: RouteView,
    /// What decided, in words: the step of the decision process with both values, the check, or the policy and the
    /// statement that rejected it.
    pub reason: String,
    /// The attributes as the peer sent them; `None`: a local route.
    pub received: Option<Arc<Attrs>>,
    /// How the import policy came to its result, where one was asked.
    pub import: Option<Trace>,
}

/// Whether one peer is told of the destination.
#[derive(Debug, Clone)]
pub struct PeerWhy {
    /// The peer.
    pub peer: PeerName,
    /// Whether it has been told, as adj_rib_out has it now.
    pub advertised: bool,
    /// Why, or why not: the first of the reasons that holds.
    pub reason: ExportReason,
    /// How the export policy came to its result, where one was asked.
    pub export: Option<Trace>,
    /// What the peer is told, or would be: the attributes after the policy, rewritten for it.
    pub attrs: Option<Arc<Attrs>>,
}

/// Why a peer is told of a destination, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportReason {
    /// It is told.
    Advertised,
    /// It is about to be told: the name waits to be sent.
    ToBeSent,
    /// No path is selected.
    NothingSelected,
    /// Split horizon: the selected path came from this very peer.
    LearnedFromIt,
    /// It has no export policy, and is outside (RFC 8212).
    NoPolicy,
    /// Its export policy lets nothing pass.
    PolicyRejectsAll {
        /// The name of the policy.
        policy: Arc<str>,
    },
    /// Its AS is in AS_PATH already.
    AsLoop {
        /// Its AS.
        asn: u32,
    },
    /// The selected path came from the same outside organisation.
    SameOrganisation {
        /// That organisation.
        organisation: Arc<str>,
    },
    /// Learned inside our AS, and neither this node reflects nor is one of both a client (RFC 4456 section 6).
    NotReflected {
        /// Whether this node is a reflector at all.
        reflector: bool,
    },
    /// It carries NO_ADVERTISE (RFC 1997).
    NoAdvertise,
    /// It carries NO_EXPORT, and the peer is outside our AS (RFC 1997).
    NoExport,
    /// It carries ONLY_TO_CUSTOMER, and the peer is none (RFC 9234 section 5).
    OnlyToCustomer {
        /// The AS that marked it.
        asn: u32,
    },
    /// It is an address of a tunnel, of which only the peer at its other end is told.
    Tunnel,
    /// The export policy rejects it.
    PolicyRejects {
        /// The name of the policy.
        policy: Arc<str>,
        /// The statement; `None`: no statement decides, and the default is to reject (RFC 8212).
        statement: Option<Arc<str>>,
    },
    /// The peer is told of an aggregate in its place.
    Aggregated {
        /// The wildcard.
        aggregate: Destination,
    },
    /// It is an aggregate, and those do not go to this peer.
    NoAggregate,
    /// Rewritten, it is more than any receiver takes (docs/protocol.md, limits).
    TooLong,
    /// A data plane refused it.
    RejectedByDataPlane {
        /// The data plane.
        plane: Arc<str>,
        /// Its words.
        why: Arc<str>,
    },
    /// The listener of the peer's organisation is closed: nobody would answer there.
    ListenerClosed {
        /// The data plane.
        plane: Arc<str>,
        /// Its words.
        why: Arc<str>,
    },
    /// The session is down.
    SessionDown {
        /// Its state.
        state: &'static str,
    },
    /// The session has not agreed on the family.
    Family,
    /// No data plane is connected: nothing is advertised.
    NoDataPlane,
    /// The data planes have not confirmed it yet.
    WaitsForDataPlanes,
}

impl fmt::Display for ExportReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advertised => f.write_str("advertised"),
            Self::ToBeSent => f.write_str("waits to be sent: the peer reads slowly, or the next batch carries it"),
            Self::NothingSelected => f.write_str("no path is selected"),
            Self::LearnedFromIt => f.write_str("split horizon: the selected path came from this peer"),
            Self::NoPolicy => f.write_str("the peer has no export policy: nothing is advertised to outside (RFC 8212)"),
            Self::PolicyRejectsAll { policy } => write!(f, "export policy {policy} rejects everything"),
            Self::AsLoop { asn } => write!(f, "AS loop: AS_PATH holds the peer's AS {asn}"),
            Self::SameOrganisation { organisation } => {
                write!(f, "the selected path came from the same organisation, {organisation}")
            }
            Self::NotReflected { reflector: false } => {
                f.write_str("learned inside our AS, and this node is no reflector (RFC 4456)")
            }
            Self::NotReflected { reflector: true } => {
                f.write_str("learned inside our AS, and neither peer is a client of this reflector (RFC 4456)")
            }
            Self::NoAdvertise => f.write_str("it carries the community no-advertise"),
            Self::Tunnel => f.write_str("the address of a tunnel: nobody is told but the peer at its other end"),
            Self::NoExport => f.write_str("it carries the community no-export, and the peer is outside our AS"),
            Self::OnlyToCustomer { asn } => {
                write!(
                    f,
                    "ONLY_TO_CUSTOMER of AS {asn}: by our role the peer is no customer (RFC 9234)"
                )
            }
            Self::PolicyRejects {
                policy,
                statement: Some(statement),
            } => write!(f, "export policy {policy}, statement {statement} rejects it"),
            Self::PolicyRejects {
                policy,
                statement: None,
            } => write!(
                f,
                "export policy {policy}: no statement decides, and the default is to reject"
            ),
            Self::Aggregated { aggregate } => write!(f, "the aggregate {aggregate} is advertised in its place"),
            Self::NoAggregate => f.write_str("an aggregate does not go to this peer"),
            Self::TooLong => f.write_str("its attributes are more than any receiver takes"),
            Self::RejectedByDataPlane { plane, why } => write!(f, "rejected by {plane}: {why}"),
            Self::ListenerClosed { plane, why } => {
                write!(f, "{plane} has the listener of the peer's organisation closed: {why}")
            }
            Self::SessionDown { state } => write!(f, "the session is down ({state}); else it would be advertised"),
            Self::Family => f.write_str("the session has not agreed on this family"),
            Self::NoDataPlane => f.write_str("no data plane is connected"),
            Self::WaitsForDataPlanes => f.write_str("waits for the data planes"),
        }
    }
}
