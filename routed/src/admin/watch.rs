//! `WatchRoutes`: the whole table, then every change of it. A watcher that lags behind gets the table again.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalyst_core::route::Destination;
use catalyst_core::view::RouteView;
use catalyst_proto::admin::v1::route_event::Event;
use catalyst_proto::admin::v1::{NamePaths, RouteEvent};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tonic::Status;

use super::convert;
use super::service::{CHUNK, gone};
use crate::driver::SpeakerHandle;

/// One watcher.
pub(super) struct Watch {
    speaker: SpeakerHandle,
    /// Names that it believes to have paths.
    known: BTreeSet<Destination>,
    out: mpsc::Sender<Result<RouteEvent, Status>>,
}

/// The watcher has gone, or the daemon is stopping.
struct End;

impl Watch {
    pub(super) fn new(speaker: SpeakerHandle, out: mpsc::Sender<Result<RouteEvent, Status>>) -> Self {
        Self {
            speaker,
            known: BTreeSet::new(),
            out,
        }
    }

    /// Runs until the watcher or the daemon goes away.
    pub(super) async fn run(mut self) {
        // Subscribed before the table is read: a change in between is told twice rather than never.
        let mut changed = self.speaker.changed_names();
        if self.table().await.is_ok() {
            while self.step(&mut changed).await.is_ok() {}
        }
    }

    async fn step(&mut self, changed: &mut broadcast::Receiver<Arc<Vec<Destination>>>) -> Result<(), End> {
        let names = tokio::select! {
            names = changed.recv() => names,
            () = self.out.closed() => return Err(End),
        };
        match names {
            Ok(names) => self.changes(names).await,
            Err(RecvError::Lagged(_)) => {
                *changed = changed.resubscribe();
                self.table().await
            }
            Err(RecvError::Closed) => self.stop().await,
        }
    }

    /// Sends the whole table, and a removal for what is in it no longer.
    async fn table(&mut self) -> Result<(), End> {
        let mut gone = std::mem::take(&mut self.known);
        let mut after: Option<Destination> = None;
        loop {
            let from = after.take();
            let answer = self
                .speaker
                .query(move |speaker, now| speaker.routes(from.as_ref(), CHUNK, now))
                .await;
            let Ok(views) = answer else { return self.stop().await };
            let Some(last) = views.last() else { break };
            after = Some(last.destination.clone());
            for paths in views.chunk_by(|a, b| a.destination == b.destination) {
                gone.remove(&paths[0].destination);
                self.upsert(&paths[0].destination.clone(), paths).await?;
            }
        }
        for name in gone {
            self.send(Event::Remove(name.to_string())).await?;
        }
        self.send(Event::Synced(true)).await
    }

    async fn changes(&mut self, names: Arc<Vec<Destination>>) -> Result<(), End> {
        let read = Arc::clone(&names);
        let look = move |speaker: &mut catalyst_core::speaker::Speaker, now| -> Vec<Vec<RouteView>> {
            read.iter().map(|name| speaker.route(name, now)).collect()
        };
        let Ok(views) = self.speaker.query(look).await else {
            return self.stop().await;
        };
        for (name, paths) in names.iter().zip(views) {
            if !paths.is_empty() {
                self.upsert(name, &paths).await?;
            } else if self.known.remove(name) {
                self.send(Event::Remove(name.to_string())).await?;
            }
        }
        Ok(())
    }

    async fn upsert(&mut self, name: &Destination, paths: &[RouteView]) -> Result<(), End> {
        self.known.insert(name.clone());
        let paths = paths.iter().map(convert::route).collect();
        self.send(Event::Upsert(NamePaths {
            name: name.to_string(),
            paths,
        }))
        .await
    }

    async fn send(&self, event: Event) -> Result<(), End> {
        self.out
            .send(Ok(RouteEvent { event: Some(event) }))
            .await
            .map_err(|_| End)
    }

    async fn stop(&self) -> Result<(), End> {
        // The watcher may have gone as well.
        drop(self.out.send(Err(gone())).await);
        Err(End)
    }
}

#[cfg(test)]
pub(super) mod tests;
