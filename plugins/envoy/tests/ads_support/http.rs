//! A client and a service that speak just enough HTTP/1.1.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use hyper::Response;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::eventually;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: String,
}

/// Asks once, on a connection of its own.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = parse(&String::from_utf8_lossy(&bytes)) {
            return Ok(answer);
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The status of a request; 0 where no answer came.
pub async fn status(address: SocketAddr, host: &str) -> u16 {
    get(address, host, "/").await.map_or(0, |answer| answer.status)
}

/// The answer, once all of it is there (Envoy lingers before it closes a connection).
fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.get(9..12)?.parse().ok()?;
    let header = head.to_ascii_lowercase();
    let length = header
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map(|text| text.parse().unwrap());
    let body = match length {
        Some(length) => (body.len() >= length).then(|| body.to_owned())?,
        None if header.contains("transfer-encoding: chunked") => body.ends_with("0\r\n\r\n").then(|| unchunk(body))?,
        None => String::new(),
    };
    Some(Answer {
        status,
        head: header,
        body,
    })
}

fn unchunk(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or_default();
        if size == 0 {
            break;
        }
        text.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    text
}

/// A service that answers every request with its name.
pub async fn service(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, name));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    let mut seen = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        seen.extend_from_slice(&buffer[..count]);
        while let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            seen.drain(..end + 4);
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
            stream.write_all(text.as_bytes()).await?;
        }
    }
}

/// An address that nobody else uses: a loopback address per process and call, on a port that the system does not hand
/// out by itself.
pub async fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = SocketAddr::from(([127, 200 + high % 50, low, NEXT.fetch_add(1, Ordering::Relaxed)], 8000));
    // Says so if somebody does use it.
    drop(TcpListener::bind(address).await.unwrap());
    address
}

/// A peer listener: answers every HTTP/2 request with its name.
pub async fn peer(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = service_fn(async |_| Ok::<_, Infallible>(Response::new(name.to_owned())));
            let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer);
            tokio::spawn(connection);
        }
    });
    address
}

/// Waits until a listener is open: that of a fresh Envoy opens a little after it is acknowledged.
pub async fn opens(at: SocketAddr) {
    eventually("the listener", async || {
        TcpStream::connect(at)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await;
}
