//! The session state machine of one peer (RFC 4271 section 8 by name). STUB: signatures are the contract.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::attrs::OriginNode;
use crate::event::ConnId;
use crate::wire::{Family, Message, Notification, Open, RouteRefresh, Update, WireError};

/// State by the names of RFC 4271 section 8.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Disabled, or waiting for the back-off to end before it starts again.
    Idle,
    /// Dialling.
    Connect,
    /// Not dialling now (passive, or between two attempts), listening.
    Active,
    /// OPEN sent on some connection.
    OpenSent,
    /// OPEN exchanged, KEEPALIVE awaited.
    OpenConfirm,
    /// Up.
    Established,
}

/// What one session needs to know.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Ourselves (OPEN; collision detection).
    pub local: OriginNode,
    /// The peer's AS.
    pub peer_asn: u32,
    /// The peer's organisation.
    pub peer_organisation: Arc<str>,
    /// The peer's node name, if pinned.
    pub peer_node: Option<Arc<str>>,
    /// Hold time to offer.
    pub hold_time: Duration,
    /// Never dial.
    pub passive: bool,
    /// Seed for the jitter of the connect back-off (1, 2, 4 .. 60 s): a pure function of (seed, attempt).
    pub seed: u64,
}

/// Input.
#[derive(Debug, Clone)]
pub enum SessionEvent {
    /// ManualStart.
    Start,
    /// ManualStop, with what to tell the peer.
    Stop(Notification),
    /// Tcp_CR_Acked.
    Connected(ConnId, SocketAddr),
    /// TcpConnectionFails while dialling.
    ConnectFailed(Arc<str>),
    /// TcpConnectionConfirmed.
    Accepted(ConnId, SocketAddr),
    /// A frame, decoded (BGPOpen, KeepAliveMsg, UpdateMsg, NotifMsg, or BGPHeaderErr and friends).
    Message(ConnId, Result<Message, WireError>),
    /// TcpConnectionFails.
    Closed(ConnId, Arc<str>),
    /// A timer of [`Session::poll_timeout`] has expired.
    Timeout,
}

/// Output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEffect {
    /// Dial.
    Connect,
    /// Send a message.
    Send(ConnId, Message),
    /// Flush and close.
    Close(ConnId),
    /// Established; the peer's OPEN.
    Up(ConnId, Open),
    /// Left Established (`was_up`) or an attempt was refused, with the reason in one line.
    Down {
        /// Whether the session had been Established.
        was_up: bool,
        /// Why, with the NOTIFICATION's text where there was one.
        reason: Arc<str>,
    },
    /// An UPDATE of the Established session.
    Update(Update),
    /// END-OF-RIB of the Established session.
    EndOfRib(Family),
    /// ROUTE-REFRESH of the Established session.
    RouteRefresh(RouteRefresh),
}

/// One peer's state machine: at most one Established connection, at most two while they collide.
#[derive(Debug)]
pub struct Session {
    _config: SessionConfig,
}

impl Session {
    /// A session in Idle.
    #[must_use]
    pub fn new(config: SessionConfig, _now: Instant) -> Self {
        Self { _config: config }
    }
    /// Handles one event.
    pub fn handle(&mut self, _event: SessionEvent, _now: Instant, _out: &mut Vec<SessionEffect>) {
        unimplemented!()
    }
    /// When it wants [`SessionEvent::Timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }
    /// The state (of the connection furthest along).
    #[must_use]
    pub fn state(&self) -> State {
        unimplemented!()
    }
    /// When it entered the state.
    #[must_use]
    pub fn since(&self) -> Instant {
        unimplemented!()
    }
    /// Hold time in use.
    #[must_use]
    pub fn hold_time(&self) -> Option<Duration> {
        unimplemented!()
    }
    /// The last error in one line; empty if none.
    #[must_use]
    pub fn last_error(&self) -> &str {
        unimplemented!()
    }
}
