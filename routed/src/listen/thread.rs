//! A listener with a thread of its own: the administration API's, that of metrics. One is enough for its operators, and
//! cheaper: where a connection and its requests move from worker to worker, a question costs more in wake-ups than in its
//! answer. And no answer, however long, holds up a data plane.

use std::future::Future;
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::sync::oneshot;

use super::Listener;
use crate::config::Listen;

/// Ends the thread when dropped.
struct Thread {
    /// Dropped, never used: that is what the thread waits for.
    stop: Option<oneshot::Sender<()>>,
    handle: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(handle) = self.handle.take() {
            // A panic in it has been reported already.
            drop(handle.join());
        }
    }
}

/// Binds the socket and has `serve` serve it, on a thread of this name, until the future that is given is dropped.
///
/// # Errors
/// The address is in use or cannot be bound, or the thread cannot be started.
pub(crate) async fn serve<F, S>(
    name: &str,
    listen: Listen,
    serve: F,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + use<F, S>>
where
    F: FnOnce(Listener) -> S + Send + 'static,
    S: Future<Output = anyhow::Result<()>>,
{
    let (stop, stopped) = oneshot::channel::<()>();
    let (bound, is_bound) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = std::thread::Builder::new().name(name.into()).spawn(move || {
        runtime.block_on(async {
            let listener = match Listener::bind(&listen).await {
                Ok(listener) => listener,
                Err(error) => return drop(bound.send(Err(error))),
            };
            drop(bound.send(Ok(())));
            tokio::select! {
                _ = stopped => {}
                result = serve(listener) => drop(ended.send(result)),
            }
        });
        // Nothing that still runs may delay the exit.
        runtime.shutdown_background();
    })?;
    let thread = Thread {
        stop: Some(stop),
        handle: Some(handle),
    };
    is_bound.await.context("the thread has ended")??;
    Ok(async move {
        let _thread = thread;
        end.await.context("the thread has ended")?
    })
}
