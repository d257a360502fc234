//! Addresses for programs on this host: a Unix socket that only its owner reaches, or an IP address, mostly loopback.

mod socket;
pub(crate) mod thread;

use std::io;

use tokio::net::{TcpStream, UnixStream};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_util::either::Either;
use tonic::transport::server::Router;

use crate::config::Listen;
use socket::UnixSocket;

/// A bound address.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixSocket),
    Tcp(tokio::net::TcpListener),
}

impl Listener {
    /// Binds it.
    ///
    /// # Errors
    /// It is in use, or cannot be bound.
    pub(crate) async fn bind(listen: &Listen) -> anyhow::Result<Self> {
        Ok(match listen {
            Listen::Unix(path) => Self::Unix(UnixSocket::bind(path)?),
            Listen::Tcp(address) => Self::Tcp(tokio::net::TcpListener::bind(address).await?),
        })
    }

    /// Waits for a connection. Cancel-safe.
    ///
    /// # Errors
    /// It cannot be taken: it has ended already, or there is no file descriptor for it.
    pub(crate) async fn accept(&self) -> io::Result<Either<TcpStream, UnixStream>> {
        Ok(match self {
            Self::Unix(UnixSocket { listener, .. }) => Either::Right(listener.accept().await?.0),
            Self::Tcp(listener) => Either::Left(listener.accept().await?.0),
        })
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// The listener broke.
    pub(crate) async fn serve(self, router: Router) -> anyhow::Result<()> {
        match self {
            Self::Unix(UnixSocket { listener, file }) => {
                let result = router.serve_with_incoming(UnixListenerStream::new(listener)).await;
                drop(file);
                result?;
            }
            Self::Tcp(listener) => router.serve_with_incoming(TcpListenerStream::new(listener)).await?,
        }
        Ok(())
    }
}
