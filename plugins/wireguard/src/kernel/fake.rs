//! A kernel in memory, with the habits of the real one that matter: an allowed address belongs to one peer and moves
//! silently; updates of a peer that is not there do nothing; a device takes its peers, addresses and routes with it.

#![allow(clippy::wildcard_enum_match_arm, reason = "most resources have no habits")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Kernel, KernelError, Operation, PeerCounters, Peers, Probe, Scope};
use crate::keys::PublicKey;
use crate::resource::{Key, Resource};

const ENODEV: i32 = 19;
const EINVAL: i32 = 22;

/// What outlives the plane.
#[derive(Debug, Default)]
pub struct World {
    state: Mutex<State>,
    changed: Notify,
}

/// What is in it.
#[derive(Debug, Default)]
pub struct State {
    /// What it holds.
    pub held: BTreeMap<Key, Resource>,
    /// Changes made through [`Kernel::apply`], not those that change nothing.
    pub writes: u64,
    /// The changes, in order.
    pub log: Vec<Operation>,
    /// How often all of it was looked at.
    pub observations: u64,
    /// The longest batch so far.
    pub longest_batch: usize,
    /// Devices of others.
    pub foreign: BTreeSet<Arc<str>>,
    /// What peers count; missing: nothing yet.
    pub counters: BTreeMap<(Arc<str>, PublicKey), PeerCounters>,
    /// Operations on these keys fail.
    pub failing: BTreeSet<Key>,
    /// Nothing can be asked.
    pub unreachable: bool,
    /// Probes that were sent.
    pub probes: Vec<Probe>,
}

/// A kernel over a world.
#[derive(Debug, Clone)]
pub struct FakeKernel(pub Arc<World>);

impl World {
    /// What is in it, to look at or to change silently.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody else changes something, and the kernel says so.
    pub fn meddle(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_one();
    }
}

impl State {
    /// As `ip link del`.
    pub fn delete_device(&mut self, device: &Arc<str>) {
        self.counters.retain(|(on, _), _| on != device);
        self.held.retain(|key, resource| match (key, resource) {
            (Key::Device(name), _) => name != device,
            (
                Key::Address { device: on, .. }
                | Key::Peer { device: on, .. }
                | Key::Endpoint { device: on, .. }
                | Key::Allowed { device: on, .. },
                _,
            ) => on != device,
            (_, Resource::Route(route)) => route.device != *device,
            _ => true,
        });
    }

    /// As `wg set DEVICE peer KEY remove`.
    pub fn delete_peer(&mut self, device: &Arc<str>, gone: PublicKey) {
        self.held.retain(|key, resource| match (key, resource) {
            (Key::Peer { device: on, key } | Key::Endpoint { device: on, key }, _) => on != device || *key != gone,
            (Key::Allowed { device: on, .. }, Resource::Allowed(key)) => on != device || *key != gone,
            _ => true,
        });
        self.counters.remove(&(device.clone(), gone));
    }

    fn has(&self, device: &Arc<str>) -> bool {
        self.held.contains_key(&Key::Device(device.clone()))
    }

    fn has_peer(&self, device: &Arc<str>, key: PublicKey) -> bool {
        self.held.contains_key(&Key::Peer {
            device: device.clone(),
            key,
        })
    }

    fn carry_out(&mut self, operation: &Operation) -> Result<(), KernelError> {
        if self.failing.contains(operation.key()) {
            return Err(refused("injected", EINVAL));
        }
        self.log.push(operation.clone());
        match operation {
            Operation::Put(key, resource) => self.put(key, resource),
            Operation::Remove(key) => {
                self.remove(key);
                Ok(())
            }
        }
    }

    fn put(&mut self, key: &Key, resource: &Resource) -> Result<(), KernelError> {
        match (key, resource) {
            (Key::Device(name), _) if self.foreign.contains(name) => return Err(KernelError::Foreign(name.clone())),
            (Key::Address { device, .. } | Key::Peer { device, .. }, _) if !self.has(device) => {
                return Err(refused("no such device", ENODEV));
            }
            // Updates only: nothing happens.
            (Key::Endpoint { device, key }, _) if !self.has_peer(device, *key) => return Ok(()),
            (Key::Allowed { device, .. }, Resource::Allowed(peer)) if !self.has_peer(device, *peer) => return Ok(()),
            (_, Resource::Route(route)) => self.check_route(route)?,
            _ => {}
        }
        self.writes += u64::from(self.held.get(key) != Some(resource));
        self.held.insert(key.clone(), resource.clone());
        Ok(())
    }

    fn check_route(&self, route: &crate::resource::Route) -> Result<(), KernelError> {
        if !self.has(&route.device) {
            return Err(refused("no such device", ENODEV));
        }
        let has = |key: &Key| matches!(key, Key::Address { prefix, .. } if Some(prefix.address()) == route.source);
        if route.source.is_some() && !self.held.keys().any(has) {
            return Err(refused("not an address of this host", EINVAL));
        }
        Ok(())
    }

    fn remove(&mut self, gone: &Key) {
        self.writes += u64::from(self.held.contains_key(gone));
        match gone {
            Key::Device(device) => self.delete_device(device),
            Key::Peer { device, key } => self.delete_peer(device, *key),
            // An address takes the routes from it along, unless another device has it too.
            Key::Address { device, prefix } => {
                let has = |key: &Key| matches!(key, Key::Address { device: on, prefix: held } if on != device && held == prefix);
                if self.held.keys().any(has) {
                    self.held.remove(gone);
                    return;
                }
                self.held.retain(
                    |_, resource| !matches!(resource, Resource::Route(route) if route.source == Some(prefix.address())),
                );
            }
            _ => {}
        }
        self.held.remove(gone);
    }
}

fn refused(what: &str, errno: i32) -> KernelError {
    KernelError::Refused {
        what: what.into(),
        errno,
    }
}

fn ask(state: &State) -> Result<(), KernelError> {
    if state.unreachable {
        return Err(KernelError::Unreachable {
            what: "observe".into(),
            why: "injected".into(),
        });
    }
    Ok(())
}

impl Kernel for FakeKernel {
    async fn observe(&mut self, _: &Scope) -> Result<BTreeMap<Key, Resource>, KernelError> {
        tokio::task::yield_now().await;
        let mut state = self.0.state();
        ask(&state)?;
        state.observations += 1;
        Ok(state.held.clone())
    }

    async fn apply(&mut self, _: &Scope, operations: Vec<Operation>) -> Vec<Result<(), KernelError>> {
        let mut done = Vec::new();
        for operation in &operations {
            tokio::task::yield_now().await;
            done.push(self.0.state().carry_out(operation));
        }
        let mut state = self.0.state();
        state.longest_batch = state.longest_batch.max(operations.len());
        done
    }

    async fn peers(&mut self, _: &Scope) -> Result<Peers, KernelError> {
        let state = self.0.state();
        ask(&state)?;
        let mut peers = Peers::default();
        for (key, resource) in &state.held {
            match (key, resource) {
                (Key::Peer { device, key: peer }, _) => {
                    let id = (device.clone(), *peer);
                    let counters = state.counters.get(&id).copied().unwrap_or_default();
                    peers.counters.insert(id, counters);
                }
                (Key::Endpoint { device, key: peer }, Resource::Endpoint(address)) => {
                    peers.endpoints.insert((device.clone(), *peer), *address);
                }
                (Key::Allowed { .. }, _) => {}
                _ => continue,
            }
            peers.held.insert(key.clone(), resource.clone());
        }
        Ok(peers)
    }

    async fn probe(&mut self, probes: Vec<Probe>) {
        self.0.state().probes.extend(probes);
    }

    async fn changed(&mut self, _: &Scope) {
        self.0.changed.notified().await;
    }
}
