//! Shared by the tests of the ADS server: a real Envoy, resources to give to it, a client and a service behind it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test crate uses a part of this"
)]
#![allow(clippy::needless_pass_by_value, reason = "wanted values are written in place")]

pub mod envoy;
pub mod http;
pub mod resources;
pub mod server;
pub mod setup;

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine. Nothing waits this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `probe` gives something.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let patience = Patience::new();
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(last) => patience.pause(what, &last).await,
        }
    }
}

/// For loops that poll by themselves.
pub struct Patience {
    deadline: Instant,
}

impl Patience {
    pub fn new() -> Self {
        Self {
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// Waits a little, or gives up.
    pub async fn pause(&self, what: &str, last: &str) {
        assert!(
            Instant::now() < self.deadline,
            "{what}: not within {PATIENCE:?}: {last}"
        );
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
