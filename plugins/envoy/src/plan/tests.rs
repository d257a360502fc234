//! The plan as a whole: what a table needs, and that following changes gives what planning afresh gives.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use catalyst_plugin::{Endpoint, NextHop, Protocol, Table};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::route::v3 as route_pb;
use envoy_types::pb::envoy::config::route::v3::ScopedRouteConfiguration;
use prost::Message;

use super::*;
use crate::config::XdsAddress;

pub(super) fn config(orgs: &[&str], tcp_ports: std::ops::RangeInclusive<u16>) -> EnvoyConfig {
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let listeners = orgs.iter().zip(8090..).map(|(org, port)| (Arc::from(*org), at(port)));
    EnvoyConfig {
        node: "a".into(),
        asn: 65001,
        organisation: "acme".into(),
        xds: XdsAddress::Tcp(at(18000)),
        ingress: at(8080),
        egress: at(8081),
        peer_listener: at(8082),
        peer_listeners: listeners.collect(),
        tcp_address: at(0).ip(),
        tcp_ports,
        admin: at(9901),
        gateway: Some(at(8083)),
        graphql_hosts: vec!["graph.acme".into()],
        tunnels: Vec::new(),
        state_dir: None,
    }
}

fn planner(orgs: &[&str]) -> Planner {
    Planner::new(config(orgs, 20000..=20009), Ports::load(None, 20000..=20009).0)
}

fn route(name: &str, protocol: Protocol, target: Target, exported_to: &[&str]) -> Route {
    Route {
        name: name.parse().unwrap(),
        protocol,
        path: None,
        table: Table::Internal,
        origin: None,
        target,
        exported_to: exported_to.iter().map(|org| Arc::from(*org)).collect(),
    }
}

fn local(name: &str, protocol: Protocol) -> Route {
    let endpoint = Endpoint {
        host: "127.0.0.1".into(),
        port: 4001,
        weight: 1,
    };
    route(name, protocol, Target::Local(vec![endpoint]), &[])
}

fn remote(name: &str, protocol: Protocol, hops: &[&str]) -> Route {
    let hops = hops.iter().map(|hop| NextHop {
        address: hop.parse().unwrap(),
        weight: 1,
    });
    route(name, protocol, Target::Remote(hops.collect()), &[])
}

fn table(routes: impl IntoIterator<Item = Route>) -> RouteTable {
    routes
        .into_iter()
        .map(|route| (route.name.clone(), Arc::new(route)))
        .collect()
}

fn names(names: &[&str]) -> Vec<ServiceName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn all(planner: &mut Planner, routes: &RouteTable) -> BTreeMap<ResourceKey, Resource> {
    let wanted = planner.plan(routes, Touched::All);
    wanted
        .into_iter()
        .filter_map(|(key, resource)| Some((key, resource?)))
        .collect()
}

/// The changes as text: `+` wanted, `-` not wanted any longer.
fn summary(changes: &[(ResourceKey, Option<Resource>)]) -> Vec<String> {
    changes
        .iter()
        .map(|(key, resource)| format!("{}{key}", if resource.is_some() { '+' } else { '-' }))
        .collect()
}

fn scope(resources: &BTreeMap<ResourceKey, Resource>, name: &str) -> ScopedRouteConfiguration {
    let body = resources[&ResourceKey::new(ResourceKind::ScopedRoute, name)]
        .body
        .clone();
    ScopedRouteConfiguration::decode(body).unwrap()
}

fn first_action(scope: &ScopedRouteConfiguration) -> route_pb::RouteAction {
    let routes = &scope.route_configuration.as_ref().unwrap().virtual_hosts[0].routes;
    let Some(route_pb::route::Action::Route(action)) = routes[0].action.clone() else {
        panic!("{routes:?}")
    };
    action
}

#[test]
fn an_empty_table_needs_listeners_filters_and_the_graph() {
    let wanted = planner(&["globex"]).plan(&RouteTable::new(), Touched::All);
    let expected = [
        "+cluster gateway",
        "+scope graph",
        "+extension scope",
        "+listener egress",
        "+listener ingress",
        "+listener peer",
        "+listener peer:globex",
    ];
    assert_eq!(summary(&wanted), expected);
}

#[test]
fn one_name_costs_one_scope_and_shares_its_next_hop() {
    let mut planner = planner(&[]);
    let mut routes = table([remote("a.acme", Protocol::Http, &["127.0.0.2:80"])]);
    planner.plan(&routes, Touched::All);
    routes.extend(table([remote("b.acme", Protocol::Http, &["127.0.0.2:80"])]));
    let changes = planner.plan(&routes, Touched::Names(&names(&["b.acme"])));
    assert_eq!(summary(&changes), ["+scope /b.acme"]);
    let bytes: usize = changes
        .iter()
        .filter_map(|(_, resource)| Some(resource.as_ref()?.body.len()))
        .sum();
    assert!(bytes < 500, "{bytes} bytes for one name");
    routes.remove("a.acme");
    assert_eq!(
        summary(&planner.plan(&routes, Touched::Names(&names(&["a.acme"])))),
        ["-scope /a.acme"]
    );
    routes.remove("b.acme");
    let changes = planner.plan(&routes, Touched::Names(&names(&["b.acme"])));
    assert_eq!(summary(&changes), ["-cluster hop/127.0.0.2:80", "-scope /b.acme"]);
}

#[test]
fn a_next_hop_that_passes_from_one_name_to_another_stays() {
    let mut planner = planner(&[]);
    let mut routes = table([remote("z.acme", Protocol::Http, &["127.0.0.2:80"])]);
    planner.plan(&routes, Touched::All);
    routes = table([remote("a.acme", Protocol::Http, &["127.0.0.2:80"])]);
    let changes = planner.plan(&routes, Touched::Names(&names(&["a.acme", "z.acme"])));
    assert_eq!(summary(&changes), ["+scope /a.acme", "-scope /z.acme"]);
}

#[test]
fn unchanged_routes_change_nothing() {
    let mut planner = planner(&["globex"]);
    let routes = table([
        local("a.acme", Protocol::Http),
        local("*.acme", Protocol::Http),
        local("t", Protocol::Tcp),
    ]);
    let first = planner.plan(&routes, Touched::All);
    assert!(
        planner
            .plan(&routes, Touched::Names(&names(&["a.acme", "*.acme", "t", "gone"])))
            .is_empty()
    );
    assert_eq!(planner.plan(&routes, Touched::All), first);
}

#[test]
fn planning_everything_removes_what_went() {
    let mut planner = planner(&[]);
    planner.plan(
        &table([local("a.acme", Protocol::Http), local("*.b", Protocol::Http)]),
        Touched::All,
    );
    let changes = planner.plan(&RouteTable::new(), Touched::All);
    let gone: Vec<String> = summary(&changes)
        .into_iter()
        .filter(|line| line.starts_with('-'))
        .collect();
    assert_eq!(
        gone,
        [
            "-cluster local/*.b",
            "-cluster local/a.acme",
            "-scope /*.b",
            "-scope /a.acme"
        ]
    );
}

#[test]
fn a_wildcard_changes_the_filter_but_no_listener_and_no_other_name() {
    let mut planner = planner(&["globex"]);
    let mut routes = table([local("a.acme", Protocol::Http)]);
    planner.plan(&routes, Touched::All);
    routes.extend(table([local("*.acme", Protocol::Http)]));
    let expected = ["+cluster local/*.acme", "+scope /*.acme", "+extension scope"];
    assert_eq!(
        summary(&planner.plan(&routes, Touched::Names(&names(&["*.acme"])))),
        expected
    );
    let filter = ResourceKey::new(ResourceKind::Extension, "scope");
    assert_eq!(planner.routes_of(&filter), names(&["*.acme"]));
}

/// Envoy keeps its scopes over a restart of the daemon, which may open the first listener for an outside organisation.
#[test]
fn what_is_not_exported_is_kept_back_before_anybody_outside_is_served() {
    let routes = table([
        local("orders.acme", Protocol::Http),
        local("*.dc1.acme", Protocol::Http),
    ]);
    let resources = all(&mut planner(&[]), &routes);
    for name in ["/orders.acme", "/*.dc1.acme"] {
        let scope = scope(&resources, name);
        let hosts = &scope.route_configuration.as_ref().unwrap().virtual_hosts;
        let routes: Vec<_> = hosts.iter().flat_map(|host| &host.routes).collect();
        let open = routes.iter().filter(|route| {
            let refuses = matches!(route.action, Some(route_pb::route::Action::DirectResponse(_)));
            !refuses && route.r#match.as_ref().unwrap().dynamic_metadata.is_empty()
        });
        assert_eq!((open.count(), routes.is_empty()), (0, false), "{name}");
    }
}

#[test]
fn a_resource_knows_its_routes() {
    let mut planner = planner(&[]);
    let hop = "127.0.0.2:80";
    let routes = [
        remote("a.acme", Protocol::Http, &[hop]),
        remote("b.acme", Protocol::HttpGrpc, &[hop]),
    ];
    planner.plan(&table(routes), Touched::All);
    let of = |kind, name: &str| planner.routes_of(&ResourceKey::new(kind, name));
    assert_eq!(
        of(ResourceKind::Cluster, "hop/127.0.0.2:80"),
        names(&["a.acme", "b.acme"])
    );
    assert_eq!(of(ResourceKind::ScopedRoute, "/a.acme"), names(&["a.acme"]));
    assert_eq!(of(ResourceKind::Listener, "ingress"), names(&["a.acme", "b.acme"]));
    assert_eq!(of(ResourceKind::Cluster, names::GATEWAY_CLUSTER), []);
}

#[test]
fn routes_have_no_total_timeout_and_retry_what_is_safe() {
    let mut planner = planner(&[]);
    let routes = table([
        local("a.acme", Protocol::HttpGrpc),
        remote("t.acme", Protocol::Tcp, &["127.0.0.2:80"]),
    ]);
    let resources = all(&mut planner, &routes);
    let http = scope(&resources, "/a.acme");
    let action = first_action(&http);
    assert_eq!(action.timeout, Some(Default::default()));
    assert_eq!(
        action.retry_policy.unwrap().retry_on,
        "connect-failure,refused-stream,reset-before-request"
    );
    assert_eq!(
        http.route_configuration.unwrap().request_headers_to_remove,
        ["x-catalyst-scope", "x-catalyst-via"]
    );
    let tunnel = scope(&resources, "/t.acme");
    assert_eq!(
        first_action(&tunnel).upgrade_configs[0].connect_config,
        None,
        "a transit node forwards CONNECT"
    );
    assert_eq!(
        tunnel.route_configuration.unwrap().request_headers_to_remove,
        ["x-catalyst-scope"]
    );
}

#[test]
fn endpoints_by_dns_name_do_not_hold_up_other_clusters() {
    let endpoint = |host: &str| Endpoint {
        host: host.into(),
        port: 80,
        weight: 2,
    };
    let target = Target::Local(vec![endpoint("127.0.0.1"), endpoint("db.internal")]);
    let resources = all(
        &mut planner(&[]),
        &table([route("a.acme", Protocol::Http, target, &[])]),
    );
    let body = resources[&ResourceKey::new(ResourceKind::Cluster, "local/a.acme")]
        .body
        .clone();
    let cluster = Cluster::decode(body).unwrap();
    assert_eq!(cluster.wait_for_warm_on_init.map(|value| value.value), Some(false));
    let members = &cluster.load_assignment.unwrap().endpoints[0].lb_endpoints;
    assert_eq!(
        members
            .iter()
            .map(|member| member.load_balancing_weight.unwrap().value)
            .collect::<Vec<_>>(),
        [2, 2]
    );
}

#[test]
fn what_cannot_be_expressed_is_rejected_with_a_reason_and_answered() {
    let mut planner = planner(&[]);
    let bad = Target::Local(vec![Endpoint {
        host: "not a host".into(),
        port: 80,
        weight: 1,
    }]);
    let routes = table([
        route("bad.acme", Protocol::Http, bad, &[]),
        local("*.acme", Protocol::Tcp),
        remote("dead.acme", Protocol::Http, &["127.0.0.1:0"]),
        local("good.acme", Protocol::Http),
    ]);
    let resources = all(&mut planner, &routes);
    let rejected: Vec<String> = planner
        .rejected()
        .iter()
        .map(|(name, why)| format!("{name}: {why}"))
        .collect();
    assert_eq!(rejected.len(), 3, "{rejected:?}");
    assert!(
        rejected[0].starts_with("*.acme: a tcp service needs an exact name"),
        "{rejected:?}"
    );
    assert!(rejected[1].contains("\"not a host\""), "{rejected:?}");
    assert!(resources.keys().any(|key| &*key.name == "/bad.acme"));
    assert!(!resources.keys().any(|key| &*key.name == "local/bad.acme"));
    planner.plan(&table([local("bad.acme", Protocol::Http)]), Touched::All);
    assert_eq!(planner.rejected(), []);
}

#[test]
fn a_name_without_a_port_gets_one_when_another_goes() {
    let mut planner = Planner::new(config(&[], 8082..=8084), Ports::load(None, 8082..=8084).0);
    let mut routes = table([local("a", Protocol::Tcp), local("b", Protocol::Tcp)]);
    planner.plan(&routes, Touched::All);
    let rejected = planner.rejected();
    assert_eq!(
        rejected.len(),
        1,
        "8082 and 8083 belong to the node itself: {rejected:?}"
    );
    assert!(rejected[0].1.contains("tcp_ports (8082-8084)"), "{rejected:?}");
    routes.remove("a");
    let changes = planner.plan(&routes, Touched::Names(&names(&["a"])));
    assert!(summary(&changes).contains(&"+listener tcp/b".to_owned()), "{changes:?}");
    assert_eq!(
        (planner.rejected(), planner.tcp_port(&"b".parse().unwrap())),
        (vec![], Some(8084))
    );
}

/// A small generator of repeatable random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn name(&mut self) -> &'static str {
        self.pick::<&str>(&[
            "a.x.acme", "b.x.acme", "c.acme", "d", "*", "*.acme", "*.x.acme", "t.x.acme", "u.acme", "v",
        ])
    }

    fn route(&mut self) -> Route {
        let name = self.name();
        let protocol = *self.pick(&[Protocol::Http, Protocol::HttpGrpc, Protocol::HttpGraphql, Protocol::Tcp]);
        let mut route = match self.below(5) {
            0 | 1 => local(name, protocol),
            2 => remote(name, protocol, &["127.0.0.2:80", "127.0.0.3:80"]),
            3 => remote(
                name,
                protocol,
                self.pick::<&[&str]>(&[&["127.0.0.2:80"], &["127.0.0.4:80"], &["127.0.0.1:0"]]),
            ),
            _ => route(name, Protocol::Http, Target::Discard, &[]),
        };
        let orgs: &[&str] = self.pick::<&[&str]>(&[&[], &["globex"], &["globex", "initech"], &["unknown"]]);
        route.exported_to = orgs.iter().map(|org| Arc::from(*org)).collect();
        route
    }
}

#[test]
fn following_changes_equals_planning_afresh() {
    for seed in 1..=20u64 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
        // Two ports for up to four tcp names: the range is full now and then.
        let config = config(&["globex", "initech"], 20000..=20001);
        let mut planner = Planner::new(config.clone(), Ports::load(None, 20000..=20001).0);
        let mut routes = RouteTable::new();
        let mut mirror = all(&mut planner, &routes);
        for step in 0..40 {
            let mut touched = Vec::new();
            for _ in 0..=random.below(4) {
                let route = random.route();
                touched.push(route.name.clone());
                match random.below(3) {
                    0 => drop(routes.remove(&route.name)),
                    _ => drop(routes.insert(route.name.clone(), Arc::new(route))),
                }
            }
            follow(&mut mirror, planner.plan(&routes, Touched::Names(&touched)));
            let mut afresh = Planner::new(config.clone(), planner.ports.clone());
            let expected = all(&mut afresh, &routes);
            assert_eq!(mirror, expected, "seed {seed}, step {step}");
            assert_eq!(planner.rejected(), afresh.rejected(), "seed {seed}, step {step}");
        }
    }
}

fn follow(mirror: &mut BTreeMap<ResourceKey, Resource>, changes: Vec<(ResourceKey, Option<Resource>)>) {
    for (key, resource) in changes {
        match resource {
            Some(resource) => drop(mirror.insert(key, resource)),
            None => assert!(mirror.remove(&key).is_some(), "{key} was never wanted"),
        }
    }
}

#[test]
fn a_listener_concerns_the_routes_that_are_reached_by_it() {
    let mut planner = planner(&["globex", "initech"]);
    let open = |name, orgs| route(name, Protocol::Http, Target::Discard, orgs);
    let mut routes = table([
        local("own.acme", Protocol::Http),
        open("both.acme", &["globex", "initech"]),
        open("one.acme", &["initech"]),
    ]);
    all(&mut planner, &routes);
    let key = |name: &str| ResourceKey::new(ResourceKind::Listener, name);
    for listener in ["ingress", "egress", "peer"] {
        let reached = planner.routes_of(&key(listener));
        assert_eq!(reached, names(&["both.acme", "one.acme", "own.acme"]), "{listener}");
    }
    assert_eq!(planner.routes_of(&key("peer:globex")), names(&["both.acme"]));
    assert_eq!(
        planner.routes_of(&key("peer:initech")),
        names(&["both.acme", "one.acme"])
    );
    assert!(planner.routes_of(&key("peer:hooli")).is_empty());

    routes.remove(&names(&["both.acme"])[0]);
    planner.plan(&routes, Touched::Names(&names(&["both.acme"])));
    assert!(planner.routes_of(&key("peer:globex")).is_empty());

    // Only where peers of ours cannot come in must they not be sent: a rejected name is announced to nobody.
    let refused = |name: &str| planner.refusal(&key(name), "in use");
    for listener in ["ingress", "egress", "peer:globex"] {
        let why = format!("listener {listener} is not open: in use");
        assert_eq!(refused(listener), Verdict::Pending(why.into()));
    }
    assert_eq!(
        refused("peer"),
        Verdict::Rejected("listener peer is not open: in use".into())
    );
    assert_eq!(refused("tcp/db.acme"), Verdict::Rejected("in use".into()));
}
