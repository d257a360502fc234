//! What a route costs inside the core, without sockets: `cargo run --release -p catalyst-core --example bench_install
//! [routes] [accept|attributes|names|local_pref] [receive|fan_in|PEERS]`: the policy on import and export, and the one part
//! to run (under a profiler); with a number, what one peer tells is passed on to so many. A guide while working on the data
//! structures; `cargo xtask bench core` is the measure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use catalyst_core::attrs::{Attrs, Origin, OriginNode, Protocol, RouterId, ServiceAttr};
use catalyst_core::event::{ConnId, Effect, Event, PeerConfig, SpeakerConfig};
use catalyst_core::policy::{
    Action, AsPathPattern, CommunityPattern, Condition, NamePattern, Policy, Statement, Verdict,
};
use catalyst_core::prefix::PrefixSet;
use catalyst_core::speaker::Speaker;
use catalyst_core::wire::{self, Families, Family, Message, Open, Packer, VERSION};

const NAMES_PER_SET: usize = 10;
/// Frames handled between two flushes, as a busy driver would.
const FRAMES_PER_BATCH: usize = 64;

fn main() {
    let routes = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    if std::env::args().nth(2).as_deref() == Some(MEMORY_ONLY) {
        return memory_of_import_policy(routes);
    }
    if let Some(peers) = std::env::args().nth(3).and_then(|text| text.parse().ok()) {
        return fan_out_to(peers, routes);
    }
    let fan_in = 10;
    println!("{routes} routes, names of 30 bytes, {NAMES_PER_SET} names per attribute set");
    if std::env::args().nth(2).is_none() {
        in_another_process(routes);
    }
    let part = std::env::args().nth(3);
    if part.as_deref() != Some("fan_in") {
        receive_and_send(routes);
    }
    if part.as_deref() != Some("receive") {
        fan_in_of(fan_in, routes);
    }
}

/// Only what one peer's routes hold, with an import policy that sets LOCAL_PREF: the comparison with BIRD.
const MEMORY_ONLY: &str = "memory";

/// Memory that this process has freed would be used again before more of it became resident.
fn in_another_process(routes: usize) {
    let measured = std::env::current_exe().and_then(|this| {
        let mut command = std::process::Command::new(this);
        command.args([&routes.to_string(), MEMORY_ONLY]).status()
    });
    if let Err(error) = measured {
        println!("memory with an import policy: not measured, {error}");
    }
}

fn memory_of_import_policy(routes: usize) {
    let now = Instant::now();
    let frames = feed(1, routes);
    let before = resident_bytes();
    let mut speaker = Speaker::new(config(9, &[1]), now);
    speaker.start(now);
    open(&mut speaker, 1, now);
    receive(&mut speaker, 1, &frames, now);
    println!(
        "memory with an import policy: {:.1} B/route",
        (resident_bytes() - before) as f64 / routes as f64
    );
}

fn receive_and_send(routes: usize) {
    let now = Instant::now();
    let frames = feed(1, routes);
    let before = resident_bytes();
    let mut speaker = Speaker::new(config(9, &[1, 2]), now);
    speaker.start(now);
    open(&mut speaker, 1, now);
    let spent = receive(&mut speaker, 1, &frames, now);
    report("receive and install", spent, routes);
    println!(
        "  memory: {:.1} B/route",
        (resident_bytes() - before) as f64 / routes as f64
    );
    let held = resident_bytes();

    let started = cpu_time();
    let mut sent = open(&mut speaker, 2, now);
    sent.extend(credit(&mut speaker, 2, now));
    let bytes: usize = sent.iter().map(Bytes::len).sum();
    let frames: Vec<_> = split(&sent)
        .into_iter()
        .filter(|(kind, _)| *kind == wire::kind::UPDATE)
        .collect();
    report("dump to a new peer", cpu_time() - started, routes);
    println!(
        "  wire: {:.1} B/route, {} frames",
        bytes as f64 / routes as f64,
        frames.len()
    );
    println!(
        "  memory of adj_rib_out: {:.1} B/route",
        (resident_bytes() - held) as f64 / routes as f64
    );

    let mut receiver = Speaker::new(config(8, &[9]), now);
    receiver.start(now);
    open(&mut receiver, 9, now);
    report("the new peer receives", receive(&mut receiver, 9, &frames, now), routes);

    let started = cpu_time();
    lose_first(&mut speaker, now);
    let mut withdrawals: Vec<Bytes> = sends(&mut speaker, 2);
    withdrawals.extend(credit(&mut speaker, 2, now));
    report(
        "session drop, withdrawn at the other peer",
        cpu_time() - started,
        routes,
    );
    report(
        "the other peer takes the withdrawals",
        receive(&mut receiver, 9, &split(&withdrawals), now),
        routes,
    );
    assert!(receiver.routes(None, 1, now).is_empty());
}

fn fan_in_of(peers: u32, routes: usize) {
    let now = Instant::now();
    let feeds: Vec<_> = (1..=peers).map(|peer| feed(peer, routes)).collect();
    let before = resident_bytes();
    let mut speaker = Speaker::new(config(99, &(1..=peers).collect::<Vec<_>>()), now);
    speaker.start(now);
    let mut spent = Duration::ZERO;
    for (peer, frames) in (1..).zip(&feeds) {
        open(&mut speaker, peer, now);
        spent += receive(&mut speaker, peer, frames, now);
    }
    let paths = routes * peers as usize;
    report(&format!("fan-in of {peers}, per path"), spent, paths);
    println!(
        "  memory: {:.1} B/path",
        (resident_bytes() - before) as f64 / paths as f64
    );
}

/// The connection of the first peer is gone.
fn lose_first(speaker: &mut Speaker, now: Instant) {
    let reason = "gone".into();
    speaker.handle(
        Event::Closed {
            conn: ConnId(1),
            reason,
        },
        now,
    );
    speaker.flush(now);
}

/// What one peer tells goes to all others, each of which takes what it is sent at once.
fn fan_out_to(peers: u32, routes: usize) {
    let now = Instant::now();
    let frames = feed(1, routes);
    let mut speaker = Speaker::new(config(9, &(1..=peers + 1).collect::<Vec<_>>()), now);
    speaker.start(now);
    let receivers = (2..=peers + 1).chain([1]);
    receivers.for_each(|peer| drop(open(&mut speaker, peer, now)));
    let before = resident_bytes();
    let (spent, sent) = pass_on(&mut speaker, &frames, now);
    let told = peers as usize * routes;
    report(&format!("one peer tells {peers}, per route"), spent, routes);
    println!(
        "  per route and peer: {:.1} ns, {:.1} B sent, {:.1} B held",
        spent.as_secs_f64() * 1e9 / told as f64,
        sent as f64 / told as f64,
        (resident_bytes() - before) as f64 / told as f64
    );
    let started = cpu_time();
    lose_first(&mut speaker, now);
    while take(&mut speaker, now) > 0 {
        speaker.flush(now);
    }
    report("  withdrawn at all", cpu_time() - started, routes);
}

/// CPU time, and the bytes that were sent. A function of its own, for `callgrind --toggle-collect`.
#[inline(never)]
fn pass_on(speaker: &mut Speaker, frames: &[(u8, Bytes)], now: Instant) -> (Duration, usize) {
    let (started, mut sent) = (cpu_time(), 0);
    for batch in frames.chunks(FRAMES_PER_BATCH) {
        for (kind, body) in batch {
            let conn = ConnId(1);
            let (kind, body) = (*kind, body.clone());
            speaker.handle(Event::Frame { conn, kind, body }, now);
        }
        loop {
            speaker.flush(now);
            match take(speaker, now) {
                0 => break,
                more => sent += more,
            }
        }
    }
    (cpu_time() - started, sent)
}

/// Everybody takes what is sent to them. How many bytes that was.
fn take(speaker: &mut Speaker, now: Instant) -> usize {
    let mut sends = Vec::new();
    for effect in speaker.drain_effects() {
        if let Effect::Send { conn, bytes } = effect {
            sends.push((conn, bytes.len()));
        }
    }
    for &(conn, bytes) in &sends {
        speaker.handle(Event::Sent { conn, bytes }, now);
    }
    sends.iter().map(|(_, bytes)| bytes).sum()
}

fn report(what: &str, spent: Duration, routes: usize) {
    println!("{what}: {:.3} us/route", spent.as_secs_f64() * 1e6 / routes as f64);
}

#[inline(never)]
fn receive(speaker: &mut Speaker, peer: u32, frames: &[(u8, Bytes)], now: Instant) -> Duration {
    let started = cpu_time();
    for batch in frames.chunks(FRAMES_PER_BATCH) {
        for (kind, body) in batch {
            speaker.handle(
                Event::Frame {
                    conn: ConnId(peer.into()),
                    kind: *kind,
                    body: body.clone(),
                },
                now,
            );
        }
        speaker.flush(now);
        speaker.drain_effects();
    }
    cpu_time() - started
}

/// Brings a session up; gives what the Speaker sent at once after that.
fn open(speaker: &mut Speaker, peer: u32, now: Instant) -> Vec<Bytes> {
    let conn = ConnId(peer.into());
    speaker.handle(
        Event::Accepted {
            conn,
            local: address(0),
            remote: address(peer),
        },
        now,
    );
    let open = Message::Open(Open {
        version: VERSION,
        asn: peer,
        node: node(peer),
        organisation: organisation(peer),
        hold_time: Duration::ZERO,
        families: vec![Family::Name],
        route_refresh: true,
        role: None,
        graceful_restart: None,
    });
    for message in [open, Message::Keepalive] {
        let mut bytes = BytesMut::new();
        wire::encode(&message, &mut bytes);
        for (kind, body) in split(&[bytes.freeze()]) {
            speaker.handle(Event::Frame { conn, kind, body }, now);
        }
    }
    speaker.flush(now);
    sends(speaker, peer)
}

/// Gives credit until nothing more comes.
fn credit(speaker: &mut Speaker, peer: u32, now: Instant) -> Vec<Bytes> {
    let mut all = Vec::new();
    loop {
        speaker.handle(
            Event::Sent {
                conn: ConnId(peer.into()),
                bytes: usize::MAX,
            },
            now,
        );
        speaker.flush(now);
        let sent = sends(speaker, peer);
        if sent.is_empty() {
            return all;
        }
        all.extend(sent);
    }
}

fn sends(speaker: &mut Speaker, peer: u32) -> Vec<Bytes> {
    let mut all = Vec::new();
    for effect in speaker.drain_effects() {
        if let Effect::Send { conn, bytes } = effect
            && conn == ConnId(peer.into())
        {
            all.push(bytes);
        }
    }
    all
}

fn split(sent: &[Bytes]) -> Vec<(u8, Bytes)> {
    let mut frames = Vec::new();
    for bytes in sent {
        let mut rest = bytes.clone();
        while rest.len() > 4 {
            let length = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            let frame = rest.split_to(4 + length);
            frames.push((frame[4], frame.slice(5..)));
        }
    }
    frames
}

fn node(asn: u32) -> Arc<str> {
    format!("node-{asn}").into()
}

fn organisation(asn: u32) -> Arc<str> {
    format!("org-{asn}").into()
}

fn address(asn: u32) -> SocketAddr {
    let [_, _, high, low] = asn.to_be_bytes();
    SocketAddr::from(([127, 20, high, low], 1790))
}

/// The frames of a peer that offers `routes` names.
fn feed(asn: u32, routes: usize) -> Vec<(u8, Bytes)> {
    let (mut packer, mut bytes) = (Packer::default(), BytesMut::new());
    for set in 0..routes.div_ceil(NAMES_PER_SET) {
        let names: Vec<String> = (0..NAMES_PER_SET).map(|n| long_name(set, n)).collect();
        packer.announce(
            &wire::encode_attrs(&attrs(asn, set)),
            names.iter().map(String::as_str),
            &mut bytes,
        );
    }
    split(&[bytes.freeze()])
}

/// 30 bytes.
fn long_name(set: usize, n: usize) -> String {
    let name = format!("svc-{n}.team-{set:06}.dc1.acme.org");
    assert_eq!(name.len(), 30);
    name
}

fn attrs(asn: u32, set: usize) -> Attrs {
    let set = u32::try_from(set).unwrap_or(u32::MAX);
    Attrs {
        origin: Origin::Igp,
        as_path: vec![asn, 64_000 + set % 1000, 63_000 + set % 7],
        next_hop: address(asn),
        origin_node: OriginNode {
            router_id: RouterId {
                asn: 64_000,
                node: node(asn),
            },
            organisation: organisation(asn),
        },
        local_pref: None,
        med: None,
        communities: vec![asn << 16 | (set & 0xffff), 65_000 << 16 | 1],
        large_communities: vec![(asn, set, 1)],
        originator: None,
        cluster_list: Vec::new(),
        service: Some(ServiceAttr {
            protocol: Protocol::Http,
            path: None,
            weight: 1,
            health: 100,
        }),
        only_to_customer: None,
        tunnel: None,
        unknown: Vec::new(),
    }
}

fn config(asn: u32, peers: &[u32]) -> SpeakerConfig {
    SpeakerConfig {
        identity: OriginNode {
            router_id: RouterId { asn, node: node(asn) },
            organisation: organisation(asn),
        },
        domains: Vec::new(),
        aggregates: Vec::new(),
        internal_communities: Vec::new(),
        reflector: false,
        cluster: node(asn),
        hold_time: Duration::ZERO,
        send_hold_time: None,
        drain: Duration::from_secs(2),
        startup_wait: Duration::from_secs(10),
        ack_wait: Duration::from_secs(1),
        planes: Vec::new(),
        peers: peers.iter().map(|peer| peer_config(*peer)).collect(),
        dynamic_peers: Vec::new(),
    }
}

fn peer_config(asn: u32) -> PeerConfig {
    PeerConfig {
        name: node(asn),
        dynamic: None,
        address: address(asn),
        asn,
        node: None,
        organisation: organisation(asn),
        passive: true,
        families: Families::NAMES,
        client: true,
        next_hop_self: true,
        next_hop: address(0),
        max_routes: None,
        max_update_rate: None,
        max_frame: None,
        graceful_restart: None,
        role: None,
        strict_role: false,
        allowed_next_hops: vec![address(0).ip()],
        allowed_prefixes: PrefixSet::default(),
        import: Some(policy()),
        export: Some(policy()),
        allowed_names: None,
        tunnel: None,
    }
}

/// The policy of the command line: `attributes` does not read names, `names` has a set of a thousand of them.
fn policy() -> Arc<Policy> {
    let asked = std::env::args().nth(2);
    let first = match asked.as_deref() {
        Some("attributes") => Condition::Community(vec![CommunityPattern::Standard(Some(2), None)]),
        Some("names") => {
            let set = (0..1000).map(|n| NamePattern::parse(&format!("no-{n}.example")));
            Condition::Name(set.flatten().collect())
        }
        Some(MEMORY_ONLY | "local_pref") => return Arc::new(set_local_pref()),
        None | Some(_) => return Arc::new(Policy::accept()),
    };
    let path = AsPathPattern::parse("_64999_").into_iter().collect();
    let statements = vec![
        statement("first", vec![first], Vec::new(), Verdict::Reject),
        statement("path", vec![Condition::AsPath(path)], Vec::new(), Verdict::Reject),
        statement(
            "rest",
            Vec::new(),
            vec![Action::AddCommunities(vec![1 << 16 | 1])],
            Verdict::Accept,
        ),
    ];
    Arc::new(Policy::new("bench", statements))
}

fn set_local_pref() -> Policy {
    let actions = vec![Action::SetLocalPref(200)];
    Policy::new("bench", vec![statement("all", Vec::new(), actions, Verdict::Accept)])
}

fn statement(name: &str, conditions: Vec<Condition>, actions: Vec<Action>, verdict: Verdict) -> Statement {
    Statement {
        name: name.into(),
        conditions,
        actions,
        verdict,
    }
}

/// CPU time of this thread: wall time is noise on a shared machine.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Resident memory of this process.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}
