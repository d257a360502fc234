//! Values interned to small integers: everything after the decoder is keyed on them.

mod arena;
mod attr_sets;
mod cache;
mod names;
mod slab;
mod values;

pub(crate) use attr_sets::{AttrId, AttrTable, Signs};
pub(crate) use cache::{Cached, IMPORTS};
pub(crate) use names::{NameEntry, NameFlags, NameId, NameTable};
pub(crate) use slab::Paged;

/// A list that was worked off, for the next batch: with its memory, unless a backlog made it long.
fn emptied<T>(mut list: Vec<T>) -> Vec<T> {
    const KEPT: usize = 4096;
    list.clear();
    list.shrink_to(KEPT);
    list
}
