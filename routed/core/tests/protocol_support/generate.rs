//! Strategies for everything that can stand on the wire.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalyst_core::attrs::{Attrs, Origin, OriginNode, Protocol, RouterId, ServiceAttr, Tunnel, UnknownAttr};
use catalyst_core::prefix::Prefix;
use catalyst_core::wire::{Family, GracefulRestart, Notification, Open, RoleCode, RouteRefresh, VERSION};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const FAMILIES: [Family; 3] = [Family::Name, Family::Ipv4, Family::Ipv6];

pub fn label() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-c_]{1,3}", 1 => "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"]
}

/// Names of few labels over a small alphabet, so that neighbours share much, and some of any shape.
pub fn name() -> impl Strategy<Value = String> {
    let exact = vec(label(), 1..4).prop_map(|labels| labels.join("."));
    let suffix = vec(label(), 1..3).prop_map(|labels| format!("*.{}", labels.join(".")));
    prop_oneof![6 => exact, 2 => suffix, 1 => Just("*".to_owned())]
}

/// A prefix of either family: few addresses, so that they nest, and any length.
pub fn prefix() -> impl Strategy<Value = Prefix> {
    let v4 = (any::<u32>(), 0..=32u8).prop_map(|(bits, length)| Prefix::of(IpAddr::V4(bits.into()), length));
    let v6 = (any::<u128>(), 0..=128u8).prop_map(|(bits, length)| Prefix::of(IpAddr::V6(bits.into()), length));
    prop_oneof![v4, v6].prop_map(|prefix| prefix.expect("a length within bounds"))
}

pub fn open() -> impl Strategy<Value = Open> {
    let hold_ms = prop_oneof![Just(0u32), 300..=u32::MAX];
    let families = subsequence(FAMILIES.to_vec(), 0..=3);
    (
        1..=u32::MAX,
        arc(label()),
        arc(label()),
        hold_ms,
        families,
        any::<bool>(),
        option::of(any::<u8>().prop_map(RoleCode)),
        option::of(graceful_restart()),
    )
        .prop_map(
            |(asn, node, organisation, hold_ms, families, route_refresh, role, graceful_restart)| Open {
                version: VERSION,
                asn,
                node,
                organisation,
                hold_time: Duration::from_millis(hold_ms.into()),
                families,
                route_refresh,
                role,
                graceful_restart,
            },
        )
}

fn graceful_restart() -> impl Strategy<Value = GracefulRestart> {
    let families = subsequence(FAMILIES.to_vec(), 0..=3);
    (any::<[bool; 2]>(), any::<u32>(), families, any::<[bool; 3]>()).prop_map(
        |([restarting, notification], restart_ms, families, forwarding)| GracefulRestart {
            restarting,
            notification,
            restart_time: Duration::from_millis(restart_ms.into()),
            families: families.into_iter().zip(forwarding).collect(),
        },
    )
}

pub fn notification() -> impl Strategy<Value = Notification> {
    (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..=255), ".{0,80}")
        .prop_map(|(code, subcode, data, text)| Notification::new(code, subcode, text).with_data(data.into()))
}

pub fn route_refresh() -> impl Strategy<Value = RouteRefresh> {
    (family(), any::<u8>()).prop_map(|(family, subtype)| RouteRefresh { family, subtype })
}

pub fn family() -> impl Strategy<Value = Family> {
    select(FAMILIES.to_vec())
}

pub fn attrs() -> impl Strategy<Value = Attrs> {
    let origin = select(vec![Origin::Igp, Origin::Egp, Origin::Incomplete]);
    let path = (
        origin,
        vec(1..=u32::MAX, 0..=255),
        next_hop(),
        origin_node(),
        option::of(service()),
    );
    let numbers = (
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        option::of(1..=u32::MAX),
    );
    let communities = (
        btree_set(any::<u32>(), 0..20),
        btree_set(any::<(u32, u32, u32)>(), 0..20),
    );
    let reflection = (option::of(router_id()), vec(arc(label()), 0..5));
    (
        path,
        numbers,
        communities,
        reflection,
        (option::of(tunnel()), unknown()),
    )
        .prop_map(
            |(
                path,
                (local_pref, med, only_to_customer),
                communities,
                (originator, cluster_list),
                (tunnel, unknown),
            )| Attrs {
                tunnel: tunnel.filter(|_| path.4.is_none()).map(Arc::new),
                origin: path.0,
                as_path: path.1,
                next_hop: path.2,
                origin_node: path.3,
                service: path.4,
                local_pref,
                med,
                only_to_customer,
                communities: communities.0.into_iter().collect(),
                large_communities: communities.1.into_iter().collect(),
                originator,
                cluster_list,
                unknown,
            },
        )
}

fn arc(text: impl Strategy<Value = String>) -> impl Strategy<Value = Arc<str>> {
    text.prop_map(Arc::from)
}

fn router_id() -> impl Strategy<Value = RouterId> {
    (1..=u32::MAX, arc(label())).prop_map(|(asn, node)| RouterId { asn, node })
}

fn origin_node() -> impl Strategy<Value = OriginNode> {
    (router_id(), arc(label())).prop_map(|(router_id, organisation)| OriginNode {
        router_id,
        organisation,
    })
}

fn next_hop() -> impl Strategy<Value = SocketAddr> {
    let v4 = (1u8..224, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| IpAddr::from([a, b, c, d]));
    let v6 = any::<u64>().prop_map(|low| IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(low))));
    (prop_oneof![v4, v6], any::<u16>()).prop_map(SocketAddr::from)
}

fn tunnel() -> impl Strategy<Value = Tunnel> {
    let endpoint = option::of((next_hop(), 1u16..).prop_map(|(at, port)| SocketAddr::new(at.ip(), port)));
    let addresses = btree_set(next_hop().prop_map(|at| Prefix::of_host(at.ip())), 1..=8);
    let key = any::<[u8; 32]>().prop_filter("a key", |key| *key != [0; 32]);
    (key, endpoint, addresses, 1280u16.., any::<u64>()).prop_map(|(public_key, endpoint, addresses, mtu, serial)| {
        Tunnel {
            public_key,
            endpoint,
            addresses: addresses.into_iter().collect(),
            mtu,
            serial,
        }
    })
}

fn service() -> impl Strategy<Value = ServiceAttr> {
    let protocol = select(vec![
        Protocol::Tcp,
        Protocol::Http,
        Protocol::HttpGraphql,
        Protocol::HttpGrpc,
    ]);
    (protocol, option::of(arc("/[!-~]{0,254}")), any::<u16>(), 0..=100u8).prop_map(
        |(protocol, path, weight, health)| ServiceAttr {
            protocol,
            path: path.filter(|_| protocol == Protocol::HttpGraphql),
            weight,
            health,
        },
    )
}

/// Optional transitive ones that were passed on already, in order of code, of codes that nobody knows.
fn unknown() -> impl Strategy<Value = Vec<UnknownAttr>> {
    let codes = subsequence(vec![0u8, 6, 7, 11, 33, 36, 100, 223, 227, 255], 0..5);
    (codes, vec(any::<u8>(), 0..40)).prop_map(|(codes, value)| {
        let value = Bytes::from(value);
        let attr = |code| UnknownAttr {
            flags: 0xe0,
            code,
            value: value.clone(),
        };
        codes.into_iter().map(attr).collect()
    })
}
