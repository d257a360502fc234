//! Values interned to small integers: everything after the decoder is keyed on them.

mod arena;
mod attr_sets;
mod batch;
mod cache;
mod names;
mod slab;
mod values;

pub(crate) use attr_sets::{AttrId, AttrTable, Signs};
pub(crate) use batch::Batch;
pub(crate) use cache::{Cached, IMPORTS};
pub(crate) use names::{NameEntry, NameFlags, NameId, NameTable};
pub(crate) use slab::Paged;

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

/// The hash of bytes that nothing else is hashed with: no need to hash how many there are as well.
#[inline]
fn hash_of(hasher: &DefaultHashBuilder, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish()
}

/// Whether the next insertion would have an index grow.
#[inline]
fn is_full(index: &HashTable<u32>) -> bool {
    index.len() == index.capacity()
}

/// An index with room for half as many again, of everything that is live. Given in order of id: what is to be hashed lies
/// in that order in memory, whereas an index that grows by itself looks at its entries in the order of their hashes, each
/// of them a cache miss in a large table.
fn indexed(count: usize, live: impl Iterator<Item = (u64, u32)>) -> HashTable<u32> {
    let mut index = HashTable::with_capacity(count + count / 2 + 1);
    for (hash, id) in live {
        // The hasher is not called while there is room, and there is for `count`.
        index.insert_unique(hash, id, |_| hash);
    }
    index
}

/// Whether so many of all places are to be freed that it costs less to index anew what stays than to take them out one
/// by one.
fn are_most(going: usize, places: std::ops::Range<u32>) -> bool {
    going > places.len() / 2
}

/// A list that was worked off, for the next batch: with its memory, unless a backlog made it long.
fn emptied<T>(mut list: Vec<T>) -> Vec<T> {
    const KEPT: usize = 4096;
    list.clear();
    list.shrink_to(KEPT);
    list
}
