//! Update groups: peers that are to be told the same share its frames. What comes of a batch depends on nothing but the
//! batch, the longest frame and the room in the window, so peers are of a group as long as these agree, batch by batch;
//! one that is slow, or has another policy, limit or next hop, falls out of it by itself and gets frames of its own.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::intern::{AttrId, NameId, NameTable};
use crate::rib::Rib;
use crate::wire::{self, Family, Packer};

/// Names packed in one go: they fill a frame or two, and bound what goes beyond the window.
const CHUNK: usize = 4096;
/// So many batches are remembered during a flush: of peers in order of name, those of a group may stand apart.
const KEPT: usize = 16;

/// What a peer is to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) withdraw: Vec<NameId>,
    pub(super) announce: Vec<(AttrId, NameId)>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.withdraw.is_empty() && self.announce.is_empty()
    }
}

/// A batch in frames.
#[derive(Debug)]
pub(super) struct Packed {
    /// As it was given; empty where no other peer may ask for it.
    batch: Batch,
    /// In the order in which it was packed.
    order: Batch,
    /// So many withdrawals and announcements there was room for.
    sent: (usize, usize),
    limit: usize,
    /// How long the frames were when the last of the batch was appended: there has to be more room than that.
    last_begin: usize,
    pub(super) frames: Bytes,
    pub(super) updates: u64,
}

impl Packed {
    pub(super) fn withdrawn(&self) -> &[NameId] {
        &self.order.withdraw[..self.sent.0]
    }

    pub(super) fn announced(&self) -> &[(AttrId, NameId)] {
        &self.order.announce[..self.sent.1]
    }

    /// What there was no room for.
    pub(super) fn later(&self) -> impl Iterator<Item = NameId> + '_ {
        let announce = self.order.announce[self.sent.1..].iter().map(|(_, name)| *name);
        self.order.withdraw[self.sent.0..].iter().copied().chain(announce)
    }

    /// Whether packing a batch would give the same.
    fn serves(&self, batch: &Batch, limit: usize, room: usize) -> bool {
        let whole = self.sent == (self.order.withdraw.len(), self.order.announce.len());
        let as_much = self.last_begin < room && (whole || room <= self.frames.len());
        as_much && self.limit == limit && self.batch == *batch
    }
}

/// The batches of one flush, the newest last. Attribute sets and names are known by ids, which stand until the next sweep.
#[derive(Debug, Default)]
pub(super) struct UpdateGroups {
    packed: VecDeque<Packed>,
}

impl UpdateGroups {
    /// A batch in frames of at most `limit` bytes, as many as begin within `room`: those of another peer, or new ones.
    /// `last`: no other peer will ask for them.
    pub(super) fn pack(&mut self, batch: Batch, limit: usize, room: usize, last: bool, rib: &Rib) -> &Packed {
        let known = self.packed.iter().rposition(|known| known.serves(&batch, limit, room));
        let at = known.unwrap_or_else(|| {
            if last || self.packed.len() == KEPT {
                self.packed.pop_front();
            }
            let given = if last { Batch::default() } else { batch.clone() };
            self.packed.push_back(pack(given, batch, limit, room, rib));
            self.packed.len() - 1
        });
        &self.packed[at]
    }
}

fn pack(given: Batch, mut order: Batch, limit: usize, room: usize, rib: &Rib) -> Packed {
    let mut packing = Packing {
        rib,
        limit,
        room,
        frames: BytesMut::new(),
        last_begin: 0,
    };
    let sent = (
        packing.withdraw(&mut order.withdraw),
        packing.announce(&mut order.announce),
    );
    Packed {
        batch: given,
        order,
        sent,
        limit,
        last_begin: packing.last_begin,
        updates: count_frames(&packing.frames),
        frames: packing.frames.freeze(),
    }
}

/// A batch on its way into frames.
struct Packing<'a> {
    rib: &'a Rib,
    limit: usize,
    room: usize,
    frames: BytesMut,
    last_begin: usize,
}

impl Packing<'_> {
    /// Sorts and packs; says how many. Neighbours that share text pack best, and names of a batch mostly come in order,
    /// which a stable sort notices.
    fn withdraw(&mut self, names: &mut [NameId]) -> usize {
        let table = &self.rib.names;
        names.sort_by(|one, other| table.key(*one).cmp(table.key(*other)));
        let mut sent = 0;
        for chunk in names.chunks(CHUNK) {
            if !self.begins() {
                break;
            }
            pack_withdraw(chunk, self.limit, table, &mut self.frames);
            sent += chunk.len();
        }
        sent
    }

    /// Sorts and packs; says how many.
    fn announce(&mut self, names: &mut [(AttrId, NameId)]) -> usize {
        let (table, attrs) = (&self.rib.names, &self.rib.attrs);
        names.sort_unstable();
        let mut sent = 0;
        let mut packer = Packer::within(self.limit);
        for group in names.chunk_by_mut(|one, other| one.0 == other.0) {
            group.sort_by(|one, other| table.key(one.1).cmp(table.key(other.1)));
            for chunk in group.chunks(CHUNK) {
                if !self.begins() {
                    return sent;
                }
                pack_announce(&mut packer, attrs.raw(chunk[0].0), chunk, table, &mut self.frames);
                sent += chunk.len();
            }
        }
        sent
    }

    /// Whether there is room to begin with more.
    fn begins(&mut self) -> bool {
        let begins = self.frames.len() < self.room;
        if begins {
            self.last_begin = self.frames.len();
        }
        begins
    }
}

/// Packs names or prefixes, which never share an attribute set: what the first is, all are.
fn pack_announce(packer: &mut Packer, attrs: &[u8], nlri: &[(AttrId, NameId)], table: &NameTable, out: &mut BytesMut) {
    if nlri.first().is_some_and(|first| table.family(first.1) == Family::Name) {
        packer.announce(attrs, nlri.iter().map(|(_, name)| table.text(*name)), out);
    } else {
        packer.announce(attrs, nlri.iter().filter_map(|(_, name)| table.prefix(*name)), out);
    }
}

/// Packs names and prefixes in order, names first.
fn pack_withdraw(nlri: &[NameId], limit: usize, table: &NameTable, out: &mut BytesMut) {
    let is_name = |name: &NameId| table.family(*name) == Family::Name;
    let names = match nlri.last() {
        Some(last) if is_name(last) => nlri.len(),
        Some(_) | None => nlri.partition_point(is_name),
    };
    let (names, prefixes) = nlri.split_at(names);
    wire::pack_withdraw_within(names.iter().map(|name| table.text(*name)), limit, out);
    wire::pack_withdraw_within(prefixes.iter().filter_map(|name| table.prefix(*name)), limit, out);
}

fn count_frames(mut frames: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((length, rest)) = frames.split_first_chunk::<4>() {
        count += 1;
        frames = rest.get(u32::from_be_bytes(*length) as usize..).unwrap_or_default();
    }
    count
}
