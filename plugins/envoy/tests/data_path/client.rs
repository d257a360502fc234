//! Clients: each request has a connection of its own and names any authority.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::envoy::DEADLINE;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    /// The first line of the body: which service answered.
    pub(crate) fn who(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }

    /// A header as the service received it.
    pub(crate) fn received(&self, header: &str) -> Option<&str> {
        self.body
            .lines()
            .find_map(|line| line.strip_prefix(header)?.strip_prefix(": "))
    }
}

/// GET by HTTP/1.1.
pub(crate) async fn get(at: SocketAddr, host: &str, path: &str) -> Reply {
    try_get(at, host, path).await.unwrap()
}

/// GET by HTTP/1.1 until the answer begins with `first`: removals are not waited for by the plane.
pub(crate) async fn until(at: SocketAddr, host: &str, first: &str) -> Reply {
    let end = Instant::now() + DEADLINE;
    loop {
        let reply = get(at, host, "/").await;
        if reply.who() == first {
            return reply;
        }
        assert!(
            Instant::now() < end,
            "{host} still answers {}: {}",
            reply.status,
            reply.body
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// GET by HTTP/1.1, where the connection may fail.
pub(crate) async fn try_get(at: SocketAddr, host: &str, path: &str) -> Result<Reply, Error> {
    request(at, host, path, &[]).await
}

/// GET by HTTP/1.1 with headers.
pub(crate) async fn request(at: SocketAddr, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Reply, Error> {
    let socket = TokioIo::new(TcpStream::connect(at).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(socket).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder().uri(path).header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = timeout(DEADLINE, sender.send_request(request.body(Empty::<Bytes>::new())?)).await??;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok(Reply {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// A request by HTTP/2 without TLS; a CONNECT has no path and its reply no body.
pub(crate) async fn h2(at: SocketAddr, method: Method, uri: &str, headers: &[(&str, &str)]) -> Result<Reply, Error> {
    let socket = TokioIo::new(TcpStream::connect(at).await?);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), socket).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder().method(&method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = timeout(DEADLINE, sender.send_request(request.body(Empty::<Bytes>::new())?)).await??;
    let status = answer.status().as_u16();
    let body = match method == Method::CONNECT && status == 200 {
        true => Bytes::new(),
        false => answer.into_body().collect().await?.to_bytes(),
    };
    driver.abort();
    Ok(Reply {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// Greets a TCP service: the name it gave and what it sent back. Retries until the port is open.
pub(crate) async fn tcp(at: SocketAddr, text: &str) -> (String, String) {
    let mut socket = connect(at).await;
    socket.write_all(text.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut all = String::new();
    timeout(DEADLINE, socket.read_to_string(&mut all))
        .await
        .unwrap()
        .unwrap();
    let (name, rest) = all.split_once('\n').unwrap_or((&all, ""));
    (name.to_owned(), rest.to_owned())
}

/// Connects once the port is open.
pub(crate) async fn connect(at: SocketAddr) -> TcpStream {
    let end = Instant::now() + DEADLINE;
    loop {
        match TcpStream::connect(at).await {
            Ok(socket) => return socket,
            Err(error) if Instant::now() > end => panic!("{at}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
