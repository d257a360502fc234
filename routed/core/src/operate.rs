//! What an operator may do to a session.

use std::sync::Arc;

use crate::event::PeerName;

/// An operator's act on one peer. A message is a line for the other side's operator (RFC 9003); what does not fit into a
/// NOTIFICATION is cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAct {
    /// The session ends by a hard reset, and stays down until it is enabled, or the daemon starts again.
    Disable {
        /// What to tell the peer.
        message: Arc<str>,
    },
    /// A session that was disabled, or is held idle, begins anew.
    Enable,
    /// The session ends and begins anew. Where graceful restart was agreed on, routes stay meanwhile unless it is hard.
    Reset {
        /// What to tell the peer.
        message: Arc<str>,
        /// Whether the routes of both sides go.
        hard: bool,
    },
    /// The peer is asked for its whole table again (ROUTE-REFRESH).
    Refresh,
}

/// Why an act has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// No such peer.
    #[error("no such peer is configured")]
    Unknown,
    /// It is disabled.
    #[error("the peer is disabled; enable it first")]
    Disabled,
    /// The session is not Established.
    #[error("the session is not Established")]
    NotEstablished,
    /// The peer has not offered the capability.
    #[error("the peer does not take ROUTE-REFRESH")]
    NoRefresh,
    /// The node has said goodbye.
    #[error("the node is shutting down")]
    Stopped,
}

/// An act on a peer, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The peer.
    pub peer: PeerName,
    /// What to do to it.
    pub act: PeerAct,
}
