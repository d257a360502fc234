//! The URL of a service's endpoint: `http://HOST:PORT` or `tcp://HOST:PORT`.

use std::net::{IpAddr, Ipv6Addr};

use catalyst_core::name::ServiceName;

use super::text::Text;

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// `http://`: HTTP of either version.
    Http,
    /// `tcp://`.
    Tcp,
}

/// Where a service answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointUrl {
    /// Its scheme.
    pub scheme: Scheme,
    /// An IP address (IPv6 without brackets) or a DNS name.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Text for EndpointUrl {
    const EXPECTED: &'static str = "http://HOST:PORT or tcp://HOST:PORT";
    const EXAMPLE: &'static str = "http://127.0.0.1:4001";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let (scheme, authority) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("tcp", rest)) => (Scheme::Tcp, rest),
            Some(("https", _)) => return Err(Some("endpoints are local and spoken to in the clear".to_owned())),
            Some(_) | None => return Err(None),
        };
        if authority.contains(['/', '?', '#', '@']) {
            return Err(Some(
                "nothing but host and port; a GraphQL path goes to the service's \"path\"".to_owned(),
            ));
        }
        let (host, port) = authority
            .rsplit_once(':')
            .ok_or_else(|| Some("the port is missing".to_owned()))?;
        Ok(Self {
            scheme,
            host: parse_host(host)?,
            port: parse_port(port)?,
        })
    }

    fn print(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Tcp => "tcp",
        };
        if self.host.contains(':') {
            format!("{scheme}://[{}]:{}", self.host, self.port)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }
}

fn parse_port(text: &str) -> Result<u16, Option<String>> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|p| digits && *p > 0)
        .ok_or_else(|| Some("a port is a number from 1 to 65535".to_owned()))
}

fn parse_host(text: &str) -> Result<String, Option<String>> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let address: Ipv6Addr = inner
            .parse()
            .map_err(|_| Some("no IPv6 address in the brackets".to_owned()))?;
        return Ok(address.to_string());
    }
    if let Ok(IpAddr::V4(address)) = text.parse() {
        return Ok(address.to_string());
    }
    if text.contains(':') {
        return Err(Some("an IPv6 address stands in brackets".to_owned()));
    }
    let name = ServiceName::parse(text).map_err(|_| Some("the host is no IP address and no DNS name".to_owned()))?;
    let numeric = name
        .as_str()
        .split('.')
        .all(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if name.is_wildcard() || numeric {
        return Err(Some("the host is no IP address and no DNS name".to_owned()));
    }
    Ok(name.as_str().to_owned())
}
