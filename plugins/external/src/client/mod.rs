//! For authors of data planes.

mod run;
mod session;
mod view;
mod word;

pub use run::run;
pub use view::{Client, View};

/// Why a data plane cannot go on. Everything else is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is neither `unix:PATH` nor `IP:PORT`.
    #[error("{address:?} is no address: {why}")]
    Address {
        /// As it was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The daemon refuses this data plane.
    #[error("catalyst-routed refuses this data plane: {words}")]
    Refused {
        /// Its words.
        words: String,
    },
    /// The reconcile loop has ended, which happens only by a bug.
    #[error("the reconcile loop has ended")]
    Ended,
}
