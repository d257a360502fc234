//! A policy tried on routes: what `policy test` prints.

use std::sync::Arc;

use crate::attrs::Attrs;
use crate::event::PeerName;
use crate::policy::{Policy, Trace};
use crate::route::Destination;

/// Which way a route goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a peer to us.
    Import,
    /// From us to a peer.
    Export,
}

/// What to try a policy on.
#[derive(Debug, Clone, Copy)]
pub struct PolicyQuestion<'a> {
    /// The policy; it need not be in force.
    pub policy: &'a Policy,
    /// Which way the route goes.
    pub direction: Direction,
    /// The peer. On import without one: every peer that offers the destination. On export without one: each in turn.
    pub peer: Option<&'a str>,
    /// The destination.
    pub destination: &'a Destination,
    /// The attributes of a route that is not there; `None`: the live one, on import as the peer sent it, on export the
    /// selected one.
    pub attrs: Option<&'a Attrs>,
}

/// A policy tried on one route.
#[derive(Debug, Clone)]
pub struct PolicyTest {
    /// The other side.
    pub peer: PeerName,
    /// The attributes that went in.
    pub before: Arc<Attrs>,
    /// What came of them.
    pub trace: Trace,
}

/// Why a policy cannot be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyTestError {
    /// No peer has this name.
    #[error("there is no peer {0:?}")]
    UnknownPeer(String),
    /// Nobody offers the destination, or the peer that was named does not.
    #[error("no route to {0}")]
    NoRoute(Destination),
    /// There is no peer to try it towards.
    #[error("there are no peers")]
    NoPeers,
}
