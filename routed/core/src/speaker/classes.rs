//! Peers that are treated alike share what is remembered per attribute set: they are of one class, and its number is
//! the key in the attribute table.

use crate::intern::AttrTable;

/// A class, and how many are in it. Without any it is kept for those that come back.
#[derive(Debug)]
struct InUse<K> {
    key: K,
    users: u32,
}

/// The classes of one kind, numbered from a start that is theirs.
#[derive(Debug)]
pub(super) struct Classes<K> {
    first: u16,
    classes: Vec<InUse<K>>,
}

/// So many classes without users are kept; beyond, their places are used again.
const UNUSED_KEPT: usize = 32;

impl<K: PartialEq> Classes<K> {
    /// None yet; the first will have this number.
    pub(super) fn starting_at(first: u16) -> Self {
        Self {
            first,
            classes: Vec::new(),
        }
    }

    /// One more user of a class; its number.
    pub(super) fn join(&mut self, key: K, attrs: &mut AttrTable) -> u16 {
        let known = self.classes.iter().position(|known| known.key == key);
        let index = known.unwrap_or_else(|| self.place(key, attrs));
        self.classes[index].users += 1;
        self.number(index)
    }

    fn place(&mut self, key: K, attrs: &mut AttrTable) -> usize {
        let unused = || self.classes.iter().enumerate().filter(|(_, known)| known.users == 0);
        let old = unused()
            .next()
            .map(|(index, _)| index)
            .filter(|_| unused().count() >= UNUSED_KEPT);
        let new = InUse { key, users: 0 };
        if let Some(index) = old {
            attrs.forget_class(self.number(index));
            self.classes[index] = new;
            return index;
        }
        self.classes.push(new);
        self.classes.len() - 1
    }

    /// At most a few classes per peer, and 32,767 peers at most: beyond the range of u16 the last one would be shared
    /// wrongly, but ids of peers run out before.
    fn number(&self, index: usize) -> u16 {
        u16::try_from(index).unwrap_or(u16::MAX).saturating_add(self.first)
    }

    /// One user less.
    pub(super) fn leave(&mut self, class: u16) {
        self.classes[usize::from(class - self.first)].users -= 1;
    }

    /// What a class stands for.
    pub(super) fn get(&self, class: u16) -> &K {
        &self.classes[usize::from(class - self.first)].key
    }
}
