//! Ctrl-C, SIGTERM and SIGHUP as something to wait for.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Context;

/// The user had enough.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Receives one message per signal.
pub(crate) struct Interrupt {
    signals: Receiver<()>,
}

impl Interrupt {
    /// Catches the signals from now on.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let (sender, signals) = channel();
        let handler = move || {
            // A closed channel means that the demo has ended already.
            let _ = sender.send(());
        };
        ctrlc::set_handler(handler).context("cannot catch Ctrl-C")?;
        Ok(Self { signals })
    }

    /// Waits for `pause`.
    ///
    /// # Errors
    /// [`Interrupted`] as soon as a signal came.
    pub(crate) fn pause(&self, pause: Duration) -> Result<(), Interrupted> {
        match self.signals.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Interrupted),
        }
    }
}
