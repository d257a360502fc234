//! The page for people at /graphql: one file, nothing from elsewhere, so it works on a machine without internet.

use hive_router::ntex::http::{Method, RequestHead, header};
use hive_router::ntex::web::HttpResponse;

const PAGE: &str = include_str!("page.html");
/// The page may talk to this gateway and to nobody else.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether a person's browser asks: GET without a query, and HTML welcome.
pub(crate) fn is_wanted(head: &RequestHead) -> bool {
    let accept = head
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let query = head.uri.query().unwrap_or("");
    let asks = query
        .split('&')
        .any(|pair| pair.starts_with("query=") || pair.starts_with("extensions="));
    head.method == Method::GET && accept.contains("text/html") && !asks
}

/// Serves the page.
pub(crate) async fn serve() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .header("content-security-policy", POLICY)
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "no-referrer")
        .body(PAGE)
}

#[cfg(test)]
mod tests {
    use super::PAGE;

    #[test]
    fn nothing_comes_from_elsewhere() {
        for scheme in ["http:", "https:", "//", "@import", "url("] {
            let found = PAGE.find(scheme).map(|at| &PAGE[at..PAGE.len().min(at + 60)]);
            assert_eq!(found, None, "the page refers to {scheme}");
        }
    }
}
