//! Metrics for Prometheus: `GET /metrics` on a listener and a thread of their own.
//!
//! Nothing is counted for them: a scrape asks where catalystctl's answers come from, so that the two cannot contradict each
//! other, and costs the routing thread what `show peers` does, however long the tables are.

mod catalogue;
mod exposition;
mod http;
mod snapshot;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context;

use crate::config::Config;
use crate::listen::thread;
pub(crate) use snapshot::{Source, TunnelSource};

/// Binds the socket of `metrics.listen`; the future serves until it is dropped. Where metrics are off, it waits for ever.
///
/// # Errors
/// The address is in use or cannot be bound.
pub(crate) async fn serve(
    config: &Config,
    source: Source,
) -> anyhow::Result<Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>> {
    let Some(metrics) = &config.metrics else {
        return Ok(Box::pin(std::future::pending()));
    };
    let listen = &metrics.listen;
    let source = Arc::new(source);
    let serving = thread::serve("metrics", listen.0.clone(), |listener| http::serve(listener, source)).await;
    let serving = serving.with_context(|| format!("metrics.listen: cannot listen on {listen}"))?;
    tracing::info!(%listen, "metrics are served at /metrics");
    Ok(Box::pin(serving))
}

#[cfg(test)]
mod tests;
