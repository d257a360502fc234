//! What each fuzz target does with an input. The targets (fuzz/) and the tests over the committed inputs run the same.

// cargo-fuzz and the tests each use a part; `allow-panic-in-tests` does not reach what tests call.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::panic, clippy::unwrap_used)]

pub mod frames;
mod held;
mod input;
pub mod messages;
pub mod session;

/// What a target does with an input.
pub type Body = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Body); 3] = [
    ("frames", frames::run),
    ("messages", messages::run),
    ("session", session::run),
];
