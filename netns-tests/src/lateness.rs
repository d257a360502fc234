//! How late this machine is with what has only to wake up.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two wakings.
const TICK: Duration = Duration::from_millis(10);

/// A thread that wakes up all the time and remembers the longest that it was late. A test of a bound that is itself a
/// promise forgives the programs under test as much: nobody keeps time on a machine that does not let it run.
#[derive(Debug)]
pub struct Lateness {
    stop: Sender<()>,
    watcher: JoinHandle<Duration>,
}

impl Lateness {
    /// Begins to watch.
    #[must_use]
    pub fn watch() -> Self {
        let (stop, stopped) = channel();
        let watcher = std::thread::spawn(move || longest(&stopped));
        Self { stop, watcher }
    }

    /// Ends the watch: the longest that it was late.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn finish(self) -> Result<Duration> {
        // It is gone already where it panicked, which the join tells.
        let _ = self.stop.send(());
        self.watcher.join().or_else(|_| bail!("the watch panicked"))
    }
}

fn longest(stop: &Receiver<()>) -> Duration {
    let mut longest = Duration::ZERO;
    loop {
        let began = Instant::now();
        if stop.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
            return longest;
        }
        longest = longest.max(began.elapsed().saturating_sub(TICK));
    }
}
