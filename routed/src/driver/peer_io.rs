//! Sockets of the peering protocol: framing, reading, writing, dialling, listening. No routing logic.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use catalyst_core::event::{ConnId, Event, PeerName};
use catalyst_core::wire::{Framed, Framing};
use socket2::{SockRef, Socket};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::codec::Decoder;

use super::handle::{Gone, Input, SpeakerHandle, Transport};
use super::ttl_security;

/// Read buffer of a connection in bytes: a few full frames.
const READ_BUFFER: usize = 256 * 1024;
/// The same before the first frame.
const FIRST_BUFFER: usize = 2 * 1024;
/// What of one connection may wait for the Speaker, in bytes: with more it is not read further, and others go on.
const WINDOW: usize = 2 * READ_BUFFER;
/// What a batch of frames counts at least, so that small ones do not fill the queue to the Speaker.
const LEAST_BATCH: usize = WINDOW / 16;
/// Frames handed to the Speaker at once.
const FRAMES_PER_BATCH: usize = 512;
/// Bound on one dialling attempt.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Bound on flushing what was queued before a connection is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the progress of a slow write is reported.
const PROGRESS: Duration = Duration::from_secs(1);
/// Pause after `accept` failed (out of descriptors): it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Frames of one connection in the order of arrival.
pub(super) struct Frames {
    pub(super) conn: ConnId,
    pub(super) frames: Vec<Framed>,
    /// Their part of the connection's window; given back once they are handled.
    pub(super) window: OwnedSemaphorePermit,
}

/// What a frame counts in the window, in bytes.
fn length(frame: &Framed) -> usize {
    match frame {
        Framed::Whole { body, .. } => 5 + body.len(),
        Framed::Bad(_) => 4,
    }
}

/// Splits the byte stream into frames.
#[derive(Default)]
struct FrameCodec(Framing);

impl Decoder for FrameCodec {
    type Item = Framed;
    type Error = std::io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Framed>, Self::Error> {
        Ok(self.0.take(src))
    }
}

/// A connection as the Speaker's task holds it.
pub(super) struct Connection {
    /// Unbounded on purpose: the Speaker's send window bounds what is in it, and the Speaker must never wait.
    outgoing: mpsc::UnboundedSender<Bytes>,
    /// Nothing is read before this instant.
    paused_until: watch::Sender<Instant>,
    read: Arc<OwnedReadHalf>,
    /// The bytes that may still be read before the Speaker has handled what was.
    window: Arc<Semaphore>,
    reader: AbortHandle,
    writer: JoinHandle<()>,
    /// Of one that came in: its place among those that may.
    place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Starts reading and writing.
    pub(super) fn start(
        conn: ConnId,
        stream: TcpStream,
        place: Option<OwnedSemaphorePermit>,
        speaker: &SpeakerHandle,
    ) -> Self {
        // Latency over packet count: an UPDATE leaves when it is packed. A failure shows at the first write.
        drop(stream.set_nodelay(true));
        let (read, write) = stream.into_split();
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (paused_until, pause) = watch::channel(Instant::now());
        let (read, window) = (Arc::new(read), Arc::new(Semaphore::new(WINDOW)));
        let reading = Reading {
            frames: FrameReader::new(Arc::clone(&read)),
            window: Arc::clone(&window),
            pause,
        };
        let reader = tokio::spawn(read_frames(conn, reading, speaker.clone())).abort_handle();
        let writer = tokio::spawn(write_frames(conn, write, queue, speaker.clone()));
        Self {
            outgoing,
            paused_until,
            read,
            window,
            reader,
            writer,
            place,
        }
    }

    /// Whether something has come from the peer that the Speaker has not been told of: it waits in its queue or in the
    /// socket. Then it is this side that is slow, and the peer is not silent.
    pub(super) fn has_unheard(&self) -> bool {
        let socket = SockRef::from((*self.read).as_ref());
        self.window.available_permits() < WINDOW
            || socket.peek(&mut [MaybeUninit::uninit()]).is_ok_and(|count| count > 0)
    }

    /// Queues whole frames.
    pub(super) fn send(&self, bytes: Bytes) {
        // A writer that has ended has reported Closed already.
        drop(self.outgoing.send(bytes));
    }

    /// Reads nothing more before `until`.
    pub(super) fn pause(&self, until: Instant) {
        self.paused_until.send_replace(until);
    }

    /// Stops reading; flushes what is queued, bounded, in the background.
    pub(super) fn close(self) -> JoinHandle<()> {
        self.reader.abort();
        let Self { writer, place, .. } = self;
        tokio::spawn(async move {
            let _place = place;
            let abort = writer.abort_handle();
            if tokio::time::timeout(CLOSE_TIMEOUT, writer).await.is_err() {
                abort.abort();
            }
        })
    }
}

/// What a connection is read with.
struct Reading {
    frames: FrameReader,
    window: Arc<Semaphore>,
    pause: watch::Receiver<Instant>,
}

/// Waits until reading may go on.
async fn pass(pause: &mut watch::Receiver<Instant>) {
    loop {
        let until = *pause.borrow_and_update();
        if until <= Instant::now() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            changed = pause.changed() => if changed.is_err() { return },
        }
    }
}

async fn read_frames(conn: ConnId, mut reading: Reading, speaker: SpeakerHandle) {
    let reason: Arc<str> = loop {
        match reading.frames.next().await {
            Ok(frames) if frames.is_empty() => break "the peer closed the connection".into(),
            Ok(frames) => {
                let Some(window) = take(&reading.window, &frames).await else {
                    return;
                };
                let frames = Frames { conn, frames, window };
                if speaker.send(Input::Frames(frames)).await.is_err() {
                    return;
                }
            }
            Err(error) => break format!("reading failed: {error}").into(),
        }
        pass(&mut reading.pause).await;
    };
    // Gone: the daemon is stopping, nobody needs to know.
    drop(speaker.event(Event::Closed { conn, reason }).await);
}

/// Waits for a batch of frames to fit into the window. `None`: never, since no window is ever closed.
async fn take(window: &Arc<Semaphore>, frames: &[Framed]) -> Option<OwnedSemaphorePermit> {
    let length: usize = frames.iter().map(length).sum();
    let cost = u32::try_from(length.clamp(LEAST_BATCH, WINDOW)).ok()?;
    Arc::clone(window).acquire_many_owned(cost).await.ok()
}

/// Reads frames in batches. Until the first frame is there its buffer is small: whoever calls and says nothing, or a byte
/// a second, costs little.
struct FrameReader {
    read: Arc<OwnedReadHalf>,
    codec: FrameCodec,
    buffer: BytesMut,
    /// How much the buffer is to hold.
    room: usize,
}

impl FrameReader {
    fn new(read: Arc<OwnedReadHalf>) -> Self {
        Self {
            read,
            codec: FrameCodec::default(),
            buffer: BytesMut::new(),
            room: FIRST_BUFFER,
        }
    }

    /// The frames that are there, at least one; none: the stream has ended.
    async fn next(&mut self) -> std::io::Result<Vec<Framed>> {
        loop {
            let mut frames = Vec::new();
            while frames.len() < FRAMES_PER_BATCH
                && let Some(frame) = self.codec.decode(&mut self.buffer)?
            {
                frames.push(frame);
            }
            if !frames.is_empty() {
                self.room = READ_BUFFER;
                return Ok(frames);
            }
            if self.buffer.capacity() - self.buffer.len() < self.room / 4 {
                self.buffer.reserve(self.room);
            }
            if self.read_more().await? == 0 {
                return Ok(frames);
            }
        }
    }

    async fn read_more(&mut self) -> std::io::Result<usize> {
        loop {
            self.read.readable().await?;
            match self.read.try_read_buf(&mut self.buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

async fn write_frames(
    conn: ConnId,
    mut write: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    speaker: SpeakerHandle,
) {
    while let Some(bytes) = queue.recv().await {
        match write_all(conn, &mut write, bytes, &speaker).await {
            Ok(Ok(())) => {}
            Ok(Err(Gone)) => break,
            Err(error) => {
                let reason = format!("writing failed: {error}").into();
                drop(speaker.event(Event::Closed { conn, reason }).await);
                return;
            }
        }
    }
    while let Ok(bytes) = queue.try_recv() {
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
    drop(write.shutdown().await);
}

/// Writes everything and reports it as sent: at its end, and meanwhile where that takes long, since a peer that reads slowly
/// is no peer that does not read.
async fn write_all(
    conn: ConnId,
    write: &mut OwnedWriteHalf,
    mut rest: Bytes,
    speaker: &SpeakerHandle,
) -> std::io::Result<Result<(), Gone>> {
    let (mut unreported, mut reported) = (0, Instant::now());
    while !rest.is_empty() {
        let count = write.write(&rest).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        rest.advance(count);
        unreported += count;
        if rest.is_empty() || reported.elapsed() >= PROGRESS {
            let bytes = std::mem::take(&mut unreported);
            reported = Instant::now();
            if let Err(gone) = speaker.event(Event::Sent { conn, bytes }).await {
                return Ok(Err(gone));
            }
        }
    }
    Ok(Ok(()))
}

/// Dials a peer as it is configured and reports the outcome to the Speaker.
pub(super) async fn dial(peer: PeerName, address: SocketAddr, transport: Transport, speaker: SpeakerHandle) {
    let attempt = tokio::time::timeout(DIAL_TIMEOUT, connect(address, transport)).await;
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

async fn connect(address: SocketAddr, transport: Transport) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(ip) = transport.source {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    if let Some(hops) = transport.ttl_security {
        ttl_security::guard(&socket, address.ip(), hops)?;
    }
    socket.connect(address).await
}

/// Binds the socket of the peering listener.
///
/// # Errors
/// The address is in use or not ours.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<Socket> {
    let domain = socket2::Domain::for_address(address);
    let socket = Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // A restart must not wait for connections of the last run in TIME-WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // The answer to a call leaves before it is known whose it is: full TTL, for those who listen to nothing less.
    ttl_security::send_with_full_ttl(&socket, address.ip())?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whoever calls from now on waits to be accepted.
///
/// # Errors
/// The address is in use.
pub(super) fn listen(socket: Socket) -> std::io::Result<std::net::TcpListener> {
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Hands every incoming connection to the Speaker, for ever, as far as there are places. The others wait in the kernel.
pub(super) async fn accept(listener: Arc<TcpListener>, places: Arc<Semaphore>, speaker: SpeakerHandle) {
    let mut failing = false;
    // They are never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                failing = false;
                if speaker.send(Input::Incoming(stream, place)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "accepting a connection failed; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
