//! The plan of one peer: what its routes, its configuration and its keys allow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use catalyst_plugin::{Prefix, PrefixRoute, Tunnel};

use super::Planner;
use super::lines::{End, Lines, Slot};
use crate::config::{TunnelDevice, TunnelPeer, covering};
use crate::keys::PublicKey;
use crate::resource::{Family, Key, Peer, Refusal, Resource, Route};

/// What routes say of a peer.
#[derive(Debug, Default)]
pub(super) struct PeerRoutes {
    /// Its tunnel as each of its addresses announces it.
    tunnels: BTreeMap<Prefix, Arc<Tunnel>>,
    /// What is routed to it besides.
    prefixes: BTreeSet<Prefix>,
    /// The keys that it was last seen with.
    pub(super) claim: BTreeSet<PublicKey>,
}

impl PeerRoutes {
    pub(super) fn learn(&mut self, prefix: Prefix, route: &PrefixRoute) {
        match &route.tunnel {
            Some(tunnel) => drop(self.tunnels.insert(prefix, tunnel.clone())),
            None => drop(self.prefixes.insert(prefix)),
        }
    }

    pub(super) fn forget(&mut self, prefix: Prefix) {
        self.tunnels.remove(&prefix);
        self.prefixes.remove(&prefix);
    }

    pub(super) fn prefixes(&self) -> Vec<Prefix> {
        self.tunnels.keys().chain(&self.prefixes).copied().collect()
    }
}

/// How it stands with a peer, before the kernel is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It has a tunnel; pinned: its key is the one that is configured.
    Planned {
        /// Whether a key is configured.
        pinned: bool,
    },
    /// Nothing is known of its tunnel: guarded.
    Guarded,
    /// Its key is not the one that is configured.
    WrongKey,
    /// The key that it announces is not one that is configured, and the one that it has still serves.
    Kept,
    /// Something else stands against its tunnel.
    Refused(Arc<str>),
}

/// What is planned for a peer.
#[derive(Debug, Clone)]
pub struct PeerPlan {
    /// The organisation.
    pub organisation: Arc<str>,
    /// The device that is sent by.
    pub device: Arc<str>,
    /// How it stands.
    pub condition: Condition,
    /// The key that it is sent to by, or announces.
    pub public_key: Option<PublicKey>,
    /// Where it is called first.
    pub endpoint: Option<SocketAddr>,
    /// Its tunnel addresses in use.
    pub addresses: Vec<IpAddr>,
    /// What is sent to it.
    pub allowed: BTreeSet<Prefix>,
    /// All of it.
    pub resources: BTreeMap<Key, Resource>,
}

impl Planner {
    /// The tunnel that counts: the one by hand, else the newest that the peer announces.
    pub(super) fn chosen(&self, peer: &str) -> Option<&Arc<Tunnel>> {
        let by_hand = self.config.peers.get(peer).and_then(|peer| peer.static_tunnel.as_ref());
        let announced = || {
            self.routes
                .get(peer)?
                .tunnels
                .values()
                .max_by_key(|tunnel| (tunnel.serial, tunnel.public_key))
        };
        by_hand.or_else(announced)
    }

    pub(super) fn plan_peer(&self, name: &Arc<str>, condition: Condition) -> PeerPlan {
        let mut plan = PeerPlan {
            organisation: "".into(),
            device: "".into(),
            condition,
            public_key: None,
            endpoint: None,
            addresses: Vec::new(),
            allowed: BTreeSet::new(),
            resources: BTreeMap::new(),
        };
        let Some(peer) = self.config.peers.get(name) else {
            return plan;
        };
        let Some(ours) = self.config.tunnels.get(&peer.organisation) else {
            return plan;
        };
        plan.organisation = peer.organisation.clone();
        let lines = self.lines.get(name);
        plan.device = ours.device_in(lines.map_or(Slot::Home, Lines::active));
        let used = lines
            .and_then(|lines| lines.in_use().copied())
            .or_else(|| self.announced(name, peer));
        plan.public_key = used.map(|end| end.key);
        plan.endpoint = used.and_then(|end| end.endpoint);
        let refusals: Vec<(Prefix, Refusal)> = match (lines, self.chosen(name)) {
            (Some(lines), Some(tunnel)) => self.fill(&mut plan, name, (peer, ours), lines, tunnel),
            _ => {
                let refusal = refusal_of(&plan.condition, name);
                self.prefixes_of(name)
                    .into_iter()
                    .map(|prefix| (prefix, refusal.clone()))
                    .collect()
            }
        };
        for (prefix, refusal) in refusals {
            plan.resources.insert(Key::Refused(prefix), Resource::Refused(refusal));
        }
        plan
    }

    /// How it stands with a peer, by what it announces now.
    pub(super) fn condition(&self, name: &Arc<str>) -> Condition {
        let Some(peer) = self.config.peers.get(name) else {
            return Condition::Guarded;
        };
        let Some(End { key, endpoint }) = self.announced(name, peer) else {
            return Condition::Guarded;
        };
        if !peer.public_keys.is_empty() && !peer.public_keys.contains(&key) {
            return Condition::WrongKey;
        }
        if key == self.index.public_key || Some(key) == self.index.second_key {
            return Condition::Refused("it announces our own key".into());
        }
        if let Some(other) = self.claim(&peer.organisation, key).filter(|other| *other != name) {
            return Condition::Refused(format!("it announces the key of peer {other}").into());
        }
        if let Some(endpoint) = endpoint
            && let Some(guard) = covering(&self.index.guarded, endpoint.ip())
        {
            let why = format!("its endpoint {endpoint} lies within {guard}, which is reached through tunnels only");
            return Condition::Refused(why.into());
        }
        if let Some(Err(why)) = self.preshared_keys.get(name) {
            return Condition::Refused(format!("no pre-shared key: {why}").into());
        }
        Condition::Planned {
            pinned: !peer.public_keys.is_empty(),
        }
    }

    /// The tunnel and everything that goes through it. Gives the routes that do not.
    fn fill(
        &self,
        plan: &mut PeerPlan,
        name: &Arc<str>,
        (peer, ours): (&TunnelPeer, &TunnelDevice),
        lines: &Lines,
        tunnel: &Tunnel,
    ) -> Vec<(Prefix, Refusal)> {
        let (good, refusals) = self.sort_out(name, peer, lines, tunnel);
        let preshared_key = self.preshared_keys.get(name).and_then(|key| key.clone().ok());
        let keepalive_s = u16::try_from(self.config.keepalive.as_secs()).unwrap_or(u16::MAX);
        let there = Peer {
            preshared_key,
            keepalive_s,
        };
        for (slot, end) in lines.all() {
            put_line(plan, &ours.device_in(slot), end, &there, &good);
        }
        let mtu = u32::from(tunnel.mtu.max(crate::config::MIN_MTU));
        for prefix in good {
            let route = Route {
                device: plan.device.clone(),
                source: source(ours, prefix),
                mtu: (mtu < u32::from(ours.mtu)).then_some(mtu),
            };
            let table = self.config.table;
            plan.resources
                .insert(Key::Route { table, prefix }, Resource::Route(route));
            if tunnel.addresses.contains(&prefix) {
                plan.addresses.push(prefix.address());
            }
            plan.allowed.insert(prefix);
        }
        refusals
    }

    /// What may go through the tunnel of a peer, and what may not.
    fn sort_out(
        &self,
        name: &Arc<str>,
        peer: &TunnelPeer,
        lines: &Lines,
        tunnel: &Tunnel,
    ) -> (Vec<Prefix>, Vec<(Prefix, Refusal)>) {
        let mut good: Vec<Prefix> = peer.static_prefixes.clone();
        let mut refusals = Vec::new();
        if peer.static_tunnel.is_some() {
            good.extend(&tunnel.addresses);
        }
        let Some(routes) = self.routes.get(name) else {
            return (good, refusals);
        };
        // Addresses come one by one: in a change of keys those that have not come yet are still the peer's.
        let is_of_it = |announced: &Tunnel| {
            announced.public_key == tunnel.public_key
                || lines.all().any(|(_, end)| end.key == PublicKey(announced.public_key))
        };
        for (host, announced) in &routes.tunnels {
            if peer.static_tunnel.is_some() {
                if !tunnel.addresses.contains(host) {
                    refusals.push((*host, no("its tunnel is configured by hand, without this address")));
                }
            } else if !is_of_it(announced) || !tunnel.addresses.contains(host) {
                refusals.push((*host, waits("its newest tunnel has another key or not this address")));
            } else if let Err(why) = self.may_be_remote(*host) {
                refusals.push((*host, no(&why)));
            } else {
                good.push(*host);
            }
        }
        for prefix in &routes.prefixes {
            match self.may_carry(name, peer, *prefix) {
                Ok(()) => good.push(*prefix),
                Err(why) => refusals.push((*prefix, no(&why))),
            }
        }
        (good, refusals)
    }

    /// Whether a learned prefix may go to a peer. Whatever policy says, these are never somebody else's.
    fn may_carry(&self, name: &Arc<str>, peer: &TunnelPeer, prefix: Prefix) -> Result<(), String> {
        self.may_be_remote(prefix)?;
        if let Some(holder) = self.index.fixed_prefixes.get(&prefix) {
            return Err(format!("it is routed to peer {holder} by hand"));
        }
        if let Some(holder) = self.index.peer_at(prefix.address()).filter(|_| self.is_address(prefix)) {
            return Err(format!("it lies within the tunnel addresses of peer {holder}"));
        }
        if peer.allowed_prefixes.iter().any(|allowed| allowed.covers(prefix)) {
            return Ok(());
        }
        Err(format!("not within allowed_prefixes of peer {name}"))
    }

    fn is_address(&self, prefix: Prefix) -> bool {
        prefix
            .and_supernets()
            .any(|range| self.index.addresses.contains_key(&range))
    }

    fn may_be_remote(&self, prefix: Prefix) -> Result<(), String> {
        if prefix.is_martian() {
            return Err("loopback, link-local and multicast are not routed between networks".to_owned());
        }
        match prefix.and_supernets().find(|wider| self.index.own.contains(wider)) {
            Some(own) => Err(format!("it is within our own {own}")),
            None => Ok(()),
        }
    }
}

/// A peer of a device, with everything that it may send; its endpoint last, so that all is in place when it is called.
fn put_line(plan: &mut PeerPlan, device: &Arc<str>, end: &End, there: &Peer, good: &[Prefix]) {
    let (device, key) = (device.clone(), end.key);
    plan.resources.extend(good.iter().map(|prefix| {
        let (device, prefix) = (device.clone(), *prefix);
        (Key::Allowed { device, prefix }, Resource::Allowed(key))
    }));
    if let Some(endpoint) = end.endpoint {
        let device = device.clone();
        plan.resources
            .insert(Key::Endpoint { device, key }, Resource::Endpoint(endpoint));
    }
    plan.resources
        .insert(Key::Peer { device, key }, Resource::Peer(there.clone()));
}

/// Packets of this host into a tunnel come from its tunnel address: the only one that the far side takes.
fn source(ours: &TunnelDevice, prefix: Prefix) -> Option<IpAddr> {
    let family = Family::of(prefix.address());
    let addresses = ours.addresses.iter().map(|address| address.address());
    addresses.into_iter().find(|address| Family::of(*address) == family)
}

fn no(reason: &str) -> Refusal {
    Refusal {
        reason: reason.into(),
        waits: false,
    }
}

fn waits(reason: &str) -> Refusal {
    Refusal {
        reason: reason.into(),
        waits: true,
    }
}

fn refusal_of(condition: &Condition, peer: &str) -> Refusal {
    match condition {
        Condition::Guarded => waits(&format!("the tunnel of peer {peer} is not known yet")),
        Condition::WrongKey => no(&format!(
            "peer {peer} announces another key than the one it is pinned to"
        )),
        Condition::Refused(why) => no(&format!("peer {peer} has no tunnel: {why}")),
        Condition::Planned { .. } | Condition::Kept => waits(&format!("peer {peer} has no tunnel")),
    }
}
