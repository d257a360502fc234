//! One stream: a pure state machine between what is desired and what this Envoy holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use prost::Message;

use crate::ads::cycle::{Cycle, Work};
use crate::ads::desired::Desired;
use crate::ads::isolate::isolate;
use crate::ads::silence::{Silence, take_back};
use crate::ads::state::{InFlight, Item, KindState, wildcard_kinds};
use crate::ads::stats::Counters;
use crate::resource::{Resource, ResourceKey, ResourceKind};

/// After a reconnect Envoy asks for one kind after the other. Nothing is removed before the last one is known, or this
/// long has passed: a cluster must outlive the routes that name it.
const REMOVAL_GRACE: Duration = Duration::from_secs(2);
/// Names of one kind that one Envoy may subscribe to.
const MAX_NAMES: usize = 1_000_000;

/// A response to be encoded and sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) kind: ResourceKind,
    pub(super) nonce: String,
    pub(super) items: Vec<Item>,
}

/// What a request of Envoy changed.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Resources that may be confirmed now.
    pub(super) confirmed: Vec<ResourceKey>,
    /// Resources that Envoy refused.
    pub(super) refused: Vec<Refused>,
    /// Kinds that Envoy has just asked for: what it lacks of them is pending.
    pub(super) subscribed: Option<ResourceKind>,
}

/// A refused resource, with Envoy's words.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) key: ResourceKey,
    pub(super) version: Arc<str>,
    pub(super) reason: Arc<str>,
}

/// How a stream stands with one wanted resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Envoy holds it and has said so.
    Confirmed,
    /// It is on its way, or will be.
    Waiting,
    /// Envoy has not asked for it.
    NotAsked,
    /// Envoy holds another version from before, kept until the table is settled.
    HeldBack,
}

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Session {
    opened: Instant,
    kinds: BTreeMap<ResourceKind, KindState>,
    /// Names whose content may differ from what Envoy holds.
    dirty: BTreeSet<ResourceKey>,
    /// Removals that wait for the rest of a reconnect.
    deferred: BTreeSet<ResourceKey>,
    cycle: Option<Cycle>,
    silence: Silence,
    last_nonce: u64,
    pub(super) counters: Counters,
}

impl Session {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened: now,
            kinds: ResourceKind::ALL
                .into_iter()
                .map(|kind| (kind, KindState::default()))
                .collect(),
            dirty: BTreeSet::new(),
            deferred: BTreeSet::new(),
            cycle: None,
            silence: Silence::default(),
            last_nonce: 0,
            counters: Counters::new(),
        }
    }

    /// Notes that the desired content of these may have changed.
    pub(super) fn touch(&mut self, keys: &[ResourceKey]) {
        self.dirty.extend(keys.iter().cloned());
    }

    /// Notes that everything held is to be compared with what is desired.
    pub(super) fn rescan(&mut self) {
        for state in self.kinds.values_mut() {
            state.rescan = state.seen;
        }
    }

    /// What Envoy holds, with its version; `None` for a version that it has not confirmed.
    pub(super) fn held(&self) -> impl Iterator<Item = (ResourceKind, &Arc<str>, Option<&Arc<str>>)> {
        self.kinds.iter().flat_map(|(kind, state)| {
            state
                .held
                .iter()
                .map(|(name, held)| (*kind, name, held.acked.then_some(&held.version)))
        })
    }

    /// How this stream stands with `wanted`.
    pub(super) fn standing(&self, wanted: &Resource, settled: bool) -> Standing {
        let Some(state) = self.kinds.get(&wanted.key.kind) else {
            return Standing::NotAsked;
        };
        match state.held.get(&wanted.key.name) {
            Some(held) if held.version == wanted.version && held.acked => Standing::Confirmed,
            Some(held) if held.version != wanted.version && held.adopted && !settled => Standing::HeldBack,
            _ if !state.wants(&wanted.key.name) => Standing::NotAsked,
            _ => Standing::Waiting,
        }
    }

    /// Takes in a subscription, an acknowledgement, a refusal, or all of them at once.
    pub(super) fn on_request(&mut self, kind: ResourceKind, request: DeltaDiscoveryRequest) -> Heard {
        let mut heard = self.on_answer(kind, &request);
        self.on_silence_proven(&request.response_nonce);
        self.on_unsubscribe(kind, &request.resource_names_unsubscribe);
        if self.on_subscribe(kind, request) {
            heard.subscribed = Some(kind);
        }
        heard
    }

    fn on_answer(&mut self, kind: ResourceKind, request: &DeltaDiscoveryRequest) -> Heard {
        let Some(state) = self.kinds.get_mut(&kind) else {
            return Heard::default();
        };
        let Some(response) = state.take_in_flight(&request.response_nonce) else {
            return Heard::default();
        };
        match &request.error_detail {
            None => self.on_ack(kind, &response),
            Some(error) => self.on_nack(kind, &response, &error.message),
        }
    }

    fn on_ack(&mut self, kind: ResourceKind, response: &InFlight) -> Heard {
        self.counters.entry(kind).or_default().acks += 1;
        let Some(state) = self.kinds.get_mut(&kind) else {
            return Heard::default();
        };
        response.items.iter().for_each(|sent| state.on_ack(&sent.item));
        let names = response.items.iter().map(|sent| sent.item.name.clone());
        Heard {
            confirmed: names.map(|name| ResourceKey { kind, name }).collect(),
            ..Heard::default()
        }
    }

    fn on_nack(&mut self, kind: ResourceKind, response: &InFlight, error: &str) -> Heard {
        self.counters.entry(kind).or_default().nacks += 1;
        let Some(state) = self.kinds.get_mut(&kind) else {
            return Heard::default();
        };
        response.items.iter().for_each(|sent| state.on_nack(sent));
        let items = response.items.iter().map(|sent| sent.item.clone());
        let found = isolate(kind, items.filter(|item| item.content.is_some()).collect(), error);
        state.retry.extend(found.retry);
        if kind == ResourceKind::Cluster {
            let amends = found.guilty.iter().filter_map(|item| state.amends(&item.name));
            let amends: Vec<Item> = amends.collect();
            state.retry.extend((!amends.is_empty()).then_some(amends));
        }
        let reason: Arc<str> = error.into();
        let refused = found.guilty.into_iter().filter_map(|item| {
            let version = item.content?.version.clone();
            Some(Refused {
                key: ResourceKey { kind, name: item.name },
                version,
                reason: reason.clone(),
            })
        });
        Heard {
            refused: refused.collect(),
            ..Heard::default()
        }
    }

    fn on_silence_proven(&mut self, nonce: &str) {
        let Some(clusters) = self.kinds.get_mut(&ResourceKind::Cluster) else {
            return;
        };
        if !self.silence.is_proven(nonce, clusters.in_flight.front()) {
            return;
        }
        let Some(silent) = clusters.in_flight.front() else {
            return;
        };
        let items = take_back(silent);
        tracing::debug!(
            clusters = items.len(),
            "Envoy withholds the answer to clusters, taking them back"
        );
        self.dirty
            .extend(items.iter().map(|item| key(ResourceKind::Cluster, &item.name)));
        clusters.retry.extend((!items.is_empty()).then_some(items));
    }

    fn on_unsubscribe(&mut self, kind: ResourceKind, names: &[String]) {
        let Some(state) = self.kinds.get_mut(&kind) else { return };
        if kind.is_wildcard() {
            if names.iter().any(|name| name == "*") {
                state.unsubscribe_all();
                self.cycle.iter_mut().for_each(|cycle| cycle.forget(kind));
            }
            return;
        }
        names.iter().for_each(|name| state.unsubscribe(name));
    }

    /// Gives whether the request asks for something new.
    fn on_subscribe(&mut self, kind: ResourceKind, request: DeltaDiscoveryRequest) -> bool {
        let Some(state) = self.kinds.get_mut(&kind) else {
            return false;
        };
        let first = !std::mem::replace(&mut state.seen, true);
        if kind.is_wildcard() {
            return state.subscribe_wildcard(first, request);
        }
        state.subscribe_names(first, request)
    }

    /// The next response that may leave now.
    pub(super) fn poll(&mut self, now: Instant, desired: &Desired) -> Option<Outgoing> {
        if !desired.is_ready() {
            return None;
        }
        if let Some(urgent) = self.poll_silence(now).or_else(|| self.poll_urgent(now, desired)) {
            return Some(urgent);
        }
        loop {
            if self.cycle.is_none() {
                self.cycle = Some(self.collect_work(now, desired).into_cycle()?);
            }
            match self.poll_cycle(now) {
                Progress::Send(kind, items) => return Some(self.emit(kind, items, now)),
                Progress::Wait => return None,
                Progress::Done => self.cycle = None,
            }
        }
    }

    /// When to poll again although nothing was heard.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let removal = (!self.deferred.is_empty()).then_some(self.opened + REMOVAL_GRACE);
        let probe = self.silent_clusters().map(|(_, due)| due);
        let answers = self.kinds.values().filter_map(KindState::deadline);
        answers.chain(removal).chain(probe).filter(|at| *at > now).min()
    }

    /// The oldest CDS response without an answer, and when to ask about it.
    fn silent_clusters(&self) -> Option<(&str, Instant)> {
        let oldest = self.kinds.get(&ResourceKind::Cluster)?.in_flight.front()?;
        Some((&oldest.nonce, self.silence.due(oldest)?))
    }

    fn poll_silence(&mut self, now: Instant) -> Option<Outgoing> {
        let about = self.silent_clusters().filter(|(_, due)| *due <= now)?.0.to_owned();
        let can_ask = |kind: &ResourceKind| {
            self.kinds
                .get(kind)
                .is_some_and(|state| state.wildcard && state.can_send(now))
        };
        let kind = [ResourceKind::Listener, ResourceKind::ScopedRoute]
            .into_iter()
            .find(can_ask)?;
        let probe = self.emit(kind, Vec::new(), now);
        self.silence.ask(about, probe.nonce.clone());
        Some(probe)
    }

    /// What does not wait for its turn: parts of refused responses, and names that Envoy has just asked for.
    fn poll_urgent(&mut self, now: Instant, desired: &Desired) -> Option<Outgoing> {
        for kind in ResourceKind::ALL {
            let Some(state) = self.kinds.get_mut(&kind).filter(|state| state.can_send(now)) else {
                continue;
            };
            if let Some(items) = state.retry.pop_front() {
                return Some(self.emit(kind, items, now));
            }
            let items = state.take_pulled(kind, desired);
            if !items.is_empty() {
                return Some(self.emit(kind, items, now));
            }
        }
        None
    }

    fn poll_cycle(&mut self, now: Instant) -> Progress {
        let Some(cycle) = &mut self.cycle else {
            return Progress::Done;
        };
        while let Some(step) = cycle.current() {
            let Some(state) = self.kinds.get(&step.kind) else {
                return Progress::Done;
            };
            if state.is_busy(now) {
                return Progress::Wait;
            }
            if !step.batches.is_empty() && !state.can_send(now) {
                return Progress::Wait;
            }
            let kind = step.kind;
            match step.batches.pop_front() {
                Some(items) => return Progress::Send(kind, items),
                None => cycle.next_step(),
            }
        }
        Progress::Done
    }

    fn emit(&mut self, kind: ResourceKind, items: Vec<Item>, now: Instant) -> Outgoing {
        self.last_nonce += 1;
        let nonce = self.last_nonce.to_string();
        self.count(kind, &items);
        if kind == ResourceKind::Cluster {
            self.repeat_endpoints(&items);
        }
        if let Some(state) = self.kinds.get_mut(&kind) {
            state.on_sent(nonce.clone(), items.clone(), now);
        }
        Outgoing { kind, nonce, items }
    }

    fn count(&mut self, kind: ResourceKind, items: &[Item]) {
        let counters = self.counters.entry(kind).or_default();
        counters.responses += 1;
        for item in items {
            match &item.content {
                None => counters.removed += 1,
                Some(content) => {
                    counters.resources += 1;
                    counters.bytes += content.body.len() as u64;
                }
            }
        }
    }

    /// An EDS cluster that is sent again warms until its endpoints come again, and Envoy does not ask for them.
    fn repeat_endpoints(&mut self, clusters: &[Item]) {
        let Some(state) = self.kinds.get_mut(&ResourceKind::Endpoints) else {
            return;
        };
        for name in clusters
            .iter()
            .filter_map(|item| endpoints_name(item.content.as_ref()?))
        {
            if state.names.contains(&name) {
                state.pull.insert(name);
            } else {
                state.force.insert(name);
            }
        }
    }

    fn collect_work(&mut self, now: Instant, desired: &Desired) -> Work {
        self.dirty_by_rescan(desired);
        let may_remove = self.may_remove(now);
        if may_remove {
            self.dirty.append(&mut self.deferred);
        }
        let mut work = Work::default();
        for key in std::mem::take(&mut self.dirty) {
            let Some(item) = self.decide(&key, desired) else {
                continue;
            };
            match item.content {
                Some(_) => work.make.entry(key.kind).or_default().push(item),
                None if may_remove => work.remove.entry(key.kind).or_default().push(item),
                None => drop(self.deferred.insert(key)),
            }
        }
        for (kind, _) in self.kinds.iter().filter(|(_, state)| state.answer_due) {
            work.make.entry(*kind).or_default();
        }
        work
    }

    /// Whether all kinds that Envoy brought along are known, so that nothing is removed that is still referred to.
    fn may_remove(&self, now: Instant) -> bool {
        now >= self.opened + REMOVAL_GRACE
            || wildcard_kinds().all(|kind| self.kinds.get(&kind).is_some_and(|state| state.seen))
    }

    fn dirty_by_rescan(&mut self, desired: &Desired) {
        for (kind, state) in &mut self.kinds {
            if !std::mem::take(&mut state.rescan) {
                continue;
            }
            let wanted = desired.of_kind(*kind).into_iter().flatten();
            let differing = wanted
                .filter(|(name, wanted)| !state.recognise(name, wanted))
                .map(|(name, _)| name.clone());
            let differing: Vec<_> = differing.collect();
            let orphans = state
                .held
                .keys()
                .filter(|name| desired.get(&key(*kind, name)).is_none())
                .cloned();
            self.dirty.extend(
                differing
                    .into_iter()
                    .chain(orphans)
                    .map(|name| ResourceKey { kind: *kind, name }),
            );
            if desired.is_settled() {
                state.pull_unknown(*kind, desired);
            }
        }
    }

    /// What is to be sent for `key`, if anything.
    fn decide(&self, key: &ResourceKey, desired: &Desired) -> Option<Item> {
        let state = self.kinds.get(&key.kind).filter(|state| state.wants(&key.name))?;
        let held = state.held.get(&key.name);
        let wanted = desired.get(key);
        if held.map(|held| &held.version) == wanted.map(|wanted| &wanted.version) || desired.refusal(key).is_some() {
            return None;
        }
        if held.is_some_and(|held| held.adopted) && !desired.is_settled() {
            return None;
        }
        Some(Item {
            name: key.name.clone(),
            content: wanted.cloned(),
        })
    }
}

enum Progress {
    Send(ResourceKind, Vec<Item>),
    Wait,
    Done,
}

fn key(kind: ResourceKind, name: &Arc<str>) -> ResourceKey {
    ResourceKey {
        kind,
        name: name.clone(),
    }
}

/// The name under which a cluster asks for its endpoints, if it does.
fn endpoints_name(cluster: &Resource) -> Option<Arc<str>> {
    let cluster = Cluster::decode(cluster.body.clone()).ok()?;
    let Some(ClusterDiscoveryType::Type(kind)) = cluster.cluster_discovery_type else {
        return None;
    };
    if DiscoveryType::try_from(kind) != Ok(DiscoveryType::Eds) {
        return None;
    }
    let service = cluster
        .eds_cluster_config
        .map(|config| config.service_name)
        .filter(|name| !name.is_empty());
    Some(service.unwrap_or(cluster.name).into())
}

impl KindState {
    /// Gives whether the kind is asked for anew.
    fn subscribe_wildcard(&mut self, first: bool, request: DeltaDiscoveryRequest) -> bool {
        let asked = first || request.resource_names_subscribe.iter().any(|name| name == "*");
        if self.wildcard || !asked {
            return false;
        }
        self.answer_due = request.initial_resource_versions.is_empty();
        for (name, version) in request.initial_resource_versions {
            self.adopt(name.into(), version.into());
        }
        self.wildcard = true;
        self.rescan = true;
        true
    }

    /// Gives whether a name is asked for anew.
    fn subscribe_names(&mut self, first: bool, request: DeltaDiscoveryRequest) -> bool {
        let mut initial = if first {
            request.initial_resource_versions
        } else {
            Default::default()
        };
        let room = MAX_NAMES.saturating_sub(self.names.len());
        let mut asked = false;
        for name in request
            .resource_names_subscribe
            .into_iter()
            .filter(|name| name != "*")
            .take(room)
        {
            self.subscribe_name(name.as_str().into(), initial.remove(&name));
            asked = true;
        }
        asked
    }

    /// On a name that it asks for again Envoy may have forgotten what it had: only what it says to hold counts.
    fn subscribe_name(&mut self, name: Arc<str>, version: Option<String>) {
        self.names.insert(name.clone());
        let forced = self.force.remove(&name);
        match version {
            Some(version) => {
                self.adopt(name.clone(), version.into());
                self.rescan = true;
            }
            None => {
                self.held.remove(&name);
                self.pull.insert(name);
                return;
            }
        }
        if forced {
            self.pull.insert(name);
        }
    }

    /// Whether `wanted` is what Envoy holds; then its content is known too, even if Envoy had it from before.
    fn recognise(&mut self, name: &Arc<str>, wanted: &Arc<Resource>) -> bool {
        let Some(held) = self.held.get_mut(name).filter(|held| held.version == wanted.version) else {
            return false;
        };
        held.content = Some(wanted.clone());
        true
    }

    /// Names that were not answered while they could still have turned up.
    fn pull_unknown(&mut self, kind: ResourceKind, desired: &Desired) {
        let unknown = self.names.iter().filter(|name| !self.held.contains_key(*name));
        let unknown: Vec<_> = unknown
            .filter(|name| desired.get(&key(kind, name)).is_none())
            .cloned()
            .collect();
        self.pull.extend(unknown);
    }

    /// The answer to the names that Envoy waits for. One that does not exist is said to be absent, so that nothing warms
    /// for it, but not before the table is settled.
    fn take_pulled(&mut self, kind: ResourceKind, desired: &Desired) -> Vec<Item> {
        let names = std::mem::take(&mut self.pull)
            .into_iter()
            .filter(|name| self.names.contains(name));
        let items = names.filter_map(|name| {
            let key = ResourceKey { kind, name };
            match desired.get(&key) {
                Some(_) if desired.refusal(&key).is_some() => None,
                Some(content) => Some(Item {
                    name: key.name,
                    content: Some(content.clone()),
                }),
                None => desired.is_settled().then_some(Item {
                    name: key.name,
                    content: None,
                }),
            }
        });
        items.collect()
    }

    /// What makes Envoy forget a refused cluster. One that fails late stays, warming, and withholds acknowledgements:
    /// the content before it replaces it, or its removal. Where that content is unknown Envoy keeps serving it, and
    /// nothing is sent.
    fn amends(&self, name: &Arc<str>) -> Option<Item> {
        let content = match self.held.get(name) {
            None => None,
            Some(held) => Some(held.content.clone()?),
        };
        Some(Item {
            name: name.clone(),
            content,
        })
    }
}
