//! The routing core of `catalyst-routed`.
//!
//! Pure: no tokio, no socket, no clock. Time comes in as an argument, effects go out as values, and the output
//! depends on (state, event, now) alone. The daemon (`catalyst-routed`) drives it; the simulation drives many of them.
//!
//! The way of a route: [`wire`] decodes a frame, [`session`] runs the state machine of one peer, [`speaker`] owns the
//! RIBs and turns events into effects, [`route`] is what the data planes see.

pub mod attrs;
mod best_path;
mod destination;
pub mod event;
mod intern;
pub mod name;
pub mod operate;
pub mod policy;
pub mod prefix;
pub mod record;
mod rib;
pub mod route;
pub mod session;
pub mod speaker;
pub mod view;
pub mod wire;
