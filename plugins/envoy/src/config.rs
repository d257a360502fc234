//! What the Envoy plugin must know of its node. The daemon's configuration fills it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use catalyst_plugin::Prefix;

/// Where the ADS server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XdsAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(SocketAddr),
}

/// The configuration of the Envoy plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvoyConfig {
    /// This node's name (one label).
    pub node: Arc<str>,
    /// This node's AS.
    pub asn: u32,
    /// This node's organisation (one label).
    pub organisation: Arc<str>,
    /// Where the ADS server listens.
    pub xds: XdsAddress,
    /// Where clients come in.
    pub ingress: SocketAddr,
    /// Where local services and the gateway dial a name by its Host header.
    pub egress: SocketAddr,
    /// Where the Envoys of our own organisation's other nodes come in.
    pub peer_listener: SocketAddr,
    /// Where the Envoys of each outside organisation come in, by organisation.
    pub peer_listeners: BTreeMap<Arc<str>, SocketAddr>,
    /// The address of the egress listeners of tcp services.
    pub tcp_address: IpAddr,
    /// Their ports, one per tcp service.
    pub tcp_ports: RangeInclusive<u16>,
    /// Envoy's admin interface (bootstrap only).
    pub admin: SocketAddr,
    /// The GraphQL gateway; `None` without the graphql plugin.
    pub gateway: Option<SocketAddr>,
    /// Further hosts that mean the graph on ingress, besides IP literals and `localhost` (any case).
    pub graphql_hosts: Vec<String>,
    /// The tunnels to other organisations.
    pub tunnels: Vec<TunnelEnds>,
    /// Where port assignments survive a restart; `None`: they do not.
    pub state_dir: Option<PathBuf>,
}

/// A tunnel to another organisation, as Envoy has to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelEnds {
    /// Where the addresses of its other end lie.
    pub theirs: Vec<Prefix>,
    /// Our addresses in it. They may come later than Envoy, and go before it.
    pub ours: Vec<IpAddr>,
}

impl EnvoyConfig {
    /// The address that connections to a next hop leave by; `None`: as the kernel chooses.
    pub(crate) fn source_for(&self, next_hop: IpAddr) -> Option<IpAddr> {
        let next_hop = next_hop.to_canonical();
        let leads = |tunnel: &&TunnelEnds| tunnel.theirs.iter().any(|prefix| prefix.contains(next_hop));
        let tunnel = self.tunnels.iter().find(leads)?;
        tunnel
            .ours
            .iter()
            .find(|ours| ours.is_ipv4() == next_hop.is_ipv4())
            .copied()
    }

    /// Whether an address is one of ours in a tunnel.
    pub(crate) fn is_in_tunnel(&self, address: IpAddr) -> bool {
        self.tunnels.iter().any(|tunnel| tunnel.ours.contains(&address))
    }

    /// The id that Envoy gives to the ADS server, and this node's entry in `x-catalyst-via`.
    #[must_use]
    pub fn node_id(&self) -> String {
        format!("{}/{}", self.asn, self.node)
    }

    /// The ports at `tcp_address` that the node needs itself.
    pub(crate) fn ports_in_use(&self) -> impl Iterator<Item = u16> {
        let wanted = self.tcp_address;
        let listeners = [self.ingress, self.egress, self.peer_listener, self.admin];
        let all = listeners
            .into_iter()
            .chain(self.peer_listeners.values().copied())
            .chain(self.gateway);
        let clash = move |at: &SocketAddr| at.ip() == wanted || at.ip().is_unspecified() || wanted.is_unspecified();
        all.filter(clash).map(|at| at.port())
    }
}
