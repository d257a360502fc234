//! A speaker that feeds a table to a daemon and counts what comes back, in either protocol.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::process::poll;

/// Routes that share one attribute set, for every daemon alike.
pub(super) const ROUTES_PER_SET: u32 = 10;

/// What one message said of routes.
pub(super) struct Counts {
    pub(super) announced: u64,
    pub(super) withdrawn: u64,
}

/// One protocol's bytes. `asn` and `node` tell the speaker's identity.
pub(super) trait Dialect: Clone + Send + 'static {
    /// The message that opens a session.
    fn open(&self, asn: u32) -> Vec<u8>;
    /// The keepalive message.
    fn keepalive(&self) -> Vec<u8>;
    /// UPDATEs for routes `range`, [`ROUTES_PER_SET`] to an attribute set.
    fn announce(&self, asn: u32, ip: IpAddr, range: Range<u32>) -> Vec<u8>;
    /// The length of the first whole message in `bytes`, if it is there.
    fn message_length(&self, bytes: &[u8]) -> Option<usize>;
    /// Whether the message is a keepalive.
    fn is_keepalive(&self, message: &[u8]) -> bool;
    /// The text of a fatal message.
    fn notification(&self, message: &[u8]) -> Option<String>;
    /// What an UPDATE says; zeroes for other messages.
    fn counts(&self, message: &[u8]) -> Counts;
}

/// Totals at the time when a message was read.
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) announced: u64,
    pub(super) withdrawn: u64,
}

/// An established session with the daemon under measurement.
pub(super) struct Session<D> {
    dialect: D,
    stream: TcpStream,
    asn: u32,
    ip: IpAddr,
    seen: mpsc::Receiver<Seen>,
}

impl<D: Dialect> Session<D> {
    /// Dials `daemon` from `ip` until a session stands.
    pub(super) fn establish(dialect: D, ip: IpAddr, daemon: SocketAddr, asn: u32) -> anyhow::Result<Self> {
        let mut outcome = attempt(&dialect, ip, daemon, asn);
        // While the daemon starts, and until it has forgotten a session of the run before.
        let waited = poll("a session", Duration::from_secs(30), || {
            if outcome.is_err() {
                outcome = attempt(&dialect, ip, daemon, asn);
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
            asn,
            ip,
            seen,
        })
    }

    /// Announces routes `range`.
    pub(super) fn announce(&mut self, range: Range<u32>) -> anyhow::Result<()> {
        let bytes = self.dialect.announce(self.asn, self.ip, range);
        self.stream.write_all(&bytes).context("the daemon closed the session")
    }

    /// Bytes on the wire that [`Session::announce`] would send.
    pub(super) fn wire_bytes(&self, range: Range<u32>) -> usize {
        self.dialect.announce(self.asn, self.ip, range).len()
    }

    /// Waits until `done` holds for the totals seen so far; returns the time of the message that made it hold.
    pub(super) fn wait(&self, limit: Duration, mut done: impl FnMut(&Seen) -> bool) -> anyhow::Result<Instant> {
        loop {
            let seen = self
                .seen
                .recv_timeout(limit)
                .context("the expected routes did not arrive")?;
            if done(&seen) {
                return Ok(seen.at);
            }
        }
    }

    /// Forgets what has been seen until now.
    pub(super) fn forget(&self) {
        while self.seen.try_recv().is_ok() {}
    }

    /// Ends the session by closing the socket.
    pub(super) fn close(self) {
        // Closed by the other side already: nothing to end.
        drop(self.stream.shutdown(std::net::Shutdown::Both));
    }
}

fn attempt<D: Dialect>(dialect: &D, ip: IpAddr, daemon: SocketAddr, asn: u32) -> anyhow::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(daemon), socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(ip, 0).into())?;
    socket.connect(&daemon.into())?;
    socket.set_tcp_nodelay(true)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&dialect.open(asn))?;
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

fn read_all<D: Dialect>(dialect: &D, mut stream: TcpStream, seen: &mpsc::Sender<Seen>) {
    let (mut buffer, mut filled) = (vec![0; 1 << 20], 0);
    let (mut announced, mut withdrawn) = (0, 0);
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer[filled..]) else {
            return;
        };
        let at = Instant::now();
        filled += count;
        let mut start = 0;
        while let Some(length) = dialect.message_length(&buffer[start..filled]) {
            let Some(message) = buffer[..filled].get(start..start + length) else {
                break;
            };
            let counts = dialect.counts(message);
            announced += counts.announced;
            withdrawn += counts.withdrawn;
            start += length;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if seen
            .send(Seen {
                at,
                announced,
                withdrawn,
            })
            .is_err()
        {
            return;
        }
    }
}
