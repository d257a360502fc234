//! The GraphQL data plane: pushes subgraphs to catalyst-gateway.
