//! How everything else talks to the task that owns the Speaker.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use catalyst_core::event::{Event, PeerName, SpeakerConfig};
use catalyst_core::route::Destination;
use catalyst_core::speaker::Speaker;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, oneshot};

use super::peer_io::Frames;
use super::ttl_filter::Source;

/// Inputs that may wait for the Speaker before senders are held back.
const QUEUE: usize = 1024;
/// Batches of changed names that a slow watcher may lag behind before it has to read the table again.
const WATCH_BACKLOG: usize = 256;

/// A question that runs between two batches of events.
type Query = Box<dyn FnOnce(&mut Speaker, Instant) + Send>;

/// What the Speaker's task takes in. Its queue is bounded: a peer that floods waits for its turn.
pub(super) enum Input {
    /// An event as it is.
    Event(Event),
    /// Frames of one connection, in order.
    Frames(Frames),
    /// A dialled connection stands.
    Dialled(PeerName, TcpStream),
    /// A connection came in, and the place that it takes.
    Incoming(TcpStream, OwnedSemaphorePermit),
    /// A look at the state, or an administrative act that needs an answer.
    Query(Query),
    /// The configuration has changed; answered once it is in force.
    Reconfigure(Box<Reconfiguration>, oneshot::Sender<()>),
    /// A data plane saw a gap in versions.
    NeedReset(Arc<str>),
    /// Say goodbye, flush, stop.
    Shutdown(Goodbye),
}

/// How this node leaves its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goodbye {
    /// To come back: peers with graceful restart keep its routes.
    ForNow,
    /// By a hard reset, with these words.
    ForGood(Arc<str>),
}

/// How the connections of a peer are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transport {
    /// The local address to dial from; `None`: as the kernel chooses.
    pub source: Option<IpAddr>,
    /// How many links it is away at most (RFC 5082); `None`: any number.
    pub ttl_security: Option<u8>,
}

/// By the key under `peers` or `dynamic_peers`; those that are not listed are made as the kernel likes.
pub type Transports = BTreeMap<PeerName, Transport>;

/// A change of configuration, applied as one batch.
#[derive(Debug, Clone)]
pub struct Reconfiguration {
    /// The Speaker's new configuration.
    pub speaker: SpeakerConfig,
    /// How connections to peers are made.
    pub transports: Transports,
    /// Where connections come from.
    pub callers: Vec<Source>,
    /// Services that come, change or go.
    pub offers: Vec<Event>,
}

/// The Speaker's task has ended: the daemon is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the daemon is stopping")]
pub struct Gone;

/// A way to the task that owns the Speaker. Cheap to clone.
#[derive(Clone)]
pub struct SpeakerHandle {
    inputs: mpsc::Sender<Input>,
    changed: broadcast::Sender<Arc<Vec<Destination>>>,
}

/// The receiving ends that the Speaker's task owns.
pub(super) struct SpeakerEnds {
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) changed: broadcast::Sender<Arc<Vec<Destination>>>,
}

/// A handle and the ends that belong to it.
pub(super) fn channel() -> (SpeakerHandle, SpeakerEnds) {
    let (sender, inputs) = mpsc::channel(QUEUE);
    let (changed, _) = broadcast::channel(WATCH_BACKLOG);
    (
        SpeakerHandle {
            inputs: sender,
            changed: changed.clone(),
        },
        SpeakerEnds { inputs, changed },
    )
}

impl SpeakerHandle {
    /// Runs `f` between two batches of events and returns what it returns.
    ///
    /// # Errors
    /// [`Gone`] once the daemon is stopping.
    pub async fn query<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Speaker, Instant) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let run = Box::new(move |speaker: &mut Speaker, now| {
            // The asker may have gone away meanwhile: then nobody wants the answer.
            drop(reply.send(f(speaker, now)));
        });
        self.send(Input::Query(run)).await?;
        answer.await.map_err(|_| Gone)
    }

    /// Hands one event to the Speaker.
    ///
    /// # Errors
    /// [`Gone`] once the daemon is stopping.
    pub async fn event(&self, event: Event) -> Result<(), Gone> {
        self.send(Input::Event(event)).await
    }

    /// Changes the configuration; returns once it is in force.
    ///
    /// # Errors
    /// [`Gone`] once the daemon is stopping.
    pub async fn reconfigure(&self, change: Reconfiguration) -> Result<(), Gone> {
        let (done, answer) = oneshot::channel();
        self.send(Input::Reconfigure(Box::new(change), done)).await?;
        answer.await.map_err(|_| Gone)
    }

    /// Names whose routes change from now on. A query sent after this call sees a state that later batches build on.
    #[must_use]
    pub fn changed_names(&self) -> broadcast::Receiver<Arc<Vec<Destination>>> {
        self.changed.subscribe()
    }

    pub(super) async fn send(&self, input: Input) -> Result<(), Gone> {
        self.inputs.send(input).await.map_err(|_| Gone)
    }
}
