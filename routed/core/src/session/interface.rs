//! What goes into a session and what comes out of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::attrs::OriginNode;
use crate::event::ConnId;
use crate::policy::Role;
use crate::wire::{Families, Family, Message, Notification, Open, RouteRefresh, UpdateFrame, WireError};

/// State by the names of RFC 4271 section 8.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Disabled: not started, stopped, or held idle for a while.
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

impl State {
    /// The spelling of CLI and JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
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
    /// How long nothing that is sent may be taken (RFC 9687); zero: for ever. `None`: 8 minutes, or twice the hold time in
    /// use if that is longer.
    pub send_hold_time: Option<Duration>,
    /// Our role towards the peer (RFC 9234), if it is to be claimed and checked.
    pub role: Option<Role>,
    /// Whether a peer that claims no role is refused (RFC 9234 section 4.2, strict mode).
    pub strict_role: bool,
    /// Graceful restart, if it is to be offered: how long the peer is asked to wait for us (RFC 4724).
    pub restart_time: Option<Duration>,
    /// Families to offer.
    pub families: Families,
    /// Never dial.
    pub passive: bool,
    /// Seed for the jitter of the connect back-off (1, 2, 4 .. 60 s): a pure function of (seed, attempt).
    pub seed: u64,
}

/// What the next OPEN says of this node in its graceful restart capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// Restart State: this node has just started.
    pub restarting: bool,
    /// Forwarding State: the families that it forwarded before and forwards still.
    pub forwarding: Families,
}

/// Input.
#[derive(Debug, Clone)]
pub enum SessionEvent {
    /// ManualStart. Also ends an idle hold.
    Start,
    /// ManualStop, with what to tell the peer: a hard reset where graceful restart was agreed on.
    Stop(Notification),
    /// This node stops to come back: where graceful restart was agreed on, the peer is to keep our routes, and is told no
    /// more than it can hear without dropping them. Idle from now on.
    Leave(Notification),
    /// Every connection ends, and the session begins anew.
    Reset {
        /// What to tell the peer.
        notification: Notification,
        /// Whether the routes of both sides go, too (RFC 8538).
        hard: bool,
        /// Idle for so long first (IdleHoldTimer); zero: not at all.
        idle: Duration,
    },
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
    /// A timer of [`Session::poll_timeout`](super::Session::poll_timeout) has expired.
    Timeout,
    /// The configuration has changed in what a session survives; the next OPEN goes by it. Where the peer is to be dialled
    /// otherwise than before, it is dialled at once, unless there is a connection that may make it.
    Configure {
        /// From now on.
        config: SessionConfig,
        /// Its address has changed, or whether it is dialled at all.
        redial: bool,
    },
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
    /// Established.
    Up(Established),
    /// Left Established, or an attempt was refused.
    Down(Down),
    /// An UPDATE of the Established session.
    Update(UpdateFrame),
    /// END-OF-RIB of the Established session.
    EndOfRib(Family),
    /// ROUTE-REFRESH of the Established session.
    RouteRefresh(RouteRefresh),
}

/// A session that has just come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// Its connection.
    pub conn: ConnId,
    /// Our OPEN on it.
    pub sent: Open,
    /// The peer's.
    pub received: Open,
}

/// A session that has just gone down, or an attempt that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// Whether it had been Established.
    pub was_up: bool,
    /// Whether the peer's routes are to be kept for it to come back (RFC 4724): graceful restart was agreed on, and the
    /// session ended in a way that leaves them in place.
    pub keeps_routes: bool,
    /// Whether it was lost by silence, of the peer or on the way to it: nothing says that the peer restarts.
    pub silent: bool,
    /// Why, in one line, with the NOTIFICATION's text where there was one.
    pub reason: Arc<str>,
}
