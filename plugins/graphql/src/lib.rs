//! The GraphQL data plane: pushes subgraphs to catalyst-gateway and brings its verdicts back to the routes.
//!
//! [`plane`] is the [`DataPlane`](catalyst_plugin::DataPlane), [`subgraph`] plans (pure), `client` speaks
//! `catalyst.gateway.v1`, `watcher` follows the gateway's state, `verdict` reads it.

mod client;
mod config;
pub mod plane;
pub mod subgraph;
mod verdict;
mod watcher;

pub use config::{ControlAddress, GraphqlConfig};
pub use plane::GraphqlPlane;
