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
#[derive(Debug, Default, PartialEq, Eq)]
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
    batch: Batch,
    limit: usize,
    /// How long the frames were when the last of the batch was appended: there has to be more room than that.
    last_begin: usize,
    pub(super) frames: Bytes,
    pub(super) updates: u64,
    /// `None`: there was room for all of it.
    part: Option<Part>,
}

/// What of a batch there was room for.
#[derive(Debug, Default)]
struct Part {
    sent: Batch,
    later: Vec<NameId>,
}

impl Packed {
    /// What of the batch is in the frames.
    pub(super) fn sent(&self) -> &Batch {
        self.part.as_ref().map_or(&self.batch, |part| &part.sent)
    }

    /// What there was no room for.
    pub(super) fn later(&self) -> &[NameId] {
        self.part.as_ref().map_or(&[], |part| &part.later)
    }

    /// Whether packing a batch would give the same.
    fn serves(&self, batch: &Batch, limit: usize, room: usize) -> bool {
        let as_much = self.last_begin < room && (self.part.is_none() || room <= self.frames.len());
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
    pub(super) fn pack(&mut self, batch: Batch, limit: usize, room: usize, rib: &Rib) -> &Packed {
        let known = self.packed.iter().rposition(|known| known.serves(&batch, limit, room));
        let at = known.unwrap_or_else(|| {
            if self.packed.len() == KEPT {
                self.packed.pop_front();
            }
            self.packed.push_back(pack(batch, limit, room, rib));
            self.packed.len() - 1
        });
        &self.packed[at]
    }
}

fn pack(batch: Batch, limit: usize, room: usize, rib: &Rib) -> Packed {
    let mut packing = Packing {
        rib,
        limit,
        room,
        frames: BytesMut::new(),
        last_begin: 0,
        part: Part::default(),
    };
    packing.withdraw(batch.withdraw.clone());
    packing.announce(batch.announce.clone());
    Packed {
        batch,
        limit,
        last_begin: packing.last_begin,
        updates: count_frames(&packing.frames),
        frames: packing.frames.freeze(),
        part: Some(packing.part).filter(|part| !part.later.is_empty()),
    }
}

/// A batch on its way into frames.
struct Packing<'a> {
    rib: &'a Rib,
    limit: usize,
    room: usize,
    frames: BytesMut,
    last_begin: usize,
    part: Part,
}

impl Packing<'_> {
    fn withdraw(&mut self, mut names: Vec<NameId>) {
        let table = &self.rib.names;
        sort_by_key(&mut names, table);
        for chunk in names.chunks(CHUNK) {
            if self.begins(chunk) {
                pack_withdraw(chunk, self.limit, table, &mut self.frames);
                self.part.sent.withdraw.extend(chunk);
            }
        }
    }

    fn announce(&mut self, mut names: Vec<(AttrId, NameId)>) {
        let (table, attrs) = (&self.rib.names, &self.rib.attrs);
        names.sort_unstable();
        let mut sorted = Vec::new();
        let mut packer = Packer::within(self.limit);
        for group in names.chunk_by(|one, other| one.0 == other.0) {
            let attr = group[0].0;
            sorted.clear();
            sorted.extend(group.iter().map(|(_, name)| *name));
            sort_by_key(&mut sorted, table);
            for chunk in sorted.chunks(CHUNK) {
                if self.begins(chunk) {
                    pack_announce(&mut packer, attrs.raw(attr), chunk, table, &mut self.frames);
                    self.part.sent.announce.extend(chunk.iter().map(|name| (attr, *name)));
                }
            }
        }
    }

    /// Whether there is room to begin with these names; else they wait.
    fn begins(&mut self, chunk: &[NameId]) -> bool {
        let begins = self.frames.len() < self.room;
        if begins {
            self.last_begin = self.frames.len();
        } else {
            self.part.later.extend(chunk);
        }
        begins
    }
}

/// Packs names or prefixes, which never share an attribute set: what the first is, all are.
fn pack_announce(packer: &mut Packer, attrs: &[u8], nlri: &[NameId], table: &NameTable, out: &mut BytesMut) {
    if nlri.first().is_some_and(|first| table.family(*first) == Family::Name) {
        packer.announce(attrs, nlri.iter().map(|name| table.text(*name)), out);
    } else {
        packer.announce(attrs, nlri.iter().filter_map(|name| table.prefix(*name)), out);
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

/// Neighbours that share text pack best. Names of a batch mostly come in order, which this sort notices.
fn sort_by_key(names: &mut [NameId], table: &NameTable) {
    names.sort_by(|one, other| table.key(*one).cmp(table.key(*other)));
}

fn count_frames(mut frames: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((length, rest)) = frames.split_first_chunk::<4>() {
        count += 1;
        frames = rest.get(u32::from_be_bytes(*length) as usize..).unwrap_or_default();
    }
    count
}
