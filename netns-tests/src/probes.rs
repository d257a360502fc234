//! Requests that begin at a steady pace, whatever becomes of those before: they show from when to when a name failed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::{Answer, Client, LONG, poll};

/// Between the beginnings of two requests.
const PACE: Duration = Duration::from_millis(50);

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Probe {
    /// When it began, before its connection was opened.
    pub began: Instant,
    /// When its answer was complete, or not to be had.
    pub ended: Instant,
    /// The answer, or why there is none.
    pub outcome: Result<Answer, String>,
}

impl Probe {
    /// Whether there is an answer, and of status 200.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|answer| answer.status == 200)
    }
}

/// A thread that begins requests, each on a thread of its own, until stopped.
#[derive(Debug)]
pub struct Probes {
    begun: Arc<AtomicUsize>,
    stop: Sender<()>,
    pacer: JoinHandle<Vec<JoinHandle<Probe>>>,
}

impl Probes {
    /// Begins to send GET requests for `host` to `address`.
    #[must_use]
    pub fn start(address: SocketAddr, host: &'static str) -> Self {
        let (stop, stopped) = channel();
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let pacer = std::thread::spawn(move || pace(address, host, &stopped, &count));
        Self { begun, stop, pacer }
    }

    /// Waits until `more` further requests have begun.
    ///
    /// # Errors
    /// They do not begin.
    pub fn wait_for_more(&self, more: usize) -> Result<()> {
        let goal = self.begun.load(Ordering::Relaxed) + more;
        poll("requests", LONG, || {
            let begun = self.begun.load(Ordering::Relaxed);
            ensure!(begun >= goal, "{begun} of {goal} begun");
            Ok(())
        })
    }

    /// Begins no further request and waits for the answers that are still to come.
    ///
    /// # Errors
    /// A thread panicked.
    pub fn finish(self) -> Result<Vec<Probe>> {
        // It is gone already where its thread panicked, which the join tells.
        let _ = self.stop.send(());
        let Ok(requests) = self.pacer.join() else {
            bail!("the pacer panicked")
        };
        let ended: Result<Vec<_>, _> = requests.into_iter().map(JoinHandle::join).collect();
        ended.or_else(|_| bail!("a request panicked"))
    }
}

fn pace(address: SocketAddr, host: &'static str, stop: &Receiver<()>, begun: &AtomicUsize) -> Vec<JoinHandle<Probe>> {
    let client = Client::default();
    let mut requests = Vec::new();
    while stop.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
        let client = client.clone();
        requests.push(std::thread::spawn(move || probe(&client, address, host)));
        begun.fetch_add(1, Ordering::Relaxed);
    }
    requests
}

fn probe(client: &Client, address: SocketAddr, host: &str) -> Probe {
    let began = Instant::now();
    let outcome = client.get(address, host, "/").map_err(|error| format!("{error:#}"));
    Probe {
        began,
        ended: Instant::now(),
        outcome,
    }
}
