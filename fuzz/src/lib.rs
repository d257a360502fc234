//! The bodies of the fuzz targets are those that catalyst-core's tests run (routed/core/tests/fuzz).

#[path = "../../routed/core/tests/fuzz/bodies/mod.rs"]
pub mod bodies;
