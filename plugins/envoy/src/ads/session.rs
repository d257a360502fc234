//! One stream: a pure state machine between what is desired and what this Envoy holds. What it hears is in [`answers`]
//! and [`subscribe`], what it decides to do in [`work`], and here is how that leaves.
//!
//! [`answers`]: crate::ads::answers
//! [`subscribe`]: crate::ads::subscribe
//! [`work`]: crate::ads::work

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use crate::ads::cluster;
use crate::ads::cycle::Cycle;
use crate::ads::desired::Desired;
use crate::ads::silence::Silence;
use crate::ads::state::{InFlight, Item, Kinds};
use crate::ads::stats::Counters;
use crate::resource::{Resource, ResourceKey, ResourceKind};

/// After a reconnect Envoy asks for one kind after the other. Nothing is removed before the last one is known, or this
/// long has passed: a cluster must outlive the routes that name it.
pub(super) const REMOVAL_GRACE: Duration = Duration::from_secs(2);

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
    /// The kind that Envoy has just asked for: what it lacks of it is pending.
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
    pub(super) opened: Instant,
    pub(super) kinds: Kinds,
    /// Names whose content may differ from what Envoy holds.
    pub(super) dirty: BTreeSet<ResourceKey>,
    /// Removals that wait for the rest of a reconnect.
    pub(super) deferred: BTreeSet<ResourceKey>,
    pub(super) cycle: Option<Cycle>,
    pub(super) silence: Silence,
    /// What makes Envoy forget clusters that it refused or withholds answers for. Sent whatever is outstanding.
    pub(super) amends: VecDeque<Vec<Item>>,
    /// Names that turned out to need nothing: their verdicts may be told.
    unchanged: Vec<ResourceKey>,
    last_nonce: u64,
    pub(super) counters: Counters,
}

impl Session {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened: now,
            kinds: Kinds::default(),
            dirty: BTreeSet::new(),
            deferred: BTreeSet::new(),
            cycle: None,
            silence: Silence::default(),
            amends: VecDeque::new(),
            unchanged: Vec::new(),
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
        for (_, state) in self.kinds.iter_mut() {
            state.rescan = state.seen;
        }
    }

    /// What Envoy holds, with its version; `None` for a version that it has not confirmed.
    pub(super) fn held(&self) -> impl Iterator<Item = (ResourceKind, &Arc<str>, Option<&Arc<str>>)> {
        self.kinds.iter().flat_map(|(kind, state)| {
            let held = state.held.iter();
            held.map(move |(name, held)| (kind, name, held.acked.then_some(&held.version)))
        })
    }

    /// How this stream stands with `wanted`.
    pub(super) fn standing(&self, wanted: &Resource, settled: bool) -> Standing {
        let state = &self.kinds[wanted.key.kind];
        // Until it is looked at, a removal may still be on its way.
        let looked_at = !self.dirty.contains(&wanted.key);
        match state.held.get(&wanted.key.name).filter(|_| looked_at) {
            Some(held) if held.version == wanted.version && held.acked => Standing::Confirmed,
            Some(held) if held.version != wanted.version && held.adopted && !settled => Standing::HeldBack,
            _ if !state.wants(&wanted.key.name) => Standing::NotAsked,
            _ => Standing::Waiting,
        }
    }

    /// Takes in a subscription, an acknowledgement, a refusal, or all of them at once.
    pub(super) fn on_request(&mut self, kind: ResourceKind, request: DeltaDiscoveryRequest) -> Heard {
        let mut heard = self.on_answer(kind, &request);
        self.on_unsubscribe(kind, &request.resource_names_unsubscribe);
        if self.kinds[kind].subscribe(kind, request) {
            heard.subscribed = Some(kind);
        }
        heard
    }

    fn on_unsubscribe(&mut self, kind: ResourceKind, names: &[String]) {
        if self.kinds[kind].unsubscribe(kind, names) {
            self.cycle.iter_mut().for_each(|cycle| cycle.forget(kind));
        }
    }

    /// The next response that may leave now.
    pub(super) fn poll(&mut self, now: Instant, desired: &Desired) -> Option<Outgoing> {
        if !desired.is_ready() {
            return None;
        }
        self.take_rescans(desired);
        if let Some(urgent) = self.poll_silence(now).or_else(|| self.poll_urgent(now, desired)) {
            return Some(urgent);
        }
        loop {
            if self.cycle.is_none() {
                if self.kinds.iter().any(|(_, state)| !state.retry.is_empty()) {
                    return None;
                }
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
        let probe = self.silent_clusters().and_then(|silent| self.silence.due(silent));
        let answers = self.kinds.iter().filter_map(|(_, state)| state.deadline());
        answers.chain(removal).chain(probe).filter(|at| *at > now).min()
    }

    /// The oldest CDS response without an answer.
    pub(super) fn silent_clusters(&self) -> Option<&InFlight> {
        self.kinds[ResourceKind::Cluster].in_flight.front()
    }

    /// The question whether Envoy withholds the answer to CDS, when it is time to ask.
    fn poll_silence(&mut self, now: Instant) -> Option<Outgoing> {
        let silent = self.silent_clusters()?;
        self.silence.due(silent).filter(|due| *due <= now)?;
        let about = silent.nonce.clone();
        let can_answer = |kind: &ResourceKind| self.kinds[*kind].wildcard && self.kinds[*kind].can_send(now);
        let kind = [ResourceKind::Listener, ResourceKind::ScopedRoute]
            .into_iter()
            .find(can_answer)?;
        let probe = self.emit(kind, Vec::new(), now);
        self.silence.ask(about, probe.nonce.clone());
        Some(probe)
    }

    /// What does not wait for its turn: amends, parts of refused responses, and names that Envoy has just asked for.
    fn poll_urgent(&mut self, now: Instant, desired: &Desired) -> Option<Outgoing> {
        if let Some(items) = self.amends.pop_front() {
            let kind = ResourceKind::Cluster;
            self.mark(kind, &items);
            return Some(self.emit(kind, items, now));
        }
        for kind in ResourceKind::ALL {
            if !self.kinds[kind].can_send(now) {
                continue;
            }
            let items = self.next_retry(kind, desired);
            if !items.is_empty() {
                return Some(self.emit(kind, items, now));
            }
            let items = self.kinds[kind].take_pulled(kind, desired);
            if !items.is_empty() {
                return Some(self.emit(kind, items, now));
            }
        }
        None
    }

    /// The next part of a refused response, but for what has changed since: that is looked at anew.
    fn next_retry(&mut self, kind: ResourceKind, desired: &Desired) -> Vec<Item> {
        while let Some(items) = self.kinds[kind].retry.pop_front() {
            let (same, changed): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| desired.is(kind, item));
            if !changed.is_empty() {
                self.mark(kind, &changed);
                self.begin_anew();
            }
            if !same.is_empty() {
                return same;
            }
        }
        Vec::new()
    }

    /// Gives up the rest of a pass, whose later steps rely on the earlier ones: it is looked at again.
    pub(super) fn begin_anew(&mut self) {
        let left = self.cycle.take().into_iter().flat_map(Cycle::into_keys);
        self.dirty.extend(left);
    }

    /// Notes that these are to be looked at again.
    pub(super) fn mark(&mut self, kind: ResourceKind, items: &[Item]) {
        let names = items.iter().map(|item| item.name.clone());
        self.dirty.extend(names.map(|name| ResourceKey { kind, name }));
    }

    /// Notes that `key` needs nothing.
    pub(super) fn leave(&mut self, key: ResourceKey) {
        self.unchanged.push(key);
    }

    /// The names that turned out to need nothing since the last call.
    pub(super) fn take_unchanged(&mut self) -> Vec<ResourceKey> {
        std::mem::take(&mut self.unchanged)
    }

    fn poll_cycle(&mut self, now: Instant) -> Progress {
        let Some(cycle) = &mut self.cycle else {
            return Progress::Done;
        };
        while let Some(step) = cycle.current() {
            let state = &self.kinds[step.kind];
            if state.is_busy(now) {
                return Progress::Wait;
            }
            let kind = step.kind;
            let Some(mut items) = step.batches.pop_front() else {
                cycle.next_step();
                continue;
            };
            items.retain(|item| state.wants(&item.name));
            return Progress::Send(kind, items);
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
        self.kinds[kind].on_sent(nonce.clone(), items.clone(), now);
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
        let contents = clusters.iter().filter_map(|item| item.content.as_ref());
        for name in contents.filter_map(|content| cluster::endpoints_name(content)) {
            self.kinds[ResourceKind::Endpoints].repeat(name);
        }
    }
}

enum Progress {
    Send(ResourceKind, Vec<Item>),
    Wait,
    Done,
}
