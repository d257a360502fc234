//! Whole networks of real processes on loopback: the harness that the topologies in `tests/` are written with.
//!
//! A test is a closure over a [`Network`]. Every network has a /24 of 127.0.0.0/8 of its own and every node an address
//! in it, so tests run side by side on the same ports. Nothing is mocked: catalyst-routed, Envoy, catalyst-gateway and
//! the example services are the programs that users run. All of them end with the test, however it ends.
//!
//! `cargo xtask test` builds the programs first; to run one topology by hand, build them with
//! `cargo build --workspace --bins` and `cargo build` in plugins/graphql/gateway.

mod browser;
mod client;
mod config;
mod lateness;
mod load;
mod namespace;
mod network;
mod node;
mod observe;
mod poll;
mod probes;
mod process;
mod programs;
mod raw_peer;
mod reach;

pub use browser::Browser;
pub use client::{Answer, Client, echo, greet};
pub use config::{Peering, peer};
pub use lateness::Lateness;
pub use load::{Load, Names, Tally};
pub use namespace::{Capture, Namespace};
pub use network::{Network, scenario};
pub use node::{Example, Node, start_envoy};
pub use poll::{LONG, poll, stays};
pub use probes::{Probe, Probes};
pub use process::Process;
pub use programs::binary;
pub use raw_peer::RawPeer;
pub use reach::{check_none_returned, check_reach, offer_every_kind, withdraw_http};
