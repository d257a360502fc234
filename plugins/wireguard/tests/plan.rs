//! What is planned, case by case, and that planning by steps is planning at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalyst_plugin::{NextHop, Prefix, PrefixRoute, RouteTable, Target, Touched, Tunnel};
use catalyst_wireguard::plan::{Condition, Planner, PresharedKeys};
use catalyst_wireguard::resource::{Key, Resource};
use catalyst_wireguard::{PublicKey, WireguardConfig};
use proptest::prelude::*;
use support::{announced, config, peer, prefix, prefixes, tunnel, via};

type Held = BTreeMap<Key, Resource>;

fn planner(config: WireguardConfig) -> Planner {
    config.check().unwrap();
    Planner::new(config, PresharedKeys::new())
}

fn table(routes: Vec<Arc<PrefixRoute>>) -> RouteTable<PrefixRoute> {
    routes.into_iter().map(|route| (route.prefix, route)).collect()
}

fn take(held: &mut Held, wanted: Vec<(Key, Option<Resource>)>) {
    for (key, resource) in wanted {
        match resource {
            Some(resource) => drop(held.insert(key, resource)),
            None => drop(held.remove(&key)),
        }
    }
}

fn all(planner: &mut Planner, routes: &RouteTable<PrefixRoute>) -> Held {
    let mut held = Held::new();
    take(&mut held, planner.plan(routes, Touched::All));
    held
}

fn two_peers() -> WireguardConfig {
    let mut config = config();
    config
        .peers
        .insert("b1".into(), peer("b", &["10.255.9.0/28"], &["10.2.0.0/16"]));
    config.peers.insert(
        "b2".into(),
        peer("b", &["10.255.9.16/28"], &["10.2.0.0/16", "10.3.0.0/16"]),
    );
    config
}

fn reason(held: &Held, text: &str) -> String {
    match held.get(&Key::Refused(prefix(text))) {
        Some(Resource::Refused(refusal)) => refusal.reason.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn guards_come_from_configuration_alone() {
    let held = all(&mut planner(two_peers()), &RouteTable::new());
    for guarded in ["10.255.9.0/28", "10.255.9.16/28", "10.2.0.0/16", "10.3.0.0/16"] {
        assert!(
            held.contains_key(&Key::Guard {
                table: 1790,
                prefix: prefix(guarded)
            }),
            "{guarded}"
        );
    }
    assert!(
        !held
            .keys()
            .any(|key| matches!(key, Key::Peer { .. } | Key::Route { .. })),
        "{held:?}"
    );
    let Some(Resource::Filter(filter)) = held.get(&Key::Filter { table: 1790 }) else {
        panic!("{held:?}")
    };
    assert!(filter.guarded.len() == 4 && filter.devices.contains("wg-b") && filter.devices.contains("lo"));
}

#[test]
fn a_tunnel_and_what_is_routed_through_it() {
    let routes = table(vec![
        announced("10.255.9.1/32", tunnel(1, 1, &["10.255.9.1/32"])),
        via(prefix("10.2.1.0/24"), "10.255.9.1"),
    ]);
    let held = all(&mut planner(two_peers()), &routes);
    let (device, key): (Arc<str>, _) = ("wg-b".into(), PublicKey([1; 32]));
    assert!(held.contains_key(&Key::Peer {
        device: device.clone(),
        key
    }));
    for through in ["10.255.9.1/32", "10.2.1.0/24"] {
        let prefix = prefix(through);
        assert_eq!(
            held[&Key::Allowed {
                device: device.clone(),
                prefix
            }],
            Resource::Allowed(key)
        );
        let Resource::Route(route) = &held[&Key::Route { table: 1790, prefix }] else {
            panic!()
        };
        assert_eq!(
            (&*route.device, route.source, route.mtu),
            ("wg-b", Some("10.255.1.1".parse().unwrap()), None)
        );
    }
    let Resource::Endpoint(endpoint) = held[&Key::Endpoint { device, key }] else {
        panic!()
    };
    assert_eq!(endpoint.to_string(), "192.0.2.1:51820");
}

#[test]
fn a_smaller_far_device_bounds_the_routes_and_never_below_what_ipv6_needs() {
    let mut small = Tunnel::clone(&tunnel(1, 1, &["10.255.9.1/32"]));
    for (mtu, expected) in [(1300, Some(1300)), (100, Some(1280)), (1420, None), (9000, None)] {
        small.mtu = mtu;
        let held = all(
            &mut planner(two_peers()),
            &table(vec![announced("10.255.9.1/32", Arc::new(small.clone()))]),
        );
        let Resource::Route(route) = &held[&Key::Route {
            table: 1790,
            prefix: prefix("10.255.9.1/32"),
        }] else {
            panic!()
        };
        assert_eq!(route.mtu, expected, "announced: {mtu}");
    }
}

#[test]
fn what_must_not_go_through_a_tunnel_does_not_whoever_offers_it() {
    let offered = [
        ("0.0.0.0/0", "not within allowed_prefixes of peer b1"),
        ("10.1.0.0/16", "within our own 10.1.0.0/16"),
        ("10.1.2.3/32", "within our own 10.1.0.0/16"),
        ("10.255.1.1/32", "within our own 10.255.1.1/32"),
        ("127.0.0.0/8", "not routed between networks"),
        ("192.0.2.1/32", "not within allowed_prefixes"),
        ("10.3.0.0/24", "not within allowed_prefixes of peer b1"),
        ("10.255.9.17/32", "within the tunnel addresses of peer b2"),
    ];
    let mut routes = vec![announced("10.255.9.1/32", tunnel(1, 1, &["10.255.9.1/32"]))];
    routes.extend(offered.iter().map(|(text, _)| via(prefix(text), "10.255.9.1")));
    let held = all(&mut planner(two_peers()), &table(routes));
    for (text, why) in offered {
        assert!(reason(&held, text).contains(why), "{text}: {}", reason(&held, text));
        assert!(
            !held.contains_key(&Key::Route {
                table: 1790,
                prefix: prefix(text)
            }),
            "{text}"
        );
        assert!(
            !held.contains_key(&Key::Allowed {
                device: "wg-b".into(),
                prefix: prefix(text)
            }),
            "{text}"
        );
    }
}

#[test]
fn a_guarded_prefix_by_another_way_is_refused() {
    let held = all(
        &mut planner(two_peers()),
        &table(vec![via(prefix("10.2.1.0/24"), "192.0.2.9")]),
    );
    assert_eq!(
        reason(&held, "10.2.1.0/24"),
        "next hop 192.0.2.9 is in no tunnel, and 10.2.0.0/16 is reached through tunnels only"
    );
}

#[test]
fn a_peer_is_set_up_with_its_own_pinned_key_only() {
    let mut config = two_peers();
    config.peers.get_mut("b1").unwrap().public_keys = vec![PublicKey([7; 32])];
    let ours = config.private_key.public_key();
    let mut planner = planner(config);
    let condition = |planner: &mut Planner, key: [u8; 32]| {
        let mut tunnel = Tunnel::clone(&tunnel(1, 1, &["10.255.9.17/32"]));
        tunnel.public_key = key;
        let routes = table(vec![
            announced("10.255.9.1/32", support::tunnel(2, 1, &["10.255.9.1/32"])),
            announced("10.255.9.17/32", Arc::new(tunnel)),
        ]);
        let held = all(planner, &routes);
        assert!(
            !held
                .keys()
                .any(|key| matches!(key, Key::Peer { key, .. } if *key == PublicKey([2; 32])))
        );
        planner.peers()["b2"].condition.clone()
    };
    assert_eq!(condition(&mut planner, [3; 32]), Condition::Planned { pinned: false });
    assert_eq!(planner.peers()["b1"].condition, Condition::WrongKey);
    assert_eq!(
        condition(&mut planner, ours.0),
        Condition::Refused("it announces our own key".into())
    );
}

#[test]
fn the_key_of_another_peer_gains_nothing() {
    let same = |host: &str| announced(host, tunnel(1, 1, &[host]));
    let routes = table(vec![same("10.255.9.1/32"), same("10.255.9.17/32")]);
    let mut config = two_peers();
    let mut unpinned = planner(config.clone());
    all(&mut unpinned, &routes);
    assert_eq!(unpinned.peers()["b1"].condition, Condition::Planned { pinned: false });
    assert_eq!(
        unpinned.peers()["b2"].condition,
        Condition::Refused("it announces the key of peer b1".into())
    );
    config.peers.get_mut("b2").unwrap().public_keys = vec![PublicKey([1; 32])];
    let mut pinned = planner(config);
    all(&mut pinned, &routes);
    assert_eq!(pinned.peers()["b2"].condition, Condition::Planned { pinned: true });
    assert_eq!(
        pinned.peers()["b1"].condition,
        Condition::Refused("it announces the key of peer b2".into())
    );
}

#[test]
fn an_endpoint_inside_what_is_guarded_costs_its_announcer_alone() {
    let mut bad = Tunnel::clone(&tunnel(1, 1, &["10.255.9.1/32"]));
    bad.endpoint = Some("10.3.0.1:51820".parse().unwrap());
    let routes = table(vec![
        announced("10.255.9.1/32", Arc::new(bad)),
        announced("10.255.9.17/32", tunnel(2, 1, &["10.255.9.17/32"])),
        via(prefix("10.3.0.0/24"), "10.255.9.17"),
    ]);
    let held = all(&mut planner(two_peers()), &routes);
    assert!(reason(&held, "10.255.9.1/32").contains("its endpoint 10.3.0.1:51820 lies within 10.3.0.0/16"));
    assert!(held.contains_key(&Key::Route {
        table: 1790,
        prefix: prefix("10.3.0.0/24")
    }));
}

#[test]
fn of_equal_next_hops_the_first_is_taken() {
    let claim = prefix("10.2.0.0/16");
    for (hops, taken) in [
        (["10.255.9.1", "10.255.9.17"], [1; 32]),
        (["10.255.9.17", "10.255.9.1"], [2; 32]),
        (["192.0.2.9", "10.255.9.17"], [2; 32]),
    ] {
        let mut route = PrefixRoute::clone(&via(claim, hops[0]));
        let Target::Remote(ways) = &mut route.target else {
            panic!()
        };
        ways.push(NextHop {
            address: (hops[1].parse::<std::net::IpAddr>().unwrap(), 0).into(),
            weight: 1,
        });
        let routes = table(vec![
            announced("10.255.9.1/32", tunnel(1, 1, &["10.255.9.1/32"])),
            announced("10.255.9.17/32", tunnel(2, 1, &["10.255.9.17/32"])),
            Arc::new(route),
        ]);
        let held = all(&mut planner(two_peers()), &routes);
        let allowed = Key::Allowed {
            device: "wg-b".into(),
            prefix: claim,
        };
        assert_eq!(held[&allowed], Resource::Allowed(PublicKey(taken)), "{hops:?}");
    }
}

#[test]
fn the_newest_tunnel_counts() {
    let routes = table(vec![
        announced("10.255.9.1/32", tunnel(1, 1, &["10.255.9.1/32", "10.255.9.2/32"])),
        announced("10.255.9.2/32", tunnel(5, 2, &["10.255.9.1/32", "10.255.9.2/32"])),
    ]);
    let held = all(&mut planner(two_peers()), &routes);
    let peers: Vec<&Key> = held.keys().filter(|key| matches!(key, Key::Peer { .. })).collect();
    assert_eq!(
        peers,
        [&Key::Peer {
            device: "wg-b".into(),
            key: PublicKey([5; 32])
        }]
    );
    assert!(reason(&held, "10.255.9.1/32").contains("newest tunnel has another key"));
}

#[test]
fn a_peer_without_its_pre_shared_key_is_guarded() {
    let mut planner = planner(two_peers());
    let routes = table(vec![announced("10.255.9.1/32", tunnel(1, 1, &["10.255.9.1/32"]))]);
    planner.set_preshared_keys([("b1".into(), Err("no such file".into()))].into());
    let held = all(&mut planner, &routes);
    assert!(reason(&held, "10.255.9.1/32").contains("no pre-shared key: no such file"));
    assert!(
        !held
            .keys()
            .any(|key| matches!(key, Key::Peer { .. } | Key::Route { .. } | Key::Allowed { .. }))
    );
}

#[test]
fn tunnels_and_prefixes_by_hand_need_no_route() {
    let mut config = two_peers();
    let b1 = config.peers.get_mut("b1").unwrap();
    b1.static_tunnel = Some(tunnel(1, 0, &["10.255.9.1/32"]));
    b1.static_prefixes = prefixes(&["10.4.0.0/16"]);
    let held = all(
        &mut planner(config),
        &table(vec![via(prefix("10.4.0.0/16"), "10.255.9.17")]),
    );
    for prefix in prefixes(&["10.255.9.1/32", "10.4.0.0/16"]) {
        assert!(held.contains_key(&Key::Route { table: 1790, prefix }), "{prefix}");
    }
    assert!(held.contains_key(&Key::Guard {
        table: 1790,
        prefix: prefix("10.4.0.0/16")
    }));
}

/// A prefix of a few, and a route of a few for it, or none.
fn change() -> impl Strategy<Value = (Prefix, Option<Arc<PrefixRoute>>)> {
    let hosts = [
        "10.255.9.1/32",
        "10.255.9.2/32",
        "10.255.9.17/32",
        "10.255.9.18/32",
        "10.255.8.1/32",
    ];
    let host = (
        0..hosts.len(),
        proptest::option::weighted(0.8, (1..4_u8, 0..3_u64, any::<bool>())),
    )
        .prop_map(move |(index, announcing)| {
            let host = hosts[index];
            let route = announcing.map(|(key, serial, guarded)| {
                let mut tunnel = Tunnel::clone(&tunnel(key, serial, &hosts));
                // Another place would make it a change of keys, which is another story: tests/rotation.rs.
                tunnel.endpoint = Some("192.0.2.1:51820".parse().unwrap());
                if guarded && key == 3 {
                    tunnel.endpoint = Some("10.3.0.1:1".parse().unwrap());
                }
                announced(host, Arc::new(tunnel))
            });
            (prefix(host), route)
        });
    let offered = [
        "10.2.0.0/24",
        "10.2.1.0/24",
        "10.3.0.0/16",
        "10.1.0.0/16",
        "0.0.0.0/0",
        "10.255.9.2/32",
    ];
    let hops = ["10.255.9.1", "10.255.9.17", "192.0.2.5"];
    let ordinary = (0..offered.len(), proptest::option::weighted(0.8, 0..hops.len())).prop_map(move |(index, hop)| {
        let prefix = prefix(offered[index]);
        (prefix, hop.map(|hop| via(prefix, hops[hop])))
    });
    prop_oneof![host, ordinary]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The resources after any steps are those of planning the whole table, and no resource has two owners.
    #[test]
    fn planning_by_steps_is_planning_at_once(steps in proptest::collection::vec(proptest::collection::vec(change(), 1..4), 1..30)) {
        let (mut stepwise, mut whole) = (planner(two_peers()), planner(two_peers()));
        let mut routes = RouteTable::new();
        let mut held = all(&mut stepwise, &routes);
        for step in steps {
            for (prefix, route) in &step {
                match route {
                    Some(route) => drop(routes.insert(*prefix, route.clone())),
                    None => drop(routes.remove(prefix)),
                }
            }
            let touched: Vec<Prefix> = step.iter().map(|(prefix, _)| *prefix).collect();
            take(&mut held, stepwise.plan(&routes, Touched::Names(&touched)));
            prop_assert_eq!(&held, &all(&mut whole, &routes));
            for key in held.keys().filter(|key| !matches!(key, Key::Refused(_))) {
                prop_assert_eq!(stepwise.wanted(key), held.get(key));
            }
        }
    }
}
