//! A session in depth: what `show peer NAME` prints.

use std::sync::Arc;
use std::time::Duration;

use crate::event::AtLimit;
use crate::policy::Role;
use crate::session::Timer;
pub use crate::speaker::{MessageCounts, Messages};
use crate::wire::RoleCode;

/// What a session agreed on and how it fares.
#[derive(Debug, Clone, Default)]
pub struct SessionView {
    /// The capabilities of our OPEN, in words; empty unless Established.
    pub sent: Vec<String>,
    /// The capabilities of the peer's OPEN, in words; empty unless Established.
    pub received: Vec<String>,
    /// Our configured role towards the peer (RFC 9234).
    pub role: Option<Role>,
    /// The role that the peer claims, while Established.
    pub peer_role: Option<RoleCode>,
    /// What is left of the hold timer, while Established with a hold time.
    pub hold_timer: Option<Duration>,
    /// Graceful restart, where it is configured.
    pub graceful: Option<GracefulView>,
    /// How many routes the peer may bring, where that is limited.
    pub limit: Option<LimitView>,
    /// How many routes the peer may announce or withdraw per second, where that is limited.
    pub max_update_rate: Option<u32>,
    /// The longest frame in bytes, where that is limited.
    pub max_frame: Option<u32>,
    /// How often reading from it has paused for that in this session.
    pub pauses: u64,
    /// Messages of either direction, since the peer is configured.
    pub messages: Messages,
    /// The timers that are armed and what is left of each.
    pub timers: Vec<(Timer, Duration)>,
    /// Disabled by an operator, who said so, or by a limit.
    pub disabled: Option<Arc<str>>,
}

/// How many routes a peer may bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitView {
    /// So many.
    pub limit: u64,
    /// Those that are held: accepted, rejected and stale ones.
    pub used: u64,
    /// From so many on there is a warning.
    pub warn_from: u64,
    /// What is done with more.
    pub action: AtLimit,
    /// Routes that were read and not kept in this session (`Block`).
    pub blocked: u64,
}

/// Graceful restart with one peer (RFC 4724).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GracefulView {
    /// Whether the session that stands has agreed on it.
    pub agreed: bool,
    /// How long the peer is asked to keep our routes.
    pub restart_time: Duration,
    /// The longest that its routes are kept.
    pub stale_time: Duration,
    /// Its routes that are stale now.
    pub stale: u64,
    /// How long ago its session was lost, while routes are stale.
    pub stale_since: Option<Duration>,
    /// When the stale ones go unless they are sent again, counted from now.
    pub purge_in: Option<Duration>,
}
