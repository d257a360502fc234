//! A plain HTTP service that answers with what it saw of the request.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde_json::{Value, json};

/// What an instance says of itself and how fast.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Its name, in every answer: tells instances apart.
    pub name: Arc<str>,
    /// How long it waits before each answer.
    pub delay: Duration,
}

/// Answers every path with JSON; `/status/NNN` with that status.
pub fn router(hello: Hello) -> Router {
    Router::new()
        .route("/status/{code}", any(status))
        .fallback(answer)
        .with_state(hello)
}

async fn answer(State(hello): State<Hello>, request: Request) -> Json<Value> {
    tokio::time::sleep(hello.delay).await;
    Json(describe(&hello, request.uri(), request.headers()))
}

async fn status(State(hello): State<Hello>, Path(code): Path<u16>, request: Request) -> Response {
    tokio::time::sleep(hello.delay).await;
    // 1xx is not a final answer; hyper would drop the connection.
    let Some(code) = StatusCode::from_u16(code).ok().filter(|code| !code.is_informational()) else {
        return (StatusCode::BAD_REQUEST, "a status is 200 to 999\n").into_response();
    };
    (code, Json(describe(&hello, request.uri(), request.headers()))).into_response()
}

fn describe(hello: &Hello, uri: &Uri, headers: &HeaderMap) -> Value {
    json!({
        "name": &*hello.name,
        "path": uri.path(),
        "host": host(uri, headers),
        "via": headers.get_all("x-catalyst-via").iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect::<Vec<_>>(),
    })
}

/// The Host header, which HTTP/2 spells `:authority`.
fn host(uri: &Uri, headers: &HeaderMap) -> String {
    match (uri.authority(), headers.get(header::HOST)) {
        (Some(authority), _) => authority.to_string(),
        (None, Some(host)) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
        (None, None) => String::new(),
    }
}

/// Reads a duration such as `250ms` or `2s`.
///
/// # Errors
/// Says how a duration is spelled.
pub fn parse_delay(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as 250ms or 2s");
    let (number, unit_ms) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 1000),
        (None, None) => return Err(wrong()),
    };
    let millis = number.parse::<u32>().map_err(|_| wrong())?;
    Ok(Duration::from_millis(u64::from(millis) * unit_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_delay("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_delay("2s"), Ok(Duration::from_secs(2)));
        for wrong in ["", "s", "5", "-1s", "1h", "1.5s"] {
            assert!(parse_delay(wrong).is_err(), "{wrong}");
        }
    }
}
