//! The GraphQL plane against a recording gateway: verdicts, refusals, a gateway that is away or silent.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared by several tests")]
mod recording;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use catalyst_graphql::subgraph::is_subgraph;
use catalyst_graphql::{ControlAddress, GraphqlConfig, GraphqlPlane};
use catalyst_plugin::{
    Change, DataPlane, Destination, Handle, PlaneStatus, Protocol, Report, Route, RouteUpdate, ServiceName, Table,
    Target, spawn,
};
use catalyst_proto::gateway::v1::state::Graph;
use catalyst_proto::gateway::v1::subgraph_state::Phase;
use recording::{RecordingGateway, SLOW, TABOO};
use tokio::sync::mpsc;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(20);

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn route_of(text: &str, protocol: Protocol, path: Option<&str>) -> Arc<Route> {
    Arc::new(Route {
        name: name(text),
        protocol,
        path: path.map(Into::into),
        table: Table::Internal,
        origin: None,
        target: Target::Local(Vec::new()),
        exported_to: Arc::default(),
    })
}

fn route(text: &str, path: &str) -> Arc<Route> {
    route_of(text, Protocol::HttpGraphql, Some(path))
}

fn plane(control: ControlAddress) -> GraphqlPlane {
    GraphqlPlane::new(GraphqlConfig {
        control,
        egress: (Ipv4Addr::UNSPECIFIED, 8081).into(),
    })
}

/// A running plane and everything that it has reported.
struct World {
    handle: Handle,
    reports: mpsc::Receiver<Report>,
    version: u64,
    done: u64,
    connected: Option<bool>,
    statuses: BTreeMap<ServiceName, PlaneStatus>,
}

impl World {
    fn start(control: ControlAddress, routes: Vec<Arc<Route>>) -> Self {
        let (sender, reports) = mpsc::channel(64);
        let handle = spawn(plane(control), sender);
        handle.feed.send(RouteUpdate::Reset {
            version: 1,
            routes: routes.into_iter().map(Into::into).collect(),
            settled: true,
        });
        Self {
            handle,
            reports,
            version: 1,
            done: 0,
            connected: None,
            statuses: BTreeMap::new(),
        }
    }

    fn change(&mut self, text: &str, route: Option<Arc<Route>>) {
        let changes = vec![Change {
            destination: name(text).into(),
            route: route.map(Into::into),
        }];
        self.version += 1;
        self.statuses.remove(&name(text));
        self.handle.feed.send(RouteUpdate::Delta {
            from: self.version - 1,
            to: self.version,
            changes,
            settled: true,
        });
    }

    async fn until(&mut self, what: &str, met: impl Fn(&Self) -> bool) {
        while !met(self) {
            let report = tokio::time::timeout(DEADLINE, self.reports.recv()).await;
            match report
                .unwrap_or_else(|_| panic!("{what}: {:?}", self.statuses))
                .unwrap()
            {
                Report::Plane { version, statuses } => {
                    self.done = version;
                    let named = |(destination, status): (Destination, _)| Some((destination.name()?.clone(), status));
                    self.statuses.extend(statuses.into_iter().filter_map(named));
                }
                Report::Up => self.connected = Some(true),
                Report::Down => self.connected = Some(false),
                other @ (Report::NextHop { .. }
                | Report::Tunnel { .. }
                | Report::Listeners { .. }
                | Report::NeedReset) => panic!("{other:?}"),
            }
        }
    }

    async fn status(&mut self, text: &str, expected: PlaneStatus) {
        let name = name(text);
        self.until(&format!("{name} is {expected:?}"), |world| {
            let said = world.statuses.get(&name).unwrap_or(&PlaneStatus::Programmed);
            world.done == world.version && *said == expected
        })
        .await;
    }
}

async fn eventually(what: &str, met: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !met() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn pending(reason: &str) -> PlaneStatus {
    PlaneStatus::Pending(reason.into())
}

fn rejected(reason: &str) -> PlaneStatus {
    PlaneStatus::Rejected(reason.into())
}

#[test]
fn only_exact_graphql_names_with_a_target_are_subgraphs() {
    assert!(is_subgraph(&route("a.acme", "/graphql")));
    assert!(!is_subgraph(&route("*.acme", "/graphql")));
    assert!(!is_subgraph(&route_of("a.acme", Protocol::Http, None)));
    let discard = Route {
        target: Target::Discard,
        ..(*route("a.acme", "/graphql")).clone()
    };
    assert!(!is_subgraph(&discard));
    let plane = plane(ControlAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))));
    assert!(!plane.serves(&route("*.acme", "/graphql")));
}

#[tokio::test]
async fn the_gateway_gets_name_path_and_a_dialable_egress() {
    let gateway = RecordingGateway::start();
    let routes = vec![
        route("a.acme", "/api"),
        route_of("b.acme", Protocol::HttpGraphql, None),
        route_of("c.acme", Protocol::Http, None),
    ];
    let mut world = World::start(ControlAddress::Unix(gateway.path().into()), routes);
    world.status("a.acme", PlaneStatus::Programmed).await;
    let serving = gateway.record.serving();
    let held: Vec<[&str; 3]> = serving.iter().map(|s| [&*s.name, &*s.path, &*s.egress]).collect();
    assert_eq!(
        held,
        [
            ["a.acme", "/api", "127.0.0.1:8081"],
            ["b.acme", "/graphql", "127.0.0.1:8081"]
        ]
    );
}

#[tokio::test]
async fn a_loopback_address_serves_as_well_as_a_socket() {
    let gateway = RecordingGateway::start();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    gateway.serve_tcp_as_well(listener);
    let mut world = World::start(ControlAddress::Tcp(address), vec![route("a.acme", "/graphql")]);
    world.status("a.acme", PlaneStatus::Programmed).await;
    assert_eq!(gateway.record.serving().len(), 1);
}

#[tokio::test]
async fn phases_reach_the_routes_as_they_change() {
    let gateway = RecordingGateway::start();
    let routes = vec![route("a.acme", "/graphql"), route("b.acme", SLOW)];
    let mut world = World::start(ControlAddress::Unix(gateway.path().into()), routes);
    world.status("b.acme", pending("503 from its service")).await;
    world.status("a.acme", PlaneStatus::Programmed).await;
    let phase = |index: usize, phase: Phase, reason: &'static str| {
        gateway.record.publish(|state| {
            state.subgraphs[index].phase = phase.into();
            state.subgraphs[index].reason = reason.into();
        });
    };
    phase(1, Phase::Serving, "");
    world.status("b.acme", PlaneStatus::Programmed).await;
    phase(0, Phase::Rejected, "Product.price: Int in a.acme, Float in b.acme");
    world
        .status("a.acme", rejected("Product.price: Int in a.acme, Float in b.acme"))
        .await;
    assert_eq!(world.statuses.get(&name("b.acme")), Some(&PlaneStatus::Programmed));
    phase(0, Phase::Waiting, "404 from its service");
    gateway.record.publish(|state| {
        state.graph = Graph::Degraded.into();
        state.errors = vec!["a.acme: type Review is not defined".into()];
    });
    world
        .status(
            "a.acme",
            pending("404 from its service; a.acme: type Review is not defined"),
        )
        .await;
}

#[tokio::test]
async fn one_subgraph_that_the_call_refuses_keeps_no_other_out() {
    let gateway = RecordingGateway::start();
    let mut routes: Vec<_> = (0..20)
        .map(|index| route(&format!("s{index}.acme"), "/graphql"))
        .collect();
    routes[7] = route("s7.acme", TABOO);
    let mut world = World::start(ControlAddress::Unix(gateway.path().into()), routes);
    world
        .status("s7.acme", rejected("subgraph s7.acme: its path is taboo"))
        .await;
    world.status("s19.acme", PlaneStatus::Programmed).await;
    assert_eq!(gateway.record.serving().len(), 19);
    let calls = gateway.record.calls();
    assert!(calls <= 12, "{calls} calls for 20 subgraphs: halving takes a few");
    world.change("s7.acme", Some(route("s7.acme", "/graphql")));
    world.status("s7.acme", PlaneStatus::Programmed).await;
    assert_eq!(gateway.record.serving().len(), 20);
}

#[tokio::test]
async fn a_gateway_that_comes_late_goes_and_returns() {
    let mut gateway = RecordingGateway::start();
    gateway.kill();
    let control = ControlAddress::Unix(gateway.path().into());
    let mut world = World::start(
        control,
        vec![route("a.acme", "/graphql"), route("r.acme", recording::REFUSED)],
    );
    gateway.serve();
    world.until("connected", |world| world.connected == Some(true)).await;
    world.status("a.acme", PlaneStatus::Programmed).await;
    world
        .until("r.acme is rejected", |world| {
            matches!(world.statuses.get(&name("r.acme")), Some(PlaneStatus::Rejected(_)))
        })
        .await;

    gateway.kill();
    world
        .until("the loss is seen", |world| world.connected == Some(false))
        .await;
    world.change("b.acme", Some(route("b.acme", "/graphql")));
    world.change("a.acme", Some(route("a.acme", "/moved")));
    gateway.serve();
    world
        .until("connected again", |world| world.connected == Some(true))
        .await;
    world.status("b.acme", PlaneStatus::Programmed).await;
    let paths: Vec<String> = gateway
        .record
        .serving()
        .iter()
        .map(|s| format!("{}{}", s.name, s.path))
        .collect();
    assert_eq!(paths, ["a.acme/moved", "b.acme/graphql"]);
    // The refused one too: whether its schema composes is for this run of the gateway to find out.
    eventually("two writes before, three after", || gateway.record.writes() == 5).await;
}

#[tokio::test]
async fn an_unreachable_or_silent_gateway_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent.sock");
    let error = plane(ControlAddress::Unix(absent.clone()))
        .observe()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(&*absent.to_string_lossy()), "{error}");
    assert!(error.contains("No such file"), "{error}");

    // Accepts and never answers.
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = plane(ControlAddress::Tcp(address))
        .observe()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}
