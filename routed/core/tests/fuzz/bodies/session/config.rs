//! A node with three peers: one of its own AS, two outside; and maybe a place for whoever calls from one further address.
//! What can be configured comes from the input.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use catalyst_core::attrs::{GRACEFUL_SHUTDOWN, OriginNode, Protocol, RouterId, Tunnel};
use catalyst_core::event::{
    Aggregate, AtLimit, DynamicPeers, GracefulRestartConfig, MaxRoutes, Members, PeerConfig, PeerTunnel, PlaneConfig,
    SpeakerConfig,
};
use catalyst_core::name::ServiceName;
use catalyst_core::policy::{Action, CommunityPattern, Condition, NamePattern, Policy, Role, Statement, Verdict};
use catalyst_core::prefix::{Prefix, PrefixSet};
use catalyst_core::wire::{Families, Family};

use super::super::input::Input;

pub const PEERS: usize = 3;
pub const OUR_AS: u32 = 65000;

/// The addresses that peer `index` has in its tunnel; those past the peers are ours.
pub fn tunnel_addresses(index: usize) -> [Prefix; 2] {
    let host = index + 1;
    [
        prefix(&format!("10.1.0.{host}/32")),
        prefix(&format!("2001:db8:1::{host}/128")),
    ]
}

pub fn tunnel(index: usize, flags: u16) -> Tunnel {
    let has = |bit: u16| flags & (1 << bit) != 0;
    Tunnel {
        public_key: [if has(0) { 7 } else { 8 }; 32],
        endpoint: has(1).then(|| SocketAddr::new(address(index), 51_820)),
        addresses: tunnel_addresses(index)[..if has(2) { 1 } else { 2 }].to_vec(),
        mtu: 1420,
        serial: u64::from(flags & 3),
    }
}

fn peer_tunnel(index: usize, flags: u16) -> PeerTunnel {
    let has = |bit: u16| flags & (1 << bit) != 0;
    PeerTunnel {
        addresses: tunnel_addresses(index).into_iter().collect(),
        required: has(0),
        own: has(1).then(|| tunnel(PEERS, flags >> 2).into()),
    }
}

/// Names that cover each other, that are ours, and that are everything.
pub const NAMES: [&str; 8] = [
    "a.example",
    "b.example",
    "*.example",
    "x.acme.example",
    "*",
    "svc.left",
    "*.left",
    "c.d.example",
];
pub const PREFIXES: [&str; 8] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.0.2/32",
    "0.0.0.0/0",
    "127.0.0.0/8",
    "2001:db8::/32",
    "2001:db8:1::2/128",
    "::/0",
];
pub const PLANES: [&str; 2] = ["envoy", "graphql"];

pub fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// Who peer `index` is: AS, node, organisation.
pub fn who(index: usize) -> (u32, &'static str, &'static str) {
    [(OUR_AS, "inside", "acme"), (65001, "l", "left"), (65002, "r", "right")][index]
}

pub fn peer_name(index: usize) -> Arc<str> {
    ["inside", "left", "right", "guest-127.9.0.4"][index].into()
}

pub fn address(index: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 9, 0, u8::try_from(index + 1).unwrap()))
}

pub fn speaker(input: &mut Input<'_>) -> SpeakerConfig {
    let flags = input.byte();
    let has = |bit: u8| flags & (1 << bit) != 0;
    SpeakerConfig {
        identity: OriginNode {
            router_id: RouterId {
                asn: OUR_AS,
                node: "k".into(),
            },
            organisation: "acme".into(),
        },
        domains: has(0).then(|| name("acme.example")).into_iter().collect(),
        aggregates: has(1).then(|| aggregate(input)).into_iter().collect(),
        internal_communities: vec![CommunityPattern::Standard(Some(7), None)],
        reflector: has(2),
        cluster: "k".into(),
        hold_time: if has(3) { Duration::from_secs(9) } else { Duration::ZERO },
        drain: Duration::from_secs(2),
        startup_wait: Duration::from_secs(10),
        ack_wait: Duration::from_secs(1),
        planes: (0..usize::from(flags >> 6).min(PLANES.len()))
            .map(|at| plane(at, has(4)))
            .collect(),
        peers: peers(input),
        send_hold_time: has(3).then_some(Duration::from_secs(30)),
        dynamic_peers: has(5).then(|| guests(input)).into_iter().collect(),
    }
}

/// Who calls from there says what the last peer says.
fn guests(input: &mut Input<'_>) -> DynamicPeers {
    let (asn, _, organisation) = who(PEERS - 1);
    DynamicPeers {
        name: "guest".into(),
        prefix: prefix("127.9.0.4/32"),
        asns: vec![asn..=asn],
        max_peers: 1,
        template: PeerConfig {
            organisation: organisation.into(),
            passive: true,
            ..peer(PEERS - 1, input)
        },
    }
}

fn peers(input: &mut Input<'_>) -> Vec<PeerConfig> {
    let mut peers = Vec::new();
    for index in 0..PEERS {
        if input.byte() & 7 != 7 {
            peers.push(peer(index, input));
        }
    }
    peers
}

fn plane(at: usize, gates: bool) -> PlaneConfig {
    PlaneConfig {
        name: PLANES[at].into(),
        gates: gates && at == 0,
        families: if at == 0 { Families::ALL } else { Families::NAMES },
        protocols: if at == 0 {
            Protocol::ALL.to_vec()
        } else {
            vec![Protocol::HttpGraphql]
        },
    }
}

fn aggregate(input: &mut Input<'_>) -> Aggregate {
    let flags = input.byte();
    Aggregate {
        name: name(["*.example", "*", "*.d.example", "*.acme.example"][usize::from(flags & 3)]),
        to: (flags & 4 != 0).then(|| vec![peer_name(1)]),
        suppress: flags & 8 != 0,
        members: if flags & 16 == 0 { Members::Own } else { Members::Any },
        always: flags & 32 != 0,
        communities: Vec::new(),
        large_communities: Vec::new(),
        med: None,
    }
}

pub fn peer(index: usize, input: &mut Input<'_>) -> PeerConfig {
    let (asn, _, organisation) = who(index);
    let flags = input.short();
    let has = |bit: u16| flags & (1 << bit) != 0;
    let [import, export] = [policy(input), policy(input)];
    PeerConfig {
        name: peer_name(index),
        address: SocketAddr::new(address(index), 1790),
        asn,
        node: None,
        organisation: organisation.into(),
        passive: has(0),
        families: families(usize::from(flags >> 1) & 3),
        client: has(3) && index == 0,
        next_hop_self: index > 0 || has(4),
        next_hop: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 10_000),
        graceful_restart: has(5).then_some(GracefulRestartConfig {
            restart_time: Duration::from_secs(5),
            stale_time: Duration::from_secs(15),
        }),
        role: (index > 0 && has(6)).then(|| Role::ALL[usize::from(flags >> 7) % Role::ALL.len()]),
        strict_role: has(10),
        allowed_next_hops: has(11).then(|| address(9)).into_iter().collect(),
        allowed_prefixes: allowed_prefixes(has(12), has(13)),
        import,
        export,
        allowed_names: has(14).then(|| vec![pattern("*.example"), pattern("a.example")]),
        max_routes: has(15).then(|| max_routes(input)),
        max_update_rate: has(9).then_some(2),
        max_frame: None,
        tunnel: has(7).then(|| peer_tunnel(index, flags >> 8)),
        dynamic: None,
    }
}

fn max_routes(input: &mut Input<'_>) -> MaxRoutes {
    let restart_after = input.bit().then_some(Duration::from_secs(7));
    MaxRoutes {
        limit: 1 + input.below(3) as u64,
        warn_at_percent: 75,
        action: [AtLimit::Warn, AtLimit::Block, AtLimit::Reset { restart_after }][input.below(3)],
    }
}

fn families(which: usize) -> Families {
    [
        Families::ALL,
        Families::NAMES,
        Families::PREFIXES,
        [Family::Name, Family::Ipv6].into_iter().collect(),
    ][which]
}

fn allowed_prefixes(some: bool, all: bool) -> PrefixSet {
    let some = some.then(|| prefix("10.0.0.0/8"));
    let all = [prefix("0.0.0.0/0"), prefix("::/0")].into_iter().filter(|_| all);
    some.into_iter().chain(all).collect()
}

pub fn pattern(text: &str) -> NamePattern {
    NamePattern::parse(text).unwrap()
}

/// None, everything, nothing, or statements that read the name, the peer and the attributes, and change these.
fn policy(input: &mut Input<'_>) -> Option<Arc<Policy>> {
    let policy = match input.below(8) {
        0 => return None,
        1..=3 => Policy::accept(),
        4 => Policy::reject(),
        _ => Policy::new("mixed", (0..1 + input.below(3)).map(|_| statement(input)).collect()),
    };
    Some(policy.into())
}

fn statement(input: &mut Input<'_>) -> Statement {
    let conditions = (0..input.below(3)).map(|_| condition(input)).collect();
    let actions = (0..input.below(3)).map(|_| action(input)).collect();
    let verdict = [Verdict::Accept, Verdict::Accept, Verdict::Reject, Verdict::Next][input.below(4)];
    Statement {
        name: "s".into(),
        conditions,
        actions,
        verdict,
    }
}

fn condition(input: &mut Input<'_>) -> Condition {
    match input.below(9) {
        0 => Condition::Name(vec![pattern(NAMES[input.below(NAMES.len())])]),
        1 => Condition::Family(vec![Family::ALL[input.below(3)]]),
        2 => Condition::Protocol(vec![Protocol::ALL[input.below(4)]]),
        3 => Condition::Community(vec![CommunityPattern::Standard(Some(7), Some(1))]),
        4 => Condition::Peer(vec![peer_name(input.below(PEERS))]),
        5 => Condition::Role(vec![Role::ALL[input.below(5)]]),
        6 => Condition::NeighbourAs(vec![65001]),
        7 => Condition::OriginOrganisation(vec!["left".into()]),
        _ => Condition::Not(vec![Condition::Name(vec![pattern("*.example")])]),
    }
}

fn action(input: &mut Input<'_>) -> Action {
    match input.below(6) {
        0 => Action::SetLocalPref(input.byte().into()),
        1 => Action::SetMed(input.bit().then_some(5)),
        2 => Action::AddCommunities(vec![[7 << 16 | 1, GRACEFUL_SHUTDOWN][input.below(2)]]),
        3 => Action::RemoveCommunities(vec![CommunityPattern::Standard(None, None)]),
        4 => Action::Prepend(input.byte()),
        _ => Action::AddLargeCommunities(vec![(1, 2, 3)]),
    }
}
