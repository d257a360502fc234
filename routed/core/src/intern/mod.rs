//! Values interned to small integers: everything after the decoder is keyed on them.

mod attr_sets;
mod names;
mod slab;
mod values;

pub(crate) use attr_sets::{AttrId, AttrTable, Cached, IMPORTS, Signs};
pub(crate) use names::{NameEntry, NameFlags, NameId, NameTable};
pub(crate) use slab::Paged;

/// A 64-bit hash of a 32-bit one. The index takes its bucket from the low bits and a tag from the high ones: the
/// product makes the tag depend on all of them, else neighbours would all have the same.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A list that was worked off, for the next batch: with its memory, unless a backlog made it long.
fn emptied<T>(mut list: Vec<T>) -> Vec<T> {
    const KEPT: usize = 4096;
    list.clear();
    list.shrink_to(KEPT);
    list
}
