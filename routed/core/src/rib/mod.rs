//! adj_rib_in of every peer: paths in a list by name, and in pages by peer.

mod held;
mod marks;
mod path;
mod paths;

pub use path::Note;
pub(crate) use path::{LOCAL, Path, PathFlags, PathId, PeerId};

use std::sync::Arc;

use crate::intern::{AttrId, AttrTable, Batch, NameFlags, NameId, NameTable};
use crate::wire::{Family, NlriBlock};
use held::HeldNames;
use paths::Paths;

/// A path as it comes out of import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Learned {
    /// The attributes as received.
    pub(crate) attr_in: AttrId,
    /// The attributes after import.
    pub(crate) attr: AttrId,
    /// Why it is not usable, if so.
    pub(crate) note: Note,
}

/// What happened to a name since its last computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since {
    /// A path was lost by a dead session or next hop.
    pub(crate) hard_loss: bool,
    /// Nothing but one new path, the first of the list.
    pub(crate) one_more: bool,
}

/// What is held from one peer.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct PeerPaths {
    /// Paths that import accepted.
    pub(crate) accepted: u64,
    /// Paths that import rejected.
    pub(crate) rejected: u64,
    /// Paths of both kinds that are stale.
    pub(crate) stale: u64,
}

/// Names, attribute sets and paths of one Speaker.
#[derive(Debug)]
pub(crate) struct Rib {
    pub(crate) names: NameTable,
    pub(crate) attrs: AttrTable,
    paths: Paths,
    peers: Vec<PeerPaths>,
    /// The names of each peer.
    held: Vec<HeldNames>,
    /// Stale paths of all peers.
    stale: u64,
    /// Destinations that have a path in use, by family.
    in_use: [u64; Family::ALL.len()],
    dirty: Vec<NameId>,
    /// Empty; its memory is used again.
    batch: Batch,
}

impl PeerPaths {
    /// All paths that are kept.
    pub(crate) fn held(self) -> u64 {
        self.accepted + self.rejected
    }
}

impl Rib {
    /// An empty one.
    pub(crate) fn new(organisation: Arc<str>) -> Self {
        let mut rib = Self {
            names: NameTable::new(),
            attrs: AttrTable::new(organisation),
            paths: Paths::default(),
            peers: Vec::new(),
            held: Vec::new(),
            stale: 0,
            in_use: [0; Family::ALL.len()],
            dirty: Vec::new(),
            batch: Batch::default(),
        };
        rib.add_peer(LOCAL);
        rib
    }

    pub(crate) fn path(&self, id: PathId) -> Path {
        self.paths.get(id)
    }

    /// The paths of a name, newest first.
    pub(crate) fn paths_of(&self, name: NameId) -> impl Iterator<Item = (PathId, Path)> + '_ {
        let mut next = self.names.get(name).first;
        std::iter::from_fn(move || {
            let id = next;
            if id == 0 {
                return None;
            }
            let path = self.paths.get(id);
            next = path.next_of_name;
            Some((id, path))
        })
    }

    /// The path of a name from one peer.
    pub(crate) fn find(&self, name: NameId, peer: PeerId) -> Option<PathId> {
        if !self.held[usize::from(peer)].has(name) {
            return None;
        }
        self.paths_of(name)
            .find(|(_, path)| path.peer == peer)
            .map(|(id, _)| id)
    }

    /// Makes room for the paths of a peer.
    pub(crate) fn add_peer(&mut self, peer: PeerId) {
        let needed = usize::from(peer) + 1;
        if self.peers.len() < needed {
            self.peers.resize(needed, PeerPaths::default());
            self.held.resize_with(needed, HeldNames::default);
            self.paths.add_peers(needed);
        }
    }

    /// The paths of a peer, in no order that means anything.
    pub(crate) fn paths_from(&self, peer: PeerId) -> impl Iterator<Item = Path> + '_ {
        self.paths.ids_of(peer).map(|id| self.paths.get(id))
    }

    pub(crate) fn peer(&self, peer: PeerId) -> PeerPaths {
        self.peers[usize::from(peer)]
    }

    /// What is held from all peers, and of our own.
    pub(crate) fn everything(&self) -> PeerPaths {
        self.peers.iter().fold(PeerPaths::default(), |sum, peer| PeerPaths {
            accepted: sum.accepted + peer.accepted,
            rejected: sum.rejected + peer.rejected,
            stale: sum.stale + peer.stale,
        })
    }

    /// How many destinations have a path in use.
    pub(crate) fn in_use(&self) -> [(Family, u64); Family::ALL.len()] {
        std::array::from_fn(|at| (Family::ALL[at], self.in_use[at]))
    }

    /// Has a path be the one in use; 0: none is.
    pub(crate) fn use_path(&mut self, name: NameId, path: PathId) {
        let before = std::mem::replace(&mut self.names.get_mut(name).selected, path);
        if (before == 0) != (path == 0) {
            let family = usize::from(self.names.family(name).code() - 1);
            let count = &mut self.in_use[family];
            *count = count.wrapping_add_signed(if path == 0 { -1 } else { 1 });
        }
    }

    /// Takes a path in as the peer announces it, in place of the one that it announced before. False: nothing changed.
    pub(crate) fn upsert(&mut self, name: NameId, peer: PeerId, learned: Learned, since: u32) -> bool {
        let Some(id) = self.find(name, peer) else {
            self.insert(name, peer, learned, since);
            return true;
        };
        let refreshed = self.unmark(id);
        self.replace(id, learned, since) || refreshed
    }

    /// As [`Rib::upsert`], of the same for every destination of a block.
    pub(crate) fn upsert_all(&mut self, block: &NlriBlock, peer: PeerId, learned: Learned, since: u32) {
        let mut batch = std::mem::take(&mut self.batch);
        block.for_each_key(|key| {
            self.names.put(&mut batch, key);
            if batch.is_full() {
                self.upsert_batch(&mut batch, peer, learned, since);
            }
        });
        self.upsert_batch(&mut batch, peer, learned, since);
        self.batch = batch;
    }

    fn upsert_batch(&mut self, batch: &mut Batch, peer: PeerId, learned: Learned, since: u32) {
        self.names.intern_batch(batch);
        for name in batch.ids() {
            self.upsert(name, peer, learned, since);
        }
        batch.clear();
    }

    /// Import makes something else of a path that is held, or of one that is not yet.
    pub(crate) fn revise(&mut self, name: NameId, peer: PeerId, learned: Learned, since: u32) {
        match self.find(name, peer) {
            Some(id) => drop(self.replace(id, learned, since)),
            None => self.insert(name, peer, learned, since),
        }
    }

    fn replace(&mut self, id: PathId, learned: Learned, since: u32) -> bool {
        let path = self.paths.get(id);
        let before = Learned {
            attr_in: path.attr_in,
            attr: path.attr,
            note: path.note,
        };
        if before == learned {
            return false;
        }
        self.hold(learned);
        self.paths.set_learned(id, learned, since);
        self.let_go(before);
        self.count(path.peer, before.note, -1);
        self.count(path.peer, learned.note, 1);
        self.mark_dirty(path.name);
        true
    }

    fn insert(&mut self, name: NameId, peer: PeerId, learned: Learned, since: u32) {
        let id = self.paths.insert(Path {
            name,
            attr_in: learned.attr_in,
            attr: learned.attr,
            next_of_name: self.names.get(name).first,
            since,
            peer,
            note: learned.note,
            flags: PathFlags::default(),
        });
        self.names.get_mut(name).first = id;
        self.held[usize::from(peer)].insert(name);
        self.hold(learned);
        self.count(peer, learned.note, 1);
        let clean = !self.names.get(name).flags.has(NameFlags::DIRTY);
        self.mark_dirty(name);
        if clean {
            self.names.get_mut(name).flags.set(NameFlags::ONE_MORE);
        }
    }

    fn hold(&mut self, learned: Learned) {
        self.attrs.retain(learned.attr_in);
        self.attrs.retain(learned.attr);
    }

    fn let_go(&mut self, learned: Learned) {
        self.attrs.release(learned.attr_in);
        self.attrs.release(learned.attr);
    }

    fn count(&mut self, peer: PeerId, note: Note, by: i64) {
        let counts = &mut self.peers[usize::from(peer)];
        let count = if note == Note::Accepted {
            &mut counts.accepted
        } else {
            &mut counts.rejected
        };
        *count = count.wrapping_add_signed(by);
    }

    /// Takes out the path of a name from one peer. False: there is none.
    pub(crate) fn remove(&mut self, name: NameId, peer: PeerId) -> bool {
        let Some(id) = self.find(name, peer) else {
            return false;
        };
        self.take_out(id);
        true
    }

    fn take_out(&mut self, id: PathId) {
        self.unmark(id);
        self.unlink_from_name(id);
        let path = self.paths.remove(id);
        self.held[usize::from(path.peer)].remove(path.name);
        self.let_go(Learned {
            attr_in: path.attr_in,
            attr: path.attr,
            note: path.note,
        });
        self.count(path.peer, path.note, -1);
        self.mark_dirty(path.name);
    }

    fn unlink_from_name(&mut self, id: PathId) {
        let Path { name, next_of_name, .. } = self.paths.get(id);
        let first = self.names.get(name).first;
        if first == id {
            self.names.get_mut(name).first = next_of_name;
            return;
        }
        let mut at = first;
        loop {
            let next = self.paths.get(at).next_of_name;
            if next == id {
                break;
            }
            at = next;
        }
        self.paths.set_next_of_name(at, next_of_name);
    }

    /// Takes out every path of a peer whose session is gone. Its names do not drain.
    pub(crate) fn drop_peer(&mut self, peer: PeerId) {
        for id in self.paths.ids_of(peer) {
            self.unlink_from_name(id);
            let path = self.paths.remove(id);
            self.let_go(Learned {
                attr_in: path.attr_in,
                attr: path.attr,
                note: path.note,
            });
            self.names.get_mut(path.name).flags.set(NameFlags::HARD_LOSS);
            self.mark_dirty(path.name);
        }
        self.held[usize::from(peer)] = HeldNames::default();
        let gone = std::mem::take(&mut self.peers[usize::from(peer)]);
        self.stale -= gone.stale;
    }

    /// Has the best path of a name computed at the end of the batch.
    pub(crate) fn mark_dirty(&mut self, name: NameId) {
        let flags = &mut self.names.get_mut(name).flags;
        flags.take(NameFlags::ONE_MORE);
        if !flags.has(NameFlags::DIRTY) {
            flags.set(NameFlags::DIRTY);
            self.dirty.push(name);
        }
    }

    /// Whether any name waits for its best path to be computed.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The dirty names in the order in which they were marked. Each keeps its mark until [`Rib::clean`].
    pub(crate) fn take_dirty(&mut self) -> Vec<NameId> {
        std::mem::take(&mut self.dirty)
    }

    /// Begins the computation of one name, with what happened to it since the last one.
    pub(crate) fn clean(&mut self, name: NameId) -> Since {
        let flags = &mut self.names.get_mut(name).flags;
        flags.take(NameFlags::DIRTY);
        let since = Since {
            hard_loss: flags.take(NameFlags::HARD_LOSS),
            one_more: flags.take(NameFlags::ONE_MORE),
        };
        self.names.may_be_unused(name);
        since
    }

    /// Gives back the list of [`Rib::take_dirty`], so that its memory is used again.
    pub(crate) fn give_back(&mut self, mut list: Vec<NameId>) {
        if self.dirty.is_empty() && list.capacity() <= 1 << 12 {
            list.clear();
            self.dirty = list;
        }
    }

    /// Every path, in order of id (for rare events that concern many).
    pub(crate) fn all_paths(&self) -> impl Iterator<Item = (PathId, Path)> + '_ {
        self.paths.ids().map(|id| (id, self.paths.get(id)))
    }

    /// Forgets names and attribute sets that nothing refers to.
    pub(crate) fn sweep(&mut self) {
        self.names.sweep();
        self.attrs.sweep();
    }
}

#[cfg(test)]
mod tests;
