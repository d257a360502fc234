//! What a data plane is, and the loop that keeps it equal to the selected table.
//!
//! A plugin implements [`DataPlane`]; [`spawn`] starts its reconcile loop. The daemon sends the selected table into a
//! [`RouteFeed`], which never blocks and holds at most one word per name, and takes [`Report`]s from the loop. Reads
//! from top to bottom: [`plane`] (the trait), [`mod@feed`] (coalescing), [`mod@run`] (the loop), and below it the pure parts,
//! `ledger` (desired against held) and `status` (verdicts of resources to statuses of routes). [`state_file`] is how a
//! plane keeps what has to survive a restart.

#[cfg(feature = "conformance")]
pub mod conformance;
mod failures;
pub mod feed;
mod ledger;
pub mod plane;
pub mod run;
pub mod socket_dir;
pub mod state_file;
mod status;

pub use feed::{RouteFeed, RouteSource, feed};
pub use plane::*;
pub use run::{Handle, Report, run, spawn, spawn_after};
