//! Peers that are to be told the same are sent the very same bytes; each of the others gets its own, which are those that
//! it would get if it were the only one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use catalyst_core::event::{ConnId, Effect, Event, LocalService, SpeakerConfig};
use catalyst_core::policy::{Action, Condition, NamePattern, Policy, Statement, Verdict};
use catalyst_core::speaker::Speaker;
use catalyst_core::wire::{Families, Message, Open, VERSION, encode, kind};

use super::config::{Who, address, each_its_own, name, network, node_name, service};

/// More than a frame of the shortest limit holds, in names that share no text.
const MANY: u32 = 2000;

/// A node in the middle, number 0, and what it has sent to each of the others since they were last asked.
struct Hub {
    speaker: Speaker,
    sent: BTreeMap<u64, Vec<Bytes>>,
    now: Instant,
}

/// The hub of a star of so many others, each with an AS and an organisation of its own.
fn star(others: usize) -> SpeakerConfig {
    let edges: Vec<_> = (1..=others).map(|other| (0, other)).collect();
    network(&each_its_own(others + 1), &edges).remove(0)
}

fn policy(conditions: Vec<Condition>, actions: Vec<Action>) -> Option<Arc<Policy>> {
    let statement = Statement {
        name: "#1".into(),
        conditions,
        actions,
        verdict: Verdict::Accept,
    };
    Some(Arc::new(Policy::new("p", vec![statement])))
}

fn offers(weight: u16) -> impl Iterator<Item = Event> {
    let long = |n: u32| format!("{:0>60}.{:0>60}.example", n.wrapping_mul(2_654_435_761), n);
    (0..MANY).map(move |n| {
        let offer = service(&long(n));
        Event::ServiceAdd(LocalService { weight, ..offer })
    })
}

impl Hub {
    /// All of these are up, the hub's own address as each of them sees it being `local`.
    fn up(config: SpeakerConfig, local: impl Fn(usize) -> SocketAddr) -> Self {
        let now = Instant::now();
        let others = config.peers.len();
        let mut hub = Self {
            speaker: Speaker::new(config, now),
            sent: BTreeMap::new(),
            now,
        };
        hub.speaker.start(now);
        for (other, who) in each_its_own(others + 1).iter().enumerate().skip(1) {
            hub.join(other, who, local(other));
        }
        hub.flush();
        // END-OF-RIB, which does not wait for what is offered next.
        hub.now += Duration::from_secs(20);
        hub.batch([Event::Timeout]);
        hub.take();
        hub
    }

    fn join(&mut self, other: usize, who: &Who, local: SocketAddr) {
        let conn = ConnId(other as u64);
        let remote = SocketAddr::new(address(other), 40_000);
        self.speaker.handle(Event::Accepted { conn, local, remote }, self.now);
        let open = Message::Open(Open {
            version: VERSION,
            asn: who.asn,
            node: node_name(other).into(),
            organisation: who.organisation.clone(),
            hold_time: Duration::ZERO,
            families: Families::ALL.iter().collect(),
            route_refresh: true,
            role: None,
            graceful_restart: None,
        });
        for message in [open, Message::Keepalive] {
            let mut frame = BytesMut::new();
            encode(&message, &mut frame);
            let (kind, body) = (frame[4], frame.freeze().slice(5..));
            self.speaker.handle(Event::Frame { conn, kind, body }, self.now);
        }
    }

    fn batch(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.speaker.handle(event, self.now);
        }
        self.flush();
    }

    fn flush(&mut self) {
        self.speaker.flush(self.now);
        for effect in self.speaker.drain_effects() {
            if let Effect::Send { conn, bytes } = effect {
                self.sent.entry(conn.0).or_default().push(bytes);
            }
        }
        assert_eq!(self.speaker.audit(), Vec::<String>::new());
    }

    /// What each was sent, which has reached all of them but `except`.
    fn take_except(&mut self, except: u64) -> BTreeMap<u64, Vec<Bytes>> {
        let sent = std::mem::take(&mut self.sent);
        let reached = sent.iter().filter(|(conn, _)| **conn != except);
        for (conn, bytes) in reached {
            let (conn, bytes) = (ConnId(*conn), bytes.iter().map(Bytes::len).sum());
            self.speaker.handle(Event::Sent { conn, bytes }, self.now);
        }
        sent
    }

    fn take(&mut self) -> BTreeMap<u64, Vec<Bytes>> {
        self.take_except(0)
    }

    fn pending(&self, other: usize) -> u64 {
        let peers = self.speaker.peers(self.now);
        let name = node_name(other);
        peers.iter().find(|peer| *peer.name == *name).unwrap().pending
    }
}

fn here(_: usize) -> SocketAddr {
    SocketAddr::new(address(0), 1790)
}

/// What the only peer of a hub that knows nobody else would be sent of these batches.
fn alone(config: &SpeakerConfig, other: usize, local: SocketAddr, batches: &[u16]) -> Vec<Vec<Bytes>> {
    let mut config = config.clone();
    config.peers.retain(|peer| *peer.name == *node_name(other));
    let now = Instant::now();
    let mut hub = Hub {
        speaker: Speaker::new(config, now),
        sent: BTreeMap::new(),
        now,
    };
    hub.speaker.start(now);
    hub.join(other, &each_its_own(other + 1)[other], local);
    hub.flush();
    hub.now += Duration::from_secs(20);
    hub.batch([Event::Timeout]);
    hub.take();
    let told = batches.iter().map(|weight| {
        hub.batch(offers(*weight));
        hub.take().remove(&(other as u64)).unwrap_or_default()
    });
    told.collect()
}

/// Whether both were sent the same buffers, not only equal ones.
fn are_shared(one: &[Bytes], other: &[Bytes]) -> bool {
    let places = |sent: &[Bytes]| {
        sent.iter()
            .map(|bytes| (bytes.as_ptr(), bytes.len()))
            .collect::<Vec<_>>()
    };
    !one.is_empty() && places(one) == places(other)
}

/// The lengths of the UPDATEs in what was sent.
fn updates(sent: &[Bytes]) -> Vec<usize> {
    let mut lengths = Vec::new();
    for mut rest in sent.iter().map(|bytes| &bytes[..]) {
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if after[0] == kind::UPDATE {
                lengths.push(4 + length);
            }
            rest = &after[length..];
        }
    }
    lengths
}

#[test]
fn peers_that_are_told_the_same_are_sent_the_very_same_bytes() {
    let mut hub = Hub::up(star(5), here);
    hub.batch(offers(1));
    let announced = hub.take();
    hub.batch((0..10).map(|n| Event::ServiceAdd(service(&format!("svc-{n}.example")))));
    let changed = hub.take();
    hub.batch((0..10).map(|n| Event::ServiceRemove(name(&format!("svc-{n}.example")))));
    let withdrawn = hub.take();
    for (what, sent) in [("announced", announced), ("changed", changed), ("withdrawn", withdrawn)] {
        assert_eq!(sent.len(), 5, "{what}");
        for other in 2..=5 {
            assert!(
                are_shared(&sent[&1], &sent[&other]),
                "{what}: {other} got bytes of its own"
            );
        }
    }
}

#[test]
fn a_peer_with_another_policy_limit_or_next_hop_gets_its_own_bytes_and_the_right_ones() {
    let mut config = star(7);
    let reads_names = vec![Condition::Name(vec![NamePattern::parse("*.example").unwrap()])];
    config.peers[2].max_frame = Some(40_960);
    config.peers[3].export = policy(Vec::new(), vec![Action::AddCommunities(vec![7])]);
    config.peers[5].export = policy(reads_names, vec![Action::AddCommunities(vec![8])]);
    config.peers[6].export = policy(Vec::new(), vec![Action::AddCommunities(vec![7])]);
    // The fifth is reached from another address of ours, which is the next hop that it is told.
    let local = |other: usize| SocketAddr::new(address(if other == 5 { 9 } else { 0 }), 1790);
    let mut hub = Hub::up(config.clone(), local);
    let told: Vec<_> = [1, 2]
        .map(|weight| {
            hub.batch(offers(weight));
            hub.take()
        })
        .into();
    for sent in &told {
        let shared: Vec<_> = (1..=7)
            .flat_map(|one| (one + 1..=7).map(move |other| (one, other)))
            .filter(|(one, other)| are_shared(&sent[one], &sent[other]))
            .collect();
        assert_eq!(shared, [(1, 2), (4, 7)], "and no others");
        let longest = |other: u64| updates(&sent[&other]).into_iter().max().unwrap();
        assert!(
            longest(1) > 60_000 && longest(3) <= 40_960,
            "{} {}",
            longest(1),
            longest(3)
        );
    }
    for other in 1..=7 {
        let sent: Vec<_> = told.iter().map(|sent| sent[&(other as u64)].clone()).collect();
        let alone = alone(&config, other, local(other), &[1, 2]);
        assert!(sent == alone, "{other} gets other bytes than if it were the only one");
    }
}

#[test]
fn a_slow_peer_leaves_its_group_and_holds_nobody_back() {
    let mut hub = Hub::up(star(4), here);
    let slow = 3;
    let mut rounds_shared = 0;
    for weight in 1..=12 {
        hub.batch(offers(weight));
        let sent = hub.take_except(slow);
        let is_shared = |other: u64| sent.get(&other).is_some_and(|bytes| are_shared(&sent[&1], bytes));
        rounds_shared += u64::from(is_shared(slow));
        for other in [2, 4] {
            assert!(is_shared(other), "round {weight}");
        }
        assert_eq!([1, 2, 4].map(|other| hub.pending(other)), [0; 3], "round {weight}");
    }
    assert!(
        (2..12).contains(&rounds_shared),
        "the slow one was one of the group for {rounds_shared} rounds"
    );
    let waiting = hub.pending(3);
    assert!(
        waiting > 0 && waiting <= u64::from(MANY),
        "{waiting} names wait, each once"
    );
    // It catches up with what counts by now, once for each name.
    let conn = ConnId(slow);
    let bytes = usize::MAX;
    hub.batch([Event::Sent { conn, bytes }]);
    assert_eq!(hub.pending(3), 0);
    assert_eq!(hub.sent.keys().copied().collect::<Vec<_>>(), [slow]);
    hub.batch([Event::Sent { conn, bytes }]);
    hub.take();
    hub.batch(offers(20));
    let sent = hub.take();
    assert!(are_shared(&sent[&1], &sent[&slow]), "it is one of the group again");
}
