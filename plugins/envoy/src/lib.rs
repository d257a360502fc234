//! The Envoy data plane: plans xDS resources from routes and serves them by delta ADS.

pub mod ads;
pub mod bootstrap;
pub mod config;
pub mod plan;
pub mod plane;
pub mod ports;
pub mod resource;
