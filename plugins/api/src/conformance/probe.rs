//! A plane around a plane that records, delays, fails and crashes.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::sync::watch;

use crate::plane::{DataPlane, Diff, PlaneError, PlaneEvent, Route, RouteTable, ServiceName, Touched, Verdict, Wanted};

/// When a failing call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Before anything is done.
    Before,
    /// After everything is done: the answer is lost.
    After,
}

/// What the probe is to do and what it saw.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The next calls of `apply` that fail.
    pub(super) faults: Vec<Fault>,
    /// Stop for ever before the n-th further poll of `apply` (0: before the first).
    pub(super) crash_at_poll: Option<usize>,
    /// Names of the routes behind each upserted resource, per call of `apply`.
    pub(super) applied: Vec<Vec<ServiceName>>,
}

/// The test's end of a probe.
#[derive(Debug, Clone)]
pub(super) struct Control {
    script: Arc<Mutex<Script>>,
    crashed: watch::Receiver<bool>,
    stalled: Arc<watch::Sender<bool>>,
}

pub(super) struct Probe<P> {
    plane: P,
    script: Arc<Mutex<Script>>,
    crashed: watch::Sender<bool>,
    stalled: watch::Receiver<bool>,
}

pub(super) fn probe<P: DataPlane<Route = Route>>(plane: P) -> (Probe<P>, Control) {
    let script = Arc::new(Mutex::new(Script::default()));
    let (crash, crashed) = watch::channel(false);
    let (stall, stalled) = watch::channel(false);
    let control = Control {
        script: Arc::clone(&script),
        crashed,
        stalled: Arc::new(stall),
    };
    (
        Probe {
            plane,
            script,
            crashed: crash,
            stalled,
        },
        control,
    )
}

impl Control {
    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when the probe has crashed.
    pub(super) async fn crashed(&mut self) {
        // The probe dropped without a crash: never.
        if self.crashed.wait_for(|crashed| *crashed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// While stalled, `apply` does not begin.
    pub(super) fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// How often a resource of this name was given to the plane.
    pub(super) fn times_applied(&self, name: &ServiceName) -> usize {
        self.script()
            .applied
            .iter()
            .flatten()
            .filter(|applied| *applied == name)
            .count()
    }
}

impl<P: DataPlane<Route = Route>> Probe<P> {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_fault(&self) -> Option<Fault> {
        let mut script = self.script();
        (!script.faults.is_empty()).then(|| script.faults.remove(0))
    }

    fn record(&self, diff: &Diff<P::Key, P::Resource>) {
        let names = diff
            .upsert
            .iter()
            .flat_map(|(key, _)| self.plane.routes_of(key))
            .collect();
        self.script().applied.push(names);
    }
}

fn lost() -> PlaneError {
    PlaneError("injected: the connection broke".into())
}

/// Polls `inner` until the script says to crash, then never again; the task that owns both is dropped by the test.
async fn until_crash<T>(inner: impl Future<Output = T>, script: &Mutex<Script>, crashed: &watch::Sender<bool>) -> T {
    let mut inner = pin!(inner);
    std::future::poll_fn(|cx| {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut script.crash_at_poll {
            Some(0) => {
                crashed.send_replace(true);
                return Poll::Pending;
            }
            Some(polls) => *polls -= 1,
            None => {}
        }
        drop(script);
        inner.as_mut().poll(cx)
    })
    .await
}

impl<P: DataPlane<Route = Route>> DataPlane for Probe<P> {
    type Route = Route;
    type Key = P::Key;
    type Resource = P::Resource;

    fn name(&self) -> &'static str {
        self.plane.name()
    }

    fn plan(&mut self, routes: &RouteTable, touched: Touched<'_>) -> Vec<Wanted<Self>> {
        self.plane.plan(routes, touched)
    }

    fn routes_of(&self, key: &Self::Key) -> Vec<ServiceName> {
        self.plane.routes_of(key)
    }

    fn serves(&self, route: &Route) -> bool {
        self.plane.serves(route)
    }

    fn fingerprint(&self, resource: &Self::Resource) -> u64 {
        self.plane.fingerprint(resource)
    }

    fn rejects_for_outside_reasons(&self) -> bool {
        self.plane.rejects_for_outside_reasons()
    }

    async fn observe(&mut self) -> Result<BTreeMap<Self::Key, Option<u64>>, PlaneError> {
        self.plane.observe().await
    }

    async fn apply(&mut self, diff: Diff<Self::Key, Self::Resource>) -> Result<Vec<(Self::Key, Verdict)>, PlaneError> {
        // The sender is kept by the test as long as it looks at this plane.
        let _gone = self.stalled.wait_for(|stalled| !stalled).await.is_err();
        self.record(&diff);
        let fault = self.next_fault();
        if fault == Some(Fault::Before) {
            return Err(lost());
        }
        let verdicts = until_crash(self.plane.apply(diff), &self.script, &self.crashed).await?;
        if fault == Some(Fault::After) {
            Err(lost())
        } else {
            Ok(verdicts)
        }
    }

    async fn changed(&mut self) -> PlaneEvent<Self::Key> {
        self.plane.changed().await
    }
}
