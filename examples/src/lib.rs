//! Example services: what a service team would register with Catalyst, one of each protocol. The demo and the tests of
//! whole networks run them.
//!
//! Each service is a module with a `serve` function and a binary of the same name.

pub mod echo_tcp;
pub mod hello_grpc;
pub mod hello_http;
pub mod products;
pub mod reviews;
pub mod runtime;
