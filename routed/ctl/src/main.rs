//! Talks to catalyst-routed.
fn main() {}
