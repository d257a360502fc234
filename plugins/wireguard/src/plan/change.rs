//! Changes of keys in the plan: which devices there are, and which lines each peer has on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use catalyst_plugin::Prefix;

use super::lines::{End, Lines, Own, Phase, Slot};
use super::peer::Condition;
use super::{Index, Planner, outermost};
use crate::config::{ConfigError, TunnelDevice, TunnelPeer, WireguardConfig, drain};
use crate::keys::PublicKey;
use crate::resource::{Device, Family, Filter, Key, Resource};

impl Planner {
    /// Takes in what an earlier run left in the kernel: where its peers were, which they do not say.
    /// True: some that were planned already are to be planned again.
    pub(crate) fn adopt(&mut self, held: &BTreeMap<Key, Resource>) -> bool {
        let mut found: BTreeMap<Arc<str>, ([Option<End>; 2], Slot)> = BTreeMap::new();
        for (key, resource) in held {
            match (key, resource) {
                (Key::Allowed { device, prefix }, Resource::Allowed(owner)) => {
                    let Some((peer, slot)) = self.line_at(device, *prefix) else {
                        continue;
                    };
                    let endpoint = held.get(&Key::Endpoint {
                        device: device.clone(),
                        key: *owner,
                    });
                    let endpoint = if let Some(Resource::Endpoint(endpoint)) = endpoint {
                        Some(*endpoint)
                    } else {
                        None
                    };
                    let (ends, _) = found.entry(peer.clone()).or_insert(([None, None], slot));
                    ends[usize::from(slot == Slot::Second)] = Some(End { key: *owner, endpoint });
                }
                (Key::Route { prefix, .. }, Resource::Route(route)) => {
                    if let Some((peer, slot)) = self.line_at(&route.device, *prefix)
                        && let Some((_, active)) = found.get_mut(peer)
                    {
                        *active = slot;
                    }
                }
                _ => {}
            }
        }
        let mut news = false;
        for (peer, (ends, active)) in found {
            let lines = Lines::held(ends, active);
            if lines.in_use().is_some() {
                news |= self.lines.remove(&peer).is_some();
                self.adopted.insert(peer, lines);
            }
        }
        news
    }

    /// The peer and the slot of a tunnel address on a device.
    fn line_at(&self, device: &Arc<str>, prefix: Prefix) -> Option<(&Arc<str>, Slot)> {
        let peer = self.owner_of(prefix)?;
        let (organisation, slot) = self.index.devices.get(device)?;
        (self.config.peers.get(peer)?.organisation == *organisation).then_some((peer, *slot))
    }

    /// Whether another configuration can be gone by now. Where a peer changes its key, the second device has our old key, and
    /// the peer may send to it already: ours stays as it is.
    pub(crate) fn may_follow(&self, config: &WireguardConfig) -> Result<(), ConfigError> {
        let begins = |config: &WireguardConfig| config.key_change.phase() == Phase::Moving;
        if !begins(config) || self.config.key_change.phase() != Phase::Rest {
            return Ok(());
        }
        let refuse = |place: String, reason: &str| {
            let reason = reason.to_owned();
            Err(ConfigError { place, reason })
        };
        match self.changing.first() {
            Some(peer) => refuse(
                format!("peers.{peer}"),
                "it is changing its key, or has not come back from that yet",
            ),
            None if !self.is_settled => refuse(
                "peers".to_owned(),
                "after the start of the daemon not all of them have announced themselves yet",
            ),
            None => Ok(()),
        }
    }

    /// All peers that are to announce themselves have done so.
    pub(crate) fn settle(&mut self) {
        self.is_settled = true;
        self.adopted.clear();
    }

    /// Whether they have.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Goes by what is heard on the lines. True: everything is to be planned again.
    pub fn progress(&mut self, is_up: impl Fn(&Arc<str>, PublicKey) -> bool, now: Instant) -> bool {
        let mut news = false;
        for (name, lines) in &mut self.lines {
            let ours = self.config.peers.get(name);
            let Some(ours) = ours.and_then(|peer| self.config.tunnels.get(&peer.organisation)) else {
                continue;
            };
            let own = own(&self.config, ours);
            news |= lines.step(own, |slot, end| is_up(&ours.device_in(slot), end.key), now);
        }
        news
    }

    /// Whether a key is being changed, at either end.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.config.key_change.phase() != Phase::Rest || !self.changing.is_empty()
    }

    /// What is held of the tunnel to a peer.
    #[must_use]
    pub fn lines_of(&self, peer: &str) -> Option<&Lines> {
        self.lines.get(peer)
    }

    /// Lines of peers that there are no longer.
    pub(super) fn forget_lines(&mut self) {
        self.lines.retain(|name, _| self.config.peers.contains_key(name));
        self.adopted.retain(|name, _| self.config.peers.contains_key(name));
        self.changing.retain(|name| self.config.peers.contains_key(name));
    }

    /// Has the lines of a peer follow what it announces. Gives how it stands with it.
    pub(super) fn aim(&mut self, name: &Arc<str>) -> Condition {
        let condition = self.condition(name);
        let lines = self.aimed(name, &condition);
        // A wrong key takes the place of no good one.
        let is_kept = condition == Condition::WrongKey && lines.is_some();
        if lines.as_ref().is_some_and(Lines::are_changing) {
            self.changing.insert(name.clone());
        } else {
            self.changing.remove(name);
        }
        match lines {
            Some(lines) => drop(self.lines.insert(name.clone(), lines)),
            None => drop(self.lines.remove(name)),
        }
        if is_kept { Condition::Kept } else { condition }
    }

    fn aimed(&mut self, name: &Arc<str>, condition: &Condition) -> Option<Lines> {
        let peer = self.config.peers.get(name)?;
        let ours = self.config.tunnels.get(&peer.organisation)?;
        let own = own(&self.config, ours);
        let announced = self.announced(name, peer)?;
        if peer.static_tunnel.is_some() {
            let is_planned = matches!(condition, Condition::Planned { .. });
            return is_planned.then(|| by_hand(announced, own.phase));
        }
        let held = self.lines.get(name).cloned().or_else(|| self.adopted.remove(name));
        match condition {
            Condition::Planned { .. } => {
                let mut lines = held.unwrap_or_else(|| Lines::new(announced, own));
                lines.aim(announced, own);
                Some(lines)
            }
            Condition::WrongKey => held.filter(|lines| {
                let is_pinned = |end: &End| peer.public_keys.contains(&end.key);
                let is_there = own.phase != Phase::Parting || lines.active() == Slot::Second;
                lines.all().all(|(_, end)| is_pinned(end)) && is_there
            }),
            Condition::Kept | Condition::Guarded | Condition::Refused(_) => None,
        }
    }

    /// The other end as the peer announces it, or as configuration has it.
    pub(super) fn announced(&self, name: &str, peer: &TunnelPeer) -> Option<End> {
        let tunnel = self.chosen(name)?;
        Some(End {
            key: PublicKey(tunnel.public_key),
            endpoint: peer.endpoint.or(tunnel.endpoint),
        })
    }

    /// The organisations that need a second device.
    pub(super) fn seconds(&self) -> BTreeSet<Arc<str>> {
        if self.config.key_change.phase() != Phase::Rest {
            return self.config.tunnels.keys().cloned().collect();
        }
        let of = |name| Some(self.config.peers.get(name)?.organisation.clone());
        self.changing.iter().filter_map(of).collect()
    }

    /// What configuration alone wants, and the second devices of organisations that need one.
    pub(super) fn plan_fixed(&self, seconds: &BTreeSet<Arc<str>>) -> BTreeMap<Key, Resource> {
        let (config, index) = (&self.config, &self.index);
        let mut wanted = BTreeMap::new();
        if config.tunnels.is_empty() {
            return wanted;
        }
        guards(config, index, &mut wanted);
        let has_home = config.key_change.phase() != Phase::Parting;
        let home_key = (&config.private_key, index.public_key);
        let second_key = match (config.key_change.second(), index.second_key) {
            (Some(key), Some(public_key)) => (key, public_key),
            _ => home_key,
        };
        for (organisation, tunnel) in &config.tunnels {
            for (slot, (key, public_key), port, is_wanted) in [
                (Slot::Home, home_key, tunnel.listen_port, has_home),
                (
                    Slot::Second,
                    second_key,
                    tunnel.second_port,
                    seconds.contains(organisation),
                ),
            ] {
                if !is_wanted {
                    continue;
                }
                let name = tunnel.device_in(slot);
                let device = Device {
                    organisation: organisation.clone(),
                    private_key: Some(key.clone()),
                    public_key,
                    listen_port: port,
                    mtu: tunnel.mtu.into(),
                };
                wanted.insert(Key::Device(name.clone()), Resource::Device(device));
                wanted.extend(tunnel.addresses.iter().map(|prefix| {
                    let (device, prefix) = (name.clone(), *prefix);
                    (Key::Address { device, prefix }, Resource::Address)
                }));
            }
        }
        wanted
    }

    /// Whether a device may have any port: what it has is not compared.
    pub(crate) fn has_any_port(&self, device: &Arc<str>) -> bool {
        let found = self.index.devices.get(device);
        found.is_some_and(|(organisation, slot)| {
            let tunnel = self.config.tunnels.get(organisation);
            *slot == Slot::Second && tunnel.is_some_and(|tunnel| tunnel.second_port == 0)
        })
    }
}

fn own(config: &WireguardConfig, ours: &TunnelDevice) -> Own {
    Own {
        phase: config.key_change.phase(),
        is_called: ours.is_called,
        drain: drain(config.keepalive),
    }
}

/// Who is configured by hand hears of no change: it has one line, and our key is for the administrator to pass on.
fn by_hand(end: End, phase: Phase) -> Lines {
    if phase == Phase::Parting {
        Lines::held([None, Some(end)], Slot::Second)
    } else {
        Lines::held([Some(end), None], Slot::Home)
    }
}

fn guards(config: &WireguardConfig, index: &Index, wanted: &mut BTreeMap<Key, Resource>) {
    let table = config.table;
    for prefix in &index.guarded {
        wanted.insert(Key::Guard { table, prefix: *prefix }, Resource::Guard);
    }
    for family in [Family::V4, Family::V6] {
        let priority = config.rule_priority;
        wanted.insert(
            Key::Rule {
                table,
                priority,
                family,
            },
            Resource::Rule,
        );
    }
    let filter = Filter {
        guarded: outermost(&index.guarded),
        // What is sent to an address of this host stays on it.
        devices: config.devices().chain(["lo".into()]).collect(),
    };
    wanted.insert(Key::Filter { table }, Resource::Filter(filter));
}
