//! Requests all the time, and which of them failed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};

use crate::{Client, LONG, poll};

/// Failures that are kept in words.
const MAX_WORDS: usize = 20;

/// The names that requests may be sent to.
#[derive(Debug, Clone, Default)]
pub struct Names {
    live: Arc<Mutex<Vec<Arc<str>>>>,
}

impl Names {
    /// Requests to `name` may be sent from now on.
    pub fn open(&self, name: &str) {
        self.lock().push(name.into());
    }

    /// No further request to `name` is sent from now on; those under way are not waited for.
    ///
    /// # Errors
    /// It was not open.
    pub fn close(&self, name: &str) -> Result<()> {
        let mut live = self.lock();
        let index = live
            .iter()
            .position(|open| &**open == name)
            .with_context(|| format!("{name} is not open"))?;
        live.swap_remove(index);
        Ok(())
    }

    /// The name for a worker's turn, one after the other.
    #[must_use]
    pub fn pick(&self, turn: usize) -> Option<Arc<str>> {
        let live = self.lock();
        live.get(turn.checked_rem(live.len())?).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<str>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of the requests.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Requests sent.
    pub sent: u64,
    /// Requests without an answer of status 200.
    pub failed: u64,
    /// The first failures in words.
    pub words: Vec<String>,
}

impl Tally {
    /// # Errors
    /// A request failed, or fewer than `least` were sent.
    pub fn check_all_good(&self, least: u64) -> Result<()> {
        ensure!(
            self.failed == 0,
            "{} of {} requests failed: {:#?}",
            self.failed,
            self.sent,
            self.words
        );
        ensure!(self.sent >= least, "only {} requests were sent, not {least}", self.sent);
        Ok(())
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.failed += other.failed;
        self.words.extend(other.words);
        self.words.truncate(MAX_WORDS);
    }

    fn count(&mut self, name: &str, outcome: Result<crate::Answer>) {
        self.sent += 1;
        let word = match outcome {
            Ok(answer) if answer.status == 200 => return,
            Ok(answer) => format!("{name}: {answer:?}"),
            Err(error) => format!("{name}: {error:#}"),
        };
        self.failed += 1;
        if self.words.len() < MAX_WORDS {
            self.words.push(word);
        }
    }
}

/// Workers that send GET requests, each on its own connection, one after the other, until stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    workers: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Starts `workers` that send requests to `address` for what `pick` says of each turn; `None` lets it pass.
    pub fn start<P>(workers: usize, address: SocketAddr, pick: P) -> Self
    where
        P: Fn(usize) -> Option<Arc<str>> + Clone + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let spawn = |_| {
            let (stop, sent, pick) = (Arc::clone(&stop), Arc::clone(&sent), pick.clone());
            std::thread::spawn(move || work(address, &stop, &sent, pick))
        };
        let workers = (0..workers).map(spawn).collect();
        Self { stop, sent, workers }
    }

    /// Requests sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until `more` further requests have been sent.
    ///
    /// # Errors
    /// They are not sent.
    pub fn wait_for_more(&self, more: u64) -> Result<()> {
        let goal = self.sent() + more;
        poll("requests", LONG, || {
            ensure!(self.sent() >= goal, "{} of {goal} sent", self.sent());
            Ok(())
        })
    }

    /// Stops after the requests under way.
    ///
    /// # Errors
    /// A worker panicked.
    pub fn finish(mut self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for worker in self.workers.drain(..) {
            match worker.join() {
                Ok(tally) => all.add(tally),
                Err(_) => bail!("a load worker panicked"),
            }
        }
        Ok(all)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn work(address: SocketAddr, stop: &AtomicBool, sent: &AtomicU64, pick: impl Fn(usize) -> Option<Arc<str>>) -> Tally {
    let client = Client::default();
    let mut tally = Tally::default();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let Some(name) = pick(turn) else {
            std::thread::yield_now();
            continue;
        };
        let outcome = client.get(address, &name, "/");
        tally.count(&name, outcome);
        sent.fetch_add(1, Ordering::Relaxed);
    }
    tally
}
