//! What every example service shares: listening, saying so, and stopping.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled by the first SIGTERM or SIGINT.
static STOPPED: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

/// How long requests in flight may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(2);

/// Binds `address` and prints the one line that says that `service` is ready: to be asked, and to be stopped.
///
/// # Errors
/// Names the address that cannot be bound; the signal handlers cannot be installed.
pub async fn listen(service: &str, address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{service} cannot listen on {address}"))?;
    watch_signals()?;
    println!("{service} listening on {}", listener.local_addr()?);
    Ok(listener)
}

fn watch_signals() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        STOPPED.cancel();
    });
    Ok(())
}

/// Ends at the first SIGTERM or SIGINT since [`listen`].
///
/// # Errors
/// None today.
pub async fn stop_signal() -> Result<()> {
    STOPPED.cancelled().await;
    Ok(())
}

/// Runs `server` until it ends, but at most two seconds (`DRAIN`) longer than the stop signal.
///
/// # Errors
/// What the server failed with.
pub async fn run_until_stopped<E>(server: impl Future<Output = Result<(), E>>) -> Result<()>
where
    E: Into<anyhow::Error>,
{
    let deadline = async {
        stop_signal().await?;
        tokio::time::sleep(DRAIN).await;
        Ok(())
    };
    tokio::select! {
        ended = server => ended.map_err(Into::into),
        stopped = deadline => stopped,
    }
}

/// Serves `router` over HTTP/1.1 and HTTP/2 without TLS until SIGTERM or SIGINT; requests in flight end first.
///
/// # Errors
/// The signal handlers cannot be installed.
pub async fn serve_http(listener: TcpListener, router: Router) -> Result<()> {
    let server = axum::serve(listener, router).with_graceful_shutdown(stopped());
    run_until_stopped(server.into_future()).await
}

/// The end of a program: an error and its causes in one line, whatever RUST_BACKTRACE says.
#[must_use]
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// [`stop_signal`] for servers that take a future without a result.
pub async fn stopped() {
    if let Err(error) = stop_signal().await {
        eprintln!("no signal handlers, stopping: {error}");
    }
}
