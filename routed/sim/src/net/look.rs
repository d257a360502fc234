//! What a node holds and says, as tests ask for it.

use catalyst_core::view::{PeerView, RouteView};

use super::Net;
use crate::config::{destination, node_name};

impl Net {
    /// Every path of a name, best first.
    #[must_use]
    pub fn paths(&self, node: usize, text: &str) -> Vec<RouteView> {
        self.nodes[node].speaker.route(&destination(text), self.now)
    }

    /// The selected path of a name.
    #[must_use]
    pub fn selected(&self, node: usize, text: &str) -> Option<RouteView> {
        self.paths(node, text).into_iter().find(|path| path.selected)
    }

    /// AS_PATH of the selected path.
    #[must_use]
    pub fn as_path(&self, node: usize, text: &str) -> Option<Vec<u32>> {
        self.selected(node, text).map(|path| path.attrs.as_path.clone())
    }

    /// What a node says of its session with another.
    #[must_use]
    pub fn peer_view(&self, node: usize, peer: usize) -> PeerView {
        let peer = node_name(peer);
        self.nodes[node]
            .speaker
            .peers(self.now)
            .into_iter()
            .find(|view| *view.name == *peer)
            .unwrap()
    }

    /// Names that a node advertises to another.
    #[must_use]
    pub fn advertised(&self, node: usize, peer: usize) -> Vec<String> {
        let told = self.nodes[node].speaker.advertised(&node_name(peer), None, usize::MAX);
        told.into_iter().map(|(name, _)| name.to_string()).collect()
    }
}
