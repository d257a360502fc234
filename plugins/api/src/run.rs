//! The reconcile loop: one task per data plane.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::failures::{Failures, Say};
use crate::feed::{RouteFeed, RouteSource, feed};
use crate::ledger::{Ledger, Plan};
use crate::plane::{
    DataPlane, Destination, DestinationOf, PlaneError, PlaneEvent, PlaneStatus, RouteTable, RouteUpdate, Selected,
    Served, Touched, Verdict,
};
use crate::status::Board;

/// The first pause after the data plane failed; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// What the loop tells the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Every change up to `version` has its verdict: programmed, save for what `statuses` has said of a name since the
    /// name last changed. A status speaks of the name as it was at `version`: of a name that changed after it, it says
    /// nothing, and the loop says it again.
    Plane {
        /// The version of the table.
        version: u64,
        /// News of single names and prefixes, the latest word counting.
        statuses: Vec<(Destination, PlaneStatus)>,
    },
    /// The first instance connected.
    Up,
    /// The last instance was lost.
    Down,
    /// A next hop was found usable or not.
    NextHop {
        /// The peer listener.
        address: SocketAddr,
        /// Whether traffic may be sent there.
        usable: bool,
    },
    /// A tunnel was found alive or dead.
    Tunnel {
        /// The peer's address in it.
        address: IpAddr,
        /// Whether traffic passes.
        up: bool,
    },
    /// The peer listeners of these outside organisations cannot be opened, each with the reason; all others are open.
    Listeners {
        /// The organisations.
        closed: BTreeMap<Arc<str>, Arc<str>>,
    },
    /// A gap in versions: answer with a Reset.
    NeedReset,
}

/// A running reconcile loop.
#[derive(Debug)]
pub struct Handle {
    /// Where the selected table goes. Dropping it ends the loop at once; the data plane serves on as it is.
    pub feed: RouteFeed,
    /// The last reported version; 0 before the first report. Gates other planes.
    pub settled: watch::Receiver<u64>,
    /// The task.
    pub join: JoinHandle<()>,
}

/// Starts the loop of a plane on the current runtime.
pub fn spawn<P: DataPlane>(plane: P, reports: mpsc::Sender<Report>) -> Handle {
    let (feed, source) = feed();
    let (settled, receiver) = watch::channel(0);
    let join = tokio::spawn(run(plane, source, settled, reports));
    Handle {
        feed,
        settled: receiver,
        join,
    }
}

/// Starts the loop of a plane that hears of a change only once another plane has settled it, or `patience` has passed.
pub fn spawn_after<P: DataPlane>(
    plane: P,
    reports: mpsc::Sender<Report>,
    first: watch::Receiver<u64>,
    patience: Duration,
) -> Handle {
    let (feed, source) = feed();
    let (settled, receiver) = watch::channel(0);
    let join = tokio::spawn(run(plane, source.hold_until(first, patience), settled, reports));
    Handle {
        feed,
        settled: receiver,
        join,
    }
}

/// Keeps the plane equal to the table that comes out of `source`, until the feed is dropped or nobody takes reports.
pub async fn run<P: DataPlane>(
    plane: P,
    source: RouteSource,
    settled: watch::Sender<u64>,
    reports: mpsc::Sender<Report>,
) {
    let closed = source.closed();
    let mut reconciler = Reconciler::new(plane, settled, reports);
    tokio::select! {
        biased;
        // Also in the middle of an apply: the next run adopts what it finds.
        () = closed => {}
        end = reconciler.drive(source) => match end {
            Ok(()) => {}
            Err(Unheard) => tracing::debug!("nobody takes reports of the data plane any more"),
        },
    }
}

/// The daemon takes no more reports.
struct Unheard;

struct Reconciler<P: DataPlane> {
    plane: P,
    settled: watch::Sender<u64>,
    reports: mpsc::Sender<Report>,
    table: RouteTable<P::Route>,
    /// The version of `table`; `None` before the first Reset, when nothing is known and nothing may be removed.
    version: Option<u64>,
    table_settled: bool,
    /// A Reset was asked for; deltas are of no use until it comes.
    awaiting_reset: bool,
    ledger: Ledger<P>,
    board: Board<P::Key, DestinationOf<P>>,
    observed: bool,
    /// What the plane was last told of `Diff::settled`.
    told_settled: Option<bool>,
    /// Something may be left to do.
    due: bool,
    /// The version of the table that the data plane last followed.
    done: Option<u64>,
    told_version: Option<u64>,
    told_closed: BTreeMap<Arc<str>, Arc<str>>,
    /// In a row.
    attempts: u32,
    failures: Failures,
    retry_at: Option<Instant>,
}

impl<P: DataPlane> Reconciler<P> {
    fn new(plane: P, settled: watch::Sender<u64>, reports: mpsc::Sender<Report>) -> Self {
        Self {
            plane,
            settled,
            reports,
            table: RouteTable::new(),
            version: None,
            table_settled: false,
            awaiting_reset: false,
            ledger: Ledger::new(),
            board: Board::new(),
            observed: false,
            told_settled: None,
            due: false,
            done: None,
            told_version: None,
            told_closed: BTreeMap::new(),
            attempts: 0,
            failures: Failures::default(),
            retry_at: None,
        }
    }

    async fn drive(&mut self, mut source: RouteSource) -> Result<(), Unheard> {
        loop {
            if self.due && self.retry_at.is_none() {
                self.reconcile().await?;
            }
            tokio::select! {
                update = source.next() => match update {
                    Some(update) => self.take(update).await?,
                    None => return Ok(()),
                },
                event = self.plane.changed() => self.hear(event).await?,
                () = wait_until(self.retry_at) => self.retry_at = None,
            }
        }
    }

    async fn take(&mut self, update: RouteUpdate) -> Result<(), Unheard> {
        match update {
            RouteUpdate::Reset {
                version,
                routes,
                settled,
            } => {
                self.awaiting_reset = false;
                self.replace(routes);
                self.advance(version, settled);
            }
            RouteUpdate::Delta {
                from,
                to,
                changes,
                settled,
            } if self.version == Some(from) && !self.awaiting_reset => {
                let mut names = Vec::with_capacity(changes.len());
                for change in changes {
                    if let Some(name) = P::Route::narrow(change.destination) {
                        self.set(name.clone(), change.route.and_then(P::Route::of));
                        names.push(name);
                    }
                }
                self.plan(Touched::Names(&names));
                self.advance(to, settled);
            }
            RouteUpdate::Delta { from, .. } => self.ask_for_reset(from).await?,
        }
        Ok(())
    }

    async fn ask_for_reset(&mut self, from: u64) -> Result<(), Unheard> {
        if self.awaiting_reset {
            return Ok(());
        }
        tracing::warn!(
            plane = self.plane.name(),
            held = self.version,
            from,
            "gap in versions, asking for the table"
        );
        self.awaiting_reset = true;
        self.say(Report::NeedReset).await
    }

    fn replace(&mut self, routes: Vec<Selected>) {
        let before = std::mem::take(&mut self.table);
        before.keys().for_each(|name| self.board.touch(name));
        for route in routes {
            if let Some(name) = P::Route::narrow(route.destination()) {
                self.set(name, P::Route::of(route));
            }
        }
        self.plan(Touched::All);
    }

    fn set(&mut self, name: DestinationOf<P>, route: Option<Arc<P::Route>>) {
        self.board.touch(&name);
        match route.filter(|route| self.plane.serves(route)) {
            Some(route) => drop(self.table.insert(name, route)),
            None => drop(self.table.remove(&name)),
        }
    }

    fn plan(&mut self, touched: Touched<'_, DestinationOf<P>>) {
        let wanted = self.plane.plan(&self.table, touched);
        self.ledger.want(&self.plane, wanted, matches!(touched, Touched::All));
    }

    fn advance(&mut self, version: u64, settled: bool) {
        self.version = Some(version);
        if settled != self.table_settled {
            self.table_settled = settled;
            // What was held over may now be changed and removed.
            self.ledger.touch_all();
        }
        self.due = true;
    }

    async fn hear(&mut self, event: PlaneEvent<P::Key>) -> Result<(), Unheard> {
        match event {
            PlaneEvent::Connected(true) => {
                self.say(Report::Up).await?;
                self.report_again().await
            }
            PlaneEvent::Connected(false) => self.say(Report::Down).await,
            PlaneEvent::NextHop(address, usable) => self.say(Report::NextHop { address, usable }).await,
            PlaneEvent::Tunnel(address, up) => self.say(Report::Tunnel { address, up }).await,
            PlaneEvent::Resync => {
                self.observed = false;
                self.due = true;
                self.retry_at = None;
                Ok(())
            }
            PlaneEvent::Replan => {
                self.plan(Touched::All);
                self.due = true;
                self.retry_at = None;
                Ok(())
            }
            PlaneEvent::Verdicts(verdicts) => {
                self.judge(verdicts);
                self.report().await
            }
        }
    }

    async fn reconcile(&mut self) -> Result<(), Unheard> {
        if self.version.is_none() {
            return Ok(());
        }
        match self.converge().await {
            Ok(()) => {
                self.due = false;
                self.attempts = 0;
                if self.failures.works() {
                    tracing::info!(plane = self.plane.name(), "the data plane works");
                }
                self.done = self.version;
                self.report().await
            }
            Err(error) => {
                self.back_off(&error);
                Ok(())
            }
        }
    }

    /// Brings the data plane to the desired state, from what it holds.
    async fn converge(&mut self) -> Result<(), PlaneError> {
        if !self.observed {
            let observed = self.plane.observe().await?;
            self.ledger.observed(observed);
            self.observed = true;
        }
        let Plan {
            diff,
            gone,
            right,
            hold,
        } = self.ledger.diff(&self.plane, self.table_settled);
        let upserted: Vec<P::Key> = diff.upsert.iter().map(|(key, _)| key.clone()).collect();
        let removed = diff.remove.clone();
        let news = !upserted.is_empty() || !removed.is_empty() || self.told_settled != Some(diff.settled);
        let mut verdicts = Vec::new();
        if news {
            self.ledger.applying(&diff);
            verdicts = self.plane.apply(diff).await?;
            self.told_settled = Some(self.table_settled);
        }
        self.ledger.applied(&upserted, &removed);
        upserted
            .iter()
            .chain(&removed)
            .chain(&gone)
            .for_each(|key| self.board.clear(key));
        right.iter().for_each(|key| self.board.in_place(key));
        hold.iter()
            .for_each(|key| self.board.hold(key, self.plane.routes_of(key)));
        self.judge(verdicts);
        self.board.reindex(|key| self.plane.routes_of(key));
        Ok(())
    }

    fn judge(&mut self, verdicts: Vec<(P::Key, Verdict)>) {
        for (key, verdict) in verdicts {
            if !self.ledger.verdict(&key, &verdict) {
                continue;
            }
            if let Verdict::Rejected(reason) = &verdict {
                tracing::warn!(plane = self.plane.name(), resource = ?key, %reason, "the data plane refused a resource");
            }
            let names = self.plane.routes_of(&key);
            self.board.judge(&key, verdict, names);
        }
    }

    fn back_off(&mut self, error: &PlaneError) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(10)).min(MAX_PAUSE);
        self.attempts = self.attempts.saturating_add(1);
        self.observed = false;
        self.told_settled = None;
        self.retry_at = Some(Instant::now() + pause);
        let plane = self.plane.name();
        match self.failures.failed(error, Instant::now().into_std()) {
            Say::Waiting => tracing::info!(plane, %error, "waiting for the data plane"),
            Say::Failed => tracing::warn!(plane, %error, "the data plane failed; trying again until it works"),
            Say::Nothing => tracing::debug!(plane, %error, ?pause, "the data plane failed again"),
        }
    }

    /// Reports the version that is done and the news of names, if there is any.
    async fn report(&mut self) -> Result<(), Unheard> {
        // Before what may open the way to peers.
        self.report_closed().await?;
        let Some(version) = self.done else { return Ok(()) };
        let current = self.version == self.done;
        let news = self.board.news(current, |name| self.table.contains_key(name));
        let statuses: Vec<_> = news.into_iter().map(|(name, status)| (name.into(), status)).collect();
        if statuses.is_empty() && self.told_version == self.done {
            return Ok(());
        }
        self.told_version = self.done;
        self.say(Report::Plane { version, statuses }).await?;
        self.settled.send_replace(version);
        Ok(())
    }

    async fn report_closed(&mut self) -> Result<(), Unheard> {
        let closed = self.plane.closed();
        if closed == self.told_closed {
            return Ok(());
        }
        self.told_closed.clone_from(&closed);
        self.say(Report::Listeners { closed }).await
    }

    /// Says once more that the version is done: what was said before the first instance counted was not said of it. While
    /// anything is pending there is more to come, and that says it.
    async fn report_again(&mut self) -> Result<(), Unheard> {
        match self.told_version {
            Some(version) if !self.board.is_pending() => {
                let statuses = Vec::new();
                self.say(Report::Plane { version, statuses }).await
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn say(&mut self, report: Report) -> Result<(), Unheard> {
        self.reports.send(report).await.map_err(|_| Unheard)
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
