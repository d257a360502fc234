use std::sync::Arc;
use std::time::Duration;

use catalyst_core::attrs::{Attrs, Origin, OriginNode, RouterId};
use catalyst_core::name::ServiceName;
use catalyst_core::route::{Destination, Table};
use catalyst_core::view::PlaneCounts;

use super::*;
use crate::config::load_text;

const CONFIG: &str = r#"{
    "node": { "name": "a", "as": 65001, "organisation": "acme" },
    "peering": { "listen": "127.0.0.1:1790" },
    "peers": {
        "open": { "address": "127.0.0.2:1790", "as": 65002, "organisation": "beta" },
        "picky": { "address": "127.0.0.3:1790", "as": 65003, "organisation": "gamma", "import": "few" }
    },
    "policies": { "few": { "statements": [{ "then": "reject" }] } }
}"#;

fn name() -> ServiceName {
    ServiceName::parse("orders.beta").unwrap()
}

/// A path that is not in use, from this peer.
fn path(peer: &str, note: Note) -> RouteView {
    let origin = OriginNode {
        router_id: RouterId {
            asn: 65002,
            node: "b".into(),
        },
        organisation: "beta".into(),
    };
    RouteView {
        destination: Destination::Name(name()),
        table: Table::External,
        best: false,
        selected: false,
        attrs: Arc::new(Attrs {
            origin: Origin::Igp,
            as_path: vec![65002],
            next_hop: "127.0.0.2:8082".parse().unwrap(),
            origin_node: origin.clone(),
            local_pref: None,
            med: None,
            communities: Vec::new(),
            large_communities: Vec::new(),
            originator: None,
            cluster_list: Vec::new(),
            service: None,
            only_to_customer: None,
            tunnel: None,
            unknown: Vec::new(),
        }),
        local_pref: 100,
        origin,
        learned_from: Some(peer.into()),
        endpoints: Vec::new(),
        age: Duration::ZERO,
        stale: false,
        data_planes: Vec::new(),
        note,
        reason: "said in words of no meaning".to_owned(),
        draining: false,
    }
}

/// The step at which a walk over these paths ends, and what to do about it.
fn ends(paths: Vec<RouteView>) -> (String, String) {
    let config = load_text(Some(("routed.json", CONFIG)), &[]).unwrap();
    let facts = Facts {
        name: name(),
        found: Found::Unused(paths),
        peers: Vec::new(),
        planes: Vec::new(),
        told: None,
    };
    let mut walk = Walk::default();
    assert!(walk.preconditions(&facts, &config, None).is_err() && !walk.reachable());
    let last = walk.into_messages().pop().unwrap();
    assert_eq!(last.state, "failed");
    (last.step, last.fix)
}

#[test]
fn what_import_refuses_is_told_by_the_check_that_refused_it() {
    for (peer, note, says) in [
        ("picky", Note::ImportPolicy, "change policies[\"few\"]"),
        ("open", Note::ImportPolicy, "set peers[\"open\"].import (RFC 8212"),
        ("open", Note::OwnDomain, "node.domains"),
        ("open", Note::RouteLeak, "see peers[\"open\"].role"),
        ("open", Note::OwnAs, "open needs a path of its own"),
    ] {
        let (step, fix) = ends(vec![path(peer, note)]);
        assert!(step == "import" && fix.contains(says), "{note:?}: {step}: {fix}");
    }
}

#[test]
fn one_path_that_import_takes_makes_it_a_matter_of_next_hops() {
    let (step, _) = ends(vec![path("picky", Note::ImportPolicy), path("open", Note::Accepted)]);
    assert_eq!(step, "next_hop");
}

#[test]
fn what_import_refuses_from_now_on_is_a_matter_of_import_while_it_drains() {
    let draining = RouteView {
        draining: true,
        ..path("open", Note::Accepted)
    };
    let (step, _) = ends(vec![path("picky", Note::ImportPolicy), draining]);
    assert_eq!(step, "import");
}

#[test]
fn what_drains_is_offered_by_nobody() {
    let draining = RouteView {
        draining: true,
        ..path("open", Note::Accepted)
    };
    let (step, fix) = ends(vec![draining]);
    assert!(step == "route" && fix.contains("nobody offers it"), "{step}: {fix}");
}

fn plane(name: &str, connected: bool) -> PlaneCounts {
    PlaneCounts {
        name: name.into(),
        connected,
        version: 0,
        latest: 0,
        programmed: 0,
        pending: 0,
        rejected: 0,
    }
}

/// A path of this node that is in use, and how Envoy stands with it.
fn in_use(planes: Vec<PlaneCounts>, status: PlaneStatus) -> Facts {
    let path = RouteView {
        selected: true,
        learned_from: None,
        data_planes: vec![("envoy".into(), status)],
        ..path("open", Note::Accepted)
    };
    Facts {
        name: name(),
        found: Found::InUse(Box::new(path)),
        peers: Vec::new(),
        planes,
        told: None,
    }
}

#[test]
fn a_port_that_is_taken_is_to_be_freed_and_not_waited_for() {
    let config = load_text(Some(("routed.json", CONFIG)), &[]).unwrap();
    let taken = "listener ingress is not open: cannot bind '127.0.0.1:8080': Address already in use";
    for (planes, status, detail, fix) in [
        (
            Vec::new(),
            PlaneStatus::Programmed,
            "no Envoy (plugins.envoy is off)",
            "set plugins.envoy",
        ),
        (
            vec![plane("envoy", false)],
            PlaneStatus::Programmed,
            "no Envoy is connected",
            "start it",
        ),
        (
            vec![plane("envoy", true)],
            PlaneStatus::Pending(taken.into()),
            "pending: listener",
            "it is tried again every few seconds",
        ),
        (
            vec![plane("envoy", true)],
            PlaneStatus::Rejected(taken.into()),
            "refuses it: ",
            "free the port",
        ),
        (
            vec![plane("envoy", true)],
            PlaneStatus::Pending("".into()),
            "pending",
            "wait",
        ),
        (
            vec![plane("envoy", true)],
            PlaneStatus::Rejected("no".into()),
            "refuses it: no",
            "change the service",
        ),
    ] {
        let mut walk = Walk::default();
        let facts = in_use(planes, status);
        assert!(walk.preconditions(&facts, &config, None).is_err());
        let last = walk.into_messages().pop().unwrap();
        assert_eq!(last.step, "programmed");
        assert!(
            last.detail.contains(detail) && last.fix.contains(fix),
            "{}: {}",
            last.detail,
            last.fix
        );
    }
}

#[test]
fn the_graph_needs_the_plugin_an_envoy_and_a_gateway() {
    let envoy = r#""peer_listeners": { "beta": "127.0.0.1:8090", "gamma": "127.0.0.1:8091" }"#;
    let with = |graphql: &str| {
        let plugins = format!(r#"{{ "plugins": {{ "envoy": {{ {envoy} }}{graphql} }}, "node""#);
        load_text(
            Some(("routed.json", &CONFIG.replacen("{\n    \"node\"", &plugins, 1))),
            &[],
        )
        .unwrap()
    };
    let on = r#", "graphql": { "hosts": ["graph.acme"] }"#;
    let both = |gateway| vec![plane("envoy", true), plane("graphql", gateway)];
    for (graphql, planes, step, fix) in [
        ("", both(true), "route", "set plugins.graphql"),
        (on, vec![plane("envoy", false)], "programmed", "envoy-bootstrap"),
        (on, both(false), "programmed", "start catalyst-gateway"),
    ] {
        let mut walk = Walk::default();
        let facts = in_use(planes, PlaneStatus::Programmed);
        assert!(walk.graph(&facts, &with(graphql)).is_err());
        let last = walk.into_messages().pop().unwrap();
        assert!(
            last.step == step && last.fix.contains(fix),
            "{}: {}",
            last.step,
            last.fix
        );
    }
    let mut walk = Walk::default();
    assert!(
        walk.graph(&in_use(both(true), PlaneStatus::Programmed), &with(on))
            .is_ok()
            && walk.reachable()
    );
}
