//! Names that are looked up together: a look-up in a large table is a wait for memory, and those of several names overlap.

use super::names::NameId;

/// Names of a batch: as many as share an attribute set most often, and few enough for the innermost cache.
const NAMES: usize = 32;

/// Keys on their way into the name table, with their hashes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    keys: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) hash: u64,
    /// What the table has; 0: nothing.
    pub(super) id: NameId,
    /// Where the key ends in `keys`.
    end: u32,
}

impl Batch {
    pub(crate) fn is_full(&self) -> bool {
        self.items.len() >= NAMES
    }

    #[inline]
    pub(super) fn push(&mut self, hash: u64, key: &[u8]) {
        self.keys.extend_from_slice(key);
        // A key has at most 255 bytes.
        let end = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        self.items.push(Item { hash, id: 0, end });
    }

    /// The ids in the order in which the keys came.
    pub(crate) fn ids(&self) -> impl Iterator<Item = NameId> + '_ {
        self.items.iter().map(|item| item.id)
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.items.clear();
    }

    /// Keys and what is known of them, in the order in which they came.
    #[inline]
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&[u8], &mut Item)> {
        let keys = &self.keys;
        let mut start = 0;
        self.items.iter_mut().map(move |item| {
            let end = item.end as usize;
            let key = &keys[start..end];
            start = end;
            (key, item)
        })
    }
}
