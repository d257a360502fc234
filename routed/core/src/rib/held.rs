//! Which names a peer offers, a bit for each: where a peer brings a path that it did not have, nobody has to look for one
//! among the paths of all others.

use crate::intern::NameId;

const PAGE_BITS: u32 = 12;
/// 64 names each: a page is 512 bytes.
const WORDS: usize = 1 << (PAGE_BITS - 6);

/// The names of one peer.
#[derive(Debug, Default)]
pub(super) struct HeldNames {
    pages: Vec<Option<Box<[u64; WORDS]>>>,
}

/// Page, word and bit of a name.
const fn place(name: NameId) -> (usize, usize, u64) {
    let word = name as usize >> 6;
    ((name >> PAGE_BITS) as usize, word % WORDS, 1 << (name & 63))
}

impl HeldNames {
    #[inline]
    pub(super) fn has(&self, name: NameId) -> bool {
        let (page, word, bit) = place(name);
        matches!(self.pages.get(page), Some(Some(words)) if words[word] & bit != 0)
    }

    #[inline]
    pub(super) fn insert(&mut self, name: NameId) {
        let (page, word, bit) = place(name);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        self.pages[page].get_or_insert_with(|| Box::new([0; WORDS]))[word] |= bit;
    }

    pub(super) fn remove(&mut self, name: NameId) {
        let (page, word, bit) = place(name);
        if let Some(Some(words)) = self.pages.get_mut(page) {
            words[word] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_from_its_insertion_to_its_removal() {
        let mut held = HeldNames::default();
        let names = [1, 63, 64, 4095, 4096, 1_000_000];
        names.iter().for_each(|name| held.insert(*name));
        held.remove(64);
        held.remove(2_000_000);
        let found: Vec<NameId> = (0..2_000_000).filter(|name| held.has(*name)).collect();
        assert_eq!(found, [1, 63, 4095, 4096, 1_000_000]);
    }
}
