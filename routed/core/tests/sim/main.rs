//! Many Speakers on a virtual clock (catalyst-sim): real sessions, real frames, no sockets. What they hold at rest is checked against
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
mod drain;
mod dynamic;
mod gating;
mod graceful;
mod limits;
mod listeners;
mod operate;
mod policies;
mod prefixes;
mod preview;
mod random;
mod reconfigure;
mod restart;
mod stale;
mod topologies;
mod tunnels;
mod update_groups;
mod why;

use catalyst_sim::{config, fresh, model, net, policy_words, seeds};
