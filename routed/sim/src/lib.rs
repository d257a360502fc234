//! Whole networks of Speakers on a virtual clock: real sessions, real frames, no sockets.
//!
//! The tests of catalyst-core (`routed/core/tests/sim`) and `cargo xtask simulate` drive the same network ([`net`]), and
//! hold it to the same oracles: a naive recompute ([`model`]), a network of fresh Speakers ([`fresh`]), forwarding walks
//! ([`walk`]) and the Speaker against itself (`Speaker::audit`, `Speaker::audit_destination`). What breaks one of them
//! panics: whoever runs a seed says which one it was ([`seeds`]).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a simulation is an assertion: what is not as it should be ends the run of its seed"
)]

pub mod chaos;
pub mod config;
pub mod fresh;
pub mod gao_rexford;
pub mod model;
pub mod net;
pub mod policy_words;
pub mod seeds;
pub mod topology;
pub mod walk;
