//! The suite on the reference plane.

use catalyst_plugin::conformance::memory::MemoryHarness;

async fn start() -> MemoryHarness {
    MemoryHarness::new()
}

catalyst_plugin::conformance_suite!(start);
