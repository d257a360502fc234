//! The HTTP server. Whoever reaches it may be anybody: what a client may send, take, and occupy is bounded.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

use super::exposition::{Format, expose};
use super::snapshot::Source;
use crate::listen::Listener;

/// Connections at a time. With more, the one that has lasted longest is let go: whoever calls and says nothing keeps
/// nobody out.
const MAX_CONNECTIONS: usize = 64;
/// A request and its headers in bytes, and how many headers.
const MAX_REQUEST_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// How long a request may take to come in.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// How long a connection may last, its one answer included.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// After a connection that could not be taken; there may be no file descriptor for it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped.
pub(super) async fn serve(listener: Listener, source: Arc<Source>) -> anyhow::Result<()> {
    let mut connections = VecDeque::new();
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                failing = false;
                make_room(&mut connections);
                let task = tokio::spawn(converse(stream, Arc::clone(&source)));
                connections.push_back(task.abort_handle());
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "a connection to metrics.listen cannot be taken; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// `connections` are in the order in which they came.
fn make_room(connections: &mut VecDeque<AbortHandle>) {
    connections.retain(|connection| !connection.is_finished());
    if connections.len() >= MAX_CONNECTIONS
        && let Some(oldest) = connections.pop_front()
    {
        tracing::debug!("too many connections to metrics.listen: the oldest is let go");
        oldest.abort();
    }
}

/// One request and its answer. Scrapes are seconds apart: a connection that stays would only have to be watched.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, source: Arc<Source>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&source)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(MAX_REQUEST_BYTES)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client of metrics.listen"),
        Err(_) => tracing::debug!("a client of metrics.listen is too slow"),
    }
}

async fn answer(request: Request<Incoming>, source: Arc<Source>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/metrics" {
        return Ok(told(StatusCode::NOT_FOUND, "metrics are at /metrics\n"));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = told(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    let Ok(snapshot) = source.read().await else {
        return Ok(told(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping\n"));
    };
    let format = Format::wanted(request.headers());
    Ok(match expose(snapshot, format) {
        Ok(text) => response(StatusCode::OK, format.content_type(), text.into()),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be told");
            told(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be told\n")
        }
    })
}

fn told(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;
    use crate::config::{Flag, load};
    use crate::driver::DriverChannel;

    /// A connection to a daemon whose routing thread, behind the channel, says nothing.
    fn connect(buffer: usize) -> (DuplexStream, JoinHandle<()>, DriverChannel) {
        let channel = DriverChannel::new();
        let flags = [("name", "a"), ("as", "65001"), ("org", "acme")];
        let config = load(None, &flags.map(|(name, value)| Flag::new(name, value))).unwrap();
        let source = Source::new(&config, channel.handle(), None, None);
        let (near, far) = duplex(buffer);
        (near, tokio::spawn(converse(far, Arc::new(source))), channel)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_to_come_in_time() {
        let (mut client, connection, _channel) = connect(1024);
        let start = Instant::now();
        client.write_all(b"GET /metr").await.unwrap();
        connection.await.unwrap();
        assert_eq!(start.elapsed(), REQUEST_TIME, "of a virtual clock");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_ends_with_the_connection() {
        let (mut client, connection, _channel) = connect(64);
        let start = Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        connection.await.unwrap();
        assert_eq!(start.elapsed(), CONNECTION_TIME, "of a virtual clock");
        let mut taken = String::new();
        client.read_to_string(&mut taken).await.unwrap();
        assert!(taken.starts_with("HTTP/1.1 404 ") && taken.len() == 64, "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_routing_thread_that_says_nothing_is_not_waited_for_for_ever() {
        let (mut client, connection, _channel) = connect(1024);
        let start = Instant::now();
        client
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        connection.await.unwrap();
        assert_eq!(start.elapsed(), CONNECTION_TIME, "of a virtual clock");
    }

    #[tokio::test]
    async fn a_daemon_that_stops_says_so() {
        let (mut client, _connection, channel) = connect(1024);
        drop(channel);
        client
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert!(
            said.starts_with("HTTP/1.1 503 ") && said.ends_with("stopping\n"),
            "{said}"
        );
    }
}
