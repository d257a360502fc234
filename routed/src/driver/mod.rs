//! Drives the Speaker: one task owns it, takes events from bounded queues, carries out its effects. No routing logic.

mod handle;
mod peer_io;
mod planes;
mod say;
mod ttl_filter;
mod ttl_security;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalyst_core::event::{ConnId, Effect, Event, LocalRoute, PeerConfig, PeerName, SpeakerConfig};
use catalyst_core::route::Destination;
use catalyst_core::speaker::Speaker;
use catalyst_core::wire::Framed;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};

use crate::descriptors;
pub use handle::{Gone, Goodbye, Reconfiguration, SpeakerHandle, Transport, Transports};
use handle::{Input, SpeakerEnds};
use peer_io::{Connection, Frames};
pub use planes::{PlaneFeeds, PlaneLoops, PlaneSettings, Planes, start_planes};
use say::Sayings;
pub use ttl_filter::{Guard, Source};

/// Inputs taken in before the Speaker selects and sends: batching only under backlog.
const BATCH: usize = 256;
/// Bound on flushing goodbyes to peers at shutdown; the whole exit takes less than 2 s.
const GOODBYE: Duration = Duration::from_millis(1200);

/// What the driver needs beyond the Speaker's own configuration.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    /// The Speaker's configuration.
    pub speaker: SpeakerConfig,
    /// What is offered from the start.
    pub offers: Vec<LocalRoute>,
    /// The peering listener; `None`: only dial.
    pub listen: Option<SocketAddr>,
    /// How connections to peers are made.
    pub transports: Transports,
    /// Where connections come from.
    pub callers: Vec<Source>,
}

/// The routing thread: a single-threaded runtime of its own, so that no data plane's work delays an UPDATE.
pub struct Driver {
    handle: SpeakerHandle,
    thread: std::thread::JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl Driver {
    /// Binds the listener and starts the routing thread. Routes go to `feeds`.
    ///
    /// # Errors
    /// The listener's address cannot be bound, or the thread cannot be started.
    pub fn start(config: DriverConfig, channel: DriverChannel, feeds: PlaneFeeds) -> anyhow::Result<Self> {
        let bind = |address| bind(address, &config.callers);
        let listener = config.listen.map(bind).transpose()?;
        let handle = channel.handle.clone();
        let (alive, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("routing".into()).spawn(move || {
            runtime.block_on(run(config, channel, feeds, listener));
            // Dropped in a panic, too: that is what `ended` waits for.
            drop(alive);
        })?;
        Ok(Self { handle, thread, ended })
    }

    /// Says goodbye to every peer, flushes, ends the thread. The data planes are left as they are.
    pub async fn shutdown(self, goodbye: Goodbye) {
        // Gone: it has ended already.
        drop(self.handle.send(Input::Shutdown(goodbye)).await);
        let joined = tokio::task::spawn_blocking(move || self.thread.join());
        if tokio::time::timeout(GOODBYE + Duration::from_millis(200), joined)
            .await
            .is_err()
        {
            tracing::warn!("the routing thread did not end in time");
        }
    }

    /// Waits for the routing thread to end on its own, which it does only by a bug.
    ///
    /// # Errors
    /// Always.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        // The sender is dropped, never used.
        drop((&mut self.ended).await);
        anyhow::bail!("the routing thread has ended")
    }
}

/// The queue to the Speaker, made before the driver so that the data planes can report into it.
pub struct DriverChannel {
    handle: SpeakerHandle,
    ends: SpeakerEnds,
}

impl DriverChannel {
    /// A fresh queue.
    #[must_use]
    pub fn new() -> Self {
        let (handle, ends) = handle::channel();
        Self { handle, ends }
    }

    /// The sending side.
    #[must_use]
    pub fn handle(&self) -> SpeakerHandle {
        self.handle.clone()
    }
}

impl Default for DriverChannel {
    fn default() -> Self {
        Self::new()
    }
}

fn bind(address: SocketAddr, callers: &[Source]) -> anyhow::Result<std::net::TcpListener> {
    let cannot = |error| anyhow::anyhow!("peering.listen: cannot listen on {address}: {error}");
    let socket = peer_io::bind(address).map_err(cannot)?;
    // Before anybody can call.
    guard(&socket, callers);
    peer_io::listen(socket).map_err(cannot)
}

/// From who is too far away nothing is heard (RFC 5082).
fn guard(listener: &impl AsFd, callers: &[Source]) {
    let guard = Guard::of(callers.to_vec());
    if let Err(error) = ttl_security::put_on(listener, &guard) {
        tracing::warn!(%error, "the peering listener cannot be guarded: TTL security counts from when a connection is accepted");
    }
}

async fn run(config: DriverConfig, channel: DriverChannel, feeds: PlaneFeeds, listener: Option<std::net::TcpListener>) {
    let listener = listener.and_then(|listener| match TcpListener::from_std(listener) {
        Ok(listener) => Some(Arc::new(listener)),
        Err(error) => {
            tracing::error!(%error, "the peering listener cannot be used");
            None
        }
    });
    if let Some(listener) = &listener {
        let places = Arc::new(Semaphore::new(descriptors::for_incoming()));
        drop(tokio::spawn(peer_io::accept(
            Arc::clone(listener),
            places,
            channel.handle.clone(),
        )));
    }
    let DriverChannel { handle, ends } = channel;
    let mut routing = Routing::new(config, handle, ends.changed, feeds, listener);
    let goodbye = routing.run(ends.inputs).await;
    routing.say_goodbye(goodbye).await;
}

/// Where each peer is dialled.
type Targets = BTreeMap<PeerName, SocketAddr>;

fn targets(config: &SpeakerConfig) -> Targets {
    let target = |peer: &PeerConfig| (peer.name.clone(), peer.address);
    config.peers.iter().map(target).collect()
}

/// The Speaker and everything that its effects act on.
struct Routing {
    speaker: Speaker,
    handle: SpeakerHandle,
    changed: broadcast::Sender<Arc<Vec<Destination>>>,
    feeds: PlaneFeeds,
    listener: Option<Arc<TcpListener>>,
    connections: HashMap<ConnId, Connection>,
    next_conn: u64,
    targets: Targets,
    transports: Transports,
    sayings: Sayings,
}

impl Routing {
    fn new(
        config: DriverConfig,
        handle: SpeakerHandle,
        changed: broadcast::Sender<Arc<Vec<Destination>>>,
        feeds: PlaneFeeds,
        listener: Option<Arc<TcpListener>>,
    ) -> Self {
        let targets = targets(&config.speaker);
        let now = Instant::now();
        let mut speaker = Speaker::new(config.speaker, now);
        speaker.start(now);
        for route in config.offers {
            speaker.handle(Event::from(route), now);
        }
        Self {
            speaker,
            handle,
            changed,
            feeds,
            listener,
            connections: HashMap::new(),
            next_conn: 0,
            targets,
            transports: config.transports,
            sayings: Sayings::default(),
        }
    }

    /// Takes batches of inputs until shutdown.
    async fn run(&mut self, mut inputs: mpsc::Receiver<Input>) -> Goodbye {
        let mut batch = Vec::with_capacity(BATCH);
        self.flush();
        loop {
            tokio::select! {
                biased;
                count = inputs.recv_many(&mut batch, BATCH) => if count == 0 { return Goodbye::ForNow },
                () = wait_until(self.speaker.poll_timeout()) => {}
            }
            self.speaker.watch(self.changed.receiver_count() > 0);
            for input in batch.drain(..) {
                if let Input::Shutdown(goodbye) = input {
                    return goodbye;
                }
                self.take(input);
            }
            self.run_timers(Instant::now());
            self.flush();
        }
    }

    /// Also between two batches of a flood: a peer that sends without a pause must not keep us from what is due to others.
    fn run_timers(&mut self, now: Instant) {
        if self.speaker.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        for conn in self.speaker.silent(now) {
            if self.connections.get(&conn).is_some_and(Connection::has_unheard) {
                self.speaker.handle(Event::Heard { conn }, now);
            }
        }
        self.speaker.handle(Event::Timeout, now);
    }

    fn take(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Event(event) => self.event(event, now),
            Input::Frames(frames) => self.frames(frames, now),
            Input::Dialled(peer, stream) => self.dialled(peer, stream, now),
            Input::Incoming(stream, place) => self.incoming(stream, place, now),
            Input::Query(run) => {
                // What was asked before this question counts in its answer.
                self.flush();
                run(&mut self.speaker, now);
            }
            Input::Reconfigure(change, done) => {
                self.reconfigure(*change, now);
                if done.send(()).is_err() {
                    tracing::debug!("nobody waits for the configuration to be in force");
                }
            }
            Input::NeedReset(plane) => self.feeds.send_to(&plane, self.speaker.reset()),
            Input::Shutdown(_) => {}
        }
    }

    fn reconfigure(&mut self, change: Reconfiguration, now: Instant) {
        self.targets = targets(&change.speaker);
        self.transports = change.transports;
        if let Some(listener) = &self.listener {
            guard(listener, &change.callers);
        }
        self.speaker.handle(Event::Reconfigure(Box::new(change.speaker)), now);
        for event in change.offers {
            self.speaker.handle(event, now);
        }
        self.flush();
    }

    fn event(&mut self, event: Event, now: Instant) {
        if let Event::Closed { conn, .. } = &event
            && let Some(connection) = self.connections.remove(conn)
        {
            connection.close();
        }
        if let Event::ConnectFailed { peer, error } = &event {
            self.sayings.connect_failed(peer, error);
        }
        self.speaker.handle(event, now);
    }

    fn frames(&mut self, Frames { conn, frames, window }: Frames, now: Instant) {
        for frame in frames {
            let event = match frame {
                Framed::Whole { kind, body } => Event::Frame { conn, kind, body },
                Framed::Bad(length) => Event::BadFrame { conn, length },
            };
            self.speaker.handle(event, now);
        }
        drop(window);
    }

    fn dialled(&mut self, peer: PeerName, stream: TcpStream, now: Instant) {
        let event = match addresses(&stream) {
            Ok((local, remote)) => Event::Connected {
                peer,
                conn: self.adopt(stream, None),
                local,
                remote,
            },
            Err(error) => Event::ConnectFailed {
                peer,
                error: error.to_string().into(),
            },
        };
        self.speaker.handle(event, now);
    }

    fn incoming(&mut self, stream: TcpStream, place: OwnedSemaphorePermit, now: Instant) {
        // An error means that the other side is gone again.
        let Ok((local, remote)) = addresses(&stream) else {
            return;
        };
        let key = self.speaker.key_of(remote.ip());
        let guarded = match key.and_then(|key| self.transports.get(key)?.ttl_security) {
            Some(hops) => ttl_security::guard(&stream, remote.ip(), hops),
            None => Ok(()),
        };
        ttl_security::take_off(&stream);
        if let Err(error) = guarded {
            tracing::error!(%remote, %error, "connection refused: no TTL security");
        } else {
            let conn = self.adopt(stream, Some(place));
            self.speaker.handle(Event::Accepted { conn, local, remote }, now);
        }
    }

    fn adopt(&mut self, stream: TcpStream, place: Option<OwnedSemaphorePermit>) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let connection = Connection::start(conn, stream, place, &self.handle);
        self.connections.insert(conn, connection);
        conn
    }

    fn flush(&mut self) {
        self.speaker.flush(Instant::now());
        let effects: Vec<Effect> = self.speaker.drain_effects().collect();
        for effect in effects {
            self.carry_out(effect);
        }
        let changed = self.speaker.take_watched();
        if !changed.is_empty() {
            // No receiver: the last watcher has just left.
            drop(self.changed.send(Arc::new(changed)));
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { peer } => self.dial(peer),
            Effect::Send { conn, bytes } => {
                if let Some(connection) = self.connections.get(&conn) {
                    connection.send(bytes);
                }
            }
            Effect::Close { conn } => {
                if let Some(connection) = self.connections.remove(&conn) {
                    connection.close();
                }
            }
            Effect::Routes(update) => self.feeds.send(&update),
            Effect::SessionUp { peer } => self.sayings.session_up(&peer),
            Effect::SessionDown {
                peer,
                was_up,
                reason,
                routes_kept,
            } => {
                self.sayings.session_down(&peer, was_up, &reason);
                if let Some(time) = routes_kept {
                    tracing::info!(%peer, ?time, "its routes are kept for it to come back");
                }
            }
            Effect::Pause { conn, until } => {
                if let Some(connection) = self.connections.get(&conn) {
                    connection.pause(until);
                }
            }
            Effect::Notice { peer, text } => tracing::info!(%peer, "{text}"),
            Effect::Warning { peer, text } => tracing::warn!(%peer, "{text}"),
            Effect::Refused { remote, reason } => self.sayings.connection_refused(remote, &reason, Instant::now()),
        }
    }

    fn dial(&self, peer: PeerName) {
        if let Some(address) = self.targets.get(&peer) {
            let transport = self.transports.get(&peer).copied().unwrap_or_default();
            tokio::spawn(peer_io::dial(peer, *address, transport, self.handle.clone()));
        }
    }

    /// NOTIFICATION Cease to every peer, flushed within a bound.
    async fn say_goodbye(mut self, goodbye: Goodbye) {
        let event = match goodbye {
            Goodbye::ForNow => Event::Leave,
            Goodbye::ForGood(words) => Event::Shutdown(words),
        };
        self.speaker.handle(event, Instant::now());
        self.speaker.flush(Instant::now());
        let mut closing = Vec::new();
        let effects: Vec<Effect> = self.speaker.drain_effects().collect();
        for effect in effects {
            match effect {
                Effect::Send { conn, bytes } => {
                    if let Some(connection) = self.connections.get(&conn) {
                        connection.send(bytes);
                    }
                }
                // The data planes serve on as they are.
                Effect::Close { .. } | Effect::Connect { .. } | Effect::Routes(_) => {}
                Effect::SessionUp { .. }
                | Effect::SessionDown { .. }
                | Effect::Pause { .. }
                | Effect::Notice { .. }
                | Effect::Warning { .. }
                | Effect::Refused { .. } => {}
            }
        }
        closing.extend(self.connections.drain().map(|(_, connection)| connection.close()));
        let flushed = async {
            for task in closing {
                // A writer that panicked has nothing left to flush.
                drop(task.await);
            }
        };
        if tokio::time::timeout(GOODBYE, flushed).await.is_err() {
            tracing::warn!("some peers did not take the goodbye in time");
        }
    }
}

fn addresses(stream: &TcpStream) -> std::io::Result<(SocketAddr, SocketAddr)> {
    Ok((stream.local_addr()?, stream.peer_addr()?))
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
