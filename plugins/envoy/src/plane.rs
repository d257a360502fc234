//! The Envoy data plane as the reconcile loop sees it: the planner in front, the ADS server behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::{
    DataPlane, Diff, PlaneError, PlaneEvent, Route, RouteTable, ServiceName, Touched, Verdict, Wanted,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::ads::{AdsHandle, AdsServer, BindError, Changes};
use crate::config::EnvoyConfig;
use crate::plan::Planner;
use crate::ports::{LocalPorts, Ports};
use crate::resource::{Resource, ResourceKey, ResourceKind};

/// How long a change is waited for before its resources are reported as pending.
const APPLY_WAIT: Duration = Duration::from_secs(1);
/// A port may become free: listeners that Envoy could not open are tried again this often.
const RETRY_LISTENERS: Duration = Duration::from_secs(5);
/// Resource names with this prefix stand for routes that have no resources; they are never sent.
const INEXPRESSIBLE: &str = "inexpressible/";

/// Changes what a running plane was configured with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EnvoySettings(mpsc::Sender<(EnvoyConfig, oneshot::Sender<()>)>);

impl EnvoySettings {
    /// Has the plane go by `config` from now on; returns once everything that it plans is planned so. Where it listens
    /// and what it keeps on disk cannot change: `xds` and `state_dir` are ignored.
    pub async fn set(&self, config: EnvoyConfig) {
        let (done, taken) = oneshot::channel();
        if self.0.send((config, done)).await.is_ok() {
            // An error means that the plane has ended: the daemon is stopping.
            drop(taken.await);
        }
    }
}

/// The Envoy data plane: any number of Envoys that connect to one xDS address.
#[derive(Debug)]
pub struct EnvoyPlane {
    planner: Planner,
    local_ports: LocalPorts,
    ads: AdsServer,
    /// Planned, not yet with the ADS server. It gets all that is planned, also what the loop finds to be in place: the
    /// next Envoy that connects may lack it.
    staged: Changes,
    /// What the server was last told; `None` before the first apply.
    settled: Option<bool>,
    /// Routes that cannot be expressed, with the reason.
    inexpressible: BTreeMap<ServiceName, String>,
    /// The outside organisations whose listener Envoy has refused, until it is confirmed.
    closed: BTreeMap<Arc<str>, Arc<str>>,
    /// When refused listeners are tried again; `None`: there are none.
    retry_at: Option<Instant>,
    settings: (EnvoySettings, mpsc::Receiver<(EnvoyConfig, oneshot::Sender<()>)>),
}

impl EnvoyPlane {
    /// Listens on the xDS address. Envoys may connect from now on; they are answered once the first table is applied.
    pub async fn bind(config: EnvoyConfig) -> Result<Self, BindError> {
        let ads = AdsServer::bind(&config.xds).await?;
        let (ports, trouble) = Ports::load(config.state_dir.as_deref(), config.tcp_ports.clone());
        if let Some(trouble) = trouble {
            tracing::warn!(%trouble, "starting without the port assignments of tcp services");
        }
        let (settings, changes) = mpsc::channel(1);
        Ok(Self {
            local_ports: ports.shown(),
            planner: Planner::new(config, ports),
            ads,
            staged: Changes::default(),
            settled: None,
            inexpressible: BTreeMap::new(),
            closed: BTreeMap::new(),
            retry_at: None,
            settings: (EnvoySettings(settings), changes),
        })
    }

    /// A cloneable handle that shows the connected Envoys, the refused resources and the counters.
    #[must_use]
    pub fn stats(&self) -> AdsHandle {
        self.ads.handle()
    }

    /// Changes its settings later.
    #[must_use]
    pub fn settings(&self) -> EnvoySettings {
        self.settings.0.clone()
    }

    /// The local ports of tcp services, for `show route`.
    #[must_use]
    pub fn local_ports(&self) -> LocalPorts {
        self.local_ports.clone()
    }

    fn stage(&mut self, wanted: &[Wanted<Self>], all: bool) {
        if all {
            self.staged = Changes {
                replace: true,
                ..Changes::default()
            };
        }
        for (key, resource) in wanted {
            self.staged.set(key.clone(), resource.clone());
        }
    }

    fn flush(&mut self, settled: bool) -> u64 {
        self.settled = Some(settled);
        self.ads.update(std::mem::take(&mut self.staged), settled)
    }

    /// The routes without resources, as resources that are wanted and refused by this plane itself.
    fn plan_inexpressible(&mut self) -> Vec<Wanted<Self>> {
        let now: BTreeMap<_, _> = self.planner.rejected().into_iter().collect();
        let before = std::mem::replace(&mut self.inexpressible, now);
        let gone = before.keys().filter(|name| !self.inexpressible.contains_key(*name));
        let gone = gone.map(|name| (inexpressible_key(name), None));
        let here = self
            .inexpressible
            .iter()
            .filter(|(name, why)| before.get(*name) != Some(*why));
        let here = here.map(|(name, why)| {
            let body = why.clone();
            (
                inexpressible_key(name),
                Some(Resource::encode(
                    ResourceKind::ScopedRoute,
                    inexpressible_name(name),
                    &body,
                )),
            )
        });
        gone.chain(here).collect()
    }

    /// What verdicts on resources mean for the routes that depend on them.
    fn for_routes(&mut self, verdicts: Vec<(ResourceKey, Verdict)>) -> Vec<(ResourceKey, Verdict)> {
        verdicts
            .iter()
            .for_each(|(key, verdict)| self.note_listener(key, verdict));
        let for_routes = |(key, verdict): (ResourceKey, Verdict)| {
            let Verdict::Rejected(reason) = verdict else {
                return (key, verdict);
            };
            let verdict = self.planner.refusal(&key, &reason);
            if let Verdict::Pending(why) = &verdict {
                // Of what is rejected the loop warns.
                tracing::warn!(%why, "Envoy serves in part");
            }
            (key, verdict)
        };
        verdicts.into_iter().map(for_routes).collect()
    }

    /// A listener that is refused is closed until it is confirmed, whatever it waits for meanwhile.
    fn note_listener(&mut self, key: &ResourceKey, verdict: &Verdict) {
        if key.kind != ResourceKind::Listener {
            return;
        }
        if matches!(verdict, Verdict::Rejected(_)) {
            self.retry_at.get_or_insert_with(|| Instant::now() + RETRY_LISTENERS);
        }
        let Some(organisation) = self.planner.organisation_of(key).cloned() else {
            return;
        };
        match verdict {
            Verdict::Rejected(reason) => drop(self.closed.insert(organisation, reason.clone())),
            Verdict::Programmed => drop(self.closed.remove(&organisation)),
            Verdict::Pending(_) => {}
        }
    }

    /// Another try for the listeners that are refused.
    fn retry_listeners(&mut self) {
        let any = self.ads.retry(ResourceKind::Listener);
        self.retry_at = any.then(|| Instant::now() + RETRY_LISTENERS);
    }

    fn refuse_inexpressible(&self, key: &ResourceKey) -> Option<(ResourceKey, Verdict)> {
        let why = self.inexpressible.get(&inexpressible_route(key)?)?;
        Some((key.clone(), Verdict::Rejected(why.as_str().into())))
    }
}

fn inexpressible_name(name: &ServiceName) -> Arc<str> {
    format!("{INEXPRESSIBLE}{}", name.as_str()).into()
}

fn inexpressible_key(name: &ServiceName) -> ResourceKey {
    ResourceKey::new(ResourceKind::ScopedRoute, inexpressible_name(name))
}

fn inexpressible_route(key: &ResourceKey) -> Option<ServiceName> {
    ServiceName::parse(key.name.strip_prefix(INEXPRESSIBLE)?).ok()
}

impl DataPlane for EnvoyPlane {
    type Route = Route;
    type Key = ResourceKey;
    type Resource = Resource;

    fn name(&self) -> &'static str {
        "envoy"
    }

    fn plan(&mut self, routes: &RouteTable, touched: Touched<'_>) -> Vec<Wanted<Self>> {
        let mut wanted = self.planner.plan(routes, touched);
        self.stage(&wanted, matches!(touched, Touched::All));
        if matches!(touched, Touched::All) {
            self.inexpressible.clear();
            self.closed.retain(|organisation, _| self.planner.serves(organisation));
        }
        wanted.extend(self.plan_inexpressible());
        wanted
    }

    fn routes_of(&self, key: &ResourceKey) -> Vec<ServiceName> {
        inexpressible_route(key).map_or_else(|| self.planner.routes_of(key), |name| vec![name])
    }

    fn serves(&self, _route: &Route) -> bool {
        true
    }

    fn fingerprint(&self, resource: &Resource) -> u64 {
        resource.fingerprint()
    }

    async fn observe(&mut self) -> Result<BTreeMap<ResourceKey, Option<u64>>, PlaneError> {
        Ok(self.ads.held())
    }

    async fn apply(&mut self, diff: Diff<ResourceKey, Resource>) -> Result<Vec<(ResourceKey, Verdict)>, PlaneError> {
        if let Err(error) = self.planner.persist_ports() {
            // They hold as long as this process does, and the next change tries again.
            tracing::warn!(%error, "port assignments of tcp services may change at the next start");
        }
        let keys: Vec<ResourceKey> = diff.upsert.iter().map(|(key, _)| key.clone()).collect();
        let real = diff
            .upsert
            .into_iter()
            .filter(|(key, _)| inexpressible_route(key).is_none());
        real.for_each(|(key, resource)| self.staged.set(key, Some(resource)));
        diff.remove.into_iter().for_each(|key| self.staged.set(key, None));
        let round = self.flush(diff.settled);
        self.ads.wait(round, APPLY_WAIT).await;
        let (inexpressible, real): (Vec<_>, Vec<_>) = keys.iter().partition(|key| inexpressible_route(key).is_some());
        let verdicts = self.ads.verdicts(real.into_iter());
        // Those in place are left out.
        let told: BTreeSet<ResourceKey> = verdicts.iter().map(|(key, _)| key.clone()).collect();
        let in_place = keys.iter().filter(|key| !told.contains(*key));
        in_place.for_each(|key| self.note_listener(key, &Verdict::Programmed));
        let mut verdicts = self.for_routes(verdicts);
        verdicts.extend(
            inexpressible
                .into_iter()
                .filter_map(|key| self.refuse_inexpressible(key)),
        );
        Ok(verdicts)
    }

    fn closed(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        self.closed.clone()
    }

    async fn changed(&mut self) -> PlaneEvent<ResourceKey> {
        // The loop had nothing to apply, but what it found in place is new to an Envoy that connects later.
        if let Some(settled) = self.settled.filter(|_| !self.staged.is_empty()) {
            self.flush(settled);
        }
        loop {
            let retry_at = self.retry_at;
            tokio::select! {
                Some((config, done)) = self.settings.1.recv() => {
                    self.planner.reconfigure(config);
                    if done.send(()).is_err() {
                        tracing::debug!("nobody waits for the new settings any longer");
                    }
                    return PlaneEvent::Replan;
                }
                event = self.ads.next_event() => return match event {
                    PlaneEvent::Verdicts(verdicts) => PlaneEvent::Verdicts(self.for_routes(verdicts)),
                    other @ (PlaneEvent::Connected(_)
                    | PlaneEvent::Resync
                    | PlaneEvent::Replan
                    | PlaneEvent::NextHop(..)
                    | PlaneEvent::Tunnel(..)) => other,
                },
                () = until(retry_at) => self.retry_listeners(),
            }
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
