//! Two sessions that dial each other, over a link that delivers in every possible order: exactly one connection
//! survives, the same one on both sides.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::*;

/// One end of the link: 0 or 1. A connection is numbered by the end that dialled it.
type End = usize;

/// Something on its way to an end. What belongs to one connection and end arrives in order.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
enum Parcel {
    Connected,
    Accepted,
    Message(Vec<u8>),
    Closed,
}

#[derive(Debug, Clone, Copy)]
struct Way {
    end: End,
    conn: usize,
    reset: bool,
}

/// Two sessions and what is on its way between them.
#[derive(Debug, Clone)]
struct World {
    sessions: [Session; 2],
    /// By receiving end and connection.
    queues: [[VecDeque<Parcel>; 2]; 2],
    up: [Option<ConnId>; 2],
    downs: usize,
    /// The end whose session is replaced or lost, once.
    may_be_replaced: Option<End>,
    now: Instant,
}

impl World {
    fn new(ids: &[OriginNode; 2], restart_time: Option<Duration>, now: Instant) -> Self {
        let session = |end: End| {
            let config = SessionConfig {
                local: ids[end].clone(),
                peer_asn: ids[1 - end].router_id.asn,
                restart_time,
                ..config()
            };
            Session::new(config, now)
        };
        let mut world = Self {
            sessions: [session(0), session(1)],
            queues: Default::default(),
            up: [None, None],
            downs: 0,
            may_be_replaced: None,
            now,
        };
        world.give(0, SessionEvent::Start);
        world.give(1, SessionEvent::Start);
        world
    }

    fn give(&mut self, end: End, event: SessionEvent) {
        let mut effects = Vec::new();
        self.sessions[end].handle(event, self.now, &mut effects);
        for effect in effects {
            self.apply(end, effect);
        }
    }

    fn apply(&mut self, end: End, effect: SessionEffect) {
        let far = 1 - end;
        match effect {
            SessionEffect::Connect => {
                self.queues[end][end].push_back(Parcel::Connected);
                self.queues[far][end].push_back(Parcel::Accepted);
            }
            SessionEffect::Send(id, message) => {
                let mut bytes = bytes::BytesMut::new();
                crate::wire::encode(&message, &mut bytes);
                self.queues[far][dialler(id)].push_back(Parcel::Message(bytes.to_vec()));
            }
            SessionEffect::Close(id) => self.queues[far][dialler(id)].push_back(Parcel::Closed),
            SessionEffect::Up(up) => self.up[end] = Some(up.conn),
            SessionEffect::Down(down) => {
                self.downs += 1;
                let replaced = self.may_be_replaced == Some(end) && down.keeps_routes && self.downs == 1;
                assert!(
                    !down.was_up || replaced,
                    "an Established session was given up: {down:?}"
                );
            }
            SessionEffect::Update(_) | SessionEffect::EndOfRib(_) | SessionEffect::RouteRefresh(_) => {}
        }
    }

    /// A session without memory in the place of one; what was under way is lost. `told`: the other end's transport
    /// reports the loss, now or later.
    fn restart(&mut self, end: End, told: bool) {
        self.queues = Default::default();
        self.sessions[end] = Session::new(self.sessions[end].config.clone(), self.now);
        self.up[end] = None;
        self.may_be_replaced = Some(1 - end);
        if told {
            self.queues[1 - end][1 - end].push_back(Parcel::Closed);
        }
        self.give(end, SessionEvent::Start);
    }

    /// Every way to go on: the next parcel of a queue arrives, or a reset overtakes what is before it.
    fn ways(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        for (end, conn) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let queue = &self.queues[end][conn];
            let is_open = !matches!(queue.front(), Some(Parcel::Connected | Parcel::Accepted));
            let reset = is_open && queue.len() > 1 && queue.contains(&Parcel::Closed);
            ways.extend((!queue.is_empty()).then_some(Way {
                end,
                conn,
                reset: false,
            }));
            ways.extend(reset.then_some(Way { end, conn, reset }));
        }
        ways
    }

    fn deliver(&mut self, Way { end, conn, reset }: Way) {
        if reset {
            self.queues[end][conn].retain(|parcel| *parcel == Parcel::Closed);
        }
        let Some(parcel) = self.queues[end][conn].pop_front() else {
            return;
        };
        let id = ConnId(u64::try_from(conn).expect("0 or 1"));
        let event = match parcel {
            Parcel::Connected => SessionEvent::Connected(id, address()),
            Parcel::Accepted => SessionEvent::Accepted(id, address()),
            Parcel::Closed => SessionEvent::Closed(id, "closed by the peer".into()),
            Parcel::Message(bytes) => {
                let body = bytes::Bytes::copy_from_slice(&bytes[5..]);
                SessionEvent::Message(id, crate::wire::decode(bytes[4], &body))
            }
        };
        self.give(end, event);
    }

    /// Worlds with equal fingerprints go on alike: the clock stands still.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?} {:?}", self.sessions, self.up).hash(&mut hasher);
        self.queues.hash(&mut hasher);
        hasher.finish()
    }
}

/// A connection has the number of the end that dialled it.
fn dialler(id: ConnId) -> End {
    usize::from(id == ConnId(1))
}

/// Walks every order of delivery; gives the connections that survived, and how many different worlds were seen.
fn survivors(start: World) -> (HashSet<ConnId>, usize) {
    let mut seen = HashSet::new();
    let mut survivors = HashSet::new();
    let mut open = vec![start];
    while let Some(world) = open.pop() {
        let ways = world.ways();
        if ways.is_empty() {
            survivors.insert(survivor(&world));
        }
        for way in ways {
            let mut next = world.clone();
            next.deliver(way);
            if seen.insert(next.fingerprint()) {
                open.push(next);
            }
        }
    }
    (survivors, seen.len())
}

fn survivor(world: &World) -> ConnId {
    for session in &world.sessions {
        assert_eq!(session.state(), State::Established, "{world:#?}");
        if world.may_be_replaced.is_none() {
            assert_eq!(session.last_error(), "", "a collision is no error");
        }
    }
    assert_eq!(world.up[0], world.up[1], "both sides kept the same connection");
    assert_eq!(world.downs, usize::from(world.may_be_replaced.is_some()));
    world.up[0].expect("a connection that is up")
}

#[test]
fn one_connection_survives_whatever_the_order() {
    for ids in [
        [node(1, "a"), node(2, "b")],
        [node(2, "b"), node(1, "a")],
        [node(7, "a"), node(7, "b")],
    ] {
        for restart_time in [None, Some(HOLD)] {
            let (survivors, worlds) = survivors(World::new(&ids, restart_time, Instant::now()));
            // Either may survive: the connection of the lower side, where the other one came too late to collide.
            assert_eq!(survivors, HashSet::from([ConnId(0), ConnId(1)]));
            assert!(worlds > 300, "only {worlds} worlds were seen");
        }
    }
}

/// One end is restarted while the session stands. The other one hears of it at any time, or never, and a new session
/// comes up in every order of events: on the new connection, with the routes kept.
#[test]
fn a_restarted_peer_is_let_in_whatever_the_order() {
    for (asn, told) in [(1, false), (1, true), (3, false), (3, true)] {
        let ids = [node(asn, "a"), node(2, "b")];
        let mut world = World::new(&ids, Some(HOLD), Instant::now());
        while let Some(way) = world.ways().into_iter().find(|way| way.conn == 0) {
            world.deliver(way);
        }
        assert_eq!(
            world.up,
            [Some(ConnId(0)); 2],
            "they are up on the connection that end 0 dialled"
        );
        world.restart(1, told);
        let (survivors, worlds) = survivors(world);
        assert_eq!(survivors, HashSet::from([ConnId(1)]));
        assert!(worlds > 5, "only {worlds} worlds were seen");
    }
}

/// One end commits itself to a connection that the other end leaves without a word: it was restarted, and nothing is heard of
/// the old connection. It is let in at once on the new one, in every order of events.
#[test]
fn a_peer_that_has_left_a_connection_in_open_confirm_is_let_in_whatever_the_order() {
    for (asn, restart_time) in [(1, None), (1, Some(HOLD)), (3, None), (3, Some(HOLD))] {
        let ids = [node(asn, "a"), node(2, "b")];
        let mut world = World::new(&ids, restart_time, Instant::now());
        for (end, conn) in [(0, 0), (1, 0), (0, 0)] {
            world.deliver(Way {
                end,
                conn,
                reset: false,
            });
        }
        assert_eq!(world.sessions[0].state(), State::OpenConfirm);
        world.restart(1, false);
        world.may_be_replaced = None;
        let (survivors, worlds) = survivors(world);
        assert_eq!(survivors, HashSet::from([ConnId(1)]));
        assert!(worlds > 5, "only {worlds} worlds were seen");
    }
}

/// The same where the peer had dialled both, and never hears anything of the first.
#[test]
fn the_keepalive_on_a_newer_connection_ends_one_in_open_confirm() {
    let newer = ConnId(3);
    let mut bench = Bench::in_state(
        State::Active,
        SessionConfig {
            passive: true,
            ..config()
        },
    );
    bench.accepted(IN);
    assert_eq!(words(&bench.message(IN, Message::Open(peer_open()))), "in:keepalive");
    assert_eq!(words(&bench.accepted(newer)), "3:open");
    assert_eq!(bench.message(newer, Message::Open(peer_open())), [], "it is held back");
    assert_eq!(words(&bench.accepted(ConnId(4))), "4:notify:6/7 4:close");
    assert_eq!(
        words(&bench.message(newer, Message::Keepalive)),
        "in:notify:6/7 in:close 3:keepalive 3:up"
    );
    assert_eq!(bench.session.last_error(), "", "a collision is no error");
    let armed: Vec<_> = bench.session.timers().map(|(timer, _)| timer).collect();
    assert_eq!(
        armed,
        [Timer::Hold(Direction::Incoming), Timer::Keepalive(Direction::Incoming)]
    );
}

/// The old connection was only slow: it stays, and the newer one is refused as by an Established session.
#[test]
fn a_keepalive_on_the_old_connection_ends_the_newer_one() {
    for (restart_time, ends) in [(None, "out:up 3:notify:6/7 3:close"), (Some(HOLD), "out:up")] {
        let open = Open {
            graceful_restart: restart_time.map(|time| GracefulRestart {
                restarting: false,
                notification: true,
                restart_time: time,
                families: Vec::new(),
            }),
            ..peer_open()
        };
        let config = SessionConfig {
            restart_time,
            ..config()
        };
        let mut bench = Bench::in_state(State::OpenSent, config);
        bench.message(OUT, Message::Open(open));
        assert_eq!(words(&bench.accepted(ConnId(3))), "3:open");
        assert_eq!(words(&bench.message(OUT, Message::Keepalive)), ends);
    }
}

#[test]
fn a_newer_connection_goes_on_when_the_one_in_open_confirm_ends() {
    let mut bench = Bench::in_state(State::OpenConfirm, config());
    bench.accepted(ConnId(3));
    bench.message(ConnId(3), Message::Open(peer_open()));
    let closed = SessionEvent::Closed(OUT, "reset".into());
    assert_eq!(words(&bench.give(closed)), "3:keepalive");
    assert_eq!(words(&bench.message(ConnId(3), Message::Keepalive)), "3:up");
}

#[test]
fn the_connection_of_the_higher_router_id_survives_where_both_stand() {
    let mut crossing = World::new(&[node(1, "a"), node(2, "b")], None, Instant::now());
    for (end, conn) in [(0, 0), (1, 1), (0, 1), (1, 0)] {
        crossing.deliver(Way {
            end,
            conn,
            reset: false,
        });
    }
    assert_eq!(survivors(crossing).0, HashSet::from([ConnId(1)]));
}

#[test]
fn the_loser_is_told_why() {
    let mut bench = Bench::in_state(
        State::Connect,
        SessionConfig {
            local: node(3, "c"),
            ..config()
        },
    );
    bench.accepted(IN);
    bench.connected();
    let effects = bench.message(OUT, Message::Open(peer_open()));
    assert_eq!(words(&effects), "in:notify:6/7 in:close out:keepalive");
}

#[test]
fn against_an_established_connection_the_new_one_loses() {
    // Also when the peer is the higher side, or has lost its own end and comes back: it waits for the hold time.
    let mut bench = Bench::in_state(State::Established, config());
    assert_eq!(words(&bench.accepted(IN)), "in:notify:6/7 in:close");
    assert_eq!(bench.message(IN, Message::Open(peer_open())), []);
    assert_eq!(bench.session.state(), State::Established);
}
