//! Routes and configuration to resources. Pure: no I/O, no clock.
//!
//! What configuration alone decides (guards, rule, filter, devices, addresses) is planned with the whole table. What
//! routes decide belongs to one peer each, so a change costs what that peer has and no more. In a change of keys it also
//! depends on what was held before (`lines`).

mod change;
mod lines;
mod peer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use catalyst_plugin::{Prefix, PrefixRoute, RouteTable, Table, Target, Touched};

use crate::config::{WireguardConfig, covering, is_host};
use crate::keys::{PresharedKey, PrivateKey, PublicKey};
use crate::resource::{Key, Refusal, Resource};

pub use lines::{End, Lines, Phase, Slot};
use peer::PeerRoutes;
pub use peer::{Condition, PeerPlan};

/// The pre-shared keys of peers that are to have one, or why it cannot be had.
pub type PresharedKeys = BTreeMap<Arc<str>, Result<PresharedKey, Arc<str>>>;

/// A resource that is wanted, or wanted no longer.
type Wanted = (Key, Option<Resource>);

/// Plans, and remembers what it planned.
#[derive(Debug)]
pub struct Planner {
    config: WireguardConfig,
    preshared_keys: PresharedKeys,
    index: Index,
    /// What routes say of each peer.
    routes: BTreeMap<Arc<str>, PeerRoutes>,
    /// The peer that a prefix is routed to.
    owners: BTreeMap<Prefix, Arc<str>>,
    /// The peers that have, or say that they have, a key in the tunnels to an organisation.
    claims: BTreeMap<(Arc<str>, PublicKey), BTreeSet<Arc<str>>>,
    /// What is held of the tunnel to each peer that has one.
    lines: BTreeMap<Arc<str>, Lines>,
    /// What an earlier run left of peers that have not announced themselves to this one yet.
    adopted: BTreeMap<Arc<str>, Lines>,
    /// Whether all that are to announce themselves have done so.
    is_settled: bool,
    /// The peers whose lines are not at rest.
    changing: BTreeSet<Arc<str>>,
    plans: BTreeMap<Arc<str>, PeerPlan>,
    /// The organisations that a second device is wanted for.
    seconds: BTreeSet<Arc<str>>,
    /// What configuration alone wants, and the second devices.
    fixed: BTreeMap<Key, Resource>,
    /// Routes that belong to no peer and yet lead where only tunnels may.
    strays: BTreeMap<Prefix, Resource>,
}

/// What is looked up often, from configuration.
#[derive(Debug)]
struct Index {
    /// The peer that addresses are configured for.
    addresses: BTreeMap<Prefix, Arc<str>>,
    guarded: BTreeSet<Prefix>,
    /// The peer that has a prefix by hand.
    fixed_prefixes: BTreeMap<Prefix, Arc<str>>,
    /// Our addresses in tunnels, and prefixes of our own.
    own: BTreeSet<Prefix>,
    /// Of our devices, but for a change of it.
    public_key: PublicKey,
    /// Of our second devices, in a change of it.
    second_key: Option<PublicKey>,
    /// The organisation that a device is for.
    devices: BTreeMap<Arc<str>, (Arc<str>, Slot)>,
}

impl Index {
    fn of(config: &WireguardConfig) -> Self {
        let peers = || config.peers.iter();
        Self {
            addresses: peers()
                .flat_map(|(name, peer)| peer.addresses.iter().map(|p| (*p, name.clone())))
                .collect(),
            guarded: config.guarded(),
            fixed_prefixes: peers()
                .flat_map(|(name, peer)| peer.static_prefixes.iter().map(|p| (*p, name.clone())))
                .collect(),
            own: (config.tunnels.values().flat_map(|tunnel| &tunnel.addresses))
                .chain(&config.own_prefixes)
                .copied()
                .collect(),
            public_key: config.private_key.public_key(),
            second_key: config.key_change.second().map(PrivateKey::public_key),
            devices: (config.tunnels.iter())
                .flat_map(|(organisation, tunnel)| {
                    [Slot::Home, Slot::Second].map(|slot| (tunnel.device_in(slot), (organisation.clone(), slot)))
                })
                .collect(),
        }
    }

    fn peer_at(&self, address: IpAddr) -> Option<&Arc<str>> {
        Prefix::of_host(address)
            .and_supernets()
            .find_map(|range| self.addresses.get(&range))
    }
}

impl Planner {
    /// A planner for a configuration that was checked.
    #[must_use]
    pub fn new(config: WireguardConfig, preshared_keys: PresharedKeys) -> Self {
        Self {
            index: Index::of(&config),
            config,
            preshared_keys,
            routes: BTreeMap::new(),
            owners: BTreeMap::new(),
            claims: BTreeMap::new(),
            lines: BTreeMap::new(),
            adopted: BTreeMap::new(),
            is_settled: false,
            changing: BTreeSet::new(),
            plans: BTreeMap::new(),
            seconds: BTreeSet::new(),
            fixed: BTreeMap::new(),
            strays: BTreeMap::new(),
        }
    }

    /// The configuration that it plans by.
    #[must_use]
    pub fn config(&self) -> &WireguardConfig {
        &self.config
    }

    /// Takes another configuration; everything is to be planned again.
    pub fn reconfigure(&mut self, config: WireguardConfig, preshared_keys: PresharedKeys) {
        self.index = Index::of(&config);
        self.config = config;
        self.preshared_keys = preshared_keys;
    }

    /// Takes other pre-shared keys; everything is to be planned again.
    pub fn set_preshared_keys(&mut self, preshared_keys: PresharedKeys) {
        self.preshared_keys = preshared_keys;
    }

    /// What is planned for each peer.
    #[must_use]
    pub fn peers(&self) -> &BTreeMap<Arc<str>, PeerPlan> {
        &self.plans
    }

    /// Whose tunnel a host would be the end of.
    pub(crate) fn owner_of(&self, host: Prefix) -> Option<&Arc<str>> {
        let address = host.address();
        self.index.peer_at(address).filter(|_| Prefix::of_host(address) == host)
    }

    /// What configuration alone wants under this key. It does not wait for the table to settle.
    #[must_use]
    pub fn fixed(&self, key: &Key) -> Option<&Resource> {
        self.fixed.get(key)
    }

    /// Whether configuration alone decides about such a key.
    #[must_use]
    pub fn is_fixed(key: &Key) -> bool {
        match key {
            Key::Guard { .. } | Key::Rule { .. } | Key::Filter { .. } | Key::Device(_) | Key::Address { .. } => true,
            Key::Peer { .. } | Key::Endpoint { .. } | Key::Allowed { .. } | Key::Route { .. } | Key::Refused(_) => {
                false
            }
        }
    }

    /// The wanted content of a peer's resource.
    #[must_use]
    pub fn wanted(&self, key: &Key) -> Option<&Resource> {
        let owner = match key {
            Key::Peer { device, key } | Key::Endpoint { device, key } => {
                let (organisation, _) = self.index.devices.get(device)?;
                self.claim(organisation, *key)
            }
            Key::Allowed { prefix, .. } | Key::Route { prefix, .. } | Key::Refused(prefix) => self.owner(*prefix),
            Key::Guard { .. } | Key::Rule { .. } | Key::Filter { .. } | Key::Device(_) | Key::Address { .. } => {
                return self.fixed.get(key);
            }
        };
        self.plans.get(owner?)?.resources.get(key)
    }

    /// Everything anew, or what differs because these routes changed.
    pub fn plan(&mut self, routes: &RouteTable<PrefixRoute>, touched: Touched<'_, Prefix>) -> Vec<Wanted> {
        match touched {
            Touched::All => self.plan_all(routes),
            Touched::Names(prefixes) => self.plan_some(routes, prefixes),
        }
    }

    /// The prefixes whose traffic depends on a resource.
    #[must_use]
    pub fn routes_of(&self, key: &Key) -> Vec<Prefix> {
        match key {
            // Without these nothing is applied at all.
            Key::Guard { .. } | Key::Rule { .. } | Key::Filter { .. } => Vec::new(),
            Key::Device(device) | Key::Address { device, .. } => {
                let on = |(_, plan): &(&Arc<str>, &PeerPlan)| plan.device == *device;
                let peers = self.plans.iter().filter(on);
                peers.flat_map(|(peer, _)| self.prefixes_of(peer)).collect()
            }
            Key::Peer { device, key } | Key::Endpoint { device, key } => {
                let Some((organisation, _)) = self.index.devices.get(device) else {
                    return Vec::new();
                };
                let claims = self.claims.get(&(organisation.clone(), *key));
                claims
                    .into_iter()
                    .flatten()
                    .flat_map(|peer| self.prefixes_of(peer))
                    .collect()
            }
            Key::Allowed { prefix, .. } | Key::Route { prefix, .. } | Key::Refused(prefix) => vec![*prefix],
        }
    }

    fn prefixes_of(&self, peer: &Arc<str>) -> Vec<Prefix> {
        self.routes.get(peer).map(PeerRoutes::prefixes).unwrap_or_default()
    }

    fn owner(&self, prefix: Prefix) -> Option<&Arc<str>> {
        let fixed = self.index.fixed_prefixes.get(&prefix);
        // A static tunnel's addresses have no route of their own.
        fixed
            .or_else(|| self.owners.get(&prefix))
            .or_else(|| self.index.peer_at(prefix.address()))
    }

    /// Of several peers that say they have one key, the one that is pinned to it, else the first by name.
    fn claim(&self, organisation: &Arc<str>, key: PublicKey) -> Option<&Arc<str>> {
        let claims = self.claims.get(&(organisation.clone(), key))?;
        let pinned = |name: &&Arc<str>| {
            self.config
                .peers
                .get(*name)
                .is_some_and(|peer| peer.public_keys.contains(&key))
        };
        claims.iter().find(pinned).or_else(|| claims.first())
    }

    fn plan_all(&mut self, routes: &RouteTable<PrefixRoute>) -> Vec<Wanted> {
        self.routes = self
            .config
            .peers
            .keys()
            .map(|name| (name.clone(), PeerRoutes::default()))
            .collect();
        self.owners.clear();
        self.claims.clear();
        self.plans.clear();
        self.strays.clear();
        self.forget_lines();
        for (prefix, route) in routes {
            self.note(*prefix, Some(route));
        }
        let peers: Vec<Arc<str>> = self.config.peers.keys().cloned().collect();
        peers.iter().for_each(|peer| drop(self.update_claim(peer)));
        peers.iter().for_each(|peer| drop(self.replan(peer)));
        // Keys that nobody has any longer are anybody's.
        let others: BTreeSet<Arc<str>> = peers.iter().flat_map(|peer| self.update_claim(peer)).collect();
        others.iter().for_each(|peer| drop(self.replan(peer)));
        self.seconds = self.seconds();
        self.fixed = self.plan_fixed(&self.seconds);
        let of_peers = self.plans.values().flat_map(|plan| &plan.resources);
        let mut wanted: Vec<Wanted> = (self.fixed.iter().chain(of_peers))
            .map(|(key, resource)| (key.clone(), Some(resource.clone())))
            .collect();
        wanted.extend(
            self.strays
                .iter()
                .map(|(prefix, why)| (Key::Refused(*prefix), Some(why.clone()))),
        );
        wanted
    }

    fn plan_some(&mut self, routes: &RouteTable<PrefixRoute>, prefixes: &[Prefix]) -> Vec<Wanted> {
        let mut dirty = BTreeSet::new();
        let mut wanted = BTreeMap::new();
        for prefix in prefixes {
            dirty.extend(self.owners.get(prefix).cloned());
            let stray = self.strays.remove(prefix);
            self.note(*prefix, routes.get(prefix));
            dirty.extend(self.owners.get(prefix).cloned());
            match self.strays.get(prefix) {
                Some(why) => drop(wanted.insert(Key::Refused(*prefix), Some(why.clone()))),
                None if stray.is_some() => drop(wanted.insert(Key::Refused(*prefix), None)),
                None => {}
            }
        }
        let others: Vec<Arc<str>> = dirty.iter().flat_map(|peer| self.update_claim(peer)).collect();
        dirty.extend(others);
        let mut news: Vec<Wanted> = dirty.iter().flat_map(|peer| self.replan(peer)).collect();
        // Keys that nobody has any longer are anybody's.
        let others: BTreeSet<Arc<str>> = dirty.iter().flat_map(|peer| self.update_claim(peer)).collect();
        news.extend(others.iter().flat_map(|peer| self.replan(peer)).collect::<Vec<_>>());
        // A prefix that moved between peers is gone from one and wanted by the other.
        for (key, resource) in news {
            match wanted.get(&key) {
                Some(Some(_)) if resource.is_none() && self.is_wanted(&key) => {}
                _ => drop(wanted.insert(key, resource)),
            }
        }
        wanted.extend(self.refix());
        wanted.into_iter().collect()
    }

    fn is_wanted(&self, key: &Key) -> bool {
        let is_stray = matches!(key, Key::Refused(prefix) if self.strays.contains_key(prefix));
        is_stray || self.wanted(key).is_some()
    }

    /// What differs in what configuration alone wants, by the second devices that are wanted now.
    fn refix(&mut self) -> Vec<Wanted> {
        let seconds = self.seconds();
        if seconds == self.seconds {
            return Vec::new();
        }
        let now = self.plan_fixed(&seconds);
        self.seconds = seconds;
        let before = std::mem::replace(&mut self.fixed, now);
        let gone = before.keys().filter(|key| !self.fixed.contains_key(*key));
        let come = self
            .fixed
            .iter()
            .filter(|(key, resource)| before.get(*key) != Some(*resource));
        let come = come.map(|(key, resource)| (key.clone(), Some(resource.clone())));
        gone.map(|key| (key.clone(), None)).chain(come).collect()
    }

    /// Takes a route into what is known of its peer.
    fn note(&mut self, prefix: Prefix, route: Option<&Arc<PrefixRoute>>) {
        if let Some(before) = self.owners.remove(&prefix)
            && let Some(routes) = self.routes.get_mut(&before)
        {
            routes.forget(prefix);
        }
        let Some(route) = route else { return };
        match self.peer_of(route) {
            Ok(Some(peer)) => {
                if let Some(routes) = self.routes.get_mut(&peer) {
                    routes.learn(prefix, route);
                }
                self.owners.insert(prefix, peer);
            }
            Ok(None) => {}
            Err(reason) => {
                let refusal = Refusal {
                    reason: reason.into(),
                    waits: false,
                };
                self.strays.insert(prefix, Resource::Refused(refusal));
            }
        }
    }

    /// The peer whose tunnel a route goes through; none for a route that has nothing to do with tunnels.
    fn peer_of(&self, route: &PrefixRoute) -> Result<Option<Arc<str>>, String> {
        if route.tunnel.is_some() {
            let peer = self
                .index
                .peer_at(route.prefix.address())
                .filter(|_| is_host(route.prefix));
            return match peer {
                Some(peer) => Ok(Some(peer.clone())),
                None => Err("no peer is configured with this tunnel address".to_owned()),
            };
        }
        let Target::Remote(hops) = &route.target else {
            return Ok(None);
        };
        // The first is that of the best path; the others are as good.
        let tunnelled = hops.iter().find_map(|hop| self.index.peer_at(hop.address.ip()));
        if let Some(peer) = tunnelled {
            return Ok(Some(peer.clone()));
        }
        let guard = covering(&self.index.guarded, route.prefix.address());
        match (guard, hops.first()) {
            (Some(guard), Some(hop)) if route.table == Table::External && guard.covers(route.prefix) => Err(format!(
                "next hop {} is in no tunnel, and {guard} is reached through tunnels only",
                hop.address.ip()
            )),
            _ => Ok(None),
        }
    }

    /// Notes the keys that a peer has now. Gives the other peers whose plan may change by that.
    fn update_claim(&mut self, peer: &Arc<str>) -> Vec<Arc<str>> {
        let Some(organisation) = self.config.peers.get(peer).map(|peer| peer.organisation.clone()) else {
            return Vec::new();
        };
        let announced = self.chosen(peer).map(|tunnel| PublicKey(tunnel.public_key));
        let held = self.lines.get(peer).into_iter().flat_map(Lines::all);
        let now: BTreeSet<PublicKey> = held.map(|(_, end)| end.key).chain(announced).collect();
        let Some(routes) = self.routes.get_mut(peer) else {
            return Vec::new();
        };
        let before = std::mem::replace(&mut routes.claim, now.clone());
        let mut others = Vec::new();
        for key in before.difference(&now) {
            let claim = (organisation.clone(), *key);
            if let Some(claims) = self.claims.get_mut(&claim) {
                claims.remove(peer);
                others.extend(claims.iter().cloned());
                if claims.is_empty() {
                    self.claims.remove(&claim);
                }
            }
        }
        for key in now.difference(&before) {
            let claims = self.claims.entry((organisation.clone(), *key)).or_default();
            others.extend(claims.iter().cloned());
            claims.insert(peer.clone());
        }
        others
    }

    fn replan(&mut self, peer: &Arc<str>) -> Vec<Wanted> {
        let condition = self.aim(peer);
        let plan = self.plan_peer(peer, condition);
        let before = self.plans.insert(peer.clone(), plan);
        let now = self.plans.get(peer).map(|plan| &plan.resources);
        let mut wanted = Vec::new();
        if let Some(before) = &before {
            let gone = before
                .resources
                .keys()
                .filter(|key| now.is_none_or(|now| !now.contains_key(*key)));
            wanted.extend(gone.map(|key| (key.clone(), None)));
        }
        for (key, resource) in now.into_iter().flatten() {
            if before.as_ref().and_then(|before| before.resources.get(key)) != Some(resource) {
                wanted.push((key.clone(), Some(resource.clone())));
            }
        }
        wanted
    }
}

/// These prefixes without those that lie within another.
fn outermost(prefixes: &BTreeSet<Prefix>) -> BTreeSet<Prefix> {
    let mut last: Option<Prefix> = None;
    let mut found = BTreeSet::new();
    for prefix in prefixes {
        if last.is_none_or(|last| !last.covers(*prefix)) {
            found.insert(*prefix);
            last = Some(*prefix);
        }
    }
    found
}
