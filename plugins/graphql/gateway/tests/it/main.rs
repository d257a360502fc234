//! The gateway as a process: real services in front of it (async-graphql, behind one address that routes by Host, as
//! Envoy's egress listener does), driven over its control socket, asked over HTTP.

#![allow(clippy::panic, reason = "helpers of tests fail the test")]

mod failures;
mod graph;
mod process;
mod services;
mod support;
mod swap;
