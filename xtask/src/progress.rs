//! A line per step, with the time since the start.

use std::fmt::Display;
use std::time::Instant;

/// Prints steps on standard error, so that the results can be piped.
pub(crate) struct Progress {
    start: Instant,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn step(&self, text: impl Display) {
        eprintln!("[{:>6.1} s] {text}", self.start.elapsed().as_secs_f64());
    }
}
