//! The loop against a scripted plane, on a virtual clock.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalyst_plugin::{
    Change, DataPlane, Diff, Handle, PlaneError, PlaneEvent, PlaneStatus, Protocol, Report, Route, RouteTable,
    RouteUpdate, ServiceName, Table, Target, Touched, Verdict, Wanted, spawn,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

/// What the scripted plane did, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    Observe(Duration),
    Apply {
        upsert: Vec<String>,
        remove: Vec<String>,
        settled: bool,
    },
}

type Log = Arc<Mutex<Vec<Call>>>;
type Outcomes = VecDeque<Result<Vec<(ServiceName, Verdict)>, PlaneError>>;

/// One resource per name: its protocol.
struct Scripted {
    start: Instant,
    log: Log,
    /// Outcomes of the next observes that fail.
    unreachable: usize,
    outcomes: Outcomes,
    /// One apply begins per permit.
    permits: Arc<Semaphore>,
    events: mpsc::UnboundedReceiver<PlaneEvent<ServiceName>>,
    held: BTreeMap<ServiceName, Option<u64>>,
    /// A rejected resource whose name begins with `closed` is a listener of an organisation of that name.
    closed: BTreeMap<Arc<str>, Arc<str>>,
}

impl DataPlane for Scripted {
    type Route = Route;
    type Key = ServiceName;
    type Resource = Protocol;

    fn name(&self) -> &'static str {
        "scripted"
    }

    fn plan(&mut self, routes: &RouteTable, touched: Touched<'_>) -> Vec<Wanted<Self>> {
        let wanted = |name: &ServiceName| (name.clone(), routes.get(name).map(|route| route.protocol));
        match touched {
            Touched::All => routes.keys().map(wanted).collect(),
            Touched::Names(names) => names.iter().map(wanted).collect(),
        }
    }

    fn routes_of(&self, key: &ServiceName) -> Vec<ServiceName> {
        vec![key.clone()]
    }

    fn serves(&self, route: &Route) -> bool {
        route.protocol != Protocol::Tcp
    }

    fn fingerprint(&self, resource: &Protocol) -> u64 {
        *resource as u64
    }

    async fn observe(&mut self) -> Result<BTreeMap<ServiceName, Option<u64>>, PlaneError> {
        self.log.lock().unwrap().push(Call::Observe(self.start.elapsed()));
        if self.unreachable > 0 {
            self.unreachable -= 1;
            return Err(PlaneError("nobody answers".into()));
        }
        Ok(self.held.clone())
    }

    async fn apply(&mut self, diff: Diff<ServiceName, Protocol>) -> Result<Vec<(ServiceName, Verdict)>, PlaneError> {
        self.permits.acquire().await.unwrap().forget();
        let upsert = diff.upsert.iter().map(|(name, _)| name.to_string()).collect();
        let remove = diff.remove.iter().map(ToString::to_string).collect();
        self.log.lock().unwrap().push(Call::Apply {
            upsert,
            remove,
            settled: diff.settled,
        });
        let outcome = self.outcomes.pop_front().unwrap_or_else(|| Ok(Vec::new()));
        self.closed = (outcome.iter().flatten())
            .filter(|(name, _)| name.as_str().starts_with("closed"))
            .filter_map(|(name, verdict)| match verdict {
                Verdict::Rejected(why) => Some((name.as_str().into(), why.clone())),
                Verdict::Pending(_) | Verdict::Programmed => None,
            })
            .collect();
        outcome
    }

    fn closed(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        self.closed.clone()
    }

    async fn changed(&mut self) -> PlaneEvent<ServiceName> {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

struct World {
    handle: Handle,
    reports: mpsc::Receiver<Report>,
    events: mpsc::UnboundedSender<PlaneEvent<ServiceName>>,
    permits: Arc<Semaphore>,
    log: Log,
}

fn world(unreachable: usize, outcomes: Outcomes) -> World {
    holding(unreachable, outcomes, BTreeMap::new())
}

fn holding(unreachable: usize, outcomes: Outcomes, held: BTreeMap<ServiceName, Option<u64>>) -> World {
    let log = Log::default();
    let permits = Arc::new(Semaphore::new(1000));
    let (events, receiver) = mpsc::unbounded_channel();
    let plane = Scripted {
        start: Instant::now(),
        log: Arc::clone(&log),
        unreachable,
        outcomes,
        permits: Arc::clone(&permits),
        events: receiver,
        held,
        closed: BTreeMap::new(),
    };
    let (sender, reports) = mpsc::channel(64);
    World {
        handle: spawn(plane, sender),
        reports,
        events,
        permits,
        log,
    }
}

impl World {
    async fn report(&mut self) -> Report {
        tokio::time::timeout(Duration::from_secs(3600), self.reports.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// Whether nothing is reported in a minute of virtual time.
    async fn quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(60), self.reports.recv())
            .await
            .is_err()
    }

    /// The calls since the last look.
    fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    fn send(&self, update: RouteUpdate) {
        self.handle.feed.send(update);
    }
}

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn route(text: &str, protocol: Protocol) -> Arc<Route> {
    Arc::new(Route {
        name: name(text),
        protocol,
        path: None,
        table: Table::Internal,
        origin: None,
        target: Target::Discard,
        exported_to: Arc::default(),
    })
}

fn reset(version: u64, routes: &[(&str, Protocol)], settled: bool) -> RouteUpdate {
    let routes = routes
        .iter()
        .map(|(text, protocol)| route(text, *protocol).into())
        .collect();
    RouteUpdate::Reset {
        version,
        routes,
        settled,
    }
}

fn change(from: u64, text: &str, protocol: Option<Protocol>) -> RouteUpdate {
    let change = Change {
        destination: name(text).into(),
        route: protocol.map(|protocol| route(text, protocol).into()),
    };
    RouteUpdate::Delta {
        from,
        to: from + 1,
        changes: vec![change],
        settled: true,
    }
}

fn done(version: u64) -> Report {
    Report::Plane {
        version,
        statuses: Vec::new(),
    }
}

fn said(version: u64, text: &str, status: PlaneStatus) -> Report {
    Report::Plane {
        version,
        statuses: vec![(name(text).into(), status)],
    }
}

fn apply(upsert: &[&str], remove: &[&str]) -> Call {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Call::Apply {
        upsert: texts(upsert),
        remove: texts(remove),
        settled: true,
    }
}

#[tokio::test(start_paused = true)]
async fn backs_off_up_to_ten_seconds_and_starts_over_after_success() {
    let mut world = world(9, Outcomes::new());
    world.send(reset(1, &[("a", Protocol::Http)], true));
    assert_eq!(world.report().await, done(1));
    let millis = [0, 100, 300, 700, 1500, 3100, 6300, 12_700, 22_700, 32_700];
    let mut expected: Vec<Call> = millis.map(|millis| Call::Observe(Duration::from_millis(millis))).into();
    expected.push(apply(&["a"], &[]));
    // Each timer of tokio may be late by a millisecond.
    let whole = |call: Call| match call {
        Call::Observe(at) => Call::Observe(at - Duration::from_nanos(u64::from(at.subsec_nanos()) % 100_000_000)),
        apply @ Call::Apply { .. } => apply,
    };
    assert_eq!(world.calls().into_iter().map(whole).collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn which_listeners_are_closed_is_said_before_the_version_that_opens_the_way() {
    let refused = (name("closed"), Verdict::Rejected("in use".into()));
    let mut world = world(0, Outcomes::from([Ok(vec![refused]), Ok(Vec::new())]));
    world.send(reset(1, &[("closed", Protocol::Http)], true));
    let closed = BTreeMap::from([("closed".into(), "in use".into())]);
    assert_eq!(world.report().await, Report::Listeners { closed });
    let rejected = PlaneStatus::Rejected("in use".into());
    assert_eq!(world.report().await, said(1, "closed", rejected));
    world.send(change(1, "a", Some(Protocol::Http)));
    let closed = BTreeMap::new();
    assert_eq!(world.report().await, Report::Listeners { closed });
    assert_eq!(world.report().await, done(2));
    assert!(world.quiet().await);
}

/// Lines that were logged from INFO up, on this thread.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let to = self.clone();
        let logging = tracing_subscriber::fmt().with_writer(move || to.clone());
        let plain = logging.with_ansi(false).without_time().with_target(false);
        tracing::subscriber::set_default(plain.finish())
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_plane_that_is_away_is_told_of_once_and_so_is_its_return() {
    let logged = Logged::default();
    let _logging = logged.start();
    let outcomes = [Err(PlaneError("it broke".into())), Ok(Vec::new())];
    let mut world = world(12, outcomes.into());
    world.send(reset(1, &[("a", Protocol::Http)], true));
    assert_eq!(world.report().await, done(1));
    assert_eq!(world.calls().len(), 12 + 2 + 2, "it was tried all the time");
    let lines = logged.lines();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for (line, level, says) in [
        (&lines[0], "INFO", "waiting for the data plane"),
        (&lines[1], "WARN", "error=nobody answers"),
        (&lines[2], "WARN", "error=it broke"),
        (&lines[3], "INFO", "the data plane works"),
    ] {
        assert!(line.starts_with(level) && line.contains(says), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_apply_is_followed_by_a_fresh_look() {
    let failure = Err(PlaneError("the connection broke".into()));
    let mut world = world(0, [Ok(Vec::new()), failure].into());
    world.send(reset(1, &[("a", Protocol::Http)], true));
    assert_eq!(world.report().await, done(1));
    world.calls();
    world.send(change(1, "b", Some(Protocol::Http)));
    assert_eq!(world.report().await, done(2));
    let calls = world.calls();
    assert_eq!(calls[0], apply(&["b"], &[]));
    assert!(matches!(calls[1], Call::Observe(_)), "{calls:?}");
    // The scripted plane holds nothing, so everything is given again.
    assert_eq!(calls[2], apply(&["a", "b"], &[]));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_touched_before_the_first_table() {
    let world = holding(0, Outcomes::new(), [(name("left"), Some(1))].into());
    world.events.send(PlaneEvent::Resync).unwrap();
    world.send(change(3, "a", Some(Protocol::Http)));
    let mut world = world;
    assert_eq!(world.report().await, Report::NeedReset);
    assert_eq!(world.calls(), []);
    world.send(reset(4, &[], true));
    assert_eq!(world.report().await, done(4));
    assert_eq!(world.calls().last(), Some(&apply(&[], &["left"])));
}

#[tokio::test(start_paused = true)]
async fn the_version_waits_for_the_verdicts_of_its_changes() {
    let mut world = world(0, Outcomes::new());
    world.send(reset(1, &[], true));
    assert_eq!(world.report().await, done(1));
    world.permits.forget_permits(1000);
    world.send(change(1, "a", Some(Protocol::Http)));
    assert!(world.quiet().await);
    assert_eq!(*world.handle.settled.borrow(), 1);
    world.send(change(2, "b", Some(Protocol::Http)));
    world.permits.add_permits(1);
    assert_eq!(
        world.report().await,
        done(2),
        "version 3 is not done by the apply of version 2"
    );
    world.permits.add_permits(1);
    assert_eq!(world.report().await, done(3));
    world.handle.settled.wait_for(|settled| *settled == 3).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn later_verdicts_reach_their_routes() {
    let waiting = vec![(name("a"), Verdict::Pending("schema is being fetched".into()))];
    let mut world = world(0, [Ok(waiting)].into());
    world.send(reset(1, &[("a", Protocol::Http)], true));
    assert_eq!(
        world.report().await,
        said(1, "a", PlaneStatus::Pending("schema is being fetched".into()))
    );
    let verdicts = |verdict| PlaneEvent::Verdicts(vec![(name("a"), verdict), (name("gone"), Verdict::Programmed)]);
    world.events.send(verdicts(Verdict::Programmed)).unwrap();
    assert_eq!(world.report().await, said(1, "a", PlaneStatus::Programmed));
    world
        .events
        .send(verdicts(Verdict::Rejected("conflict".into())))
        .unwrap();
    assert_eq!(
        world.report().await,
        said(1, "a", PlaneStatus::Rejected("conflict".into()))
    );
    // Another name's change does not give the refused one again; its own does.
    world.calls();
    world.send(change(1, "b", Some(Protocol::Http)));
    assert_eq!(world.report().await, done(2));
    world.send(change(2, "a", Some(Protocol::HttpGrpc)));
    assert_eq!(world.report().await, said(3, "a", PlaneStatus::Programmed));
    assert_eq!(world.calls(), [apply(&["b"], &[]), apply(&["a"], &[])]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_name_that_goes_and_returns_is_given_again() {
    let refused = || Ok(vec![(name("a"), Verdict::Rejected("no".into()))]);
    let mut world = world(0, [refused(), Ok(Vec::new()), refused()].into());
    world.send(reset(1, &[("a", Protocol::Http)], true));
    assert_eq!(world.report().await, said(1, "a", PlaneStatus::Rejected("no".into())));
    world.send(change(1, "a", None));
    assert_eq!(world.report().await, done(2));
    world.send(change(2, "a", Some(Protocol::Http)));
    assert_eq!(world.report().await, said(3, "a", PlaneStatus::Rejected("no".into())));
    let calls = world.calls();
    assert_eq!(calls[1..], [apply(&["a"], &[]), apply(&[], &["a"]), apply(&["a"], &[])]);
}

#[tokio::test(start_paused = true)]
async fn routes_of_other_protocols_are_not_planned_and_leave() {
    let mut world = world(0, Outcomes::new());
    world.send(reset(1, &[("a", Protocol::Http), ("t", Protocol::Tcp)], true));
    assert_eq!(world.report().await, done(1));
    world.send(change(1, "a", Some(Protocol::Tcp)));
    assert_eq!(world.report().await, done(2));
    assert_eq!(world.calls()[1..], [apply(&["a"], &[]), apply(&[], &["a"])]);
}

#[tokio::test(start_paused = true)]
async fn the_plane_hears_that_the_table_is_settled() {
    let mut world = holding(0, Outcomes::new(), [(name("left"), None)].into());
    world.send(reset(1, &[("a", Protocol::Http)], false));
    assert_eq!(world.report().await, done(1));
    let unsettled = Call::Apply {
        upsert: vec!["a".into()],
        remove: Vec::new(),
        settled: false,
    };
    assert_eq!(world.calls()[1..], [unsettled]);
    world.send(RouteUpdate::Delta {
        from: 1,
        to: 2,
        changes: Vec::new(),
        settled: true,
    });
    assert_eq!(world.report().await, done(2));
    assert_eq!(world.calls(), [apply(&[], &["left"])]);
}

#[tokio::test(start_paused = true)]
async fn news_of_the_plane_itself_is_handed_on() {
    let mut world = world(0, Outcomes::new());
    let address: SocketAddr = "127.0.0.9:8082".parse().unwrap();
    for event in [
        PlaneEvent::Connected(true),
        PlaneEvent::NextHop(address, false),
        PlaneEvent::Tunnel(address.ip(), true),
        PlaneEvent::Connected(false),
    ] {
        world.events.send(event).unwrap();
    }
    assert_eq!(world.report().await, Report::Up);
    assert_eq!(world.report().await, Report::NextHop { address, usable: false });
    let address = address.ip();
    assert_eq!(world.report().await, Report::Tunnel { address, up: true });
    assert_eq!(world.report().await, Report::Down);
}

/// A gate opens at a report that comes after the plane is up: what is in place by then has to be said once more.
#[tokio::test(start_paused = true)]
async fn what_is_done_is_said_again_once_an_instance_counts_unless_something_is_pending() {
    let mut world = world(0, Outcomes::new());
    world.send(reset(1, &[("a", Protocol::Http)], true));
    assert_eq!(world.report().await, done(1));
    world.events.send(PlaneEvent::Connected(true)).unwrap();
    assert_eq!(world.report().await, Report::Up);
    assert_eq!(world.report().await, done(1));

    let a: ServiceName = "a".parse().unwrap();
    let verdict = |verdict| PlaneEvent::Verdicts(vec![(a.clone(), verdict)]);
    world.events.send(PlaneEvent::Connected(false)).unwrap();
    world
        .events
        .send(verdict(Verdict::Pending("not taken yet".into())))
        .unwrap();
    world.events.send(PlaneEvent::Connected(true)).unwrap();
    world.events.send(verdict(Verdict::Programmed)).unwrap();
    assert_eq!(world.report().await, Report::Down);
    assert!(matches!(world.report().await, Report::Plane { version: 1, statuses } if statuses.len() == 1));
    assert_eq!(world.report().await, Report::Up);
    let Report::Plane { version: 1, statuses } = world.report().await else {
        panic!("the verdict is told")
    };
    assert!(matches!(&statuses[..], [(_, PlaneStatus::Programmed)]), "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn ends_with_its_feed_even_inside_an_apply_and_with_its_reports() {
    let mut world = world(0, Outcomes::new());
    world.permits.forget_permits(1000);
    world.send(reset(1, &[("a", Protocol::Http)], true));
    assert!(world.quiet().await);
    drop(world.handle.feed);
    world.handle.join.await.unwrap();
    assert_eq!(world.reports.recv().await, None);

    let unheard = self::world(0, Outcomes::new());
    drop(unheard.reports);
    unheard.handle.feed.send(reset(1, &[], true));
    unheard.handle.join.await.unwrap();
}
