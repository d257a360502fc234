//! Paths that outlive something for now: marked all together, unmarked one by one as they are sent again, and what is
//! still marked in the end goes.

use super::{PathFlags, PathId, PeerId, Rib};
use crate::intern::{NameFlags, NameId};
use crate::wire::{Families, Family};

impl Rib {
    /// The session of a peer is lost and its paths stay: all are stale from now on. Those that were stale before go
    /// (RFC 4724 section 4.2: consecutive restarts).
    pub(crate) fn mark_stale(&mut self, peer: PeerId) {
        self.drop_stale(peer, Families::ALL, true);
        let mut count = 0;
        for id in self.paths.ids_of(peer) {
            self.paths.set_flags(id, PathFlags::stale());
            self.mark_dirty(self.paths.get(id).name);
            count += 1;
        }
        self.peers[usize::from(peer)].stale = count;
        self.stale += count;
    }

    /// Whether a name has a stale path; costs nothing while no peer is away.
    pub(crate) fn has_stale(&self, name: NameId) -> bool {
        self.stale > 0 && self.paths_of(name).any(|(_, path)| path.flags.has(PathFlags::STALE))
    }

    /// How many stale paths there are.
    pub(crate) fn stale_paths(&self) -> u64 {
        self.stale
    }

    /// Takes out the paths of these families that a peer has not sent again since its session was lost, and says how
    /// many. `hard`: what they led to does not drain.
    pub(crate) fn drop_stale(&mut self, peer: PeerId, families: Families, hard: bool) -> u64 {
        if self.peers[usize::from(peer)].stale == 0 {
            return 0;
        }
        self.drop_marked(peer, PathFlags::STALE, families, hard)
    }

    /// The peer begins to send everything of a family again.
    pub(crate) fn mark_old(&mut self, peer: PeerId, family: Family) {
        for id in self.paths.ids_of(peer) {
            let mut path = self.paths.get(id);
            if self.names.family(path.name) == family {
                path.flags.set(PathFlags::OLD);
                self.paths.set_flags(id, path.flags);
            }
        }
    }

    /// Takes out the paths that a peer has not sent again since it began to, and says how many.
    pub(crate) fn drop_old(&mut self, peer: PeerId, family: Family) -> u64 {
        self.drop_marked(peer, PathFlags::OLD, Families::from_iter([family]), false)
    }

    fn drop_marked(&mut self, peer: PeerId, flag: u8, families: Families, hard: bool) -> u64 {
        let mut count = 0;
        for id in self.paths.ids_of(peer) {
            let path = self.paths.get(id);
            let name = path.name;
            if path.flags.has(flag) && families.has(self.names.family(name)) {
                if hard {
                    self.names.get_mut(name).flags.set(NameFlags::HARD_LOSS);
                }
                self.take_out(id);
                count += 1;
            }
        }
        count
    }

    /// The path was sent again, or goes. True: a mark has gone that mattered to the decision.
    pub(super) fn unmark(&mut self, id: PathId) -> bool {
        let path = self.paths.get(id);
        let stale = path.flags.has(PathFlags::STALE);
        self.paths.set_flags(id, PathFlags::default());
        if stale {
            self.peers[usize::from(path.peer)].stale -= 1;
            self.stale -= 1;
            self.mark_dirty(path.name);
        }
        stale
    }
}
