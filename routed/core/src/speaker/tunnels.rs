//! Tunnels to peers: their addresses, which nobody else may offer; our end of each, told to its peer and to nobody else;
//! and whether they are alive, without which what is behind them cannot be used.
//!
//! What a peer says of its own end comes in as a route, and is judged by `judge` and `offers`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashSet;

use super::peer::Peer;
use super::peers::Peers;
use super::services::local_attrs;
use super::{Phase, Speaker};
use crate::attrs::{Attrs, OriginNode, Tunnel};
use crate::destination::PrefixKey;
use crate::event::PeerTunnel;
use crate::intern::{AttrId, NameFlags, NameId, Signs};
use crate::prefix::{Prefix, PrefixSet};
use crate::rib::{LOCAL, Path};
use crate::view::OwnTunnelView;

/// What is known of tunnels as a whole.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    /// Those of all peers, and ours.
    addresses: PrefixSet,
    /// The addresses of peers that tunnels lead to.
    up: HashSet<IpAddr>,
}

impl Tunnels {
    /// Whether no peer has any, which costs nothing.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Whether the tunnel to an address is alive.
    pub(super) fn is_up(&self, address: IpAddr) -> bool {
        self.up.contains(&address)
    }

    pub(super) fn up(&self) -> &HashSet<IpAddr> {
        &self.up
    }

    pub(super) fn set_up(&mut self, up: &HashSet<IpAddr>) {
        self.up.clone_from(up);
    }

    /// Whether a prefix is refused from an outside peer for the sake of a tunnel. What only covers an address takes no
    /// traffic from it, so the configuration may allow it by naming it.
    pub(super) fn refuses(&self, peer: &Peer, prefix: Prefix) -> bool {
        self.addresses.overlaps(prefix)
            && (self.addresses.covers(prefix) || !peer.config.allowed_prefixes.names(prefix))
    }

    fn rebuild(&mut self, peers: &Peers) {
        let tunnels = peers.iter().filter_map(|peer| peer.config.tunnel.as_ref());
        self.addresses = tunnels.flat_map(|tunnel| addresses(Some(tunnel))).collect();
    }
}

/// Every address of a tunnel, of both ends.
fn addresses(tunnel: Option<&PeerTunnel>) -> BTreeSet<Prefix> {
    let Some(tunnel) = tunnel else {
        return BTreeSet::new();
    };
    let own = tunnel.own.iter().flat_map(|own| own.addresses.iter().copied());
    tunnel.addresses.iter().chain(own).collect()
}

/// The addresses that only one of two configurations has.
pub(super) fn moved(old: Option<&PeerTunnel>, new: Option<&PeerTunnel>) -> BTreeSet<Prefix> {
    let (old, new) = (addresses(old), addresses(new));
    old.symmetric_difference(&new).copied().collect()
}

/// What a peer is told of our end of its tunnel, before it is worded.
pub(super) fn tunnel_attrs(identity: &OriginNode, own: &Arc<Tunnel>) -> Attrs {
    Attrs {
        tunnel: Some(own.clone()),
        ..local_attrs(identity, None, None, &[], &[])
    }
}

impl Peer {
    /// The attributes of our end of its tunnel, if a name is one of its addresses.
    pub(super) fn told_of(&self, name: NameId) -> Option<AttrId> {
        let told = self.told_tunnel.iter().find(|(address, _)| *address == name);
        told.map(|(_, attr)| *attr)
    }
}

impl Speaker {
    /// Has a peer told what its configuration says of our end of the tunnel, in place of what it was told before.
    pub(super) fn tell_tunnel(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let before = std::mem::take(&mut peer.told_tunnel);
        if let Some(own) = peer.own_tunnel() {
            let attr = self.rib.attrs.intern(&tunnel_attrs(&self.config.identity, own));
            for address in own.addresses.clone() {
                let name = self.rib.names.intern(PrefixKey::new(address).as_bytes());
                self.rib.names.retain(name);
                self.rib.attrs.retain(attr);
                peer.told_tunnel.push((name, attr));
            }
        }
        for (name, _) in &before {
            self.mark_address(index, *name);
        }
        self.mark_tunnel(index);
        self.release_told(before);
    }

    /// Has a peer told of our end of its tunnel.
    pub(super) fn mark_tunnel(&mut self, index: usize) {
        for nth in 0..self.peers[index].told_tunnel.len() {
            let (name, _) = self.peers[index].told_tunnel[nth];
            self.mark_address(index, name);
        }
    }

    fn mark_address(&mut self, index: usize, name: NameId) {
        let family = self.rib.names.family(name);
        let peer = &mut self.peers[index];
        if peer.takes(family) {
            peer.out.mark(name, &mut self.rib.names);
        }
    }

    /// Our ends of tunnels, in order of organisation; more than one of an organisation while its peers are told of a change.
    #[must_use]
    pub fn own_tunnels(&self) -> Vec<OwnTunnelView> {
        let mut views: Vec<OwnTunnelView> = Vec::new();
        for peer in self.peers.iter() {
            let Some(own) = peer.own_tunnel() else { continue };
            let organisation = &peer.config.organisation;
            let known = views
                .iter_mut()
                .find(|it| it.organisation == *organisation && it.tunnel == *own);
            let told = peer
                .told_tunnel
                .iter()
                .all(|(name, _)| peer.out.advertised_attr(*name) != 0);
            let told = told.then(|| peer.config.name.clone());
            match known {
                Some(view) => view.told.extend(told),
                None => views.push(OwnTunnelView {
                    organisation: organisation.clone(),
                    tunnel: own.clone(),
                    told: told.into_iter().collect(),
                }),
            }
        }
        views.sort_by(|one, other| one.organisation.cmp(&other.organisation));
        views
    }

    /// The peer is retired.
    pub(super) fn forget_tunnel(&mut self, index: usize) {
        let before = std::mem::take(&mut self.peers[index].told_tunnel);
        self.release_told(before);
    }

    fn release_told(&mut self, told: Vec<(NameId, AttrId)>) {
        for (name, attr) in told {
            self.rib.names.release(name);
            self.rib.attrs.release(attr);
        }
    }

    /// Addresses have become those of a tunnel, or are none any longer.
    pub(super) fn move_tunnel_addresses(&mut self, moved: &BTreeSet<Prefix>, none_went: bool) {
        if none_went {
            moved.iter().for_each(|address| self.tunnels.addresses.insert(*address));
        } else if !moved.is_empty() {
            self.tunnels.rebuild(&self.peers);
        }
        self.note_usability();
        if self.phase == Phase::New {
            return;
        }
        let names: BTreeSet<NameId> = moved.iter().flat_map(|address| self.overlapping(*address)).collect();
        for name in names {
            let paths = self.rib.paths_of(name).map(|(_, path)| path);
            let concerned: Vec<Path> = paths.filter(|path| self.is_of_outside(path)).collect();
            for path in concerned {
                self.reimport_path(usize::from(path.peer) - 1, path.name, path.attr_in, path.since);
            }
        }
    }

    fn is_of_outside(&self, path: &Path) -> bool {
        self.peer(path.peer).is_some_and(|peer| peer.outside)
    }

    /// The prefixes in the table that share an address with one.
    fn overlapping(&self, with: Prefix) -> Vec<NameId> {
        let names = &self.rib.names;
        let covering = with.and_supernets();
        let mut found: Vec<NameId> = covering
            .filter_map(|prefix| names.lookup(PrefixKey::new(prefix).as_bytes()))
            .collect();
        if with != Prefix::of_host(with.address()) {
            let within = |name: &NameId| names.prefix(*name).is_some_and(|prefix| with.covers(prefix));
            found.extend(names.ids().filter(|name| names.is_live(*name)).filter(within));
        }
        found
    }

    /// A data plane found a tunnel alive or dead.
    pub(super) fn on_tunnel(&mut self, address: IpAddr, up: bool) {
        let changed = if up {
            self.tunnels.up.insert(address)
        } else {
            self.tunnels.up.remove(&address)
        };
        if !changed {
            return;
        }
        let via = |path: &Path| self.rib.attrs.next_hop(path.attr).ip().to_canonical() == address;
        let ends = self.peers.iter().filter(|peer| peer.reaches_by_tunnel(address));
        let paths = ends.flat_map(|peer| self.rib.paths_from(peer.id)).filter(via);
        let names: Vec<NameId> = paths
            .filter(|path| !self.is_tunnel(path))
            .map(|path| path.name)
            .collect();
        for name in names {
            if !up {
                self.rib.names.get_mut(name).flags.set(NameFlags::HARD_LOSS);
            }
            self.rib.mark_dirty(name);
        }
        if !up {
            self.planes.cut_drains_via(|hop| hop.ip().to_canonical() == address);
        }
    }

    /// Whether a path is what a peer says of its end of a tunnel.
    fn is_tunnel(&self, path: &Path) -> bool {
        self.rib.attrs.hot(path.attr).signs.has(Signs::TUNNEL)
    }

    /// Has everything that a peer offers decided anew: its tunnel leads elsewhere.
    pub(super) fn decide_again(&mut self, index: usize) {
        let names: Vec<NameId> = self
            .rib
            .paths_from(self.peers[index].id)
            .map(|path| path.name)
            .collect();
        names.into_iter().for_each(|name| self.rib.mark_dirty(name));
    }

    /// Our end of the tunnel to a peer, in its words: no policy and no gate has a say, and no other peer hears of it. 0: the
    /// session does not take it.
    pub(super) fn export_tunnel(&mut self, index: usize, name: NameId, attr: AttrId) -> AttrId {
        let family = self.rib.names.family(name);
        let Some(up) = self.peers[index].up.as_ref().filter(|up| up.families.has(family)) else {
            return 0;
        };
        let class = up.class;
        match self.rib.attrs.cached(attr, class, LOCAL) {
            Some(known) => known.attr,
            None => self.word_tunnel(class, attr),
        }
    }
}
