//! A session in depth: what `show peer NAME` prints.

use crate::policy::Role;
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
}
