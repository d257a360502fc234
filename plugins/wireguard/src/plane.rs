//! The data plane as the reconcile loop sees it: the planner in front, the kernel behind.

mod look;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::{
    DataPlane, Diff, PlaneError, PlaneEvent, Prefix, PrefixRoute, RouteTable, Target, Touched, Verdict, Wanted,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::config::{ConfigError, WireguardConfig};
use crate::kernel::{Kernel, KernelError, Operation, Scope};
use crate::liveness::{Liveness, PeerId};
use crate::plan::Planner;
use crate::psk::PresharedKeyFiles;
use crate::resource::{Key, Resource};
use crate::stats::WireguardStats;

/// Changes per call of the kernel: between two, everything else has its turn.
const BATCH: usize = 64;
/// The pause before what the kernel refused is tried again; doubles up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(60);

/// A configuration, and how it was taken.
type Setting = (WireguardConfig, oneshot::Sender<Result<(), ConfigError>>);

/// Changes what a running plane was configured with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WireguardSettings(mpsc::Sender<Setting>);

impl WireguardSettings {
    /// Has the plane go by `config` from now on; returns once everything that it plans is planned so.
    ///
    /// # Errors
    /// The configuration makes no sense, or it begins a change of our key while a peer changes its own; the one before
    /// it stands.
    pub async fn set(&self, config: WireguardConfig) -> Result<(), ConfigError> {
        config.check()?;
        let (done, taken) = oneshot::channel();
        // An error means that the plane has ended: the daemon is stopping.
        if self.0.send((config, done)).await.is_err() {
            return Ok(());
        }
        taken.await.unwrap_or(Ok(()))
    }
}

/// The WireGuard data plane.
#[derive(Debug)]
pub struct WireguardPlane<K> {
    planner: Planner,
    scope: Scope,
    kernel: K,
    files: PresharedKeyFiles,
    liveness: Liveness,
    stats: WireguardStats,
    settings: (WireguardSettings, mpsc::Receiver<Setting>),
    /// What was last found or put into the kernel: what differs from it later is somebody else's doing.
    known: BTreeMap<Key, u64>,
    /// Peers whose endpoint is to be set once more: they are silent where they are called.
    misled: BTreeSet<PeerId>,
    /// Endpoints that the kernel has and that were not planned when it was looked at: of an earlier run. They may be newer than
    /// what is announced, and stay.
    live: BTreeSet<Key>,
    /// When an endpoint was last set for that reason.
    called_anew: BTreeMap<PeerId, Instant>,
    /// What the core was told of each tunnel address.
    told: BTreeMap<IpAddr, bool>,
    events: VecDeque<PlaneEvent<Key>>,
    /// Whether it was found out what an earlier run left.
    has_adopted: bool,
    /// The next look at the peers.
    look_at: Instant,
    /// The next one that asks quiet peers for an answer.
    probe_at: Instant,
    /// Why a device is not there, as far as it could not be made.
    faults: BTreeMap<Arc<str>, Arc<str>>,
    /// When what the kernel refused is tried again.
    retry_at: Option<Instant>,
    retries: u32,
}

impl<K: Kernel> WireguardPlane<K> {
    /// A plane over a kernel. Must be made on a runtime.
    ///
    /// # Errors
    /// The configuration makes no sense.
    pub fn new(config: WireguardConfig, kernel: K) -> Result<Self, ConfigError> {
        config.check()?;
        let mut files = PresharedKeyFiles::default();
        files.refresh(&config);
        let (settings, changes) = mpsc::channel(1);
        Ok(Self {
            scope: Scope::of(&config),
            liveness: Liveness::new(config.keepalive),
            planner: Planner::new(config, files.keys()),
            kernel,
            files,
            stats: WireguardStats::default(),
            settings: (WireguardSettings(settings), changes),
            known: BTreeMap::new(),
            misled: BTreeSet::new(),
            live: BTreeSet::new(),
            called_anew: BTreeMap::new(),
            told: BTreeMap::new(),
            // The kernel is always there.
            events: [PlaneEvent::Connected(true)].into(),
            has_adopted: false,
            look_at: Instant::now(),
            faults: BTreeMap::new(),
            probe_at: Instant::now(),
            retry_at: None,
            retries: 0,
        })
    }

    /// A cloneable handle that shows the tunnels and the counters.
    #[must_use]
    pub fn stats(&self) -> WireguardStats {
        self.stats.clone()
    }

    /// Changes its settings later.
    #[must_use]
    pub fn settings(&self) -> WireguardSettings {
        self.settings.0.clone()
    }

    fn reconfigure(&mut self, config: WireguardConfig) -> Result<(), ConfigError> {
        self.planner.may_follow(&config)?;
        self.files.refresh(&config);
        self.scope = Scope::of(&config);
        self.liveness.set_keepalive(config.keepalive);
        self.planner.reconfigure(config, self.files.keys());
        // The next look may be due sooner.
        self.look_at = Instant::now();
        Ok(())
    }

    /// What the loop is to believe of a piece that the kernel holds; `None`: as if it were not there.
    fn believed(&self, key: &Key, held: &Resource) -> Option<Option<u64>> {
        let found = held.fingerprint();
        if Planner::is_fixed(key) {
            // What configuration alone decides is put right at once; it has nothing to wait for.
            return match self.planner.fixed(key) {
                Some(wanted) if wanted.fingerprint() != found => None,
                Some(_) => Some(Some(found)),
                None => Some(None),
            };
        }
        let Key::Endpoint { device, key: peer } = key else {
            return Some(Some(found));
        };
        // A peer may be anywhere by now: what counts is where it was last called.
        let wanted = self.planner.wanted(key)?;
        if self.misled.contains(&(device.clone(), *peer)) {
            return Some(None);
        }
        Some(Some(
            self.known.get(key).copied().unwrap_or_else(|| wanted.fingerprint()),
        ))
    }

    fn note_drift(&mut self, observed: &BTreeMap<Key, Resource>) {
        let drifted = self.known.iter().filter(|(key, known)| {
            let found = observed.get(*key);
            // An endpoint moves as its peer does.
            found.is_none_or(|found| !matches!(key, Key::Endpoint { .. }) && found.fingerprint() != **known)
        });
        let drifted: Vec<Key> = drifted.map(|(key, _)| key.clone()).collect();
        if let Some(first) = drifted.first() {
            tracing::warn!(
                pieces = drifted.len(),
                ?first,
                "somebody else changed our part of the kernel; put right"
            );
            self.stats.shown().drift_repairs += drifted.len() as u64;
        }
        for key in drifted {
            self.known.remove(&key);
        }
    }

    /// Guards, rule and filter: all of them, or nothing else is touched.
    async fn raise_guards(&mut self, upsert: &mut Vec<(Key, Resource)>) -> Result<(), PlaneError> {
        let is_guard = |key: &Key| matches!(key, Key::Guard { .. } | Key::Rule { .. } | Key::Filter { .. });
        let guards: Vec<_> = upsert.extract_if(.., |(key, _)| is_guard(key)).collect();
        let failed = self.put(guards).await;
        match failed.into_iter().next() {
            Some((key, error)) => Err(PlaneError(format!("no tunnel without its guards: {key:?}: {error}"))),
            None => Ok(()),
        }
    }

    async fn put(&mut self, mut resources: Vec<(Key, Resource)>) -> Vec<(Key, KernelError)> {
        for (key, endpoint) in resources.extract_if(.., |(key, _)| self.live.remove(key)) {
            self.known.insert(key, endpoint.fingerprint());
        }
        let known: Vec<(Key, u64)> = (resources.iter())
            .map(|(key, it)| (key.clone(), it.fingerprint()))
            .collect();
        let operations = resources
            .into_iter()
            .map(|(key, resource)| Operation::Put(key, resource))
            .collect();
        let failed = self.carry_out(operations).await;
        let is_failed: BTreeSet<&Key> = failed.iter().map(|(key, _)| key).collect();
        for (key, fingerprint) in known {
            if !is_failed.contains(&key) {
                if let Key::Endpoint { device, key } = &key {
                    self.misled.remove(&(device.clone(), *key));
                }
                self.known.insert(key, fingerprint);
            }
        }
        failed
    }

    /// In the opposite order of making.
    async fn remove(&mut self, mut keys: Vec<Key>) -> Vec<(Key, KernelError)> {
        keys.retain(|key| !matches!(key, Key::Refused(_) | Key::Endpoint { .. }));
        keys.sort();
        keys.reverse();
        let along = self.going_along(&keys);
        // Before: once it may be gone, that it is gone is no drift.
        keys.iter().for_each(|key| self.forget(key));
        keys.retain(|key| !along.contains(key));
        self.carry_out(keys.into_iter().map(Operation::Remove).collect()).await
    }

    /// What goes with something else that goes: allowed addresses with their peer, addresses with their device. Peers
    /// do not go with their device: a thousand at once would hold up everybody who configures a network.
    fn going_along(&self, keys: &[Key]) -> BTreeSet<Key> {
        let (mut peers, mut devices) = (BTreeSet::new(), BTreeSet::new());
        for key in keys {
            if let Key::Peer { device, key } = key {
                peers.insert((device.clone(), Resource::Allowed(*key).fingerprint()));
            } else if let Key::Device(device) = key {
                devices.insert(device.clone());
            }
        }
        let goes = |key: &&Key| {
            if let Key::Allowed { device, .. } = key {
                return (self.known.get(*key)).is_some_and(|owner| peers.contains(&(device.clone(), *owner)));
            }
            matches!(key, Key::Address { device, .. } if devices.contains(device))
        };
        keys.iter().filter(goes).cloned().collect()
    }

    /// With what goes along with it.
    fn forget(&mut self, gone: &Key) {
        self.known.remove(gone);
        if let Key::Peer { device, key } = gone {
            self.known.remove(&Key::Endpoint {
                device: device.clone(),
                key: *key,
            });
        }
    }

    async fn carry_out(&mut self, operations: Vec<Operation>) -> Vec<(Key, KernelError)> {
        let mut failed = Vec::new();
        for batch in operations.chunks(BATCH) {
            let outcomes = self.kernel.apply(&self.scope, batch.to_vec()).await;
            self.stats.shown().writes += batch.len() as u64;
            for (operation, outcome) in batch.iter().zip(outcomes) {
                if let Key::Device(device) = operation.key() {
                    self.note_fault(device, outcome.as_ref().err());
                }
                if let Err(error) = outcome {
                    failed.push((operation.key().clone(), error));
                }
            }
        }
        failed
    }

    fn note_fault(&mut self, device: &Arc<str>, error: Option<&KernelError>) {
        match error {
            Some(error) => self.faults.insert(device.clone(), error.to_string().into()),
            None => self.faults.remove(device),
        };
    }

    /// What the kernel refused is said of the routes concerned, and tried again later.
    fn verdicts(&mut self, failed: Vec<(Key, KernelError)>) -> Vec<(Key, Verdict)> {
        if failed.is_empty() {
            self.retries = 0;
            return Vec::new();
        }
        let pause = FIRST_RETRY.saturating_mul(1 << self.retries.min(10)).min(MAX_RETRY);
        self.retries = self.retries.saturating_add(1);
        self.retry_at = Some(Instant::now() + pause);
        if let Some((key, error)) = failed.first() {
            let changes = failed.len();
            tracing::warn!(changes, first = ?key, %error, ?pause, "the kernel refused changes; trying again");
        }
        failed
            .into_iter()
            .map(|(key, error)| (key, Verdict::Pending(error.to_string().into())))
            .collect()
    }
}

impl<K: Kernel> DataPlane for WireguardPlane<K> {
    type Route = PrefixRoute;
    type Key = Key;
    type Resource = Resource;

    fn name(&self) -> &'static str {
        "wireguard"
    }

    fn plan(&mut self, routes: &RouteTable<PrefixRoute>, touched: Touched<'_, Prefix>) -> Vec<Wanted<Self>> {
        let wanted = self.planner.plan(routes, touched);
        if self.planner.is_changing() {
            self.look_at = Instant::now();
        }
        wanted
    }

    fn routes_of(&self, key: &Key) -> Vec<Prefix> {
        self.planner.routes_of(key)
    }

    /// Whatever leads elsewhere: which peers have tunnels may change while the route stands.
    fn serves(&self, route: &PrefixRoute) -> bool {
        route.tunnel.is_some() || matches!(route.target, Target::Remote(_))
    }

    fn fingerprint(&self, resource: &Resource) -> u64 {
        resource.fingerprint()
    }

    async fn observe(&mut self) -> Result<BTreeMap<Key, Option<u64>>, PlaneError> {
        let mut observed = self
            .kernel
            .observe(&self.scope)
            .await
            .map_err(|error| PlaneError(error.to_string()))?;
        for (key, resource) in &mut observed {
            if let (Key::Device(name), Resource::Device(device)) = (key, resource)
                && self.planner.has_any_port(name)
            {
                device.listen_port = 0;
            }
        }
        if !self.has_adopted && self.planner.adopt(&observed) {
            self.events.push_back(PlaneEvent::Replan);
        }
        self.has_adopted = true;
        self.note_drift(&observed);
        let unplanned = |key: &&Key| matches!(key, Key::Endpoint { .. }) && self.planner.wanted(key).is_none();
        self.live = observed.keys().filter(unplanned).cloned().collect();
        let mut held = BTreeMap::new();
        for (key, resource) in &observed {
            if let Some(believed) = self.believed(key, resource) {
                if let Some(fingerprint) = believed {
                    self.known.insert(key.clone(), fingerprint);
                }
                held.insert(key.clone(), believed);
            }
        }
        Ok(held)
    }

    async fn apply(&mut self, diff: Diff<Key, Resource>) -> Result<Vec<(Key, Verdict)>, PlaneError> {
        let mut upsert = diff.upsert;
        let refused: Vec<_> = upsert
            .extract_if(.., |(key, _)| matches!(key, Key::Refused(_)))
            .collect();
        if diff.settled {
            self.planner.settle();
        }
        self.raise_guards(&mut upsert).await?;
        upsert.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut failed = self.put(upsert).await;
        failed.extend(self.remove(diff.remove).await);
        let mut verdicts = self.verdicts(failed);
        verdicts.extend(refused.into_iter().filter_map(|(key, resource)| {
            let Resource::Refused(refusal) = resource else {
                return None;
            };
            let verdict = if refusal.waits {
                Verdict::Pending(refusal.reason)
            } else {
                Verdict::Rejected(refusal.reason)
            };
            Some((key, verdict))
        }));
        Ok(verdicts)
    }

    async fn changed(&mut self) -> PlaneEvent<Key> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            tokio::select! {
                Some((config, done)) = self.settings.1.recv() => {
                    let taken = self.reconfigure(config);
                    let is_taken = taken.is_ok();
                    if done.send(taken).is_err() {
                        tracing::debug!("nobody waits for the new settings any longer");
                    }
                    if is_taken {
                        return PlaneEvent::Replan;
                    }
                }
                () = self.kernel.changed(&self.scope) => return PlaneEvent::Resync,
                () = wait_until(self.retry_at) => {
                    self.retry_at = None;
                    return PlaneEvent::Resync;
                }
                () = tokio::time::sleep_until(self.look_at) => self.look().await,
            }
        }
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
