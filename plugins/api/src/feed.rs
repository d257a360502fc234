//! The way of the selected table into a data plane: coalesced per destination, so that a slow plane costs bounded memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::plane::{Change, Destination, RouteUpdate, Selected};

/// Changes that may wait for a slow plane before they are given up for a Reset: names that come and go leave one
/// entry each, and only the consumer knows which of them it can forget.
const MAX_CHANGES: usize = 1 << 18;

/// A feed and its source: what is sent into one comes out of the other, coalesced.
#[must_use]
pub fn feed() -> (RouteFeed, RouteSource) {
    let shared = Arc::new(Shared::default());
    let source = RouteSource {
        shared: Arc::clone(&shared),
        gate: None,
        held: None,
    };
    (RouteFeed { shared }, source)
}

/// The daemon's side. Dropping it ends the reconcile loop; the data plane serves on as it is.
#[derive(Debug)]
pub struct RouteFeed {
    shared: Arc<Shared>,
}

/// The plane's side.
#[derive(Debug)]
pub struct RouteSource {
    shared: Arc<Shared>,
    gate: Option<Gate>,
    /// Taken from the feed, waiting at the gate; kept here so that [`RouteSource::next`] may be cancelled.
    held: Option<(RouteUpdate, Instant)>,
}

#[derive(Debug)]
struct Gate {
    settled: watch::Receiver<u64>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the one consumer when something waits.
    filled: Notify,
    /// Wakes everybody who waits for the end.
    closed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Option<Waiting>,
    closed: bool,
}

/// Everything sent and not yet taken, as one update.
#[derive(Debug)]
struct Waiting {
    /// The version before; `None`: this is the whole table.
    from: Option<u64>,
    to: u64,
    names: BTreeMap<Destination, Option<Selected>>,
    settled: bool,
}

impl RouteFeed {
    /// Hands on an update. Never blocks; merges with what still waits.
    pub fn send(&self, update: RouteUpdate) {
        let mut state = self.shared.lock();
        state.waiting = Some(match state.waiting.take() {
            Some(waiting) => waiting.then(update),
            None => Waiting::new(update),
        });
        drop(state);
        self.shared.filled.notify_one();
    }
}

impl Drop for RouteFeed {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.filled.notify_one();
        self.shared.closed.notify_waiters();
    }
}

impl RouteSource {
    /// Holds each update until `settled` (what another plane has settled, [`Handle::settled`](crate::Handle::settled))
    /// reaches its version, or `patience` has passed, or the other plane is gone.
    #[must_use]
    pub fn hold_until(mut self, settled: watch::Receiver<u64>, patience: Duration) -> Self {
        self.gate = Some(Gate { settled, patience });
        self
    }

    /// Everything that was sent since the last call, as one update; `None` once the feed is dropped. Cancel-safe.
    pub async fn next(&mut self) -> Option<RouteUpdate> {
        loop {
            if let Some((update, deadline)) = &self.held {
                if let Some(gate) = &mut self.gate {
                    gate.pass(update.version(), *deadline).await;
                }
                return self.held.take().map(|(update, _)| update);
            }
            let update = self.take().await?;
            let patience = self.gate.as_ref().map_or(Duration::ZERO, |gate| gate.patience);
            self.held = Some((update, Instant::now() + patience));
        }
    }

    /// Resolves once the feed is dropped.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let mut woken = std::pin::pin!(shared.closed.notified());
                // Registered before the look, so that a drop in between is not missed.
                woken.as_mut().enable();
                if shared.lock().closed {
                    return;
                }
                woken.await;
            }
        }
    }

    async fn take(&self) -> Option<RouteUpdate> {
        loop {
            let filled = self.shared.filled.notified();
            {
                let mut state = self.shared.lock();
                if state.closed {
                    return None;
                }
                if let Some(waiting) = state.waiting.take() {
                    return Some(waiting.into_update());
                }
            }
            filled.await;
        }
    }
}

impl Gate {
    async fn pass(&mut self, version: u64, deadline: Instant) {
        let settled = self.settled.wait_for(|settled| *settled >= version);
        match tokio::time::timeout_at(deadline, settled).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => tracing::debug!(version, "the gating data plane is gone"),
            Err(_) => tracing::debug!(version, "the gating data plane is late"),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every section below leaves the state whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn new(update: RouteUpdate) -> Self {
        match update {
            RouteUpdate::Reset {
                version,
                routes,
                settled,
            } => {
                let names = routes
                    .into_iter()
                    .map(|route| (route.destination(), Some(route)))
                    .collect();
                Self {
                    from: None,
                    to: version,
                    names,
                    settled,
                }
            }
            RouteUpdate::Delta {
                from,
                to,
                changes,
                settled,
            } => {
                let names = changes
                    .into_iter()
                    .map(|change| (change.destination, change.route))
                    .collect();
                Self {
                    from: Some(from),
                    to,
                    names,
                    settled,
                }
            }
        }
    }

    fn then(mut self, update: RouteUpdate) -> Self {
        match update {
            RouteUpdate::Delta {
                from,
                to,
                changes,
                settled,
            } if from == self.to => {
                self.to = to;
                self.settled = settled;
                self.merge(changes);
                self
            }
            // A Reset replaces all. After a gap nothing that waits is of use: the consumer sees that `from` is not
            // what it holds, and asks for a Reset.
            later @ (RouteUpdate::Reset { .. } | RouteUpdate::Delta { .. }) => Self::new(later),
        }
    }

    fn merge(&mut self, changes: Vec<Change>) {
        for Change { destination, route } in changes {
            if route.is_none() && self.from.is_none() {
                self.names.remove(&destination);
            } else {
                self.names.insert(destination, route);
            }
        }
        if self.from.is_some() && self.names.len() > MAX_CHANGES {
            self.names.clear();
            // Never what the consumer holds, which is older: it sees a gap.
            self.from = Some(self.to);
        }
    }

    fn into_update(self) -> RouteUpdate {
        let Self {
            from,
            to,
            names,
            settled,
        } = self;
        match from {
            None => RouteUpdate::Reset {
                version: to,
                routes: names.into_values().flatten().collect(),
                settled,
            },
            Some(from) => {
                let changes = names
                    .into_iter()
                    .map(|(destination, route)| Change { destination, route })
                    .collect();
                RouteUpdate::Delta {
                    from,
                    to,
                    changes,
                    settled,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
