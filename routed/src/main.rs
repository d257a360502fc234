//! The Catalyst routing daemon.
fn main() {}
