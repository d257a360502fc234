//! The sections of the data planes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use catalyst_core::route::Protocol;
use catalyst_core::wire::Family;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{ExactName, Listen, PortRange, Spelled};
use super::wireguard::Wireguard;

/// The data planes to program. One that is not named is off.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    /// Envoy: HTTP, gRPC and TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy: Option<Envoy>,
    /// The GraphQL gateway: one graph over all `http:graphql` services. Needs the envoy plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graphql: Option<Graphql>,
    /// WireGuard: tunnels to other organisations, and the routes through them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wireguard: Option<Wireguard>,
    /// Data planes that are programs of their own, by a name of your choice (one label): docs/plugins.md.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external: BTreeMap<String, External>,
}

/// Envoy. Every address but `xds` is one that Envoy listens on, on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Envoy {
    /// Where Envoys fetch their configuration from this daemon (delta ADS): a Unix socket or a loopback address.
    pub xds: Spelled<Listen>,
    /// Where clients come in.
    pub ingress: Spelled<SocketAddr>,
    /// Where local services and the GraphQL gateway call other services, by their name as Host.
    pub egress: Spelled<SocketAddr>,
    /// Where the Envoys of our organisation's other nodes come in.
    pub peer_listener: Spelled<SocketAddr>,
    /// Where the Envoys of another organisation come in, by organisation. Each organisation has a listener of its own,
    /// which knows only the names that are exported to it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peer_listeners: BTreeMap<String, Spelled<SocketAddr>>,
    /// The address of the local ports of tcp services.
    pub tcp_address: Spelled<IpAddr>,
    /// The local ports to give to tcp services, one each. Default: none, and tcp services are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_ports: Option<Spelled<PortRange>>,
    /// Envoy's own administration interface: a loopback address.
    pub admin: Spelled<SocketAddr>,
}

impl Default for Envoy {
    fn default() -> Self {
        Self {
            xds: Spelled(Listen::Unix("/run/catalyst/xds.sock".into())),
            ingress: loopback(8080),
            egress: loopback(8081),
            peer_listener: loopback(8082),
            peer_listeners: BTreeMap::new(),
            tcp_address: Spelled(Ipv4Addr::LOCALHOST.into()),
            tcp_ports: None,
            admin: loopback(9901),
        }
    }
}

/// The GraphQL gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Graphql {
    /// Where catalyst-gateway takes its subgraphs from this daemon: a Unix socket or a loopback address.
    pub control: Spelled<Listen>,
    /// Where catalyst-gateway serves the graph; Envoy's ingress sends requests for the graph there.
    pub gateway: Spelled<SocketAddr>,
    /// Hosts that mean the graph on ingress, beside IP literals and localhost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Spelled<ExactName>>,
}

impl Default for Graphql {
    fn default() -> Self {
        Self {
            control: Spelled(Listen::Unix("/run/catalyst/gateway.sock".into())),
            gateway: loopback(8083),
            hosts: Vec::new(),
        }
    }
}

/// A data plane that is a program of its own, in any number of instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct External {
    /// Where its instances follow the table from this daemon: a Unix socket (made with mode 0600) or a loopback address.
    /// Default: `unix:/run/catalyst/plane-NAME.sock`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Spelled<Listen>>,
    /// Whether a name is announced to peers only once every connected instance has confirmed it (or 1 s has passed), and
    /// nothing is announced while none is connected: for a plane that the traffic of peers passes through.
    pub gates: bool,
    /// The families that it serves; it does not see routes of others. Default: all.
    #[schemars(length(min = 1))]
    pub families: Vec<Spelled<Family>>,
    /// Of names: the protocols that it serves; it does not see routes of others. Default: all.
    #[schemars(length(min = 1))]
    pub protocols: Vec<Spelled<Protocol>>,
}

impl Default for External {
    fn default() -> Self {
        Self {
            listen: None,
            gates: false,
            families: [Family::Name, Family::Ipv4, Family::Ipv6].map(Spelled).into(),
            protocols: Protocol::ALL.map(Spelled).into(),
        }
    }
}

impl External {
    /// Where the plane of this name is served.
    pub(super) fn listen_of(&self, name: &str) -> Spelled<Listen> {
        let default = || Spelled(Listen::Unix(format!("/run/catalyst/plane-{name}.sock").into()));
        self.listen.clone().unwrap_or_else(default)
    }
}

fn loopback(port: u16) -> Spelled<SocketAddr> {
    Spelled(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
}
