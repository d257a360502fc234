//! Events from the input.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use catalyst_core::attrs::{GRACEFUL_SHUTDOWN, Protocol};
use catalyst_core::event::{ConnId, Event, LocalPrefix, LocalService, PlaneReport};
use catalyst_core::operate::{Operation, PeerAct};
use catalyst_core::route::{Destination, Endpoint, PlaneStatus};
use catalyst_core::wire::{Message, encode};

use super::super::input::Input;
use super::config::{self, NAMES, PEERS, PLANES, PREFIXES, address, name, peer_name, prefix, tunnel_addresses, who};
use super::driven::hex;
use super::{World, frames};

impl World {
    /// The next event, or a short line of them.
    pub(super) fn next(&mut self, input: &mut Input<'_>) {
        match input.below(32) {
            0 => self.answer_dial(input, true),
            1 => self.answer_dial(input, false),
            2 => drop(self.accept(input.below(PEERS + 1), input.below(2))),
            3 => self.close(input),
            4..=8 => self.frames(input, false),
            9 => self.frames(input, true),
            10 => self.raw_frame(input),
            11 => self.bad_frame(input),
            12 => self.sent(input),
            13 => self.pass(Duration::from_secs(60)),
            14 => self.listeners(input),
            15 => self.pass(Duration::from_millis(1 << (input.byte() & 15))),
            16 | 17 => self.service(input),
            18 => self.prefix(input),
            19 => self.plane(input),
            20 => self.plane_report(input),
            21 => self.next_hop(input),
            22 => self.reconfigure(input),
            23 => self.one_peer(input),
            24 => self.operate(input),
            25..=27 => self.bring_up(input),
            28 => self.batched = input.byte() & 15,
            29 => self.all_sent(),
            30 => self.settle_planes(),
            _ => self.maybe_stop(input),
        }
    }

    fn answer_dial(&mut self, input: &mut Input<'_>, success: bool) {
        if self.dials.is_empty() {
            return;
        }
        let peer = self.dials.remove(input.below(self.dials.len()));
        if !success {
            let error = "refused".into();
            return self.give(Event::ConnectFailed { peer, error });
        }
        let index = (0..PEERS).find(|index| peer_name(*index) == peer).unwrap();
        let conn = self.connect(index);
        self.give(Event::Connected {
            peer,
            conn,
            local: our_end(index),
            remote: SocketAddr::new(address(index), 1790),
        });
    }

    fn connect(&mut self, index: usize) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.conns.insert(conn, index);
        conn
    }

    /// From a peer, or (`index` past the last one) from a stranger.
    fn accept(&mut self, index: usize, local: usize) -> ConnId {
        let conn = self.connect(index);
        self.give(Event::Accepted {
            conn,
            local: our_end(local),
            remote: SocketAddr::new(address(index), 40_000),
        });
        conn
    }

    fn some_conn(&self, input: &mut Input<'_>) -> Option<(ConnId, usize)> {
        let conns: Vec<_> = self.conns.iter().map(|(conn, index)| (*conn, *index)).collect();
        (!conns.is_empty()).then(|| input.pick(&conns))
    }

    fn close(&mut self, input: &mut Input<'_>) {
        if let Some((conn, _)) = self.some_conn(input) {
            let reason = "reset".into();
            self.give(Event::Closed { conn, reason });
        }
    }

    fn frames(&mut self, input: &mut Input<'_>, damaged: bool) {
        let Some((conn, index)) = self.some_conn(input) else {
            return;
        };
        let mut frames = frames::of_peer(index.min(PEERS - 1), input);
        if damaged {
            frames::damage(&mut frames, input);
        }
        self.deliver(conn, frames);
    }

    /// As the driver reads them.
    fn deliver(&mut self, conn: ConnId, mut stream: BytesMut) {
        use catalyst_core::wire::{Framed, Framing};
        let mut framing = Framing::default();
        while let Some(framed) = framing.take(&mut stream) {
            self.give(match framed {
                Framed::Whole { kind, body } => Event::Frame { conn, kind, body },
                Framed::Bad(length) => Event::BadFrame { conn, length },
            });
        }
    }

    fn raw_frame(&mut self, input: &mut Input<'_>) {
        if let Some((conn, _)) = self.some_conn(input) {
            let kind = input.byte() & 7;
            let length = usize::from(input.byte());
            let body = Bytes::copy_from_slice(input.bytes(length));
            self.give(Event::Frame { conn, kind, body });
        }
    }

    fn bad_frame(&mut self, input: &mut Input<'_>) {
        if let Some((conn, _)) = self.some_conn(input) {
            self.give(Event::BadFrame { conn, length: 0 });
        }
    }

    fn sent(&mut self, input: &mut Input<'_>) {
        if let Some((conn, _)) = self.some_conn(input) {
            let bytes = usize::from(input.short());
            self.give(Event::Sent { conn, bytes });
        }
    }

    fn heard(&mut self, input: &mut Input<'_>) {
        if let Some((conn, _)) = self.some_conn(input) {
            self.give(Event::Heard { conn });
        }
    }

    fn all_sent(&mut self) {
        for conn in self.conns.keys().copied().collect::<Vec<_>>() {
            let bytes = self.observed.unsent(conn);
            self.give(Event::Sent { conn, bytes });
        }
    }

    fn service(&mut self, input: &mut Input<'_>) {
        let text = NAMES[input.below(NAMES.len())];
        if input.below(3) == 0 {
            return self.give(Event::ServiceRemove(name(text)));
        }
        let protocol = Protocol::ALL[input.below(4)];
        self.give(Event::ServiceAdd(LocalService {
            name: name(text),
            protocol,
            path: None,
            weight: input.byte().into(),
            endpoints: vec![Endpoint {
                host: "127.0.0.1".into(),
                port: 4001,
                weight: 1,
            }],
            communities: some_communities(input),
            large_communities: Vec::new(),
            med: None,
        }));
    }

    fn prefix(&mut self, input: &mut Input<'_>) {
        let prefix = prefix(PREFIXES[input.below(PREFIXES.len())]);
        if input.below(3) == 0 {
            return self.give(Event::PrefixRemove(prefix));
        }
        self.give(Event::PrefixAdd(LocalPrefix {
            prefix,
            communities: some_communities(input),
            large_communities: Vec::new(),
            med: None,
        }));
    }

    fn plane(&mut self, input: &mut Input<'_>) {
        let plane = input.below(PLANES.len());
        if self.planes.remove(&plane) {
            self.give(Event::PlaneDown(PLANES[plane].into()));
        } else {
            self.planes.insert(plane);
            self.give(Event::PlaneUp(PLANES[plane].into()));
        }
    }

    fn plane_report(&mut self, input: &mut Input<'_>) {
        let plane = input.below(PLANES.len());
        let version = self.observed.version.saturating_sub(input.byte().into());
        let status = |input: &mut Input<'_>| match input.below(3) {
            0 => PlaneStatus::Pending("busy".into()),
            1 => PlaneStatus::Programmed,
            _ => PlaneStatus::Rejected("no".into()),
        };
        let statuses = (0..input.below(4)).map(|_| (destination(input), status(input)));
        let statuses = statuses.collect();
        self.report(plane, version, statuses);
    }

    pub(super) fn report(&mut self, plane: usize, version: u64, statuses: Vec<(Destination, PlaneStatus)>) {
        self.give(Event::PlaneReport(PlaneReport {
            plane: PLANES[plane].into(),
            version,
            statuses,
        }));
    }

    fn settle_planes(&mut self) {
        for (plane, name) in PLANES.into_iter().enumerate() {
            if self.planes.insert(plane) {
                self.give(Event::PlaneUp(name.into()));
            }
            self.report(plane, self.observed.version, Vec::new());
        }
    }

    fn listeners(&mut self, input: &mut Input<'_>) {
        let plane = PLANES[input.below(PLANES.len())].into();
        let organisations = (0..PEERS).map(|index| who(index).2);
        let closed = organisations.filter(|_| input.below(3) == 0);
        let closed = closed
            .map(|organisation| (organisation.into(), "in use".into()))
            .collect();
        self.give(Event::Listeners { plane, closed });
    }

    fn next_hop(&mut self, input: &mut Input<'_>) {
        let (at, usable) = (input.below(2 * PEERS), input.bit());
        if at >= PEERS {
            let [address, _] = tunnel_addresses(at - PEERS).map(|prefix| prefix.address());
            return self.give(Event::Tunnel { address, up: usable });
        }
        let address = SocketAddr::new(address(at), 10_000);
        self.give(Event::NextHop { address, usable });
    }

    fn reconfigure(&mut self, input: &mut Input<'_>) {
        let before = input.0;
        let config = config::speaker(input);
        self.word = hex(before, input);
        let event = Event::Reconfigure(Box::new(config));
        self.give_configured(event, &self.word.clone());
    }

    fn one_peer(&mut self, input: &mut Input<'_>) {
        let index = input.below(PEERS);
        if input.below(3) == 0 {
            return self.give(Event::PeerRemove(peer_name(index)));
        }
        let before = input.0;
        let peer = config::peer(index, input);
        let word = format!("{index}-{}", hex(before, input));
        self.give_configured(Event::PeerAdd(Box::new(peer)), &word);
    }

    fn operate(&mut self, input: &mut Input<'_>) {
        let peer = peer_name(input.below(PEERS + 1));
        let message = "an operator's words".into();
        let act = match input.below(8) {
            0 => PeerAct::Disable { message },
            1..=3 => PeerAct::Enable,
            4 | 5 => PeerAct::Refresh,
            hard => PeerAct::Reset {
                message,
                hard: hard == 6,
            },
        };
        self.give(Event::Operate(Operation { peer, act }));
    }

    /// A session as it should be: most of what there is to find is beyond it.
    fn bring_up(&mut self, input: &mut Input<'_>) {
        let index = input.below(PEERS + 1);
        let flags = input.short();
        let conn = self.accept(index, 0);
        if !self.conns.contains_key(&conn) {
            return;
        }
        // Nothing in it that its configuration refuses, save a role.
        let open = frames::open(index.min(PEERS - 1), flags & !0b111);
        let mut frames = BytesMut::new();
        encode(&Message::Open(open), &mut frames);
        encode(&Message::Keepalive, &mut frames);
        self.deliver(conn, frames);
    }

    /// Rarely: what comes after it is of little interest.
    fn maybe_stop(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            1 => self.give(Event::Leave),
            2 => self.give(Event::Shutdown("maintenance".into())),
            3..=20 => self.heard(input),
            _ => {}
        }
    }
}

fn our_end(index: usize) -> SocketAddr {
    SocketAddr::new([[127, 8, 0, 1], [127, 8, 0, 2]][index % 2].into(), 1790)
}

fn destination(input: &mut Input<'_>) -> Destination {
    if input.bit() {
        name(NAMES[input.below(NAMES.len())]).into()
    } else {
        prefix(PREFIXES[input.below(PREFIXES.len())]).into()
    }
}

fn some_communities(input: &mut Input<'_>) -> Vec<u32> {
    match input.below(4) {
        0 => vec![7 << 16 | 1],
        1 => vec![GRACEFUL_SHUTDOWN],
        _ => Vec::new(),
    }
}
