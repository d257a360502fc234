//! Paths of all peers by id, in pages of which each belongs to one peer: what a peer offers is found by a walk over its
//! pages, and no path pays for a list nor for the peer.

use super::path::Marks;
use super::{Learned, Path, PathFlags, PathId, PeerId};
use crate::intern::{AttrId, NameId};

const PAGE_BITS: u32 = 7;
/// Paths of a page: few enough that a peer with a handful of paths holds no more than 2.2 KiB.
const PAGE: usize = 1 << PAGE_BITS;
/// The same as a mask of ids.
const SLOTS: u32 = (1 << PAGE_BITS) - 1;
/// In place of a free slot: there is none.
const FULL: u8 = 1 << PAGE_BITS;

const fn split(id: PathId) -> (usize, usize) {
    ((id >> PAGE_BITS) as usize, id as usize & (PAGE - 1))
}

/// What a page has of each path, without its marks: 17 bytes with them, on purpose, for a node with ten peers holds ten
/// paths per name.
#[derive(Debug, Default, Clone, Copy)]
struct Stored {
    name: NameId,
    attr_in: AttrId,
    attr: AttrId,
    next_of_name: PathId,
}

#[derive(Debug)]
struct Slots {
    paths: [Stored; PAGE],
    marks: [Marks; PAGE],
}

const _: () = assert!(size_of::<Slots>() == 17 * PAGE);

/// One page, which is in the list of its peer or, empty, in that of nobody.
#[derive(Debug)]
struct Page {
    slots: Box<Slots>,
    since: Since,
    peer: PeerId,
    live: u8,
    /// The first free slot; `FULL`: none. Free slots are chained by `next_of_name`.
    free: u8,
    next: u32,
    prev: u32,
}

/// When the paths of a page came: a table comes at once, so that one time stands for all, until a path of it changes.
#[derive(Debug, Default)]
struct Since {
    all: u32,
    each: Option<Box<[u32; PAGE]>>,
}

impl Since {
    /// The page is empty, and its first path has come.
    fn first(at: u32) -> Self {
        Self { all: at, each: None }
    }

    #[inline]
    fn get(&self, slot: usize) -> u32 {
        self.each.as_ref().map_or(self.all, |each| each[slot])
    }

    #[inline]
    fn set(&mut self, slot: usize, at: u32) {
        if self.each.is_some() || at != self.all {
            self.each.get_or_insert_with(|| Box::new([self.all; PAGE]))[slot] = at;
        }
    }
}

/// The pages of one peer; page 0 is none, as is path 0.
#[derive(Debug, Default, Clone, Copy)]
struct Pages {
    /// Pages with a free slot.
    open: u32,
    full: u32,
}

/// Paths by id. The path of an id that is not given out has the name 0.
#[derive(Debug, Default)]
pub(super) struct Paths {
    pages: Vec<Page>,
    peers: Vec<Pages>,
    /// Pages of nobody.
    spare: u32,
}

impl Paths {
    /// Makes room for so many peers, the local one included.
    pub(super) fn add_peers(&mut self, count: usize) {
        if self.peers.len() < count {
            self.peers.resize(count, Pages::default());
        }
    }

    /// Stores a path among those of its peer.
    #[inline]
    pub(super) fn insert(&mut self, path: Path) -> PathId {
        let peer = usize::from(path.peer);
        if self.peers[peer].open == 0 {
            self.open_page(peer);
        }
        let at = self.peers[peer].open;
        let page = &mut self.pages[at as usize];
        let slot = page.free;
        page.free = slot_of(page.slots.paths[usize::from(slot)].next_of_name);
        if page.live == 0 {
            page.since = Since::first(path.since);
        }
        page.live += 1;
        page.put(usize::from(slot), &path);
        page.since.set(usize::from(slot), path.since);
        if page.free == FULL {
            self.unlink(at, peer, |pages| &mut pages.open);
            self.link(at, peer, |pages| &mut pages.full);
        }
        (at << PAGE_BITS) | PathId::from(slot)
    }

    /// Takes a path out.
    pub(super) fn remove(&mut self, id: PathId) -> Path {
        let (index, slot) = split(id);
        let page = &mut self.pages[index];
        let path = page.path(slot);
        let (peer, at) = (usize::from(path.peer), id >> PAGE_BITS);
        let was_full = page.free == FULL;
        page.put(
            slot,
            &Path {
                next_of_name: u32::from(page.free),
                ..Path::default()
            },
        );
        page.free = slot_of(id & SLOTS);
        page.live -= 1;
        let empty = page.live == 0;
        if was_full {
            self.unlink(at, peer, |pages| &mut pages.full);
            self.link(at, peer, |pages| &mut pages.open);
        }
        if empty {
            self.unlink(at, peer, |pages| &mut pages.open);
            self.pages[index].next = self.spare;
            self.spare = at;
        }
        path
    }

    /// The ids of a peer's paths as they are now, in their order; whoever walks over them may take them out. What came
    /// together is mostly together there, and its names are in the order in which it came.
    pub(super) fn ids_of(&self, peer: PeerId) -> impl Iterator<Item = PathId> + use<> {
        let Pages { open, full } = self.peers[usize::from(peer)];
        let mut ids = Vec::new();
        for mut at in [full, open] {
            while at != 0 {
                let page = &self.pages[at as usize];
                ids.push((at, page.live_slots()));
                at = page.next;
            }
        }
        ids.sort_unstable();
        ids.into_iter().flat_map(|(at, mut live)| {
            std::iter::from_fn(move || {
                let slot = live.trailing_zeros();
                // The lowest of the bits that are left is done with; of none, none is left.
                live &= live.checked_sub(1)?;
                Some((at << PAGE_BITS) | slot)
            })
        })
    }

    /// The ids of all paths, in their order.
    pub(super) fn ids(&self) -> impl Iterator<Item = PathId> + '_ {
        let pages = (0..).zip(&self.pages);
        let ids = pages.flat_map(|(at, _)| (0..=SLOTS).map(move |slot| (at << PAGE_BITS) | slot));
        ids.filter(|id| self.get(*id).name != 0)
    }

    /// The path of an id.
    #[inline]
    pub(super) fn get(&self, id: PathId) -> Path {
        let (page, slot) = split(id);
        self.pages[page].path(slot)
    }

    fn stored(&mut self, id: PathId) -> &mut Stored {
        let (page, slot) = split(id);
        &mut self.pages[page].slots.paths[slot]
    }

    fn marks(&mut self, id: PathId) -> &mut Marks {
        let (page, slot) = split(id);
        &mut self.pages[page].slots.marks[slot]
    }

    pub(super) fn set_next_of_name(&mut self, id: PathId, next: PathId) {
        self.stored(id).next_of_name = next;
    }

    pub(super) fn set_flags(&mut self, id: PathId, flags: PathFlags) {
        let marks = self.marks(id);
        *marks = Marks::new(marks.note(), flags);
    }

    /// Import made something else of the path.
    pub(super) fn set_learned(&mut self, id: PathId, learned: Learned, since: u32) {
        let (page, slot) = split(id);
        self.pages[page].since.set(slot, since);
        let stored = self.stored(id);
        (stored.attr_in, stored.attr) = (learned.attr_in, learned.attr);
        let marks = self.marks(id);
        *marks = Marks::new(learned.note, marks.flags());
    }

    fn open_page(&mut self, peer: usize) {
        let at = match self.spare {
            0 => self.new_page(),
            at => {
                self.spare = self.pages[at as usize].next;
                at
            }
        };
        self.pages[at as usize].peer = PeerId::try_from(peer).expect("it was the peer of a path");
        self.link(at, peer, |pages| &mut pages.open);
    }

    fn new_page(&mut self) -> u32 {
        if self.pages.is_empty() {
            // Nobody's: there is no page 0.
            self.pages.push(Page::new());
        }
        let at = u32::try_from(self.pages.len()).expect("ids of paths run out after ids of names");
        self.pages.push(Page::new());
        at
    }

    fn link(&mut self, at: u32, peer: usize, list: impl Fn(&mut Pages) -> &mut u32) {
        let head = std::mem::replace(list(&mut self.peers[peer]), at);
        if head != 0 {
            self.pages[head as usize].prev = at;
        }
        let page = &mut self.pages[at as usize];
        (page.prev, page.next) = (0, head);
    }

    fn unlink(&mut self, at: u32, peer: usize, list: impl Fn(&mut Pages) -> &mut u32) {
        let Page { prev, next, .. } = self.pages[at as usize];
        if next != 0 {
            self.pages[next as usize].prev = prev;
        }
        match prev {
            0 => *list(&mut self.peers[peer]) = next,
            prev => self.pages[prev as usize].next = next,
        }
    }
}

/// Slots are below 128 and so is what follows them in the chain of free ones.
fn slot_of(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(FULL)
}

impl Page {
    fn new() -> Self {
        let mut slots = Box::new(Slots {
            paths: [Stored::default(); PAGE],
            marks: [Marks::default(); PAGE],
        });
        for (slot, next) in slots.paths.iter_mut().zip(1..) {
            slot.next_of_name = next;
        }
        Self {
            slots,
            since: Since::default(),
            peer: PeerId::default(),
            live: 0,
            free: 0,
            next: 0,
            prev: 0,
        }
    }

    #[inline]
    fn path(&self, slot: usize) -> Path {
        let stored = &self.slots.paths[slot];
        let marks = self.slots.marks[slot];
        Path {
            name: stored.name,
            attr_in: stored.attr_in,
            attr: stored.attr,
            next_of_name: stored.next_of_name,
            since: self.since.get(slot),
            peer: self.peer,
            note: marks.note(),
            flags: marks.flags(),
        }
    }

    #[inline]
    fn put(&mut self, slot: usize, path: &Path) {
        self.slots.paths[slot] = Stored {
            name: path.name,
            attr_in: path.attr_in,
            attr: path.attr,
            next_of_name: path.next_of_name,
        };
        self.slots.marks[slot] = Marks::new(path.note, path.flags);
    }

    /// One bit for each slot that is taken.
    fn live_slots(&self) -> u128 {
        let bits = self.slots.paths.iter().map(|path| u128::from(path.name != 0));
        bits.rev().fold(0, |all, bit| all << 1 | bit)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn path(name: u32, peer: PeerId) -> Path {
        Path {
            name,
            peer,
            ..Path::default()
        }
    }

    #[test]
    fn paths_are_found_by_peer_whatever_comes_and_goes() {
        let mut paths = Paths::default();
        paths.add_peers(3);
        let mut held = [const { BTreeSet::new() }; 3];
        let id_of = |peer: usize| PeerId::try_from(peer).unwrap();
        let mut seed = 7_u32;
        for name in 1..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let peer = (seed >> 16) as usize % 3;
            // Grows for a while, then shrinks.
            let grows = (seed >> 20) % 8 < if name < 10_000 { 5 } else { 3 };
            match held[peer].first().copied() {
                Some(id) if !grows => {
                    held[peer].remove(&id);
                    assert_eq!(usize::from(paths.remove(id).peer), peer);
                }
                _ => {
                    let id = paths.insert(path(name, id_of(peer)));
                    assert!(id != 0 && held[peer].insert(id), "{id} is given out twice");
                }
            }
            if name % 500 == 0 {
                for (peer, held) in held.iter().enumerate() {
                    let found: Vec<_> = paths.ids_of(id_of(peer)).collect();
                    assert_eq!(found.len(), held.len());
                    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), *held);
                }
                assert_eq!(paths.ids().count(), held.iter().map(BTreeSet::len).sum::<usize>());
            }
        }
    }

    #[test]
    fn every_path_keeps_its_own_time() {
        let mut paths = Paths::default();
        paths.add_peers(2);
        let came = |name: u32, since| Path { since, ..path(name, 1) };
        let ids: Vec<_> = (1..=100).map(|name| paths.insert(came(name, 7))).collect();
        assert!(ids.iter().all(|id| paths.get(*id).since == 7));
        let learned = Learned {
            attr_in: 1,
            attr: 1,
            note: super::super::Note::Accepted,
        };
        paths.set_learned(ids[3], learned, 9);
        paths.remove(ids[4]);
        let later = paths.insert(came(200, 11));
        let since = |id: PathId| paths.get(id).since;
        assert_eq!((since(ids[2]), since(ids[3]), since(later)), (7, 9, 11));
        for id in ids
            .iter()
            .filter(|id| **id != ids[4])
            .chain([&later])
            .copied()
            .collect::<BTreeSet<_>>()
        {
            paths.remove(id);
        }
        let again = paths.insert(came(1, 13));
        assert_eq!(paths.get(again).since, 13);
    }

    #[test]
    fn pages_that_one_peer_has_emptied_serve_another() {
        let mut paths = Paths::default();
        paths.add_peers(2);
        for round in 0..10 {
            let peer = round % 2;
            let ids: Vec<_> = (1..=1000).map(|name| paths.insert(path(name, peer))).collect();
            for id in ids {
                paths.remove(id);
            }
        }
        assert_eq!(paths.pages.len(), 1 + 1000_usize.div_ceil(PAGE));
    }
}
