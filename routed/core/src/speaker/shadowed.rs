//! What a peer offers through its tunnel, and another peer's path is in use.

use super::Speaker;
use crate::event::PeerName;
use crate::prefix::Prefix;
use crate::rib::{Note, Path};

impl Speaker {
    /// Of peers with tunnels: the prefixes that import accepted and that another peer's path leads to, in order; at most
    /// `limit` of each peer. Equally good ones are in it: a packet takes one way only, that of the best path. What nobody else
    /// offers is not, whatever keeps it from being used.
    #[must_use]
    pub fn shadowed_prefixes(&self, limit: usize) -> Vec<(PeerName, Prefix)> {
        let mut all = Vec::new();
        for peer in self.peers.iter().filter(|peer| peer.config.tunnel.is_some()) {
            let paths = self.rib.paths_from(peer.id);
            let mut shadowed: Vec<Prefix> = paths
                .filter(|path| path.note == Note::Accepted && self.is_shadowed(path))
                .filter_map(|path| self.rib.names.prefix(path.name))
                .collect();
            shadowed.sort_unstable();
            shadowed.truncate(limit);
            all.extend(shadowed.into_iter().map(|prefix| (peer.config.name.clone(), prefix)));
        }
        all
    }

    fn is_shadowed(&self, path: &Path) -> bool {
        // Most are to names, and most others lead the way.
        let selected = self.rib.names.get(path.name).selected;
        let leads = selected == 0 || self.rib.path(selected).peer == path.peer;
        !leads && self.rib.names.prefix(path.name).is_some()
    }
}
