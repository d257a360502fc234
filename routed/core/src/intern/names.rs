//! The name table: every name and prefix that anything refers to, once. It knows them by key: the text of a name, the few
//! bytes of a prefix. Names and prefixes are one space of ids, so that one RIB serves all families.

use std::collections::VecDeque;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::arena::Arena;
use super::batch::Batch;
use super::slab::Slab;
use super::{are_most, hash_of, indexed, is_full};
use crate::destination::{Destination, family_of_key, prefix_of_key};
use crate::prefix::Prefix;
use crate::wire::Family;

/// A name or prefix in the table; 0 is none.
pub(crate) type NameId = u32;

/// Keys of names are some 30 bytes: units of two waste the least, and reach as far as ids do.
type Keys = Arena<2>;
/// So many names that joined or left are remembered, for those who keep an order of their own.
const JOURNAL: usize = 16 * 1024;

/// Marks of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NameFlags(u8);

impl NameFlags {
    /// In the list of names whose best path is to be computed.
    pub(crate) const DIRTY: u8 = 1;
    /// A path was lost by a dead session or next hop since the last computation: no drain.
    pub(crate) const HARD_LOSS: u8 = 2;
    /// The `*.suffix` of one of our domains: a discard stands where nobody offers it.
    pub(crate) const DISCARD: u8 = 4;
    /// In the list of names that may be free.
    pub(crate) const SWEEP: u8 = 8;
    /// All that happened since the last computation is one new path, the first of the list.
    pub(crate) const ONE_MORE: u8 = 16;
    /// The path in use is not fresh, and its attributes do not say so: what is told of it from now on does.
    pub(crate) const NOT_FRESH: u8 = 32;
    /// A prefix; its key says of which family.
    const PREFIX: u8 = 128;

    fn of(family: Family) -> Self {
        match family {
            Family::Name => Self(0),
            Family::Ipv4 | Family::Ipv6 => Self(Self::PREFIX),
        }
    }
    pub(crate) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
    pub(crate) fn set(&mut self, flag: u8) {
        self.0 |= flag;
    }
    pub(crate) fn put(&mut self, flag: u8, on: bool) {
        self.0 = self.0 & !flag | if on { flag } else { 0 };
    }
    /// Clears a flag and says whether it was set.
    pub(crate) fn take(&mut self, flag: u8) -> bool {
        let had = self.has(flag);
        self.0 &= !flag;
        had
    }
}

/// What is known of a name: 24 bytes, on purpose. Its hash is not among them: the key is as near when the index grows.
#[derive(Debug, Default)]
pub(crate) struct NameEntry {
    /// Where the key is.
    key: u32,
    /// The first of its paths; they are chained by `Path::next_of_name`.
    pub(crate) first: u32,
    /// The path that won the last decision.
    pub(crate) selected: u32,
    /// What keeps it besides its paths: cells of adj_rib_out, routes of data planes, configuration.
    pub(crate) refs: u32,
    /// The acknowledged part of loc_rib, which peers may see: attributes, and the peer that it was learned from.
    pub(crate) loc_attr: u32,
    /// See `loc_attr`.
    pub(crate) loc_source: u16,
    len: u8,
    /// Marks.
    pub(crate) flags: NameFlags,
}

const _: () = assert!(size_of::<NameEntry>() == 24);

impl NameEntry {
    fn is_unused(&self) -> bool {
        self.first == 0 && self.refs == 0 && self.loc_attr == 0 && !self.flags.has(NameFlags::DIRTY)
    }

    #[inline]
    fn key<'k>(&self, keys: &'k Keys) -> &'k [u8] {
        keys.get(self.key, self.len.into())
    }
}

/// Names by key and by id. The hash is seeded per process, so that nobody can prepare names that collide; its order
/// never shows.
#[derive(Debug)]
pub(crate) struct NameTable {
    entries: Slab<NameEntry>,
    keys: Keys,
    index: HashTable<NameId>,
    hasher: DefaultHashBuilder,
    sweep: Vec<NameId>,
    /// Moves by one whenever a name joins or leaves.
    generation: u64,
    /// The names of the last such moves, the newest last.
    journal: VecDeque<NameId>,
}

impl NameTable {
    pub(crate) fn new() -> Self {
        Self {
            entries: Slab::new(),
            keys: Keys::default(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            sweep: Vec::new(),
            generation: 0,
            journal: VecDeque::new(),
        }
    }

    /// The id of a name that is in the table.
    pub(crate) fn lookup(&self, key: &[u8]) -> Option<NameId> {
        self.find(hash_of(&self.hasher, key), key)
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<NameId> {
        self.index.find(hash, |&id| self.key(id) == key).copied()
    }

    /// The id of a name, which joins the table if need be. `key` is that of a checked name (at most 253 bytes) or prefix.
    pub(crate) fn intern(&mut self, key: &[u8]) -> NameId {
        let hash = hash_of(&self.hasher, key);
        self.find(hash, key).unwrap_or_else(|| self.insert(hash, key))
    }

    /// Puts a key into a batch for [`NameTable::intern_batch`].
    #[inline]
    pub(crate) fn put(&self, batch: &mut Batch, key: &[u8]) {
        batch.push(hash_of(&self.hasher, key), key);
    }

    /// As [`NameTable::intern`], of a whole batch, which has the ids from now on.
    pub(crate) fn intern_batch(&mut self, batch: &mut Batch) {
        for (key, item) in batch.iter_mut() {
            item.id = self.find(item.hash, key).unwrap_or(0);
        }
        let before = self.generation;
        for (key, item) in batch.iter_mut().filter(|(_, item)| item.id == 0) {
            // It may stand twice in the batch.
            let known = (self.generation != before).then(|| self.find(item.hash, key)).flatten();
            item.id = known.unwrap_or_else(|| self.insert(item.hash, key));
        }
    }

    fn insert(&mut self, hash: u64, key: &[u8]) -> NameId {
        if is_full(&self.index) {
            self.grow_index();
        }
        let len = u8::try_from(key.len()).expect("names are checked where they come in");
        let at = self.keys.insert(key);
        let id = self.entries.insert(NameEntry {
            key: at,
            len,
            flags: NameFlags::of(family_of_key(key)),
            ..NameEntry::default()
        });
        let Self {
            entries, keys, hasher, ..
        } = self;
        self.index
            .insert_unique(hash, id, |&id| hash_of(hasher, entries[id].key(keys)));
        self.note_move(id);
        self.may_be_unused(id);
        id
    }

    #[cold]
    fn grow_index(&mut self) {
        self.index_anew(self.index.len());
    }

    fn index_anew(&mut self, count: usize) {
        let ids = self.entries.ids().filter(|id| self.is_live(*id));
        self.index = indexed(count, ids.map(|id| (hash_of(&self.hasher, self.key(id)), id)));
    }

    /// The id of a destination that is in the table.
    pub(crate) fn lookup_destination(&self, destination: &Destination) -> Option<NameId> {
        destination.with_key(|key| self.lookup(key))
    }

    /// What an id stands for.
    pub(crate) fn destination(&self, id: NameId) -> Destination {
        Destination::from_key(self.key(id))
    }

    /// The family of an id.
    pub(crate) fn family(&self, id: NameId) -> Family {
        self.family_of(&self.entries[id])
    }

    /// The family, mostly without a look at the key.
    #[inline]
    pub(crate) fn family_of(&self, entry: &NameEntry) -> Family {
        if entry.flags.has(NameFlags::PREFIX) {
            family_of_key(entry.key(&self.keys))
        } else {
            Family::Name
        }
    }

    /// The text of a name.
    pub(crate) fn text(&self, id: NameId) -> &str {
        std::str::from_utf8(self.key(id)).expect("names are ASCII")
    }

    /// The prefix that an id stands for; `None`: it is a name.
    pub(crate) fn prefix(&self, id: NameId) -> Option<Prefix> {
        prefix_of_key(self.key(id))
    }

    /// The key: cheaper to compare than what it stands for, and of the same order.
    pub(crate) fn key(&self, id: NameId) -> &[u8] {
        self.entries[id].key(&self.keys)
    }

    pub(crate) fn get(&self, id: NameId) -> &NameEntry {
        &self.entries[id]
    }

    pub(crate) fn get_mut(&mut self, id: NameId) -> &mut NameEntry {
        &mut self.entries[id]
    }

    /// Holds a name.
    pub(crate) fn retain(&mut self, id: NameId) {
        self.entries[id].refs += 1;
    }

    /// Holds a name so many times more.
    pub(crate) fn retain_times(&mut self, id: NameId, times: u32) {
        self.entries[id].refs += times;
    }

    /// Lets go of a name.
    pub(crate) fn release(&mut self, id: NameId) {
        self.entries[id].refs -= 1;
        self.may_be_unused(id);
    }

    /// Looks at a name in the next [`NameTable::sweep`].
    pub(crate) fn may_be_unused(&mut self, id: NameId) {
        let entry = &mut self.entries[id];
        if entry.is_unused() && !entry.flags.has(NameFlags::SWEEP) {
            entry.flags.set(NameFlags::SWEEP);
            self.sweep.push(id);
        }
    }

    /// Forgets the names that nothing refers to.
    pub(crate) fn sweep(&mut self) {
        let mut unused = std::mem::take(&mut self.sweep);
        unused.retain(|id| {
            let entry = &mut self.entries[*id];
            entry.flags.take(NameFlags::SWEEP);
            entry.is_unused()
        });
        if are_most(unused.len(), self.entries.ids()) {
            self.forget_most(&unused);
        } else {
            unused.iter().for_each(|id| self.forget(*id));
        }
        self.sweep = super::emptied(unused);
        if self.keys.is_sparse() {
            self.gather_keys();
        }
    }

    fn forget_most(&mut self, unused: &[NameId]) {
        for &id in unused {
            self.entries.remove(id);
            self.note_move(id);
        }
        self.gather_keys();
        self.index_anew(self.index.len() - unused.len());
    }

    /// Moves the keys together.
    fn gather_keys(&mut self) {
        let before = std::mem::take(&mut self.keys);
        for id in self.entries.ids() {
            let entry = &mut self.entries[id];
            if entry.len != 0 {
                entry.key = self.keys.insert(entry.key(&before));
            }
        }
    }

    fn forget(&mut self, id: NameId) {
        let hash = hash_of(&self.hasher, self.key(id));
        if let Ok(found) = self.index.find_entry(hash, |&other| other == id) {
            found.remove();
        }
        let entry = self.entries.remove(id);
        self.keys.remove(entry.key, entry.len.into());
        self.note_move(id);
    }

    fn note_move(&mut self, id: NameId) {
        self.generation += 1;
        if self.journal.len() == JOURNAL {
            self.journal.pop_front();
        }
        self.journal.push_back(id);
    }

    /// The names that joined or left since a generation; `None`: too many to remember.
    pub(crate) fn moved_since(&self, generation: u64) -> Option<impl Iterator<Item = NameId> + '_> {
        let moves = usize::try_from(self.generation - generation).ok()?;
        let from = self.journal.len().checked_sub(moves)?;
        Some(self.journal.range(from..).copied())
    }

    /// Every id ever given out; unused ones have no path and no `loc_attr`.
    pub(crate) fn ids(&self) -> std::ops::Range<NameId> {
        self.entries.ids()
    }

    /// How many names there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Counts the names that joined or left.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the id stands for a name now.
    pub(crate) fn is_live(&self, id: NameId) -> bool {
        self.entries[id].len != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_id_and_leaves_when_nothing_refers_to_it() {
        let mut table = NameTable::new();
        let a = table.intern(b"orders.acme");
        let b = table.intern(b"reviews.acme");
        assert_eq!(
            (table.intern(b"orders.acme"), table.lookup(b"reviews.acme")),
            (a, Some(b))
        );
        assert_eq!(
            (table.key(a), table.key(b)),
            (&b"orders.acme"[..], &b"reviews.acme"[..])
        );
        table.retain(a);
        table.sweep();
        assert_eq!(
            (table.lookup(b"orders.acme"), table.lookup(b"reviews.acme")),
            (Some(a), None)
        );
        table.release(a);
        table.sweep();
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn names_and_prefixes_share_one_space_of_ids() {
        let mut table = NameTable::new();
        for text in ["orders.acme", "10.0.0.0/8", "10.0.0.0/16", "2001:db8::/32", "*"] {
            let destination: Destination = text.parse().unwrap();
            let id = destination.with_key(|key| table.intern(key));
            assert_eq!(table.lookup_destination(&destination), Some(id));
            assert_eq!(
                (table.destination(id), table.family(id)),
                (destination.clone(), destination.family())
            );
        }
        assert_eq!(table.len(), 5);
    }

    #[test]
    fn places_of_forgotten_names_are_used_again() {
        let mut table = NameTable::new();
        for n in 0..2000 {
            let id = table.intern(format!("stays-{n}.example").as_bytes());
            table.retain(id);
        }
        let mut pages = Vec::new();
        for round in 0..50 {
            for n in 0..1000 {
                table.intern(format!("service-{n}.round-{round:02}.example").as_bytes());
            }
            table.sweep();
            pages.push(table.keys.pages());
        }
        assert_eq!(table.len(), 2000);
        assert_eq!(pages.first(), pages.last(), "50 rounds fit where one did");
        assert!(table.ids().end <= 3001);
    }

    #[test]
    fn a_table_that_loses_everything_holds_nothing() {
        let mut table = NameTable::new();
        for n in 0..1000 {
            table.intern(format!("service-{n}.example").as_bytes());
        }
        table.sweep();
        assert_eq!((table.len(), table.keys.pages(), table.index.len()), (0, 0, 0));
        assert_eq!(table.lookup(b"service-7.example"), None);
        let again = table.intern(b"service-7.example");
        assert_eq!(table.lookup(b"service-7.example"), Some(again));
    }

    #[test]
    fn names_stay_what_they_are_when_most_others_leave() {
        let mut table = NameTable::new();
        let names: Vec<_> = (0..100_000).map(|n| format!("service-{n}.example")).collect();
        let ids: Vec<_> = names.iter().map(|name| table.intern(name.as_bytes())).collect();
        let pages = table.keys.pages();
        ids.iter().step_by(100).for_each(|id| table.retain(*id));
        table.sweep();
        assert!(table.keys.pages() < pages / 10, "{} of {pages}", table.keys.pages());
        for (name, id) in names.iter().zip(&ids).step_by(100) {
            assert_eq!((table.text(*id), table.lookup(name.as_bytes())), (&**name, Some(*id)));
        }
    }
}
