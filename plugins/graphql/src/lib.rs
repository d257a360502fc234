//! The GraphQL data plane: pushes subgraphs to catalyst-gateway.

mod config;

pub use config::{ControlAddress, GraphqlConfig};
