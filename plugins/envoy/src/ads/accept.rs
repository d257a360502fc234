//! Accepting connections. tonic tries again at once when `accept` fails; with no file descriptor left that is a busy
//! loop, so failures pause here.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::Sleep;
use tokio_stream::Stream;

const PAUSE: Duration = Duration::from_millis(200);

/// A listening socket of either kind.
pub(super) trait Accept: Unpin {
    /// Its connections.
    type Connection;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Connection>>;
}

impl Accept for UnixListener {
    type Connection = UnixStream;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.poll_accept(cx).map_ok(|(stream, _)| stream)
    }
}

impl Accept for TcpListener {
    type Connection = TcpStream;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let (stream, _) = ready!(self.poll_accept(cx))?;
        Poll::Ready(stream.set_nodelay(true).map(|()| stream))
    }
}

/// The connections of a listener.
pub(super) struct Connections<L> {
    listener: L,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<L> Connections<L> {
    pub(super) fn of(listener: L) -> Self {
        Self { listener, pause: None }
    }
}

impl<L: Accept> Stream for Connections<L> {
    type Item = io::Result<L::Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok(connection) => return Poll::Ready(Some(Ok(connection))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an Envoy's connection");
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
            }
        }
    }
}
