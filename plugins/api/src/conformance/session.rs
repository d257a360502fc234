//! One run of a plane as the daemon sees it, and the scenarios of versions and pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::probe::{Control, Fault, probe};
use super::{DEADLINE, Harness};
use crate::plane::{Change, PlaneStatus, Route, RouteUpdate, Selected, Served, ServiceName};
use crate::run::{Handle, Report};

/// Names and the variant that each is to be served with.
pub(super) type Expected = BTreeMap<ServiceName, u32>;

/// A name of the suite.
pub(super) fn name(index: usize) -> ServiceName {
    ServiceName::from_checked(&format!("svc-{index}.dc1.acme"))
}

/// The names 0 to `count`, all with one variant.
pub(super) fn table(count: usize, variant: u32) -> Expected {
    (0..count).map(|index| (name(index), variant)).collect()
}

/// A running loop around a plane of the harness.
pub(super) struct Run {
    handle: Handle,
    reports: mpsc::Receiver<Report>,
    pub(super) control: Control,
    pub(super) version: u64,
    /// The last word on each name.
    pub(super) statuses: BTreeMap<ServiceName, PlaneStatus>,
    pub(super) done: u64,
    pub(super) resets_asked: usize,
}

impl Run {
    pub(super) async fn start<H: Harness>(harness: &mut H) -> Self {
        Self::start_with(harness, Vec::new()).await
    }

    /// Starts a run whose first applies fail.
    pub(super) async fn start_with<H: Harness>(harness: &mut H, faults: Vec<Fault>) -> Self {
        let (plane, control) = probe(harness.plane().await);
        control.script().faults = faults;
        let (sender, reports) = mpsc::channel(64);
        let handle = harness.spawn(plane, sender);
        Self {
            handle,
            reports,
            control,
            version: 0,
            statuses: BTreeMap::new(),
            done: 0,
            resets_asked: 0,
        }
    }

    /// Ends the run at once, wherever it is, as kill -9 does.
    pub(super) async fn kill(self) {
        self.handle.join.abort();
        let ended = self.handle.join.await;
        assert!(
            ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()),
            "the reconcile loop panicked"
        );
    }

    /// Ends the run as the daemon does when it exits.
    pub(super) async fn stop(self) {
        drop(self.handle.feed);
        let ended = tokio::time::timeout(DEADLINE, self.handle.join).await;
        assert!(
            matches!(ended, Ok(Ok(()))),
            "the loop did not end with its feed: {ended:?}"
        );
    }

    pub(super) fn reset(&mut self, routes: Vec<Arc<Route>>, settled: bool) {
        self.version += 1;
        self.statuses.clear();
        self.handle.feed.send(RouteUpdate::Reset {
            version: self.version,
            routes: routes.into_iter().map(Selected::from).collect(),
            settled,
        });
    }

    pub(super) fn reset_to<H: Harness>(&mut self, harness: &H, expected: &Expected) {
        self.reset(routes(harness, expected), true);
    }

    pub(super) fn delta(&mut self, changes: Vec<(ServiceName, Option<Arc<Route>>)>) {
        let from = self.version;
        self.version += 1;
        changes.iter().for_each(|(name, _)| drop(self.statuses.remove(name)));
        let changes = changes
            .into_iter()
            .map(|(name, route)| Change {
                destination: name.into(),
                route: route.map(Selected::from),
            })
            .collect();
        self.handle.feed.send(RouteUpdate::Delta {
            from,
            to: self.version,
            changes,
            settled: true,
        });
    }

    /// Loses an update on the way: the version moves, nothing is sent.
    pub(super) fn lose_an_update(&mut self) {
        self.version += 1;
    }

    /// Takes reports until `done` says so.
    pub(super) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done(self) {
            let report = tokio::time::timeout_at(deadline, self.reports.recv()).await;
            assert!(
                report.is_ok(),
                "{what}: not within {DEADLINE:?}; at version {} of {}",
                self.done,
                self.version
            );
            match report.ok().flatten() {
                Some(report) => self.take(report),
                None => assert!(done(self), "{what}: the loop has ended"),
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Plane { version, statuses } => {
                assert!(
                    version >= self.done,
                    "the reported version went back from {} to {version}",
                    self.done
                );
                assert!(version <= self.version, "version {version} was never sent");
                self.done = version;
                let named = |(destination, status)| Some((Route::narrow(destination)?, status));
                self.statuses.extend(statuses.into_iter().filter_map(named));
            }
            Report::NeedReset => self.resets_asked += 1,
            Report::Up | Report::Down | Report::NextHop { .. } | Report::Tunnel { .. } | Report::Listeners { .. } => {}
        }
    }

    /// Whether every name is programmed at the newest version.
    pub(super) fn all_programmed(&self) -> bool {
        self.done == self.version && self.statuses.values().all(|status| *status == PlaneStatus::Programmed)
    }

    /// Waits until everything is reported as programmed and the data plane serves exactly this.
    pub(super) async fn converges<H: Harness>(&mut self, harness: &mut H, expected: &Expected) {
        self.until("programmed", Self::all_programmed).await;
        serves(harness, expected).await;
    }
}

/// The routes of an expected table.
pub(super) fn routes<H: Harness>(harness: &H, expected: &Expected) -> Vec<Arc<Route>> {
    expected
        .iter()
        .map(|(name, variant)| harness.route(name, *variant))
        .collect()
}

/// Waits until the data plane serves exactly this.
pub(super) async fn serves<H: Harness>(harness: &mut H, expected: &Expected) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let now = harness.serves().await;
        if now == *expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the data plane serves {now:?}, expected {expected:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A plane that does not keep up sees the last word of each name, in one go.
pub async fn coalesces_for_a_slow_plane<H: Harness>(mut harness: H) {
    let mut run = Run::start(&mut harness).await;
    run.reset_to(&harness, &table(10, 0));
    run.converges(&mut harness, &table(10, 0)).await;
    let before = run.control.script().applied.len();
    run.control.stall(true);
    for round in 0..1000_u32 {
        let name = name(round as usize % 10);
        let route = harness.route(&name, round % 6);
        run.delta(vec![(name, Some(route))]);
    }
    let gone = name(9);
    run.delta(vec![(gone.clone(), None)]);
    run.control.stall(false);
    let mut expected: Expected = (990..1000_u32)
        .map(|round| (name(round as usize % 10), round % 6))
        .collect();
    expected.remove(&gone);
    run.converges(&mut harness, &expected).await;
    let applies = run.control.script().applied.len() - before;
    assert!(
        applies <= 2,
        "1001 updates took {applies} applies: at most the one that was slow and one for the rest"
    );
    run.stop().await;
}

/// A missing update is noticed, asked about once, and made good by the Reset.
pub async fn asks_for_a_reset_after_a_gap<H: Harness>(mut harness: H) {
    let mut run = Run::start(&mut harness).await;
    run.reset_to(&harness, &table(3, 0));
    run.converges(&mut harness, &table(3, 0)).await;
    run.lose_an_update();
    let (first, second) = (harness.route(&name(0), 1), harness.route(&name(1), 1));
    run.delta(vec![(name(0), Some(first))]);
    run.until("a Reset is asked for", |run| run.resets_asked > 0).await;
    run.delta(vec![(name(1), Some(second))]);
    let expected = table(2, 1);
    run.reset_to(&harness, &expected);
    run.converges(&mut harness, &expected).await;
    assert_eq!(run.resets_asked, 1, "asked more than once for the same gap");
    run.stop().await;
}

/// At start, what the data plane has from before is neither changed nor removed until the table is settled; what it
/// does not have is added.
pub async fn holds_until_settled<H: Harness>(mut harness: H) {
    let mut before = Run::start(&mut harness).await;
    before.reset_to(&harness, &table(2, 0));
    before.converges(&mut harness, &table(2, 0)).await;
    before.stop().await;

    let (old, left_over, new) = (name(0), name(1), name(2));
    let mut run = Run::start(&mut harness).await;
    run.reset(vec![harness.route(&old, 1), harness.route(&new, 0)], false);
    run.until("the unsettled table is taken", |run| run.done == run.version)
        .await;
    run.until(
        "the held name is pending",
        |run| matches!(run.statuses.get(&old), Some(PlaneStatus::Pending(reason)) if !reason.is_empty()),
    )
    .await;
    serves(
        &mut harness,
        &[(old.clone(), 0), (left_over, 0), (new.clone(), 0)].into(),
    )
    .await;
    // What this run added is its own: it follows changes.
    let changed = harness.route(&new, 2);
    run.version += 1;
    let change = Change {
        destination: new.clone().into(),
        route: Some(changed.into()),
    };
    let (from, to) = (run.version - 1, run.version);
    run.handle.feed.send(RouteUpdate::Delta {
        from,
        to,
        changes: vec![change],
        settled: false,
    });
    run.until("the change is taken", |run| run.done == run.version).await;
    assert!(
        matches!(run.statuses.get(&old), Some(PlaneStatus::Pending(_))),
        "still held: {:?}",
        run.statuses
    );
    run.delta(Vec::new());
    run.converges(&mut harness, &[(old, 1), (new, 2)].into()).await;
    run.stop().await;
}

/// The end of the daemon changes nothing in the data plane.
pub async fn stops_without_a_trace<H: Harness>(mut harness: H) {
    let mut run = Run::start(&mut harness).await;
    run.reset_to(&harness, &table(3, 0));
    run.converges(&mut harness, &table(3, 0)).await;
    let writes = harness.writes().await;
    run.stop().await;
    serves(&mut harness, &table(3, 0)).await;
    assert_eq!(
        harness.writes().await,
        writes,
        "the end of the loop wrote to the data plane"
    );
}
