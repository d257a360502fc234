//! How many messages of each type a peer has sent and was sent.

use crate::wire::kind;

/// By direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Messages {
    /// From the peer.
    pub received: MessageCounts,
    /// To the peer.
    pub sent: MessageCounts,
}

/// By type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH, its markers included.
    pub route_refresh: u64,
    /// END-OF-RIB.
    pub end_of_rib: u64,
}

impl MessageCounts {
    /// One more of this type on the wire. One that does not exist ends the session and is counted nowhere.
    pub(super) fn count(&mut self, kind: u8) {
        let count = match kind {
            kind::OPEN => &mut self.open,
            kind::UPDATE => &mut self.update,
            kind::NOTIFICATION => &mut self.notification,
            kind::KEEPALIVE => &mut self.keepalive,
            kind::ROUTE_REFRESH => &mut self.route_refresh,
            kind::END_OF_RIB => &mut self.end_of_rib,
            _ => return,
        };
        *count += 1;
    }
}
