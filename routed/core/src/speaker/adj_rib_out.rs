//! What a peer was told of each name, and what it is to be told next.

use std::time::Instant;

use super::Speaker;
use super::exporter::Exporter;
use super::update_groups::{Batch, Packed, UpdateGroups};
use crate::event::ConnId;
use crate::intern::{AttrId, NameId, NameTable, Paged};
use crate::rib::Rib;
use crate::wire::{Families, Family, Message};

/// While so many bytes are on their way to a peer, its names wait and coalesce.
const SEND_WINDOW_BYTES: usize = 1 << 20;
/// Names looked at in one go: enough to gather what shares an attribute set.
const BATCH: usize = 32 * 1024;

/// The name is in the queue.
const QUEUED: u32 = 1 << 31;
/// Advertised with attributes that are to be sent again: equal to no real set.
const RESEND: AttrId = QUEUED - 1;

/// adj_rib_out of one peer.
#[derive(Debug, Default)]
pub(super) struct AdjRibOut {
    /// The attribute set advertised for each name, with the mark `QUEUED`. A cell that is not 0 holds its name.
    cells: Paged,
    queue: Vec<NameId>,
    /// How many names are advertised.
    pub(super) advertised: u64,
}

impl AdjRibOut {
    /// Whether the peer knows nothing of a name and nothing waits to be sent.
    pub(super) fn is_blank(&self, name: NameId) -> bool {
        self.cells.get(name) == 0
    }

    /// The attribute set advertised for a name; 0: none.
    pub(super) fn advertised_attr(&self, name: NameId) -> AttrId {
        match self.cells.get(name) & !QUEUED {
            RESEND => 0,
            attr => attr,
        }
    }

    /// Every name with a cell.
    pub(super) fn cells(&self) -> impl Iterator<Item = (NameId, u32)> + '_ {
        self.cells.iter()
    }

    /// How many names wait to be sent.
    pub(super) fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Has a name looked at when the window is open.
    pub(super) fn mark(&mut self, name: NameId, names: &mut NameTable) {
        if self.queue(name) {
            names.retain(name);
        }
    }

    /// As [`AdjRibOut::mark`], and says whether the caller has to hold the name.
    #[must_use]
    pub(super) fn queue(&mut self, name: NameId) -> bool {
        let cell = self.cells.place(name);
        let before = *cell;
        if before & QUEUED == 0 {
            *cell = before | QUEUED;
            self.queue.push(name);
        }
        before == 0
    }

    /// Forgets everything: the session is gone.
    pub(super) fn clear(&mut self, rib: &mut Rib) {
        for (name, cell) in self.cells.iter() {
            release_attr(rib, cell & !QUEUED);
            rib.names.release(name);
        }
        *self = Self::default();
    }

    /// Has everything of a family that was advertised sent again.
    pub(super) fn resend_all(&mut self, family: Family, rib: &mut Rib) {
        let advertised = self.cells.iter().filter(|(_, cell)| cell & !QUEUED != 0);
        let advertised: Vec<_> = advertised
            .filter(|(name, _)| rib.names.family(*name) == family)
            .collect();
        for (name, cell) in advertised {
            release_attr(rib, cell & !QUEUED);
            self.cells.set(name, cell & QUEUED | RESEND);
            self.mark(name, &mut rib.names);
        }
    }

    fn take_batch(&mut self) -> Vec<NameId> {
        let rest = self.queue.split_off(self.queue.len().min(BATCH));
        std::mem::replace(&mut self.queue, rest)
    }

    /// Takes the mark off a name whose advertisement stands as it is.
    fn unmark(&mut self, name: NameId, rib: &mut Rib) {
        let cell = self.cells.place(name);
        *cell &= !QUEUED;
        if *cell == 0 {
            rib.names.release(name);
        }
    }

    /// Takes in what was sent, and what is not yet.
    fn sent(&mut self, packed: &Packed, rib: &mut Rib) {
        for &name in packed.withdrawn() {
            self.withdrawn(name, rib);
        }
        for group in packed.announced().chunk_by(|one, other| one.0 == other.0) {
            self.announced(group[0].0, group, rib);
        }
        self.queue.extend(packed.later());
    }

    /// Of names that share a set, which is held for each.
    fn announced(&mut self, attr: AttrId, names: &[(AttrId, NameId)], rib: &mut Rib) {
        // There are fewer names than ids, which are of 32 bits.
        rib.attrs
            .retain_times(attr, u32::try_from(names.len()).unwrap_or(u32::MAX));
        for &(_, name) in names {
            let before = std::mem::replace(self.cells.place(name), attr) & !QUEUED;
            if before == 0 {
                self.advertised += 1;
            } else {
                release_attr(rib, before);
            }
        }
    }

    fn withdrawn(&mut self, name: NameId, rib: &mut Rib) {
        release_attr(rib, std::mem::take(self.cells.place(name)) & !QUEUED);
        self.advertised -= 1;
        rib.names.release(name);
    }
}

fn release_attr(rib: &mut Rib, attr: AttrId) {
    if attr != RESEND {
        rib.attrs.release(attr);
    }
}

impl Speaker {
    /// Has a peer told everything that it may see.
    pub(super) fn mark_whole_table(&mut self, index: usize) {
        self.mark_aggregates(index);
        let peer = &mut self.peers[index];
        let Some(families) = peer.up.as_ref().map(|up| up.families) else {
            return;
        };
        for name in self.rib.names.ids() {
            let entry = self.rib.names.get(name);
            if entry.loc_attr == 0 || !families.has(self.rib.names.family_of(entry)) {
                continue;
            }
            if !peer.out.is_blank(name) || !peer.never_gets(entry.loc_source) {
                peer.out.mark(name, &mut self.rib.names);
            }
        }
    }

    /// Sends each peer what its window has room for. One after the other, so that none waits for another.
    pub(super) fn send_all(&mut self, now: Instant) {
        let mut groups = UpdateGroups::default();
        let mut others = self.peers.iter().filter(|peer| peer.out.pending() > 0).count();
        for nth in 0..self.peers.len() {
            let index = self.peers.nth(nth);
            if let Some(conn) = self.peers[index].up.as_ref().map(|up| up.conn) {
                self.tell_again(index, conn, now);
                others = others.saturating_sub(usize::from(self.peers[index].out.pending() > 0));
                self.send_changes(index, conn, &mut groups, others == 0, now);
                self.end_rib(index, conn, now);
            }
        }
    }

    fn room(&self, conn: ConnId) -> usize {
        self.conns
            .get(&conn)
            .map_or(0, |conn| SEND_WINDOW_BYTES.saturating_sub(conn.outstanding))
    }

    fn send_changes(&mut self, index: usize, conn: ConnId, groups: &mut UpdateGroups, last: bool, now: Instant) {
        while self.peers[index].out.pending() > 0 && self.room(conn) > 0 {
            let names = self.peers[index].out.take_batch();
            let batch = self.unsaid(index, &names);
            if batch.is_empty() {
                continue;
            }
            let (limit, room) = (self.peers[index].max_frame(), self.room(conn));
            let packed = groups.pack(batch, limit, room, last, &self.rib);
            let peer = &mut self.peers[index];
            peer.out.sent(packed, &mut self.rib);
            peer.messages.sent.update += packed.updates;
            if let Some(up) = &mut peer.up {
                up.updates_out += packed.updates;
            }
            self.send_bytes(conn, packed.frames.clone(), now);
        }
    }

    /// What of these names the peer must be told.
    fn unsaid(&mut self, index: usize, names: &[NameId]) -> Batch {
        let mut batch = Batch::default();
        let mut exporter = Exporter::to(index, self);
        for &name in names {
            let wanted = exporter.as_mut().map_or(0, |exporter| exporter.export(name, self));
            let out = &mut self.peers[index].out;
            let current = out.cells.get(name) & !QUEUED;
            if wanted == current {
                out.unmark(name, &mut self.rib);
            } else if wanted == 0 {
                batch.withdraw.push(name);
            } else {
                batch.announce.push((wanted, name));
            }
        }
        batch
    }

    /// Ends the first dump, and the answer to a ROUTE-REFRESH, once nothing is left to send.
    fn end_rib(&mut self, index: usize, conn: ConnId, now: Instant) {
        let due = self.peers[index].end_of_rib_due(self.deferral, self.config.ack_wait);
        let open = self.planes.open;
        let settled = self.planes.waiting.is_empty();
        let peer = &mut self.peers[index];
        let Some(up) = peer.up.as_mut().filter(|_| peer.out.pending() == 0) else {
            return;
        };
        let refreshed = std::mem::take(&mut up.refreshing);
        // A peer that starts takes END-OF-RIB as "that is all": what data planes are about to confirm belongs to it.
        let confirmed = settled && up.families.without(open).is_empty();
        let ended = due.is_some_and(|due| confirmed || due <= now);
        up.sent_end_of_rib |= ended;
        let families = if ended { up.families } else { Families::NONE };
        self.end_answer(conn, refreshed, now);
        for family in families.iter() {
            self.send_message(conn, &Message::EndOfRib(family), now);
        }
    }
}
