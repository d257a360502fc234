//! What the daemon's configuration says of a plane.

use std::net::IpAddr;
use std::sync::Arc;

use catalyst_plugin::{Protocol, Selected};

/// A data plane that is a program of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneSpec {
    /// Its name in tables and in Hello.
    pub name: Arc<str>,
    /// The protocols of the services that it serves.
    pub protocols: Vec<Protocol>,
    /// Whether it serves IPv4 prefixes.
    pub ipv4: bool,
    /// Whether it serves IPv6 prefixes.
    pub ipv6: bool,
}

impl PlaneSpec {
    /// Whether the plane sees a route.
    pub(crate) fn serves(&self, route: &Selected) -> bool {
        match route {
            Selected::Name(route) => self.protocols.contains(&route.protocol),
            Selected::Prefix(route) => match route.prefix.address() {
                IpAddr::V4(_) => self.ipv4,
                IpAddr::V6(_) => self.ipv6,
            },
        }
    }
}
