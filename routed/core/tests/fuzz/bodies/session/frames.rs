//! Frames that a peer may send: good ones, ones that lie, and damaged ones.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use catalyst_core::attrs::{
    Attrs, GRACEFUL_SHUTDOWN, NO_ADVERTISE, NO_EXPORT, Origin, OriginNode, Protocol, RouterId, ServiceAttr, UnknownAttr,
};
use catalyst_core::wire::{
    Family, GracefulRestart, Message, Notification, Open, RoleCode, RouteRefresh, VERSION, encode, encode_attrs,
    pack_announce, pack_withdraw,
};

use super::super::input::Input;
use super::config::{NAMES, OUR_AS, PREFIXES, address, prefix, tunnel, tunnel_addresses, who};

/// Whole frames, one after the other.
pub fn of_peer(index: usize, input: &mut Input<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    match input.below(8) {
        0 => encode(&Message::Open(open(index, input.short())), &mut out),
        1 => encode(&Message::Keepalive, &mut out),
        2 | 3 => announce(index, input, &mut out),
        4 => withdraw(input, &mut out),
        5 => encode(&Message::EndOfRib(Family::ALL[input.below(3)]), &mut out),
        6 => encode(&Message::RouteRefresh(refresh(input)), &mut out),
        _ => encode(&Message::Notification(notification(input)), &mut out),
    }
    out
}

/// Some bytes of the frames are others.
pub fn damage(frames: &mut [u8], input: &mut Input<'_>) {
    for _ in 0..1 + input.below(4) {
        let place = usize::from(input.short()) % frames.len().max(1);
        if let Some(byte) = frames.get_mut(place) {
            *byte = input.byte();
        }
    }
}

/// What the peer's OPEN says; with no flag set, what its configuration expects.
pub fn open(index: usize, flags: u16) -> Open {
    let (asn, node, organisation) = who(index);
    let has = |bit: u16| flags & (1 << bit) != 0;
    Open {
        version: VERSION,
        asn: if has(0) { 65009 } else { asn },
        node: if has(1) { "other" } else { node }.into(),
        organisation: if has(2) { "nobody" } else { organisation }.into(),
        hold_time: if has(3) {
            Duration::from_millis(300)
        } else {
            Duration::ZERO
        },
        families: Family::ALL
            .into_iter()
            .filter(|family| !has(3 + u16::from(family.code())))
            .collect(),
        route_refresh: !has(7),
        role: has(8).then(|| RoleCode(u8::try_from(flags >> 13).unwrap())),
        graceful_restart: has(9).then(|| GracefulRestart {
            restarting: has(10),
            notification: has(11),
            restart_time: Duration::from_secs(if has(12) { 3 } else { 0 }),
            families: vec![(Family::Name, has(12)), (Family::Ipv4, has(10))],
        }),
    }
}

fn announce(index: usize, input: &mut Input<'_>, out: &mut BytesMut) {
    let family = input.below(4);
    let attrs = encode_attrs(&attrs(index, family > 0, input));
    let chosen = input.byte();
    match family {
        0 => pack_announce(&attrs, picked(chosen, &PREFIXES).map(prefix), out),
        _ => pack_announce(&attrs, picked(chosen, &NAMES), out),
    }
}

fn withdraw(input: &mut Input<'_>, out: &mut BytesMut) {
    match (input.bit(), input.byte()) {
        (true, chosen) => pack_withdraw(picked(chosen, &NAMES), out),
        (false, chosen) => pack_withdraw(picked(chosen, &PREFIXES).map(prefix), out),
    }
}

/// Those whose bit is set.
fn picked(chosen: u8, from: &'static [&'static str; 8]) -> impl Iterator<Item = &'static str> {
    (0..8).filter(move |bit| chosen & (1 << bit) != 0).map(|bit| from[bit])
}

fn attrs(index: usize, is_name: bool, input: &mut Input<'_>) -> Attrs {
    let (asn, node, organisation) = who(index);
    let (flags, more) = (input.short(), input.byte());
    let has = |bit: u16| flags & (1 << bit) != 0;
    let mut as_path: Vec<u32> = (index > 0 && !has(0)).then_some(asn).into_iter().collect();
    as_path.extend(std::iter::repeat_n(65100, usize::from(more & 3)));
    as_path.extend(has(1).then_some(OUR_AS));
    let ip = match (has(2), has(8)) {
        (true, true) => tunnel_addresses(index)[0].address(),
        (true, false) => address(9),
        (false, _) => address(index),
    };
    // Where a name would have no SERVICE, a prefix has TUNNEL, and only some have what they must not.
    let (has_service, has_tunnel) = if is_name {
        (!has(12), has(12) && has(15))
    } else {
        (has(12) && has(11), has(12))
    };
    let router_id = RouterId {
        asn: if has(3) { 65200 } else { asn },
        node: node.into(),
    };
    let communities = [NO_EXPORT, NO_ADVERTISE, GRACEFUL_SHUTDOWN, 7 << 16 | 1];
    let mut communities: Vec<u32> = has(4)
        .then(|| communities[usize::from(more >> 2 & 3)])
        .into_iter()
        .collect();
    communities.sort_unstable();
    let protocol = Protocol::ALL[usize::from(more >> 6)];
    Attrs {
        origin: [Origin::Igp, Origin::Egp, Origin::Incomplete, Origin::Igp][usize::from(more >> 4 & 3)],
        as_path,
        next_hop: SocketAddr::new(ip, 10_000),
        origin_node: OriginNode {
            router_id: router_id.clone(),
            organisation: if has(5) { "acme" } else { organisation }.into(),
        },
        local_pref: has(6).then_some(more.into()),
        med: has(7).then_some(more.into()),
        communities,
        large_communities: has(8).then_some((1, 2, 3)).into_iter().collect(),
        originator: has(9).then_some(router_id),
        cluster_list: has(10)
            .then(|| if has(11) { "k" } else { "c" }.into())
            .into_iter()
            .collect(),
        service: has_service.then(|| ServiceAttr {
            protocol,
            path: (protocol == Protocol::HttpGraphql).then(|| "/graphql".into()),
            weight: more.into(),
            health: 100,
        }),
        only_to_customer: has(13).then_some(if has(14) { asn } else { 65100 }),
        tunnel: has_tunnel.then(|| tunnel(index, u16::from(more) >> 4).into()),
        unknown: has(15)
            .then(|| UnknownAttr {
                flags: 0xe0,
                code: 250,
                value: Bytes::from_static(b"x"),
            })
            .into_iter()
            .collect(),
    }
}

fn refresh(input: &mut Input<'_>) -> RouteRefresh {
    RouteRefresh {
        family: Family::ALL[input.below(3)],
        subtype: input.byte() & 3,
    }
}

fn notification(input: &mut Input<'_>) -> Notification {
    let inner = Notification::new(input.byte() & 7, input.byte() & 15, "because");
    if input.bit() { inner.hard_reset() } else { inner }
}
