//! Values that are written as a string and mean something else: addresses, durations, names, communities.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use catalyst_core::attrs::{LargeCommunity, format_community, format_large_community};
use catalyst_core::name::{MAX_LABEL_BYTES, ServiceName};
use catalyst_core::policy::Role;
use catalyst_core::route::Protocol;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::type_error::quote;

/// A type with a spelling in the configuration.
pub trait Text: Sized {
    /// What to write, for error messages: `IP:port`.
    const EXPECTED: &'static str;
    /// A good example, for the documentation and for the test that walks the schema.
    const EXAMPLE: &'static str;
    /// The only texts there are, if there are few.
    const CHOICES: &'static [&'static str] = &[];

    /// Reads the spelling; the error says more than [`Text::EXPECTED`] does, if there is more to say.
    ///
    /// # Errors
    /// Why not.
    fn parse(text: &str) -> Result<Self, Option<String>>;

    /// The canonical spelling.
    fn print(&self) -> String;
}

/// A value that the configuration spells as a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spelled<T>(pub T);

impl<T: Text> Spelled<T> {
    /// Reads a spelling.
    ///
    /// # Errors
    /// One line: what is expected and what was found.
    pub fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Self).map_err(|detail| {
            let detail = detail.map(|d| format!(": {d}")).unwrap_or_default();
            format!("expected {}, found {}{detail}", T::EXPECTED, quote(text))
        })
    }
}

impl<T> Deref for Spelled<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Text> fmt::Display for Spelled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.print())
    }
}

impl<T: Text> Serialize for Spelled<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.print())
    }
}

impl<'de, T: Text> Deserialize<'de> for Spelled<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = SpelledVisitor(std::marker::PhantomData);
        deserializer.deserialize_str(visitor)
    }
}

struct SpelledVisitor<T>(std::marker::PhantomData<T>);

impl<T: Text> serde::de::Visitor<'_> for SpelledVisitor<T> {
    type Value = Spelled<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Spelled<T>, E> {
        Spelled::parse(text).map_err(E::custom)
    }
}

impl<T: Text> JsonSchema for Spelled<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::EXPECTED.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        if T::CHOICES.is_empty() {
            json_schema!({ "type": "string", "x-expected": T::EXPECTED, "examples": [T::EXAMPLE] })
        } else {
            json_schema!({ "type": "string", "enum": T::CHOICES, "examples": [T::EXAMPLE] })
        }
    }
}

impl Text for SocketAddr {
    const EXPECTED: &'static str = "IP:port";
    const EXAMPLE: &'static str = "127.0.0.1:1790";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let address: Self = text.parse().map_err(|_| None)?;
        if address.port() == 0 {
            Err(Some("port 0 is no port to be reached at".to_owned()))
        } else {
            Ok(address)
        }
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Text for IpAddr {
    const EXPECTED: &'static str = "an IP address";
    const EXAMPLE: &'static str = "127.0.0.1";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        text.parse().map_err(|_| None)
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

/// Where something listens: a Unix socket or TCP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

/// The longest path of a Unix socket in bytes (`sun_path` of unix(7), less its NUL).
const MAX_SOCKET_PATH_BYTES: usize = 107;

impl Text for Listen {
    const EXPECTED: &'static str = "unix:PATH or IP:port";
    const EXAMPLE: &'static str = "unix:/run/catalyst/routed.sock";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let Some(path) = text.strip_prefix("unix:") else {
            return SocketAddr::parse(text).map(Self::Tcp);
        };
        if path.is_empty() || path.contains('\0') {
            return Err(None);
        }
        if path.len() > MAX_SOCKET_PATH_BYTES {
            let detail = format!(
                "a socket's path has at most {MAX_SOCKET_PATH_BYTES} bytes, this one has {}",
                path.len()
            );
            return Err(Some(detail));
        }
        Ok(Self::Unix(path.into()))
    }

    fn print(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix:{}", path.display()),
            Self::Tcp(address) => address.to_string(),
        }
    }
}

impl Text for Duration {
    const EXPECTED: &'static str = "a duration such as \"90s\", \"500ms\" or \"2m\"";
    const EXAMPLE: &'static str = "6s";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(None)?;
        let (digits, unit) = text.split_at(split);
        let count: u64 = digits.parse().map_err(|_| None)?;
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(None),
        };
        count.checked_mul(unit_ms).map(Self::from_millis).ok_or(None)
    }

    fn print(&self) -> String {
        let ms = self.as_millis();
        if ms.is_multiple_of(1000) {
            format!("{}s", ms / 1000)
        } else {
            format!("{ms}ms")
        }
    }
}

/// One label of a service name: the name of a node, an organisation, a peer, a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(pub String);

impl Text for Label {
    const EXPECTED: &'static str = "one label of a name (a-z, 0-9, '-', '_')";
    const EXAMPLE: &'static str = "acme";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        if text.contains('.') || text.contains('*') {
            return Err(Some(format!("no '.' and no '*', 1 to {MAX_LABEL_BYTES} bytes")));
        }
        let label = ServiceName::parse(text).map_err(|e| Some(e.to_string()))?;
        Ok(Self(label.as_str().to_owned()))
    }

    fn print(&self) -> String {
        self.0.clone()
    }
}

/// An exact name: the suffix of a domain, a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExactName(pub ServiceName);

impl Text for ExactName {
    const EXPECTED: &'static str = "a name without '*'";
    const EXAMPLE: &'static str = "acme.example";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let name = ServiceName::parse(text).map_err(|e| Some(e.to_string()))?;
        if name.is_wildcard() { Err(None) } else { Ok(Self(name)) }
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}

impl Text for Protocol {
    const EXPECTED: &'static str = "tcp, http, http:graphql or http:grpc";
    const EXAMPLE: &'static str = "http";
    const CHOICES: &'static [&'static str] = &["tcp", "http", "http:graphql", "http:grpc"];

    fn parse(text: &str) -> Result<Self, Option<String>> {
        Self::parse(text).ok_or(None)
    }

    fn print(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Text for Role {
    const EXPECTED: &'static str = "provider, route-server, route-server-client, customer or peer";
    const EXAMPLE: &'static str = "customer";
    const CHOICES: &'static [&'static str] = &["provider", "route-server", "route-server-client", "customer", "peer"];

    fn parse(text: &str) -> Result<Self, Option<String>> {
        Self::parse(text).ok_or(None)
    }

    fn print(&self) -> String {
        self.as_str().to_owned()
    }
}

/// A community of either size, or the name of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Community {
    /// RFC 1997: `asn << 16 | value`.
    Standard(u32),
    /// RFC 8092.
    Large(LargeCommunity),
    /// What the section `communities` calls so, or a well-known one.
    Named(Label),
}

impl Text for Community {
    const EXPECTED: &'static str =
        "a community ASN:VALUE (two numbers to 65535) or A:B:C (three to 4294967295), or the name of one";
    const EXAMPLE: &'static str = "65001:100";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            [asn, value] => Ok(Self::Standard(decimal(asn, 0xffff)? << 16 | decimal(value, 0xffff)?)),
            [a, b, c] => Ok(Self::Large((
                decimal(a, u32::MAX)?,
                decimal(b, u32::MAX)?,
                decimal(c, u32::MAX)?,
            ))),
            [name] => Label::parse(name).map(Self::Named),
            _ => Err(None),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Standard(community) => format_community(*community),
            Self::Large(community) => format_large_community(*community),
            Self::Named(name) => name.0.clone(),
        }
    }
}

pub(super) fn decimal(text: &str, max: u32) -> Result<u32, Option<String>> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && *n <= max).ok_or(None)
}

/// A range of TCP ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// The first port; at least 1.
    pub first: u16,
    /// The last port; not below the first.
    pub last: u16,
}

impl Text for PortRange {
    const EXPECTED: &'static str = "a range of ports such as \"20000-20099\"";
    const EXAMPLE: &'static str = "20000-20099";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let (first, last) = text.split_once('-').ok_or(None)?;
        let port = |text: &str| decimal(text, 0xffff)?.try_into().map_err(|_| None);
        let (first, last): (u16, u16) = (port(first)?, port(last)?);
        if first == 0 || last < first {
            return Err(Some("the first port is at least 1 and not above the last".to_owned()));
        }
        Ok(Self { first, last })
    }

    fn print(&self) -> String {
        format!("{}-{}", self.first, self.last)
    }
}
