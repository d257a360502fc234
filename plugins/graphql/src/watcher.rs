//! Follows the gateway's state for as long as the plane lives.

use std::time::Duration;

use catalyst_plugin::{PlaneEvent, ServiceName};
use catalyst_proto::gateway::v1::State;
use tokio::sync::mpsc;
use tonic::Streaming;

use crate::client::Client;
use crate::verdict::verdicts;

/// The first pause after the gateway was not there; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// Events that may wait for the reconcile loop; further states wait in the connection.
const QUEUE: usize = 16;

type Event = PlaneEvent<ServiceName>;

/// A running watch; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    events: mpsc::Receiver<Event>,
}

impl Watcher {
    /// Must be called on a tokio runtime.
    pub(crate) fn start(client: Client) -> Self {
        let (sender, events) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                _gone = watch(client, &sender) => {}
            }
        });
        Self { events }
    }

    /// What happened next. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // The watch ends only with us.
            None => std::future::pending().await,
        }
    }
}

/// Watches until nobody listens.
async fn watch(mut client: Client, events: &mpsc::Sender<Event>) -> Result<(), Gone> {
    let mut pause = FIRST_PAUSE;
    loop {
        match client.watch().await {
            Ok((first, states)) => {
                pause = FIRST_PAUSE;
                tracing::info!("catalyst-gateway is connected");
                follow(first, states, events).await?;
                tracing::warn!("the connection to catalyst-gateway is lost");
            }
            Err(error) => tracing::debug!(%error, "catalyst-gateway is not there"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Hands on states until the connection breaks.
async fn follow(first: State, mut states: Streaming<State>, events: &mpsc::Sender<Event>) -> Result<(), Gone> {
    say(events, PlaneEvent::Connected(true)).await?;
    // It may have been away, and may hold nothing any more.
    say(events, PlaneEvent::Resync).await?;
    let mut next = Some(first);
    while let Some(state) = next {
        say(events, PlaneEvent::Verdicts(verdicts(&state))).await?;
        next = states.message().await.unwrap_or_else(|status| {
            tracing::debug!(%status, "the state of catalyst-gateway ended");
            None
        });
    }
    say(events, PlaneEvent::Connected(false)).await
}

/// Nobody listens any more.
struct Gone;

async fn say(events: &mpsc::Sender<Event>, event: Event) -> Result<(), Gone> {
    events.send(event).await.map_err(|_| Gone)
}
