//! The regular look at the peers: which tunnels are up, and what WireGuard, which notifies nobody, was told by others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use catalyst_plugin::PlaneEvent;
use tokio::time::Instant;

use super::WireguardPlane;
use crate::kernel::{Kernel, Peers, Probe};
use crate::liveness::PeerId;
use crate::plan::{Condition, PeerPlan, Phase, Slot};
use crate::resource::{Key, Resource};
use crate::stats::{KeyNews, LineStatus, TunnelState, TunnelStatus};

/// A silent peer is called where it announces to be, no more often than this.
const CALL_ANEW: Duration = Duration::from_secs(30);
/// How often is looked while a key is changed.
const WATCH: Duration = Duration::from_millis(100);
/// Of the time, no more than one part in so many goes into looking.
const LOOKING: u32 = 4;

/// How long a start waits for the first look. It takes milliseconds, but where a process hangs.
const FIRST_LOOK: Duration = Duration::from_secs(1);

impl<K: Kernel> WireguardPlane<K> {
    /// Finds the tunnels that an earlier run made, and has them told of before anything else. Wait for it before peers are
    /// let in: a route whose tunnel is not known to be up is not used, and what the kernel has for it goes.
    pub async fn adopt(&mut self) {
        if tokio::time::timeout(FIRST_LOOK, self.look()).await.is_err() {
            tracing::warn!("the tunnels of an earlier run are not looked at in time; they are found later");
        }
        let is_tunnel = |event: &PlaneEvent<Key>| matches!(event, PlaneEvent::Tunnel(..));
        self.events.make_contiguous().sort_by_key(|event| !is_tunnel(event));
    }

    /// One look, and when the next is due. One that is cut short, by a route that changes, is made again, but a bit
    /// later: with a change every moment nothing else would be done.
    pub(super) async fn look(&mut self) {
        let start = Instant::now();
        self.look_at = start + self.planner.config().keepalive / 8;
        if self.files.refresh(self.planner.config()) {
            self.planner.set_preshared_keys(self.files.keys());
            self.events.push_back(PlaneEvent::Replan);
        }
        let looked = self.kernel.peers(&self.scope).await;
        let is_seen = looked.is_ok();
        let peers = looked.unwrap_or_else(|error| {
            tracing::debug!(%error, "the peers cannot be looked at");
            self.events.push_back(PlaneEvent::Resync);
            Peers::default()
        });
        let now = Instant::now();
        self.liveness.take(&peers.counters, now.into_std());
        let liveness = &self.liveness;
        let is_up = |device: &Arc<str>, key| liveness.is_up(&(device.clone(), key));
        if self.planner.progress(is_up, now.into_std()) {
            self.events.push_back(PlaneEvent::Replan);
        }
        if self.was_changed(&peers.held) {
            self.events.push_back(PlaneEvent::Resync);
        }
        self.call_anew(&peers, now);
        self.tell(&peers);
        self.show(&peers);
        if is_seen {
            let mut shown = self.stats.shown();
            shown.peers_at_home = Some(self.at_home(&peers));
            shown.is_settled = self.planner.is_settled();
        }
        if now >= self.probe_at {
            self.probe_at = now + self.planner.config().keepalive / 2;
            let probes = self.probes(now);
            if !probes.is_empty() {
                self.kernel.probe(probes).await;
            }
        }
        let rest = self.planner.config().keepalive / 2;
        let watch = WATCH.max((now - start) * LOOKING);
        self.look_at = now
            + if self.planner.is_changing() {
                watch.min(rest)
            } else {
                rest
            };
    }

    /// Whether what the devices hold is not what was last found there or put there.
    fn was_changed(&self, held: &BTreeMap<Key, Resource>) -> bool {
        let of_peers = |key: &Key| matches!(key, Key::Peer { .. } | Key::Allowed { .. });
        let expected = self
            .known
            .iter()
            .filter(|(key, _)| of_peers(key))
            .map(|(key, known)| (key, *known));
        let found = held
            .iter()
            .filter(|(key, _)| of_peers(key))
            .map(|(key, it)| (key, it.fingerprint()));
        !expected.eq(found)
    }

    /// A peer that is not heard may have moved while it could not say so.
    fn call_anew(&mut self, peers: &Peers, now: Instant) {
        let mut misled = Vec::new();
        for plan in self.planner.peers().values() {
            let (Condition::Planned { .. } | Condition::Kept, Some(id), Some(wanted)) =
                (&plan.condition, id_of(plan), plan.endpoint)
            else {
                continue;
            };
            let due = self
                .called_anew
                .get(&id)
                .is_none_or(|last| now.duration_since(*last) >= CALL_ANEW);
            let elsewhere = peers.endpoints.get(&id).is_some_and(|called| *called != wanted);
            if elsewhere && due && !self.liveness.is_up(&id) {
                misled.push(id);
            }
        }
        self.called_anew.retain(|id, _| peers.counters.contains_key(id));
        for id in misled {
            self.called_anew.insert(id.clone(), now);
            self.misled.insert(id);
            self.events.push_back(PlaneEvent::Resync);
        }
    }

    /// Tells the core what it does not know yet of tunnel addresses.
    fn tell(&mut self, peers: &Peers) {
        let mut now: BTreeMap<IpAddr, bool> = self.told.keys().map(|address| (*address, false)).collect();
        for (name, plan) in self.planner.peers() {
            let up = self.is_heard(name);
            now.extend(plan.addresses.iter().map(|address| (*address, up)));
        }
        let adopted: Vec<IpAddr> = self.adopted(peers).collect();
        now.extend(adopted.into_iter().map(|address| (address, true)));
        for (address, up) in now {
            if self.told.get(&address).copied().unwrap_or(false) != up {
                tracing::info!(%address, up, "tunnel");
                self.events.push_back(PlaneEvent::Tunnel(address, up));
            }
            if up {
                self.told.insert(address, true);
            } else {
                self.told.remove(&address);
            }
        }
    }

    /// The addresses of tunnels that an earlier run made and whose peers have not announced them to this one yet. They are told
    /// of before, so that the routes through them are good from the start, and what they have in the kernel stays.
    fn adopted<'a>(&'a self, peers: &'a Peers) -> impl Iterator<Item = IpAddr> + 'a {
        let held = peers.held.iter().filter_map(|(key, held)| match (key, held) {
            (Key::Allowed { device, prefix }, Resource::Allowed(owner)) => Some((device, *prefix, *owner)),
            _ => None,
        });
        held.filter_map(move |(device, prefix, owner)| {
            let name = self.planner.owner_of(prefix)?;
            let config = self.planner.config();
            let configured = config.peers.get(name)?;
            let ours = config.tunnels.get(&configured.organisation)?;
            let plan = self.planner.peers().get(name);
            let announced = plan.is_some_and(|plan| plan.public_key.is_some());
            let pinned = &configured.public_keys;
            let other = !pinned.is_empty() && !pinned.contains(&owner);
            let is_ours = |slot| ours.device_in(slot) == *device;
            let up =
                [Slot::Home, Slot::Second].into_iter().any(is_ours) && self.liveness.is_up(&(device.clone(), owner));
            (up && !announced && !other).then(|| prefix.address())
        })
    }

    /// Of two idle ends only one sends keepalives: a packet from either starts the timers of both anew. What was not
    /// heard for a keepalive is therefore asked for an answer.
    fn probes(&self, now: Instant) -> Vec<Probe> {
        let config = self.planner.config();
        let mut probes = Vec::new();
        for plan in self.planner.peers().values() {
            let Some(id) = id_of(plan) else { continue };
            let quiet = self
                .liveness
                .silence(&id, now.into_std())
                .is_some_and(|silence| silence >= config.keepalive / 2);
            let Some(ours) = config.tunnels.get(&plan.organisation).filter(|_| quiet) else {
                continue;
            };
            let pair = plan.addresses.iter().find_map(|to| {
                let from = ours
                    .addresses
                    .iter()
                    .find(|from| from.address().is_ipv4() == to.is_ipv4())?;
                Some((from.address(), *to))
            });
            probes.extend(pair.map(|(from, to)| Probe {
                device: plan.device.clone(),
                from,
                to,
            }));
        }
        probes
    }

    fn show(&self, peers: &Peers) {
        let now = SystemTime::now();
        let row = |(name, plan): (&Arc<str>, &PeerPlan)| {
            let id = id_of(plan);
            let counted = id.as_ref().and_then(|id| peers.counters.get(id));
            let counters = counted.copied().unwrap_or_default();
            let heard_from = id.as_ref().and_then(|id| peers.endpoints.get(id)).copied();
            let state = self.state(name, plan, counted.is_some());
            let (home, second) = (self.line(name, Slot::Home, peers), self.line(name, Slot::Second, peers));
            TunnelStatus {
                peer: name.clone(),
                organisation: plan.organisation.clone(),
                device: plan.device.clone(),
                key_change: self.key_change(name, plan),
                is_by_hand: self.is_by_hand(name),
                home,
                second,
                state,
                authenticated: matches!(plan.condition, Condition::Planned { pinned: true } | Condition::Kept),
                public_key: plan.public_key,
                endpoint: heard_from.or(plan.endpoint),
                handshake_age: counters.handshake_age,
                last_handshake: counters.handshake_age.and_then(|age| now.checked_sub(age)),
                received: counters.received,
                sent: counters.sent,
                addresses: plan.addresses.clone(),
                allowed_prefixes: plan.allowed.iter().copied().collect(),
            }
        };
        let tunnels = self.planner.peers().iter().map(row).collect();
        self.stats.shown().tunnels = tunnels;
    }

    /// How many peers the first devices have.
    fn at_home(&self, peers: &Peers) -> usize {
        let tunnels = || self.planner.config().tunnels.values();
        let is_home = |(device, _): &&PeerId| tunnels().any(|tunnel| tunnel.device == *device);
        peers.counters.keys().filter(is_home).count()
    }

    /// How it is with a line, as far as it is in the kernel.
    fn line(&self, peer: &str, slot: Slot, peers: &Peers) -> Option<LineStatus> {
        let lines = self.planner.lines_of(peer)?;
        let end = lines.on(slot)?;
        let organisation = &self.planner.config().peers.get(peer)?.organisation;
        let device = self.planner.config().tunnels.get(organisation)?.device_in(slot);
        let id = (device, end.key);
        peers.counters.contains_key(&id).then(|| LineStatus {
            public_key: end.key,
            is_up: self.liveness.is_up(&id),
            is_used: lines.active() == slot,
        })
    }

    fn key_change(&self, peer: &str, plan: &PeerPlan) -> Option<KeyNews> {
        if plan.condition == Condition::Kept {
            return Some(KeyNews::NotPinned);
        }
        if self.planner.config().key_change.phase() != Phase::Rest {
            return Some(KeyNews::Ours);
        }
        let lines = self.planner.lines_of(peer)?;
        lines.are_changing().then_some(KeyNews::Theirs)
    }

    fn is_by_hand(&self, peer: &str) -> bool {
        let peer = self.planner.config().peers.get(peer);
        peer.is_some_and(|peer| peer.static_tunnel.is_some())
    }

    /// Whether a peer is heard on any of its lines: in a change of keys it may still send by the other one than we do, or
    /// already, and on the one that is only received by there is hardly anything.
    fn is_heard(&self, name: &str) -> bool {
        let planner = &self.planner;
        let Some(peer) = planner.config().peers.get(name) else {
            return false;
        };
        let ours = planner.config().tunnels.get(&peer.organisation);
        let (Some(ours), Some(lines)) = (ours, planner.lines_of(name)) else {
            return false;
        };
        let mut lines = lines.all();
        lines.any(|(slot, end)| self.liveness.is_up(&(ours.device_in(slot), end.key)))
    }

    fn state(&self, name: &str, plan: &PeerPlan, in_place: bool) -> TunnelState {
        match &plan.condition {
            Condition::Guarded => TunnelState::Guarded("its tunnel is not known yet".into()),
            Condition::WrongKey => TunnelState::WrongKey,
            Condition::Refused(why) => TunnelState::Guarded(why.clone()),
            Condition::Planned { .. } | Condition::Kept => {
                if !in_place {
                    let fault = self.faults.get(&plan.device).cloned();
                    return TunnelState::Guarded(fault.unwrap_or_else(|| "not in the kernel yet".into()));
                }
                if self.is_heard(name) {
                    TunnelState::Up
                } else {
                    TunnelState::Down
                }
            }
        }
    }
}

fn id_of(plan: &PeerPlan) -> Option<PeerId> {
    Some((plan.device.clone(), plan.public_key?))
}
