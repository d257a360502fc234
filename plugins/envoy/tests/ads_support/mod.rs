//! Shared by the tests of the ADS server: a real Envoy, resources to give to it, a client and a service behind it.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod envoy;
pub mod http;
pub mod resources;
pub mod server;

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine. Nothing waits this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `probe` gives something.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(last) => assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}: {last}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// `Ok` if the two are equal, else what they are.
pub fn equal<T: PartialEq + std::fmt::Debug>(seen: T, wanted: T) -> Result<(), String> {
    if seen == wanted {
        Ok(())
    } else {
        Err(format!("{seen:?} is not {wanted:?}"))
    }
}
