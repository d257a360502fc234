//! The egress listener of a tcp service: a port of its own, straight to the endpoints or into a tunnel.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp;

use super::listener::network_filter;
use super::names::{TUNNEL_PORT, VIA_HEADER};
use super::proto::{address, any, boolean, duration, header, uint};
use super::scope::Clusters;

/// As the idle timeout of tunnels.
const IDLE: Duration = Duration::from_secs(3600);
/// A connection that no next hop or endpoint has taken is tried again elsewhere.
const CONNECT_ATTEMPTS: u32 = 3;

/// How a connection leaves the node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    /// To the service's endpoints.
    Endpoints,
    /// By CONNECT to the next hop, with this node's entry for the loop guard.
    Tunnel { name: &'a str, node: &'a str },
}

/// The listener of a tcp service.
pub(crate) fn listener(name: String, at: SocketAddr, clusters: &Clusters, way: Way<'_>) -> pb::Listener {
    let proxy = tcp::TcpProxy {
        // One set of numbers for all tcp services: a set per name would cost memory per name.
        stat_prefix: "tcp".into(),
        idle_timeout: duration(IDLE),
        max_connect_attempts: uint(CONNECT_ATTEMPTS),
        tunneling_config: tunnel(way),
        cluster_specifier: Some(specifier(clusters)),
        ..Default::default()
    };
    pb::Listener {
        name,
        address: Some(address(at)),
        filter_chains: vec![network_filter("envoy.filters.network.tcp_proxy", any(&proxy))],
        traffic_direction: core::TrafficDirection::Outbound.into(),
        enable_reuse_port: boolean(false),
        ..Default::default()
    }
}

fn tunnel(way: Way<'_>) -> Option<tcp::tcp_proxy::TunnelingConfig> {
    match way {
        Way::Endpoints => None,
        Way::Tunnel { name, node } => Some(tcp::tcp_proxy::TunnelingConfig {
            hostname: format!("{name}:{TUNNEL_PORT}"),
            headers_to_add: vec![header(VIA_HEADER, node)],
            ..Default::default()
        }),
    }
}

fn specifier(clusters: &Clusters) -> tcp::tcp_proxy::ClusterSpecifier {
    if let [(only, _)] = clusters.as_slice() {
        return tcp::tcp_proxy::ClusterSpecifier::Cluster(only.clone());
    }
    // Unlike HTTP routes, tcp_proxy takes no weight of 0.
    let clusters = clusters.iter().filter(|(_, weight)| *weight > 0).map(|(name, weight)| {
        tcp::tcp_proxy::weighted_cluster::ClusterWeight {
            name: name.clone(),
            weight: *weight,
            ..Default::default()
        }
    });
    tcp::tcp_proxy::ClusterSpecifier::WeightedClusters(tcp::tcp_proxy::WeightedCluster {
        clusters: clusters.collect(),
    })
}
