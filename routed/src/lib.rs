//! The parts of the Catalyst routing daemon.

pub mod config;
