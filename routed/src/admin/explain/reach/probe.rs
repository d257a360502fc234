//! One request through the data plane, as a client or a peer would send it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a listener may take to accept.
const CONNECT: Duration = Duration::from_secs(2);
/// How long the answer may take from there on.
const ANSWER: Duration = Duration::from_secs(4);
/// As much of an answer as is read to tell whose it is, in bytes.
const MAX_BODY_BYTES: usize = 4096;
/// As much of it as is repeated, in characters.
const MAX_QUOTED: usize = 160;
/// What the service sees of it.
const AGENT: &str = concat!("catalystctl-reach/", env!("CARGO_PKG_VERSION"));

/// How to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// `GET` of a path, as a client of ingress sends it (HTTP/1.1).
    Client(String),
    /// `GET` of a path, as the Envoy of a peer sends it (HTTP/2).
    Peer(String),
    /// `CONNECT`, as the Envoy of a peer opens a tunnel to a tcp service.
    Tunnel,
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(path) => write!(f, "GET {path}"),
            Self::Peer(path) => write!(f, "GET {path} by HTTP/2"),
            Self::Tunnel => f.write_str("CONNECT"),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The service answered, with this status (of a tunnel: it stands).
    Service(StatusCode),
    /// An Envoy on the way answered in its place, in these words.
    Envoy(StatusCode, String),
    /// Nobody did.
    None(String),
}

/// Connects to a listener.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {CONNECT:?}")),
    }
}

/// Asks for `name` over a connection to a listener.
pub(super) async fn ask(stream: TcpStream, name: &str, ask: &Ask) -> Answer {
    let answer = timeout(ANSWER, exchange(stream, name, ask)).await;
    match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::None(root_cause(&error)),
        Err(_) => Answer::None(format!("no answer in {ANSWER:?}")),
    }
}

async fn exchange(stream: TcpStream, name: &str, ask: &Ask) -> Result<Answer, hyper::Error> {
    let io = TokioIo::new(stream);
    let (response, connection) = match ask {
        Ask::Client(path) => {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            let driven = Driven::new(connection);
            let Ok(request) = request(Method::GET, path)
                .header(HOST, name)
                .body(Empty::<Bytes>::new())
            else {
                return Ok(Answer::None(format!("{name} cannot be asked for")));
            };
            (sender.send_request(request).await?, driven)
        }
        Ask::Peer(_) | Ask::Tunnel => {
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            let driven = Driven::new(connection);
            let built = match ask {
                Ask::Client(path) | Ask::Peer(path) => request(Method::GET, &format!("http://{name}{path}")),
                // The port says nothing (docs/protocol.md); CONNECT needs one.
                Ask::Tunnel => request(Method::CONNECT, &format!("{name}:1")),
            };
            let Ok(request) = built.body(Empty::<Bytes>::new()) else {
                return Ok(Answer::None(format!("{name} cannot be asked for")));
            };
            (sender.send_request(request).await?, driven)
        }
    };
    let answer = read(response, *ask == Ask::Tunnel).await;
    drop(connection);
    Ok(answer)
}

fn request(method: Method, uri: &str) -> hyper::http::request::Builder {
    Request::builder().method(method).uri(uri).header(USER_AGENT, AGENT)
}

/// A connection that is driven for as long as this lives.
struct Driven(JoinHandle<()>);

impl Driven {
    fn new(connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) -> Self {
        Self(tokio::spawn(async {
            // What goes wrong shows in the answer.
            drop(connection.await);
        }))
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read(response: Response<Incoming>, tunnel: bool) -> Answer {
    let status = response.status();
    if tunnel && status.is_success() {
        return Answer::Service(status);
    }
    // A stream has no end, a page may be long: its beginning is enough, and none at all no mistake.
    let body = timeout(
        Duration::from_secs(1),
        Limited::new(response.into_body(), MAX_BODY_BYTES).collect(),
    )
    .await;
    let body = body
        .ok()
        .and_then(Result::ok)
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    if tunnel || is_envoys(status, &text) {
        return Answer::Envoy(status, quote(&text));
    }
    Answer::Service(status)
}

/// Whether an answer is one that Envoy gives in place of a service: its own words, or those that plan put into it.
fn is_envoys(status: StatusCode, body: &str) -> bool {
    match status.as_u16() {
        404 => body.starts_with("no route to ") || body.ends_with("is a tcp service: dial its own port\n"),
        405 => body.starts_with("CONNECT is for peers"),
        503 => body.starts_with("upstream connect error") || body.starts_with("no healthy upstream"),
        504 => body.starts_with("upstream request timeout"),
        508 => body.starts_with("loop: "),
        _ => false,
    }
}

fn quote(text: &str) -> String {
    let one_line: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_QUOTED)
        .collect();
    one_line
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one connection with these bytes, once the request has come.
    async fn answers(bytes: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
            assert!(
                request.starts_with("get /x http/1.1\r\n") && request.contains("host: a.acme"),
                "{request}"
            );
            stream.write_all(bytes.as_bytes()).await.unwrap();
        });
        address
    }

    async fn asked(bytes: &'static str) -> Answer {
        let stream = connect(answers(bytes).await).await.unwrap();
        ask(stream, "a.acme", &Ask::Client("/x".to_owned())).await
    }

    #[tokio::test]
    async fn answers_of_services_are_told_from_those_of_envoy() {
        let service = Answer::Service(StatusCode::NOT_FOUND);
        assert_eq!(
            asked("HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n").await,
            service
        );
        assert_eq!(
            asked("HTTP/1.1 404 Not Found\r\ncontent-length: 19\r\n\r\nno route to a.acme\n").await,
            Answer::Envoy(StatusCode::NOT_FOUND, "no route to a.acme".to_owned())
        );
        // A page without end: the connection closes.
        assert_eq!(
            asked("HTTP/1.1 200 OK\r\n\r\nhello").await,
            Answer::Service(StatusCode::OK)
        );
    }

    #[tokio::test]
    async fn who_says_nothing_is_no_answer() {
        assert!(matches!(asked("").await, Answer::None(_)));
        assert!(matches!(asked("rubbish\r\n\r\n").await, Answer::None(_)));
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(connect(free).await.unwrap_err().contains("refused"));
    }
}
