//! Paged storage by small integers. Pages never move, so growth neither copies nor doubles the memory held.

use std::ops::{Index, IndexMut};

/// 256 values: a node with a handful of routes pays for no more than a page of each kind.
const PAGE_BITS: u32 = 8;
const PAGE: usize = 1 << PAGE_BITS;

const fn split(id: u32) -> (usize, usize) {
    ((id >> PAGE_BITS) as usize, id as usize & (PAGE - 1))
}

fn new_page<T: Default>() -> Box<[T; PAGE]> {
    let page: Box<[T]> = std::iter::repeat_with(T::default).take(PAGE).collect();
    page.try_into().ok().expect("a page is collected from PAGE items")
}

/// A slab: insert gives a free id, remove takes it back. Id 0 is never given out and stands for "none".
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pages: Vec<Box<[T; PAGE]>>,
    free: Vec<u32>,
    next: u32,
}

impl<T: Default> Slab<T> {
    pub(crate) fn new() -> Self {
        Self {
            pages: Vec::new(),
            free: Vec::new(),
            next: 1,
        }
    }

    /// Stores a value, reusing the id that became free last.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let id = self.claim();
        self[id] = value;
        id
    }

    /// A free id, its place as the last owner left it.
    pub(crate) fn claim(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| self.grow())
    }

    fn grow(&mut self) -> u32 {
        let id = self.next;
        self.next += 1;
        if split(id).0 >= self.pages.len() {
            self.pages.push(new_page());
        }
        id
    }

    /// Takes a value out; the id is free from now on.
    pub(crate) fn remove(&mut self, id: u32) -> T {
        self.free.push(id);
        std::mem::take(&mut self[id])
    }

    /// Every id that was ever given out: the caller tells live ones by their content (removed ones hold the default).
    pub(crate) fn ids(&self) -> std::ops::Range<u32> {
        1..self.next
    }

    /// How many values it holds.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.next as usize - 1 - self.free.len()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, id: u32) -> &T {
        let (page, slot) = split(id);
        &self.pages[page][slot]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        let (page, slot) = split(id);
        &mut self.pages[page][slot]
    }
}

/// A map from id to u32 with 0 for everything that was not set; pages come into being where needed.
#[derive(Debug, Default)]
pub(crate) struct Paged {
    pages: Vec<Option<Box<[u32; PAGE]>>>,
}

impl Paged {
    #[inline]
    pub(crate) fn get(&self, id: u32) -> u32 {
        let (page, slot) = split(id);
        match self.pages.get(page) {
            Some(Some(page)) => page[slot],
            Some(None) | None => 0,
        }
    }

    pub(crate) fn set(&mut self, id: u32, value: u32) {
        *self.place(id) = value;
    }

    /// Where the value of an id is, to be looked at and changed in one go.
    #[inline]
    pub(crate) fn place(&mut self, id: u32) -> &mut u32 {
        let (page, slot) = split(id);
        if !matches!(self.pages.get(page), Some(Some(_))) {
            self.add_page(page);
        }
        &mut self.pages[page].get_or_insert_with(new_page)[slot]
    }

    #[cold]
    fn add_page(&mut self, page: usize) {
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        self.pages[page].get_or_insert_with(new_page);
    }

    /// Every (id, value) that is not 0, in order of id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0u32..).zip(&self.pages).flat_map(|(index, page)| {
            let base = index << PAGE_BITS;
            let cells = page.iter().flat_map(|cells| cells.iter());
            (base..)
                .zip(cells)
                .filter(|&(_, value)| *value != 0)
                .map(|(id, value)| (id, *value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_reuses_ids_and_never_gives_zero() {
        let mut slab = Slab::new();
        let ids: Vec<u32> = (0..3000u32).map(|n| slab.insert(n)).collect();
        assert_eq!(ids[0], 1);
        assert!(ids.iter().zip(0..).all(|(id, n)| slab[*id] == n));
        assert_eq!(slab.remove(7), 6);
        assert_eq!((slab.len(), slab[7]), (2999, 0));
        assert_eq!(slab.insert(42), 7);
        assert_eq!(slab.ids(), 1..3001);
    }

    #[test]
    fn paged_gives_zero_where_nothing_was_set() {
        let mut map = Paged::default();
        map.set(5000, 9);
        map.set(3, 8);
        map.set(4, 1);
        map.set(4, 0);
        assert_eq!(
            (map.get(3), map.get(4), map.get(5000), map.get(2_000_000)),
            (8, 0, 9, 0)
        );
        assert_eq!(map.iter().collect::<Vec<_>>(), [(3, 8), (5000, 9)]);
    }
}
