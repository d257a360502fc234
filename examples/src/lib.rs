//! Example services: GraphQL subgraphs, plain HTTP, gRPC, TCP.
