//! Many Speakers on a virtual clock: real sessions, real frames, no sockets. What they hold at rest is checked against
//! a naive recompute (`model`) and against themselves (`Speaker::audit`) after every batch.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code; clippy sees only #[test] as such"
)]

mod aggregates;
mod borders;
mod bounds;
mod checks;
mod config;
mod drain;
mod gating;
mod graceful;
mod model;
mod net;
mod operate;
mod policies;
mod policy_words;
mod prefixes;
mod preview;
mod random;
mod reconfigure;
mod restart;
mod topologies;
mod why;
