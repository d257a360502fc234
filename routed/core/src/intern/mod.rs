//! Values interned to small integers: everything after the decoder is keyed on them.

mod attr_sets;
mod names;
mod slab;
mod values;

pub(crate) use attr_sets::{AttrId, AttrTable, Cached};
pub(crate) use names::{NameFlags, NameId, NameTable};
pub(crate) use slab::{Paged, Slab};
