//! The Envoy data plane: plans xDS resources from routes and serves them by delta ADS.

pub mod ads;
pub mod config;
pub mod plan;
pub mod ports;
pub mod resource;
