//! What the gateway is to know of one service.

use std::net::SocketAddr;
use std::sync::Arc;

use catalyst_plugin::{Protocol, Route, ServiceName, Target};
use catalyst_proto::gateway::v1;

/// The path of a route that does not name one.
const DEFAULT_PATH: &str = "/graphql";
/// FNV-1a, 64 bits: stable across builds, and enough to notice a change that nobody makes on purpose.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// One subgraph: a service of protocol `http:graphql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subgraph {
    /// The service's name; the gateway sends it as Host.
    pub name: ServiceName,
    /// The HTTP path of its GraphQL endpoint.
    pub path: Arc<str>,
    /// The egress listener of the local Envoy, where the gateway dials.
    pub egress: SocketAddr,
}

/// Whether the route is a subgraph: nothing can be fetched from a wildcard, or from a discard.
#[must_use]
pub fn is_subgraph(route: &Route) -> bool {
    route.protocol == Protocol::HttpGraphql && !route.name.is_wildcard() && route.target != Target::Discard
}

impl Subgraph {
    /// The subgraph of a route.
    #[must_use]
    pub fn of(route: &Route, egress: SocketAddr) -> Self {
        let path = route.path.clone().unwrap_or_else(|| DEFAULT_PATH.into());
        Self {
            name: route.name.clone(),
            path,
            egress,
        }
    }

    /// A fingerprint of the content, stable across restarts and builds.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        fingerprint(self.name.as_str(), &self.path, &self.egress.to_string())
    }

    pub(crate) fn to_proto(&self) -> v1::Subgraph {
        v1::Subgraph {
            name: self.name.to_string(),
            path: self.path.to_string(),
            egress: self.egress.to_string(),
            fingerprint: self.fingerprint(),
        }
    }
}

/// The fingerprint of what the gateway holds; `None` if it is not what was given to it by a plugin of this kind.
pub(crate) fn held_fingerprint(held: &v1::Subgraph) -> Option<u64> {
    let computed = fingerprint(&held.name, &held.path, &held.egress);
    (computed == held.fingerprint).then_some(computed)
}

fn fingerprint(name: &str, path: &str, egress: &str) -> u64 {
    let mut hash = FNV_OFFSET;
    for field in [name, path, egress] {
        // 0xff is in no UTF-8 text, so fields cannot run into each other.
        for byte in field.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subgraph(name: &str, path: &str, egress: &str) -> Subgraph {
        Subgraph {
            name: ServiceName::parse(name).unwrap(),
            path: path.into(),
            egress: egress.parse().unwrap(),
        }
    }

    #[test]
    fn the_fingerprint_is_the_same_in_every_build() {
        let subgraph = subgraph("products.dc1.acme", "/graphql", "127.0.0.1:8081");
        assert_eq!(subgraph.fingerprint(), GOLDEN);
        assert_eq!(held_fingerprint(&subgraph.to_proto()), Some(GOLDEN));
    }

    /// Changing it makes every gateway take every subgraph again at the next start.
    const GOLDEN: u64 = 0x6d45_296f_936f_dc20;

    #[test]
    fn every_field_counts() {
        let one = subgraph("a.b", "/graphql", "127.0.0.1:8081");
        let others = [
            subgraph("a.c", "/graphql", "127.0.0.1:8081"),
            subgraph("a.b", "/graphq", "127.0.0.1:8081"),
            subgraph("a.b", "/graphql", "127.0.0.1:8082"),
        ];
        for other in others {
            assert_ne!(other.fingerprint(), one.fingerprint(), "{other:?}");
        }
        let mut tampered = one.to_proto();
        tampered.path = "/other".into();
        assert_eq!(held_fingerprint(&tampered), None);
    }
}
