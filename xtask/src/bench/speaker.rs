//! A speaker that feeds a table to a daemon and counts what comes back, in either protocol.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::net::Net;
use super::process::poll;

/// Routes that share one attribute set, for every daemon alike.
pub(super) const ROUTES_PER_SET: u32 = 10;

/// What a message says of one route, which is told by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Announced(u32),
    Withdrawn(u32),
}

/// One protocol's bytes. `asn` and `node` tell the speaker's identity.
pub(super) trait Dialect: Clone + Send + 'static {
    /// The message that opens a session.
    fn open(&self, asn: u32) -> Vec<u8>;
    /// The keepalive message.
    fn keepalive(&self) -> Vec<u8>;
    /// UPDATEs for routes `range`, [`ROUTES_PER_SET`] to an attribute set.
    fn announce(&self, who: Who, range: Range<u32>) -> Vec<u8>;
    /// The length of the first whole message in `bytes`, if it is there.
    fn message_length(&self, bytes: &[u8]) -> Option<usize>;
    /// Whether the message is a keepalive.
    fn is_keepalive(&self, message: &[u8]) -> bool;
    /// The text of a fatal message.
    fn notification(&self, message: &[u8]) -> Option<String>;
    /// What an UPDATE says, in order; nothing of other messages.
    fn changes(&self, message: &[u8], each: impl FnMut(Change));
}

/// One of our own speakers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    pub(super) ip: Ipv4Addr,
    pub(super) asn: u32,
    /// What tells its paths from those of other speakers beside its AS: from 1 on, paths are longer for some routes.
    pub(super) variant: u32,
}

impl Who {
    /// The AS path of an attribute set, the same in every protocol.
    pub(super) fn as_path(self, set: u32) -> Vec<u32> {
        let longer = if self.variant == 0 {
            0
        } else {
            (self.variant * 7 + set) % 4
        };
        let mut path = vec![self.asn, 3000 + set % 5000, 20_000 + (set / 5000) % 40_000];
        path.extend((0..longer).map(|hop| 4000 + hop));
        path
    }
}

/// The community that the import policy of every daemon looks for: on half of the sets.
pub(super) const PREFERRED: [u16; 2] = [65_000, 100];

/// The communities of an attribute set, the same in every protocol.
pub(super) fn communities(set: u32) -> [u32; 2] {
    let [asn, preferred] = PREFERRED.map(u32::from);
    let group = (asn << 16) | (preferred + u32::from(set.is_multiple_of(2)));
    [((64_000 + (set >> 16)) << 16) | (set & 0xffff), group]
}

/// What had come when a message was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) at: Instant,
    /// Routes that are announced and not withdrawn. A daemon may say the same twice.
    pub(super) held: u64,
    /// One more than the highest number of a route that was ever announced.
    pub(super) reached: u32,
    /// UPDATEs that said something of routes.
    pub(super) updates: u64,
    pub(super) bytes: u64,
}

/// An established session with the daemon under measurement.
pub(super) struct Session<D> {
    dialect: D,
    stream: TcpStream,
    who: Who,
    seen: mpsc::Receiver<Seen>,
    last: Seen,
}

impl<D: Dialect> Session<D> {
    /// Dials `daemon` until a session stands.
    pub(super) fn establish(dialect: D, net: &Net, who: Who, daemon: SocketAddr) -> anyhow::Result<Self> {
        let mut outcome = attempt(&dialect, net, who, daemon);
        // While the daemon starts, and until it has forgotten a session of the run before.
        let waited = poll("a session", Duration::from_secs(60), || {
            if outcome.is_err() {
                outcome = attempt(&dialect, net, who, daemon);
            }
            Ok(outcome.is_ok())
        });
        let stream = match (outcome, waited) {
            (Ok(stream), _) => stream,
            (Err(error), Ok(())) => return Err(error),
            (Err(error), Err(timeout)) => return Err(error.context(timeout)),
        };
        let (sender, seen) = mpsc::channel();
        let (reader, codec) = (stream.try_clone()?, dialect.clone());
        thread::spawn(move || read_all(&codec, reader, &sender));
        Ok(Self {
            dialect,
            stream,
            who,
            seen,
            last: Seen::nothing(),
        })
    }

    /// The UPDATEs that announce routes `range`.
    pub(super) fn updates(&self, range: Range<u32>) -> Vec<u8> {
        self.dialect.announce(self.who, range)
    }

    /// Sends messages.
    pub(super) fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).context("the daemon closed the session")
    }

    /// Waits until `done` holds for the totals seen so far; returns those that made it hold.
    pub(super) fn wait(&mut self, limit: Duration, done: impl Fn(&Seen) -> bool) -> anyhow::Result<Seen> {
        while !done(&self.last) {
            let next = self.seen.recv_timeout(limit);
            self.last = next.context("the expected routes did not arrive")?;
        }
        Ok(self.last)
    }

    /// The totals until now.
    pub(super) fn totals(&mut self) -> Seen {
        while let Ok(next) = self.seen.try_recv() {
            self.last = next;
        }
        self.last
    }

    /// Ends the session by closing the socket.
    pub(super) fn close(self) {
        // Closed by the other side already: nothing to end.
        drop(self.stream.shutdown(std::net::Shutdown::Both));
    }
}

fn attempt<D: Dialect>(dialect: &D, net: &Net, who: Who, daemon: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = net.connect(who.ip, daemon)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&dialect.open(who.asn))?;
    // Its OPEN, then its KEEPALIVE.
    let open = read_message(dialect, &mut stream)?;
    if let Some(text) = dialect.notification(&open) {
        bail!("the daemon refused the session: {text}");
    }
    stream.write_all(&dialect.keepalive())?;
    let confirm = read_message(dialect, &mut stream)?;
    if !dialect.is_keepalive(&confirm) {
        bail!("the daemon refused the session: {:?}", dialect.notification(&confirm));
    }
    stream.set_read_timeout(None)?;
    Ok(stream)
}

fn read_message<D: Dialect>(dialect: &D, stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut message = Vec::new();
    let mut byte = [0];
    while dialect
        .message_length(&message)
        .is_none_or(|length| message.len() < length)
    {
        stream.read_exact(&mut byte)?;
        message.push(byte[0]);
    }
    Ok(message)
}

fn read_all<D: Dialect>(dialect: &D, mut stream: TcpStream, totals: &mpsc::Sender<Seen>) {
    let (mut buffer, mut filled) = (vec![0; 1 << 18], 0);
    let (mut seen, mut table) = (Seen::nothing(), Table::default());
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer[filled..]) else {
            return;
        };
        seen.at = Instant::now();
        filled += count;
        let mut start = 0;
        while let Some(length) = dialect.message_length(&buffer[start..filled]) {
            let Some(message) = buffer[..filled].get(start..start + length) else {
                break;
            };
            let mut says_something = false;
            dialect.changes(message, |change| {
                table.apply(change);
                says_something = true;
            });
            if says_something {
                seen.updates += 1;
                seen.bytes += length as u64;
            }
            start += length;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        (seen.held, seen.reached) = (table.count, table.reached);
        if totals.send(seen).is_err() {
            return;
        }
    }
}

impl Seen {
    fn nothing() -> Self {
        Self {
            at: Instant::now(),
            held: 0,
            reached: 0,
            updates: 0,
            bytes: 0,
        }
    }
}

/// The routes that a session has brought.
#[derive(Debug, Default)]
struct Table {
    held: Vec<bool>,
    count: u64,
    reached: u32,
}

impl Table {
    fn apply(&mut self, change: Change) {
        let (route, holds) = match change {
            Change::Announced(route) => {
                self.reached = self.reached.max(route + 1);
                (route as usize, true)
            }
            Change::Withdrawn(route) => (route as usize, false),
        };
        if route >= self.held.len() {
            self.held.resize(route + 1, false);
        }
        let held = std::mem::replace(&mut self.held[route], holds);
        self.count = self.count + u64::from(holds) - u64::from(held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_counts_once() {
        let mut table = Table::default();
        for change in [
            Change::Announced(7),
            Change::Announced(7),
            Change::Announced(3),
            Change::Withdrawn(7),
            Change::Withdrawn(7),
            Change::Withdrawn(90),
        ] {
            table.apply(change);
        }
        assert_eq!((table.count, table.reached), (1, 8));
    }
}
