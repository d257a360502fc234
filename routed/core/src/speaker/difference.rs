//! Two configurations of one peer: which keys differ, and what the difference asks for.

use std::collections::BTreeMap;

use super::Speaker;
use super::peer::Peer;
use crate::event::{PeerConfig, PeerName, PeerTunnel, SpeakerConfig};
use crate::view::{PeerAction, PeerChange};

/// What differs between two configurations of a peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// The keys that differ, as the configuration file spells them.
    pub(super) keys: Vec<&'static str>,
    /// The session says what no longer holds: it must be set up again.
    pub(super) reset: bool,
    /// It is dialled otherwise.
    pub(super) redial: bool,
    /// What was received counts differently.
    pub(super) import: bool,
    /// What was not kept may count now: it must be told again.
    pub(super) refresh: bool,
    /// What is advertised differs.
    pub(super) export: bool,
    /// What it may bring, or how fast, differs.
    pub(super) limits: bool,
    /// The addresses of its tunnel differ, which nobody else may offer and traffic goes through.
    pub(super) tunnel: bool,
    /// What it is told of our end of the tunnel differs.
    pub(super) own_tunnel: bool,
    /// What other peers of our AS are told of this one's routes differs.
    pub(super) reflection: bool,
}

impl Difference {
    /// Whether both are the same.
    pub(super) fn is_nothing(&self) -> bool {
        self.keys.is_empty()
    }

    fn note(&mut self, differs: bool, key: &'static str) -> bool {
        if differs {
            self.keys.push(key);
        }
        differs
    }
}

impl Speaker {
    /// What a configuration would do to the peers, in order of name; those that stay as they are are left out.
    #[must_use]
    pub fn peer_changes(&self, new: &SpeakerConfig) -> Vec<PeerChange> {
        let dynamic = self.dynamic_configs(new);
        let peers = new.peers.iter().chain(&dynamic);
        let mut wanted: BTreeMap<&PeerName, &PeerConfig> = peers.map(|peer| (&peer.name, peer)).collect();
        let known = self
            .peers
            .iter()
            .filter_map(|peer| match wanted.remove(&peer.config.name) {
                None => Some(change(peer, PeerAction::Remove, Vec::new())),
                Some(config) => change_to(peer, config),
            });
        let mut changes: Vec<PeerChange> = known.collect();
        changes.extend(wanted.into_keys().map(|name| PeerChange {
            name: name.clone(),
            action: PeerAction::Add,
            keys: Vec::new(),
            established: false,
        }));
        changes.sort_by(|one, other| one.name.cmp(&other.name));
        changes
    }
}

fn change_to(peer: &Peer, new: &PeerConfig) -> Option<PeerChange> {
    let asks = difference(&peer.config, new, peer.established_with());
    let action = if asks.reset {
        PeerAction::Reset
    } else {
        PeerAction::Keep
    };
    (!asks.is_nothing()).then(|| change(peer, action, asks.keys))
}

fn change(peer: &Peer, action: PeerAction, keys: Vec<&'static str>) -> PeerChange {
    PeerChange {
        name: peer.config.name.clone(),
        action,
        keys,
        established: peer.up.is_some(),
    }
}

/// Compares two configurations of one peer. `established_with` is the node name that the peer's OPEN said, while the
/// session is Established.
pub(super) fn difference(old: &PeerConfig, new: &PeerConfig, established_with: Option<&str>) -> Difference {
    // Every field is named: a new one has to decide here.
    let PeerConfig {
        name: _,
        dynamic: _,
        address,
        asn,
        node,
        organisation,
        passive,
        families,
        client,
        next_hop_self,
        next_hop,
        allowed_next_hops,
        allowed_prefixes,
        graceful_restart,
        max_routes,
        max_update_rate,
        max_frame,
        role,
        strict_role,
        import,
        export,
        allowed_names,
        tunnel,
    } = new;
    let mut it = Difference::default();
    it.redial |= it.note(old.address != *address, "address");
    // The port is only where it is dialled.
    it.reset |= old.address.ip().to_canonical() != address.ip().to_canonical();
    it.reset |= it.note(old.asn != *asn, "as");
    let other_node = node.is_some() && node.as_deref() != established_with;
    it.reset |= it.note(old.node != *node, "node") && other_node;
    it.reset |= it.note(old.organisation != *organisation, "organisation");
    it.reset |= it.note(old.families != *families, "families");
    it.redial |= it.note(old.passive != *passive, "passive");
    it.limits |= it.note(old.max_routes != *max_routes, "max_routes");
    // Looked at with each frame.
    it.note(old.max_frame != *max_frame, "max_frame");
    it.limits |= it.note(old.max_update_rate != *max_update_rate, "max_update_rate");
    // The next OPEN says it.
    it.note(old.graceful_restart != *graceful_restart, "graceful_restart");
    // The OPEN claimed the old one.
    it.reset |= it.note(old.role != *role, "role");
    it.note(old.strict_role != *strict_role, "strict_role");
    it.reflection |= it.note(old.client != *client, "client");
    it.export |= it.note(old.next_hop_self != *next_hop_self, "next_hop_self");
    it.export |= it.note(old.next_hop != *next_hop, "next_hop");
    it.import |= it.note(old.allowed_next_hops != *allowed_next_hops, "allowed_next_hops");
    it.refresh |= allowed_next_hops.iter().any(|ip| !old.allowed_next_hops.contains(ip));
    let allowance = it.note(old.allowed_prefixes != *allowed_prefixes, "allowed_prefixes");
    it.import |= allowance;
    it.refresh |= allowance;
    it.import |= it.note(old.import != *import, "import");
    it.export |= it.note(old.export != *export, "export");
    let other_names = it.note(old.allowed_names != *allowed_names, "allowed_names");
    it.import |= other_names;
    it.refresh |= other_names;
    note_tunnel(&mut it, old.tunnel.as_ref(), tunnel.as_ref());
    it
}

fn note_tunnel(it: &mut Difference, old: Option<&PeerTunnel>, new: Option<&PeerTunnel>) {
    it.note(old != new, "tunnel");
    let received = |tunnel: Option<&PeerTunnel>| tunnel.map(|it| (it.addresses.clone(), it.required));
    let own = |tunnel: Option<&PeerTunnel>| tunnel.and_then(|tunnel| tunnel.own.clone());
    it.tunnel = received(old) != received(new);
    it.import |= it.tunnel;
    it.refresh |= it.tunnel;
    it.own_tunnel = own(old) != own(new);
}
