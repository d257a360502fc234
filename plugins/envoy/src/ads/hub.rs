//! All streams around one desired table: pure, the time is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use catalyst_plugin::{PlaneEvent, Verdict};
use envoy_types::pb::envoy::config::core::v3::{Node, node::UserAgentVersionType};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use crate::ads::desired::{Changes, Desired, Quarantined};
use crate::ads::isolate::clip;
use crate::ads::session::{Heard, Outgoing, Refused, Session, Standing};
use crate::ads::stats::{Counters, EnvoyReport, RejectedReport, Report};
use crate::ads::verdicts::Verdicts;
use crate::resource::{Resource, ResourceKey, ResourceKind, fingerprint_of};

/// Envoy's words on a refused resource are kept up to this length (they may repeat the whole resource).
const MAX_REASON_BYTES: usize = 1024;
/// A node id or version beyond this is cut: it goes into logs and tables.
const MAX_NODE_BYTES: usize = 128;

/// Names a stream; in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId(u64);

/// One Envoy that has opened a stream.
#[derive(Debug)]
struct Envoy {
    /// `None` until the first request: it does not count as connected before.
    identity: Option<Identity>,
    /// Whether it serves already. A fresh process does once it has confirmed its listeners: no request reaches it before.
    serving: Serving,
    session: Session,
}

/// Whether requests reach an Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serving {
    /// Not yet.
    NotYet,
    /// It brought listeners along that it has not named yet.
    Unknown,
    /// Its listeners are open.
    Yes,
}

#[derive(Debug)]
struct Identity {
    node: Arc<str>,
    version: Arc<str>,
}

/// The desired table and every stream.
#[derive(Debug, Default)]
pub(super) struct Hub {
    desired: Desired,
    envoys: BTreeMap<StreamId, Envoy>,
    verdicts: Verdicts,
    last_stream: u64,
    /// Whether a poll has settled verdicts that nobody was told of.
    progressed: bool,
    /// Counters of streams that have ended.
    ended: Counters,
    /// What was refused and is tried again, until it has another verdict.
    retried: BTreeMap<ResourceKey, Quarantined>,
}

impl Hub {
    /// Takes over a step of the desired table; gives the round in which its verdicts come.
    pub(super) fn update(&mut self, changes: Changes, settled: bool) -> u64 {
        let rescan = !self.desired.is_ready() || (settled && !self.desired.is_settled());
        let touched = self.desired.update(changes, settled);
        for envoy in self.envoys.values_mut() {
            envoy.session.touch(&touched);
            if rescan {
                envoy.session.rescan();
            }
        }
        let round = self.verdicts.next_round();
        for key in touched {
            self.verdicts.forget_news(&key);
            if self.desired.get(&key).is_some() && self.desired.refusal(&key).is_none() {
                self.verdicts.ask(key);
            } else {
                self.verdicts.settle(&key);
            }
        }
        round
    }

    /// Whether every resource of a round has its verdict.
    pub(super) fn is_complete(&self, round: u64) -> bool {
        self.verdicts.is_complete(round)
    }

    /// Whether any Envoy has subscribed.
    pub(super) fn is_connected(&self) -> bool {
        self.connected().next().is_some()
    }

    /// Whether requests reach any Envoy.
    fn is_serving(&self) -> bool {
        self.envoys.values().any(|envoy| envoy.serving == Serving::Yes)
    }

    fn connected(&self) -> impl Iterator<Item = (&Identity, &Session)> {
        self.envoys
            .values()
            .filter_map(|envoy| Some((envoy.identity.as_ref()?, &envoy.session)))
    }

    /// The verdict on a wanted resource as things stand; news of it is thereby told.
    pub(super) fn tell_verdict(&mut self, key: &ResourceKey) -> Verdict {
        self.verdicts.forget_news(key);
        self.verdict(key)
    }

    fn verdict(&self, key: &ResourceKey) -> Verdict {
        if let Some(refusal) = self.desired.refusal(key) {
            return Verdict::Rejected(refusal.reason.clone());
        }
        let Some(wanted) = self.desired.get(key) else {
            return Verdict::Programmed;
        };
        match self.why_pending(wanted) {
            Some(why) => Verdict::Pending(why.into()),
            None => Verdict::Programmed,
        }
    }

    /// What a wanted resource waits for. An Envoy that serves nothing yet holds up nobody, unless it is the only one.
    fn why_pending(&self, wanted: &Resource) -> Option<String> {
        let settled = self.desired.is_settled();
        let mut why = Some("no Envoy connected".to_owned());
        for envoy in self.envoys.values() {
            let Some(identity) = &envoy.identity else { continue };
            match envoy.serving {
                Serving::NotYet if self.is_serving() => {}
                Serving::NotYet | Serving::Unknown => {
                    why = Some(format!("Envoy {} has not opened its listeners yet", identity.node));
                    if envoy.serving == Serving::Unknown {
                        return why;
                    }
                }
                Serving::Yes => {
                    why = None;
                    let pending = why_pending(envoy.session.standing(wanted, settled), &identity.node);
                    if pending.is_some() {
                        return pending;
                    }
                }
            }
        }
        why
    }

    /// The oldest news that nobody has fetched.
    pub(super) fn next_event(&mut self) -> Option<PlaneEvent<ResourceKey>> {
        self.verdicts.next_event()
    }

    /// A stream was opened.
    pub(super) fn open(&mut self, now: Instant) -> StreamId {
        self.last_stream += 1;
        let id = StreamId(self.last_stream);
        self.envoys.insert(
            id,
            Envoy {
                identity: None,
                serving: Serving::NotYet,
                session: Session::new(now),
            },
        );
        id
    }

    /// Streams that are open.
    pub(super) fn streams(&self) -> usize {
        self.envoys.len()
    }

    /// A stream has ended.
    pub(super) fn close(&mut self, id: StreamId) {
        let Some(envoy) = self.envoys.remove(&id) else { return };
        for (kind, counters) in &envoy.session.counters {
            *self.ended.entry(*kind).or_default() += *counters;
        }
        let Some(identity) = envoy.identity else { return };
        tracing::info!(node = %identity.node, "Envoy disconnected");
        if self.is_serving() {
            self.resolve_open();
        } else if envoy.serving == Serving::Yes {
            tracing::warn!(
                "no Envoy serves any more: unless one is within the hold time, what needs it is withdrawn from peers"
            );
            self.verdicts.tell_connected(false);
        }
    }

    fn resolve_open(&mut self) {
        let open: Vec<_> = self.verdicts.open().cloned().collect();
        self.resolve(open);
    }

    /// Takes in a request of a stream.
    pub(super) fn on_request(&mut self, id: StreamId, kind: ResourceKind, request: DeltaDiscoveryRequest) {
        self.identify(id, &request);
        let Some(envoy) = self.envoys.get_mut(&id) else { return };
        let heard = envoy.session.on_request(kind, request);
        self.on_heard(id, heard);
    }

    fn on_heard(&mut self, id: StreamId, heard: Heard) {
        heard
            .refused
            .into_iter()
            .for_each(|refused| self.on_refused(id, refused));
        if let Some(kind) = heard.subscribed {
            self.on_subscribed(id, kind);
        }
        self.look_whether_serving(id);
        self.resolve(heard.confirmed);
    }

    /// An Envoy serves once each listener is open or refused, with the extensions that it has asked for (it asks for those
    /// of a listener before it confirms it). True if it has begun to.
    fn look_whether_serving(&mut self, id: StreamId) -> bool {
        let Some(envoy) = self.envoys.get(&id) else {
            return false;
        };
        if envoy.serving == Serving::Yes || envoy.identity.is_none() || !self.desired.is_ready() {
            return false;
        }
        let settled = self.desired.is_settled();
        let of_kind = |kind| self.desired.of_kind(kind).into_iter().flat_map(BTreeMap::values);
        let closed = |wanted: &&Arc<Resource>| {
            let standing = envoy.session.standing(wanted, settled);
            let asked = wanted.key.kind == ResourceKind::Listener || standing != Standing::NotAsked;
            let open = matches!(standing, Standing::Confirmed | Standing::HeldBack);
            asked && !open && self.desired.refusal(&wanted.key).is_none()
        };
        let mut fixed = of_kind(ResourceKind::Listener).chain(of_kind(ResourceKind::Extension));
        let serves = !fixed.any(|wanted| closed(&wanted));
        if serves {
            self.on_serving(id);
        }
        serves
    }

    /// From now on requests reach an Envoy: what it lacks is pending.
    fn on_serving(&mut self, id: StreamId) {
        let first = !self.is_serving();
        if let Some(envoy) = self.envoys.get_mut(&id) {
            envoy.serving = Serving::Yes;
        }
        for kind in ResourceKind::ALL {
            self.ask_for_lacking(id, kind);
        }
        self.resolve_open();
        if first {
            self.verdicts.tell_connected(true);
        }
    }

    /// The first request makes a stream a connected Envoy. A fresh process (it holds nothing) deserves another try of what
    /// an earlier one refused: a port may be free now. One that comes back beside others serves what nobody knows yet.
    fn identify(&mut self, id: StreamId, request: &DeltaDiscoveryRequest) {
        let others = self.is_serving();
        let Some(envoy) = self.envoys.get_mut(&id).filter(|envoy| envoy.identity.is_none()) else {
            return;
        };
        let identity = Identity::of(request.node.as_ref());
        tracing::info!(node = %identity.node, version = %identity.version, "Envoy connected");
        envoy.identity = Some(identity);
        if request.initial_resource_versions.is_empty() {
            let lifted = self.desired.lift_quarantine();
            self.envoys.values_mut().for_each(|envoy| envoy.session.touch(&lifted));
            self.ask_again(lifted);
            return;
        }
        envoy.serving = Serving::Unknown;
        if others {
            let all: Vec<_> = self.desired.iter().map(|resource| resource.key.clone()).collect();
            self.ask_again(all);
        }
    }

    /// What a stream that serves lacks of a kind, now that its versions are known, is pending again.
    fn on_subscribed(&mut self, id: StreamId, kind: ResourceKind) {
        if self.envoys.get(&id).is_none_or(|envoy| envoy.serving != Serving::Yes) {
            return;
        }
        self.ask_for_lacking(id, kind);
        // What was open may be answered already: this Envoy brought it along.
        let open: Vec<_> = self.verdicts.open().filter(|key| key.kind == kind).cloned().collect();
        self.resolve(open);
    }

    fn ask_for_lacking(&mut self, id: StreamId, kind: ResourceKind) {
        let Some(envoy) = self.envoys.get(&id) else { return };
        let wanted = self.desired.of_kind(kind).into_iter().flat_map(BTreeMap::values);
        let settled = self.desired.is_settled();
        let lacking = wanted.filter(|wanted| {
            let standing = envoy.session.standing(wanted, settled);
            standing != Standing::Confirmed && self.desired.refusal(&wanted.key).is_none()
        });
        let lacking: Vec<_> = lacking.map(|wanted| wanted.key.clone()).collect();
        self.ask_again(lacking);
    }

    fn ask_again(&mut self, keys: Vec<ResourceKey>) {
        for key in keys {
            if self.verdicts.ask(key.clone()) {
                let verdict = self.verdict(&key);
                self.verdicts.tell(key, verdict);
            }
        }
    }

    fn resolve(&mut self, keys: Vec<ResourceKey>) {
        for key in keys {
            let verdict = self.verdict(&key);
            if !matches!(verdict, Verdict::Pending(_)) && self.verdicts.settle(&key) {
                self.retried.remove(&key);
                self.verdicts.tell(key, verdict);
            }
        }
    }

    /// Another try for the refused resources of a kind; gives whether there are any.
    pub(super) fn retry(&mut self, kind: ResourceKind) -> bool {
        let lifted = self.desired.lift(kind);
        let keys: Vec<ResourceKey> = lifted.keys().cloned().collect();
        self.envoys.values_mut().for_each(|envoy| envoy.session.touch(&keys));
        for key in keys {
            // What was said of it stands until there is another answer.
            self.verdicts.ask(key);
        }
        self.retried.extend(lifted);
        self.retried
            .retain(|key, refused| self.desired.get(key).is_some_and(|it| it.version == refused.version));
        self.retried.keys().any(|key| key.kind == kind)
    }

    fn on_refused(&mut self, id: StreamId, refused: Refused) {
        let Refused { key, version, reason } = refused;
        let identity = self.envoys.get(&id).and_then(|envoy| envoy.identity.as_ref());
        let node = identity.map(|identity| &*identity.node);
        // The loop warns of the verdict; which Envoy it was is of use when there are several.
        tracing::debug!(node, resource = %key, %version, error = %reason, "Envoy refused a resource");
        if self.desired.get(&key).is_none_or(|wanted| wanted.version != version) {
            return;
        }
        let reason: Arc<str> = clip(reason.trim(), MAX_REASON_BYTES).into();
        let before = self.retried.remove(&key);
        let is_news = before.is_none_or(|before| before.version != version || before.reason != reason);
        self.desired.quarantine(key.clone(), Quarantined { version, reason });
        self.verdicts.settle(&key);
        if !is_news {
            return;
        }
        let verdict = self.verdict(&key);
        self.verdicts.tell(key, verdict);
    }

    /// The next response of a stream that may leave now.
    pub(super) fn poll(&mut self, id: StreamId, now: Instant) -> Option<Outgoing> {
        let session = &mut self.envoys.get_mut(&id)?.session;
        let next = session.poll(now, &self.desired);
        let unchanged = session.take_unchanged();
        self.progressed |= !unchanged.is_empty();
        // What it brought along may turn out to be what is wanted.
        self.progressed |= self.look_whether_serving(id);
        self.resolve(unchanged);
        next
    }

    /// Whether there may be news since the last call that came of polling alone.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progressed)
    }

    /// When to poll a stream again although nothing was heard.
    pub(super) fn deadline(&self, id: StreamId, now: Instant) -> Option<Instant> {
        self.envoys.get(&id)?.session.deadline(now)
    }

    /// What the connected Envoys hold, with the fingerprint of the content; `None` where they differ, or have not
    /// confirmed it.
    pub(super) fn held(&self) -> BTreeMap<ResourceKey, Option<u64>> {
        let mut all: BTreeMap<ResourceKey, (usize, Option<u64>)> = BTreeMap::new();
        for (_, session) in self.connected() {
            for (kind, name, version) in session.held() {
                let fingerprint = version.and_then(|version| fingerprint_of(version));
                let entry = all
                    .entry(ResourceKey {
                        kind,
                        name: name.clone(),
                    })
                    .or_insert((0, fingerprint));
                entry.0 += 1;
                entry.1 = entry.1.filter(|seen| Some(*seen) == fingerprint);
            }
        }
        let streams = self.connected().count();
        all.into_iter()
            .map(|(key, (holders, print))| (key, print.filter(|_| holders == streams)))
            .collect()
    }

    /// The picture of the server.
    pub(super) fn report(&self) -> Report {
        let mut totals = self.ended.clone();
        for (kind, counters) in self.envoys.values().flat_map(|envoy| &envoy.session.counters) {
            *totals.entry(*kind).or_default() += *counters;
        }
        Report {
            envoys: self
                .connected()
                .map(|(identity, session)| envoy_report(identity, session))
                .collect(),
            rejected: self.rejected(),
            desired: self.desired.iter().count(),
            totals,
        }
    }

    /// The refused resources that are still wanted, those that are tried again too.
    pub(super) fn rejected(&self) -> Vec<RejectedReport> {
        let report = |(key, refused): (&ResourceKey, &Quarantined)| RejectedReport {
            key: key.clone(),
            reason: refused.reason.clone(),
        };
        self.refused().map(report).collect()
    }

    /// See [`Hub::rejected`].
    pub(super) fn refused(&self) -> impl Iterator<Item = (&ResourceKey, &Quarantined)> {
        let all: BTreeMap<_, _> = self.retried.iter().chain(self.desired.quarantined()).collect();
        all.into_iter().filter(|(key, refused)| {
            let wanted = self.desired.get(key);
            wanted.is_some_and(|wanted| wanted.version == refused.version)
        })
    }
}

impl Identity {
    fn of(node: Option<&Node>) -> Self {
        let Some(node) = node else {
            return Self {
                node: "(unnamed)".into(),
                version: "".into(),
            };
        };
        Self {
            node: clip(&node.id, MAX_NODE_BYTES).into(),
            version: clip(&version_of(node), MAX_NODE_BYTES).into(),
        }
    }
}

fn version_of(node: &Node) -> String {
    match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentVersion(version)) => version.clone(),
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => {
            let version = build.version.unwrap_or_default();
            format!("{}.{}.{}", version.major_number, version.minor_number, version.patch)
        }
        None => String::new(),
    }
}

fn envoy_report(identity: &Identity, session: &Session) -> EnvoyReport {
    EnvoyReport {
        node: identity.node.clone(),
        version: identity.version.clone(),
        resources: session.held().filter(|(_, _, version)| version.is_some()).count(),
        counters: session.counters.clone(),
    }
}

fn why_pending(standing: Standing, node: &str) -> Option<String> {
    match standing {
        Standing::Confirmed => None,
        Standing::Waiting => Some(format!("Envoy {node} has not confirmed it yet")),
        Standing::NotAsked => Some(format!("Envoy {node} has not asked for it yet")),
        Standing::HeldBack => Some(format!("held as Envoy {node} has it until the table is settled")),
    }
}
