//! Dynamic peers: who calls from a prefix and says what is expected is a peer for as long as its session lasts; who says
//! nothing, too little or the wrong thing costs next to nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalyst_core::event::{ConnId, DynamicPeers, Effect, Event, GracefulRestartConfig, SpeakerConfig};
use catalyst_core::policy::Policy;
use catalyst_core::speaker::Speaker;
use catalyst_core::view::PeerAction;

use super::config::{Who, address, each_its_own, name, one_as, peer, plane, speaker};
use super::net::Net;
use super::preview;

fn range(who: &Who) -> DynamicPeers {
    let mut template = peer(0, who);
    template.name = "edge".into();
    DynamicPeers {
        name: "edge".into(),
        prefix: "127.9.0.0/24".parse().unwrap(),
        asns: vec![65000..=65100],
        max_peers: 100,
        template,
    }
}

/// Node 0 takes callers; the others call it.
fn star(who: &[Who], dynamic: DynamicPeers) -> Vec<SpeakerConfig> {
    let mut configs: Vec<SpeakerConfig> = (0..who.len()).map(|index| speaker(index, &who[index])).collect();
    configs[0].dynamic_peers = vec![dynamic];
    for config in &mut configs[1..] {
        config.peers.push(peer(0, &who[0]));
    }
    configs
}

/// The peers of node 0, with their states.
fn peers(net: &Net) -> Vec<String> {
    let views = net.nodes[0].speaker.peers(net.now);
    views
        .iter()
        .map(|it| format!("{} {} {}", it.name, it.asn, it.state))
        .collect()
}

#[test]
fn callers_become_peers_and_hear_of_each_other() {
    let who = one_as(3);
    let mut configs = star(&who, range(&who[0]));
    configs[0].reflector = true;
    configs[0].planes = vec![plane("envoy", true)];
    let mut net = Net::new(configs, 1);
    net.acknowledging = true;
    (0..3).for_each(|node| net.start_node(node));
    net.offer(1, "x.acme");
    net.rest();
    assert_eq!(
        peers(&net),
        ["edge-127.9.0.2 65000 Established", "edge-127.9.0.3 65000 Established"]
    );
    let shown = &net.nodes[0].speaker.peers(net.now)[0];
    assert_eq!(
        (shown.dynamic.as_deref(), shown.node.as_deref()),
        (Some("edge"), Some("n001"))
    );
    assert!(net.selected(2, "x.acme").is_some());
    net.crash(1);
    net.rest();
    assert_eq!(
        peers(&net),
        ["edge-127.9.0.3 65000 Established"],
        "it went with its session"
    );
    assert!(net.paths(2, "x.acme").is_empty());
    net.start_node(1);
    net.offer(1, "x.acme");
    net.rest();
    assert_eq!(peers(&net).len(), 2);
    assert!(net.selected(2, "x.acme").is_some());
}

#[test]
fn who_is_not_expected_is_told_why() {
    let who = each_its_own(3);
    let mut dynamic = range(&Who::new(0, "org-1"));
    dynamic.asns = vec![65002..=65002, 65010..=65020];
    let mut configs = star(&who, dynamic);
    configs[0].planes = vec![plane("envoy", false)];
    let mut net = Net::up(configs, 1);
    assert_eq!(peers(&net), ["edge-127.9.0.2 65002 Established"]);
    let told = net.peer_view(2, 0).last_error;
    assert!(told.contains("expected AS 65002, 65010-65020, got AS 65003"), "{told}");
    net.reconfigure(0, |config| config.dynamic_peers[0].asns = vec![65001..=65100]);
    net.rest();
    let told = net.peer_view(2, 0).last_error;
    assert!(told.contains("expected organisation org-1, got org-2"), "{told}");
    assert_eq!(peers(&net).len(), 1, "and is no peer");
    net.reconfigure(0, |config| {
        config.dynamic_peers[0].prefix = "127.9.0.0/31".parse().unwrap();
    });
    net.rest();
    let told = net.peer_view(1, 0).last_error;
    assert!(told.contains("127.9.0.2 is not a configured peer"), "{told}");
    assert!(peers(&net).is_empty());
}

#[test]
fn there_are_at_most_so_many() {
    let who = one_as(4);
    let mut dynamic = range(&who[0]);
    dynamic.max_peers = 2;
    let mut net = Net::up(star(&who, dynamic), 1);
    assert_eq!(peers(&net).len(), 2);
    let told = net.peer_view(3, 0).last_error;
    assert!(told.contains("edge has 2 peers, which is its limit"), "{told}");
    net.crash(1);
    net.rest();
    assert!(
        peers(&net).contains(&"edge-127.9.0.4 65000 Established".to_owned()),
        "{:?}",
        peers(&net)
    );
}

#[test]
fn their_configuration_changes_under_them_and_ends_them() {
    let who = each_its_own(3);
    let mut dynamic = range(&Who::new(0, "org-1"));
    dynamic.asns = vec![65002..=65003];
    let mut configs = star(&who[..2], dynamic);
    configs[0].planes = vec![plane("envoy", false)];
    let mut net = Net::up(configs, 1);
    net.offer(0, "x.example");
    net.rest();
    assert!(net.selected(1, "x.example").is_some());
    let opened = net.nodes[0].routes[&name("x.example").into()].exported_to().clone();
    assert_eq!(opened.iter().map(|it| &**it).collect::<Vec<_>>(), ["org-1"]);

    let mut new = net.nodes[0].config.clone();
    new.dynamic_peers[0].template.export = Some(Arc::new(Policy::reject()));
    let touched = net.nodes[0].speaker.peer_changes(&new);
    assert_eq!(
        touched
            .iter()
            .map(|it| (it.action, it.keys.clone()))
            .collect::<Vec<_>>(),
        [(PeerAction::Keep, vec!["export"])]
    );
    preview::check(&mut net, 0, |config| *config = new);
    net.rest();
    assert!(net.paths(1, "x.example").is_empty());
    assert_eq!(net.peer_view(1, 0).established_count, 1, "with no reset");

    net.reconfigure(0, |config| config.peers.push(peer(1, &who[1])));
    net.rest();
    assert_eq!(
        peers(&net),
        ["n001 65002 Established"],
        "it is configured by itself now"
    );
    assert!(net.selected(1, "x.example").is_some());
}

#[test]
fn a_restart_is_survived_and_the_end_of_its_time_is_not() {
    let who = one_as(3);
    let graceful = Some(GracefulRestartConfig {
        restart_time: Duration::from_secs(30),
        stale_time: Duration::from_secs(60),
    });
    let mut dynamic = range(&who[0]);
    dynamic.template.graceful_restart = graceful;
    let mut configs = star(&who, dynamic);
    configs[1].peers[0].graceful_restart = graceful;
    configs[1].hold_time = Duration::from_secs(3);
    configs[0].hold_time = Duration::from_secs(3);
    let mut net = Net::up(configs, 1);
    net.offer(1, "x.acme");
    net.run_ms(2000);
    net.crash(1);
    net.run_ms(10_000);
    assert_eq!(peers(&net).len(), 2, "{:?}", peers(&net));
    assert!(net.selected(0, "x.acme").is_some_and(|path| path.stale));
    net.start_node(1);
    net.offer(1, "x.acme");
    net.run_ms(10_000);
    assert!(net.selected(0, "x.acme").is_some_and(|path| !path.stale));
    net.crash(1);
    net.run_ms(100_000);
    assert_eq!(peers(&net), ["edge-127.9.0.3 65000 Established"]);
    assert!(net.paths(0, "x.acme").is_empty());
}

/// A Speaker that takes callers from 127.9.0.0/16, with the time at hand.
struct Door {
    speaker: Speaker,
    now: std::time::Instant,
    next: u64,
}

impl Door {
    fn new() -> Self {
        let who = one_as(1);
        let mut configs = star(&who, range(&who[0]));
        configs[0].dynamic_peers[0].prefix = "127.0.0.0/8".parse().unwrap();
        let now = std::time::Instant::now();
        let mut speaker = Speaker::new(configs.remove(0), now);
        speaker.start(now);
        speaker.flush(now);
        Self { speaker, now, next: 0 }
    }

    fn event(&mut self, event: Event) -> Vec<Effect> {
        self.speaker.handle(event, self.now);
        self.speaker.flush(self.now);
        self.speaker.drain_effects().collect()
    }

    fn call(&mut self, ip: [u8; 4]) -> Vec<ConnId> {
        self.next += 1;
        let remote = SocketAddr::from((ip, 40_000));
        let local = SocketAddr::new(address(0), 1790);
        let conn = ConnId(self.next);
        closed(&self.event(Event::Accepted { conn, local, remote }))
    }
}

fn closed(effects: &[Effect]) -> Vec<ConnId> {
    let close = |effect: &Effect| {
        if let Effect::Close { conn } = effect {
            Some(*conn)
        } else {
            None
        }
    };
    effects.iter().filter_map(close).collect()
}

#[test]
fn who_says_nothing_is_let_go_and_makes_room() {
    let mut door = Door::new();
    for n in 0..=255u8 {
        assert!(door.call([127, 1, 0, n]).is_empty());
    }
    assert_eq!(
        door.call([127, 1, 1, 1]),
        [ConnId(1)],
        "the one that waits longest goes"
    );
    assert_eq!(door.call([127, 1, 1, 1]), [ConnId(257)], "an address waits once");
    let reason = "gone".into();
    assert!(
        door.event(Event::Closed {
            conn: ConnId(2),
            reason
        })
        .is_empty()
    );
    assert!(door.call([127, 1, 1, 2]).is_empty());
    let due = door.speaker.poll_timeout().unwrap();
    assert!(due <= door.now + Duration::from_secs(5));
    door.now += Duration::from_secs(5);
    let effects = door.event(Event::Timeout);
    assert_eq!(closed(&effects).len(), 256);
    assert_eq!(door.speaker.poll_timeout(), None);
    assert!(door.speaker.peers(door.now).is_empty());
}

#[test]
fn what_is_no_open_ends_the_call() {
    let mut door = Door::new();
    for (kind, body) in [(3u8, &[][..]), (1, &[1, 2, 3]), (77, &[]), (2, &[0])] {
        door.call([127, 1, 0, 1]);
        let conn = ConnId(door.next);
        let body = Bytes::copy_from_slice(body);
        assert_eq!(closed(&door.event(Event::Frame { conn, kind, body })), [conn], "{kind}");
        assert!(
            door.event(Event::Frame {
                conn,
                kind,
                body: Bytes::new()
            })
            .is_empty(),
            "what comes after it is not heard"
        );
    }
    door.call([127, 1, 0, 1]);
    let conn = ConnId(door.next);
    assert_eq!(closed(&door.event(Event::BadFrame { conn, length: u32::MAX })), [conn]);
    door.call([127, 1, 0, 1]);
    assert_eq!(closed(&door.event(Event::Leave)), [ConnId(door.next)], "goodbye");
}
