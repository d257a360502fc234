//! The parts of the Catalyst routing daemon.

pub mod admin;
pub mod config;
pub mod daemon;
mod descriptors;
pub mod driver;
mod listen;
mod metrics;
pub mod reload;
mod state_dir;
pub mod telemetry;
mod tunnels;
