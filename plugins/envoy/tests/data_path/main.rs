//! The data path through real Envoys: planner and ADS server in this process, Envoy beside it, requests over loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod churn;
mod client;
mod envoy;
mod node;
mod services;
mod settings;

mod graph;
mod guard;
mod http;
mod opens;
mod org;
mod tcp;
mod wildcard;
