//! One request through the data plane, as a client or a peer would send it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::http::request::Builder;
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
/// A host that is good enough for Envoy, and for no wildcard: its character is in no name.
const NOBODY: &str = "catalyst-reach!";
/// What every GraphQL service can answer.
const QUERY: &str = r#"{"query":"{ __typename }"}"#;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// As a client of ingress does (HTTP/1.1).
    Client(Call),
    /// As the Envoy of a peer does (HTTP/2).
    Peer(Call),
    /// `CONNECT`, as the Envoy of a peer opens a tunnel to a tcp service.
    Tunnel,
}

/// A request that every service of a protocol knows an answer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// `GET /`.
    Get,
    /// The smallest query, to this path.
    Query(String),
}

impl Call {
    fn method(&self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Query(_) => Method::POST,
        }
    }

    fn path(&self) -> &str {
        match self {
            Self::Get => "/",
            Self::Query(path) => path,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get => f.write_str("GET /"),
            Self::Query(path) => write!(f, "POST {path} {{ __typename }}"),
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(call) => call.fmt(f),
            Self::Peer(call) => write!(f, "{call} by HTTP/2"),
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
    match bounded(exchange(stream, name, ask)).await {
        Ok(answer) => answer,
        Err(error) => Answer::None(error),
    }
}

/// Whether an Envoy that this daemon has set up listens at the other end: one says of a host that no service can have
/// that there is no route to it. Asks in the same HTTP version as `ask`.
pub(super) async fn is_our_envoy(stream: TcpStream, ask: &Ask) -> Result<bool, String> {
    let ask = match ask {
        Ask::Client(_) => Ask::Client(Call::Get),
        Ask::Peer(_) | Ask::Tunnel => Ask::Peer(Call::Get),
    };
    let look = async {
        let (response, connection) = send(stream, NOBODY, &ask).await?;
        let text = beginning(response.into_body()).await;
        drop(connection);
        Ok(text == format!("no route to {NOBODY}\n"))
    };
    bounded(look).await
}

async fn bounded<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match timeout(ANSWER, answer).await {
        Ok(answer) => answer.map_err(|error| root_cause(&*error)),
        Err(_) => Err(format!("no answer in {ANSWER:?}")),
    }
}

async fn exchange(stream: TcpStream, name: &str, ask: &Ask) -> Result<Answer, Error> {
    let (response, connection) = send(stream, name, ask).await?;
    let answer = read(response, *ask == Ask::Tunnel).await;
    drop(connection);
    Ok(answer)
}

async fn send(stream: TcpStream, name: &str, ask: &Ask) -> Result<(Response<Incoming>, Driven), Error> {
    let io = TokioIo::new(stream);
    match ask {
        Ask::Client(call) => {
            let request = request(call.method(), call.path()).header(HOST, name);
            let request = with_body(request, Some(call))?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            let driven = Driven::new(connection);
            Ok((sender.send_request(request).await?, driven))
        }
        Ask::Peer(_) | Ask::Tunnel => {
            let request = match ask {
                Ask::Client(call) | Ask::Peer(call) => {
                    let uri = format!("http://{name}{}", call.path());
                    with_body(request(call.method(), &uri), Some(call))?
                }
                // The port says nothing (docs/protocol.md); CONNECT needs one.
                Ask::Tunnel => with_body(request(Method::CONNECT, &format!("{name}:1")), None)?,
            };
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            let driven = Driven::new(connection);
            Ok((sender.send_request(request).await?, driven))
        }
    }
}

fn request(method: Method, uri: &str) -> Builder {
    Request::builder().method(method).uri(uri).header(USER_AGENT, AGENT)
}

fn with_body(request: Builder, call: Option<&Call>) -> Result<Request<Full<Bytes>>, Error> {
    Ok(match call {
        Some(Call::Query(_)) => request
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(QUERY))?,
        Some(Call::Get) | None => request.body(Full::default())?,
    })
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
    let text = beginning(response.into_body()).await;
    if tunnel || is_envoys(status, &text) {
        return Answer::Envoy(status, quote(&text));
    }
    Answer::Service(status)
}

/// A stream has no end, a page may be long: its beginning is enough, and none at all no mistake.
async fn beginning(body: Incoming) -> String {
    let body = timeout(Duration::from_secs(1), Limited::new(body, MAX_BODY_BYTES).collect()).await;
    let body = body
        .ok()
        .and_then(Result::ok)
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    String::from_utf8_lossy(&body).into_owned()
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

fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
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

    /// Answers one connection with these bytes, once a request has come that begins and goes on so.
    async fn answers(bytes: &'static str, asked: [&'static str; 3]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
            let [begin, host, end] = asked;
            assert!(
                request.starts_with(begin) && request.contains(host) && request.ends_with(end),
                "{request}"
            );
            stream.write_all(bytes.as_bytes()).await.unwrap();
        });
        address
    }

    async fn asked(bytes: &'static str) -> Answer {
        let request = ["get / http/1.1\r\n", "\r\nhost: a.acme\r\n", "\r\n\r\n"];
        let stream = connect(answers(bytes, request).await).await.unwrap();
        ask(stream, "a.acme", &Ask::Client(Call::Get)).await
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
    async fn a_graph_service_is_asked_a_query() {
        let request = [
            "post /q http/1.1\r\n",
            "\r\ncontent-type: application/json\r\n",
            "\r\n\r\n{\"query\":\"{ __typename }\"}",
        ];
        let at = answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", request).await;
        let call = Ask::Client(Call::Query("/q".to_owned()));
        let answer = ask(connect(at).await.unwrap(), "a.acme", &call).await;
        assert_eq!(answer, Answer::Service(StatusCode::OK));
    }

    #[tokio::test]
    async fn only_who_says_what_our_envoy_says_is_one() {
        let request = ["get / http/1.1\r\n", "\r\nhost: catalyst-reach!\r\n", ""];
        for (bytes, expected) in [
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 28\r\n\r\nno route to catalyst-reach!\n",
                Ok(true),
            ),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Ok(false)),
            ("HTTP/1.0 200 OK\r\nserver: envoy\r\n\r\n<html>", Ok(false)),
        ] {
            let stream = connect(answers(bytes, request).await).await.unwrap();
            assert_eq!(is_our_envoy(stream, &Ask::Client(Call::Get)).await, expected, "{bytes}");
        }
        let stream = connect(answers("rubbish", request).await).await.unwrap();
        assert!(is_our_envoy(stream, &Ask::Tunnel).await.is_err());
    }

    #[tokio::test]
    async fn who_says_nothing_is_no_answer() {
        assert!(matches!(asked("").await, Answer::None(_)));
        assert!(matches!(asked("rubbish\r\n\r\n").await, Answer::None(_)));
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(connect(free).await.unwrap_err().contains("refused"));
    }
}
