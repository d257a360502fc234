//! What travels between planning and serving: xDS resources by name, encoded, with the hash of their content.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

/// The kinds of resource that Envoy is given.
///
/// The order of the variants is the order of creation (make before break): what is named comes before what names it.
/// Removal goes the other way round. Envoy subscribes to scopes and extensions only once it has a listener, so the first
/// batch cannot wait for their acknowledgement before the listeners are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// SRDS, with the route configuration inline.
    ScopedRoute,
    /// ECDS: the filter that finds the scope of a request. It names scopes, so it follows them.
    Extension,
    /// LDS.
    Listener,
}

impl ResourceKind {
    /// Every kind, in the order of creation.
    pub const ALL: [Self; 5] = [
        Self::Cluster,
        Self::Endpoints,
        Self::ScopedRoute,
        Self::Extension,
        Self::Listener,
    ];

    /// The type URL of the resource, as discovery requests carry it.
    #[must_use]
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::ScopedRoute => "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
        }
    }

    /// The reverse of [`ResourceKind::type_url`].
    #[must_use]
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// Whether Envoy asks for all resources of the kind (a wildcard subscription) or for single names.
    #[must_use]
    pub fn is_wildcard(self) -> bool {
        match self {
            Self::Cluster | Self::Listener | Self::ScopedRoute => true,
            Self::Endpoints | Self::Extension => false,
        }
    }

    /// The short name of tables and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoints",
            Self::ScopedRoute => "scope",
            Self::Extension => "extension",
            Self::Listener => "listener",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Names a resource among all kinds.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its xDS resource name.
    pub name: Arc<str>,
}

impl ResourceKey {
    /// The key of a resource.
    #[must_use]
    pub fn new(kind: ResourceKind, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl fmt::Debug for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A wanted resource.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its key.
    pub key: ResourceKey,
    /// The encoded message itself (not wrapped in `Any`). Deterministic: messages with maps hold at most one entry each.
    pub body: Bytes,
    /// The hash of `body` in hex: stable across restarts and builds, so that a reconnecting Envoy is not sent what it
    /// already has (`initial_resource_versions`).
    pub version: Arc<str>,
}

impl Resource {
    /// Encodes a message.
    #[must_use]
    pub fn encode(kind: ResourceKind, name: impl Into<Arc<str>>, message: &impl Message) -> Self {
        let body = Bytes::from(message.encode_to_vec());
        let digest = Sha256::digest(&body);
        let version = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        Self {
            key: ResourceKey::new(kind, name),
            body,
            version: version.into(),
        }
    }

    /// The version as a number.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        fingerprint_of(&self.version).unwrap_or_default()
    }
}

/// The number that a version string stands for; `None` if it is none of ours.
#[must_use]
pub fn fingerprint_of(version: &str) -> Option<u64> {
    u64::from_str_radix(version, 16).ok()
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} @{} ({} bytes)", self.key, self.version, self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_the_content() {
        let one = Resource::encode(ResourceKind::Cluster, "a", &prost_text("x"));
        let two = Resource::encode(ResourceKind::Cluster, "b", &prost_text("x"));
        let three = Resource::encode(ResourceKind::Cluster, "a", &prost_text("y"));
        assert_eq!(one.version, two.version);
        assert_ne!(one.version, three.version);
        assert_eq!(fingerprint_of(&one.version), Some(one.fingerprint()));
        assert_eq!(fingerprint_of("not ours"), None);
    }

    #[test]
    fn type_urls_are_a_bijection() {
        for kind in ResourceKind::ALL {
            assert_eq!(ResourceKind::from_type_url(kind.type_url()), Some(kind));
        }
        assert_eq!(ResourceKind::from_type_url("type.googleapis.com/other"), None);
    }

    fn prost_text(text: &str) -> envoy_types::pb::google::protobuf::StringValue {
        envoy_types::pb::google::protobuf::StringValue { value: text.into() }
    }
}
