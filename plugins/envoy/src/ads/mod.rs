//! The delta ADS server: keeps every Envoy that connects equal to the desired resources.
//!
//! ```text
//! update() -> Hub { desired, quarantine, Session per stream } <- requests (subscriptions, ACK, NACK)
//!                   | poll, when the stream can be written
//!                   v
//!                responses: what this Envoy lacks, in the order make before break
//! ```
//!
//! Nothing is queued per stream but names: a slow Envoy gets the newest content when it is ready for it. `hub` and
//! below are pure (the time is an argument); `server` and `service` do the I/O.

mod accept;
mod answers;
mod cluster;
mod cycle;
mod desired;
mod hub;
mod isolate;
mod listen;
mod server;
mod service;
mod session;
mod silence;
mod state;
mod stats;
mod subscribe;
#[cfg(test)]
mod tests;
mod validate;
mod verdicts;
mod work;

pub use desired::Changes;
pub use listen::BindError;
pub use server::{AdsHandle, AdsServer};
pub use stats::{EnvoyReport, KindCounters, RejectedReport, Report};
