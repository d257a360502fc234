//! A TCP service that sends every line back behind its own name.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

use crate::runtime;

/// A longer line ends the connection.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// How long accepting pauses when the machine has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// The signal handlers cannot be installed.
pub async fn serve(listener: TcpListener, name: &str) -> Result<()> {
    let name = Arc::<str>::from(name);
    tokio::select! {
        () = accept_all(&listener, &name) => Ok(()),
        stopped = runtime::stop_signal() => stopped,
    }
}

async fn accept_all(listener: &TcpListener, name: &Arc<str>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let name = Arc::clone(name);
                tokio::spawn(async move {
                    if let Err(error) = echo(stream, &name).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            Err(error) => {
                eprintln!("cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn echo(stream: TcpStream, name: &str) -> Result<(), LinesCodecError> {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(MAX_LINE_BYTES));
    while let Some(line) = lines.next().await {
        lines.send(format!("{name}: {}", line?)).await?;
    }
    Ok(())
}
