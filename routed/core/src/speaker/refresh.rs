//! ROUTE-REFRESH (RFC 2918, RFC 7313): a whole table once more, between markers that say what it leaves out.
//!
//! What a peer can have us do by it is bounded by what it reads and sends itself: requests that come while one is answered
//! are answered together, and a begin within a begin marks nothing.

use std::time::Instant;

use super::Speaker;
use crate::event::ConnId;
use crate::wire::{Families, Family, Message, RouteRefresh};

/// Subtypes (RFC 7313 section 3.2).
const REQUEST: u8 = 0;
const BEGIN: u8 = 1;
const END: u8 = 2;

impl Speaker {
    /// The peer is to tell everything again, of each family.
    pub(super) fn ask_again(&mut self, index: usize, now: Instant) {
        let peer = &mut self.peers[index];
        let Some(up) = peer.up.as_ref().filter(|up| up.takes_refresh()) else {
            return;
        };
        let (conn, families) = (up.conn, up.families);
        peer.forget_missing();
        for family in families.iter() {
            self.send_refresh(conn, family, REQUEST, now);
        }
    }

    pub(super) fn on_route_refresh(&mut self, index: usize, refresh: RouteRefresh, now: Instant) {
        match refresh.subtype {
            REQUEST => {
                if let Some(up) = &mut self.peers[index].up {
                    up.asked_again.add(refresh.family);
                }
            }
            BEGIN => self.begin_refresh(index, refresh.family),
            END => self.end_refresh(index, refresh.family, now),
            _ => {}
        }
    }

    /// Requests are answered with the whole adj_rib_out of their families between markers: once the peer has taken what it is
    /// being told, END-OF-RIB first of all (RFC 7313 section 4).
    pub(super) fn tell_again(&mut self, index: usize, conn: ConnId, now: Instant) {
        let peer = &mut self.peers[index];
        let Some(up) = &mut peer.up else {
            return;
        };
        if up.asked_again.is_empty() || !up.sent_end_of_rib || !up.refreshing.is_empty() || peer.out.pending() > 0 {
            return;
        }
        let families = std::mem::take(&mut up.asked_again);
        up.refreshing = families;
        for family in families.iter() {
            self.peers[index].out.resend_all(family, &mut self.rib);
            self.send_refresh(conn, family, BEGIN, now);
        }
    }

    /// The answer to a request is complete.
    pub(super) fn end_answer(&mut self, conn: ConnId, families: Families, now: Instant) {
        for family in families.iter() {
            self.send_refresh(conn, family, END, now);
        }
    }

    fn send_refresh(&mut self, conn: ConnId, family: Family, subtype: u8, now: Instant) {
        self.send_message(conn, &Message::RouteRefresh(RouteRefresh { family, subtype }), now);
    }

    /// What is held of the family from now on counts as told before: it stays in use until the end marker. A begin before the
    /// peer's END-OF-RIB says nothing (RFC 7313 section 4).
    fn begin_refresh(&mut self, index: usize, family: Family) {
        let peer = &mut self.peers[index];
        let Some(up) = &mut peer.up else {
            return;
        };
        if up.awaits_end_of_rib.has(family) || up.refreshed.has(family) {
            return;
        }
        up.refreshed.add(family);
        peer.forget_missing();
        self.rib.mark_old(peer.id, family);
    }

    /// RFC 7313 section 4: what was not told again is gone. An end without a begin says nothing.
    fn end_refresh(&mut self, index: usize, family: Family, now: Instant) {
        let peer = &mut self.peers[index];
        let Some(up) = peer.up.as_mut().filter(|up| up.refreshed.has(family)) else {
            return;
        };
        up.refreshed.remove(family);
        let count = self.rib.drop_old(peer.id, family);
        if count > 0 {
            self.notice(index, format!("{count} routes were not sent again and are gone"));
        }
        self.check_limit(index, now);
    }
}
