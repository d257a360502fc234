//! Peers that are not configured one by one.

use std::net::{IpAddr, SocketAddr};

use catalyst_core::policy::{NamePattern, Role};
use catalyst_core::route::Prefix;
use catalyst_core::wire::Family;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::as_range::AsRange;
use super::either::Many;
use super::limits::MaxRoutes;
use super::policy::{Item, PolicyWord};
use super::text::{Label, Spelled};
use super::types::{GracefulRestart, Peer, all_families, yes};

/// Peers that are not configured one by one: whoever calls from the prefix and says in its OPEN what is expected is a
/// peer called `NAME-IP` for as long as its session lasts. They are never dialled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DynamicPeers {
    /// Where they call from, one peer an address. Of several prefixes the longest counts; an address under `peers` comes
    /// before all of them.
    pub prefix: Spelled<Prefix>,
    /// The AS numbers that they may have: one, a range, or a list of them.
    #[serde(rename = "as")]
    pub asns: Many<AsRange>,
    /// At most so many at a time.
    #[serde(default = "default_max_peers")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_peers: u32,
    /// Their organisation: one label. Default: ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Spelled<Label>>,
    /// How many links they are away at most (RFC 5082), as for a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 254))]
    pub ttl_security: Option<u8>,
    /// The kinds of routes to exchange with them, as for a peer.
    #[serde(default = "all_families")]
    #[schemars(length(min = 1, max = 3))]
    pub families: Vec<Spelled<Family>>,
    /// On a reflector: whether those of our AS are clients (RFC 4456).
    #[serde(default = "yes")]
    pub client: bool,
    /// Whether routes passed on to them carry our next hop. Always on towards outside.
    #[serde(default = "yes")]
    pub next_hop_self: bool,
    /// Graceful restart, as for a peer: one that is away keeps its place meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<GracefulRestart>,
    /// Our role towards them (RFC 9234), as for a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Spelled<Role>>,
    /// Whether one that claims no role is refused; needs `role`.
    #[serde(default)]
    pub strict_role: bool,
    /// For outside peers: further addresses that they may name as next hop, beside their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_next_hops: Vec<Spelled<IpAddr>>,
    /// The only names that they may offer, whatever the import policy says. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_names: Option<Many<Spelled<Item<NamePattern>>>>,
    /// For outside peers: the prefixes that they may offer, those within them included. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_prefixes: Vec<Spelled<Prefix>>,
    /// How many routes each of them may bring, as for a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_routes: Option<MaxRoutes>,
    /// How many routes each of them may announce or withdraw per second, as for a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_update_rate: Option<u32>,
    /// The longest frame in bytes, of each of them and to it, as for a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 40960, max = 65536))]
    pub max_frame: Option<u32>,
    /// What is taken from them, as for a peer. Policies know them by the name of this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Spelled<PolicyWord>>,
    /// What is announced to them, as for a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Spelled<PolicyWord>>,
    /// Allows these sessions off loopback although they are neither encrypted nor authenticated. Default:
    /// `peering.insecure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
}

fn default_max_peers() -> u32 {
    100
}

impl DynamicPeers {
    /// What they have in common, as one peer at an address of its own with the first AS number.
    #[must_use]
    pub fn template(&self) -> Peer {
        // Every field is named: one that a peer has has to decide here whether these have it, too.
        Peer {
            address: Spelled(SocketAddr::new(self.prefix.0.address(), 0)),
            asn: self.asns.items().first().map_or(0, |range| *range.0.start()),
            organisation: self.organisation.clone(),
            node: None,
            source: None,
            ttl_security: self.ttl_security,
            passive: true,
            families: self.families.clone(),
            client: self.client,
            next_hop_self: self.next_hop_self,
            graceful_restart: self.graceful_restart.clone(),
            role: self.role,
            strict_role: self.strict_role,
            allowed_next_hops: self.allowed_next_hops.clone(),
            allowed_names: self.allowed_names.clone(),
            allowed_prefixes: self.allowed_prefixes.clone(),
            // A tunnel is configured for each of its ends.
            tunnel: None,
            max_routes: self.max_routes.clone(),
            max_update_rate: self.max_update_rate,
            max_frame: self.max_frame,
            import: self.import.clone(),
            export: self.export.clone(),
            insecure: self.insecure,
        }
    }

    /// Whether they may be of this AS.
    #[must_use]
    pub fn takes_as(&self, asn: u32) -> bool {
        self.asns.items().iter().any(|range| range.0.contains(&asn))
    }
}
