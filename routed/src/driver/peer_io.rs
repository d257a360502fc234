//! Sockets of the peering protocol: framing, reading, writing, dialling, listening. No routing logic.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use catalyst_core::event::{ConnId, Event, PeerName};
use catalyst_core::wire;
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::codec::{Decoder, FramedRead};

use super::handle::{Input, SpeakerHandle};

/// Read buffer of a connection in bytes: a few full frames.
const READ_BUFFER: usize = 256 * 1024;
/// Frames handed to the Speaker at once.
const FRAMES_PER_BATCH: usize = 512;
/// Bound on one dialling attempt.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Bound on flushing what was queued before a connection is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after `accept` failed (out of descriptors): it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Frames of one connection in the order of arrival.
pub(super) struct Frames {
    pub(super) conn: ConnId,
    pub(super) frames: Vec<Frame>,
}

/// One item of the frame stream.
pub(super) enum Frame {
    /// A whole frame: type and body.
    Whole(u8, Bytes),
    /// The claimed length is out of bounds; the stream ends here.
    Bad(u32),
}

/// Splits the byte stream into frames; checks the length before anything is allocated for it.
struct FrameCodec {
    broken: bool,
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = std::io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, Self::Error> {
        if self.broken {
            src.clear();
            return Ok(None);
        }
        let Some(prefix) = src.first_chunk::<4>() else {
            return Ok(None);
        };
        let Ok(length) = wire::frame_length(prefix) else {
            self.broken = true;
            return Ok(Some(Frame::Bad(u32::from_be_bytes(*prefix))));
        };
        if src.len() < 4 + length {
            src.reserve(4 + length - src.len());
            return Ok(None);
        }
        let mut frame = src.split_to(4 + length).freeze().split_off(4);
        let kind = frame.split_to(1)[0];
        Ok(Some(Frame::Whole(kind, frame)))
    }
}

/// A connection as the Speaker's task holds it.
pub(super) struct Connection {
    /// Unbounded on purpose: the Speaker's send window bounds what is in it, and the Speaker must never wait.
    outgoing: mpsc::UnboundedSender<Bytes>,
    reader: AbortHandle,
    writer: JoinHandle<()>,
}

impl Connection {
    /// Starts reading and writing.
    pub(super) fn start(conn: ConnId, stream: TcpStream, speaker: &SpeakerHandle) -> Self {
        // Latency over packet count: an UPDATE leaves when it is packed. A failure shows at the first write.
        drop(stream.set_nodelay(true));
        let (read, write) = stream.into_split();
        let (outgoing, queue) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read_frames(conn, read, speaker.clone())).abort_handle();
        let writer = tokio::spawn(write_frames(conn, write, queue, speaker.clone()));
        Self {
            outgoing,
            reader,
            writer,
        }
    }

    /// Queues whole frames.
    pub(super) fn send(&self, bytes: Bytes) {
        // A writer that has ended has reported Closed already.
        drop(self.outgoing.send(bytes));
    }

    /// Stops reading; flushes what is queued, bounded, in the background.
    pub(super) fn close(self) -> JoinHandle<()> {
        self.reader.abort();
        drop(self.outgoing);
        let writer = self.writer;
        tokio::spawn(async move {
            let abort = writer.abort_handle();
            if tokio::time::timeout(CLOSE_TIMEOUT, writer).await.is_err() {
                abort.abort();
            }
        })
    }
}

async fn read_frames(conn: ConnId, read: OwnedReadHalf, speaker: SpeakerHandle) {
    let framed = FramedRead::with_capacity(read, FrameCodec { broken: false }, READ_BUFFER);
    let mut chunks = framed.ready_chunks(FRAMES_PER_BATCH);
    let mut reason: Arc<str> = "the peer closed the connection".into();
    while let Some(chunk) = chunks.next().await {
        let mut frames = Vec::with_capacity(chunk.len());
        let mut failed = None;
        for item in chunk {
            match item {
                Ok(frame) => frames.push(frame),
                Err(error) => failed = Some(error),
            }
        }
        if !frames.is_empty() && speaker.send(Input::Frames(Frames { conn, frames })).await.is_err() {
            return;
        }
        if let Some(error) = failed {
            reason = format!("reading failed: {error}").into();
            break;
        }
    }
    // Gone: the daemon is stopping, nobody needs to know.
    drop(speaker.event(Event::Closed { conn, reason }).await);
}

async fn write_frames(
    conn: ConnId,
    mut write: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    speaker: SpeakerHandle,
) {
    while let Some(bytes) = queue.recv().await {
        let length = bytes.len();
        if let Err(error) = write.write_all(&bytes).await {
            let reason = format!("writing failed: {error}").into();
            drop(speaker.event(Event::Closed { conn, reason }).await);
            return;
        }
        if speaker.event(Event::Sent { conn, bytes: length }).await.is_err() {
            break;
        }
    }
    while let Ok(bytes) = queue.try_recv() {
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
    drop(write.shutdown().await);
}

/// Dials a peer from its configured source address and reports the outcome to the Speaker.
pub(super) async fn dial(peer: PeerName, address: SocketAddr, source: Option<IpAddr>, speaker: SpeakerHandle) {
    let attempt = tokio::time::timeout(DIAL_TIMEOUT, connect(address, source)).await;
    let input = match attempt {
        Ok(Ok(stream)) => Input::Dialled(peer, stream),
        Ok(Err(error)) => failed(peer, &format!("{address}: {error}")),
        Err(_) => failed(peer, &format!("{address}: no answer in {DIAL_TIMEOUT:?}")),
    };
    drop(speaker.send(input).await);
}

fn failed(peer: PeerName, error: &str) -> Input {
    Input::Event(Event::ConnectFailed {
        peer,
        error: error.into(),
    })
}

async fn connect(address: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(ip) = source {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    socket.connect(address).await
}

/// Binds the peering listener.
///
/// # Errors
/// The address is in use or not ours.
pub(super) fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // A restart must not wait for connections of the last run in TIME-WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Hands every incoming connection to the Speaker, for ever.
pub(super) async fn accept(listener: TcpListener, speaker: SpeakerHandle) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if speaker.send(Input::Incoming(stream)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
