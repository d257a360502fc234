//! Clusters: one per next hop, one per local service, one for the gateway.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use catalyst_plugin::{Endpoint, Protocol};
use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as upstream;

use super::names::{GATEWAY_CLUSTER, hop_cluster};
use super::proto::{address, any, boolean, duration, named_address, socket_address, uint, weights};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A next hop that answers no PING for this long is gone, whatever its sockets say.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Less than the keep-alive of common servers (5 s and up: Node.js), so that Envoy closes first and no request meets
/// a connection that the server is closing.
const HTTP1_IDLE: Duration = Duration::from_secs(4);
/// Envoy's own limit of 1024 would answer 503 on a busy node; this one only bounds memory.
const MAX_IN_FLIGHT: u32 = 65_536;
/// Retries are bounded per request; this bounds them over all requests of a cluster.
const MAX_RETRIES: u32 = 4_096;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// What is spoken to the endpoints of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Tcp,
    Http1,
    Http2,
}

impl From<Protocol> for Spoken {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Http | Protocol::HttpGraphql => Self::Http1,
            Protocol::HttpGrpc => Self::Http2,
        }
    }
}

/// The cluster of a next hop's peer listener: HTTP/2, tunnels included. Connections to it leave by `source`, or not at all.
pub(crate) fn hop(at: SocketAddr, source: Option<IpAddr>) -> pb::Cluster {
    let endpoints = vec![lb_endpoint(address(at), None)];
    let cluster = cluster(
        hop_cluster(at),
        Spoken::Http2,
        pb::cluster::DiscoveryType::Static,
        endpoints,
    );
    pb::Cluster {
        upstream_bind_config: source.map(|source| core::BindConfig {
            source_address: Some(socket_address(&source.to_string(), 0)),
            ..Default::default()
        }),
        ..cluster
    }
}

/// The cluster of the GraphQL gateway.
pub(crate) fn gateway(at: SocketAddr) -> pb::Cluster {
    let endpoints = vec![lb_endpoint(address(at), None)];
    cluster(
        GATEWAY_CLUSTER.into(),
        Spoken::Http1,
        pb::cluster::DiscoveryType::Static,
        endpoints,
    )
}

/// The cluster of a local service. Its endpoints have been checked.
pub(crate) fn local(name: String, protocol: Protocol, endpoints: &[Endpoint]) -> pb::Cluster {
    let shares: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.weight).collect();
    let all_ip = endpoints.iter().all(|endpoint| ip_of(&endpoint.host).is_some());
    let found = if all_ip {
        pb::cluster::DiscoveryType::Static
    } else {
        pb::cluster::DiscoveryType::StrictDns
    };
    let members = endpoints.iter().zip(weights(&shares)).map(|(endpoint, weight)| {
        let at = match ip_of(&endpoint.host) {
            Some(ip) => address(SocketAddr::new(ip, endpoint.port)),
            None => named_address(&endpoint.host, endpoint.port),
        };
        lb_endpoint(at, Some(weight.max(1)))
    });
    cluster(name, protocol.into(), found, members.collect())
}

/// The IP that an endpoint's host stands for without asking DNS. `localhost` is loopback (RFC 6761 section 6.3).
pub(crate) fn ip_of(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse().ok()
}

fn cluster(
    name: String,
    spoken: Spoken,
    found: pb::cluster::DiscoveryType,
    lb_endpoints: Vec<endpoint::LbEndpoint>,
) -> pb::Cluster {
    let locality = endpoint::LocalityLbEndpoints {
        lb_endpoints,
        ..Default::default()
    };
    let load_assignment = endpoint::ClusterLoadAssignment {
        cluster_name: name.clone(),
        endpoints: vec![locality],
        ..Default::default()
    };
    pb::Cluster {
        name,
        connect_timeout: duration(CONNECT_TIMEOUT),
        cluster_discovery_type: Some(pb::cluster::ClusterDiscoveryType::Type(found.into())),
        dns_lookup_family: pb::cluster::DnsLookupFamily::V4Preferred.into(),
        // A cluster that waits for a dead DNS name withholds the acknowledgement of every other cluster.
        wait_for_warm_on_init: boolean(found != pb::cluster::DiscoveryType::StrictDns),
        load_assignment: Some(load_assignment),
        circuit_breakers: Some(limits()),
        upstream_connection_options: Some(keepalive()),
        typed_extension_protocol_options: http_options(spoken).into_iter().collect(),
        ..Default::default()
    }
}

fn lb_endpoint(at: core::Address, weight: Option<u32>) -> endpoint::LbEndpoint {
    let one = endpoint::Endpoint {
        address: Some(at),
        ..Default::default()
    };
    endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(one)),
        load_balancing_weight: weight.and_then(uint),
        ..Default::default()
    }
}

fn limits() -> pb::CircuitBreakers {
    let thresholds = pb::circuit_breakers::Thresholds {
        max_connections: uint(MAX_IN_FLIGHT),
        max_pending_requests: uint(MAX_IN_FLIGHT),
        max_requests: uint(MAX_IN_FLIGHT),
        max_retries: uint(MAX_RETRIES),
        ..Default::default()
    };
    pb::CircuitBreakers {
        thresholds: vec![thresholds],
        ..Default::default()
    }
}

fn keepalive() -> pb::UpstreamConnectionOptions {
    let probes = core::TcpKeepalive {
        keepalive_probes: uint(3),
        keepalive_time: uint(30),
        keepalive_interval: uint(5),
    };
    pb::UpstreamConnectionOptions {
        tcp_keepalive: Some(probes),
        ..Default::default()
    }
}

fn http_options(spoken: Spoken) -> Option<(String, envoy_types::pb::google::protobuf::Any)> {
    use upstream::http_protocol_options::explicit_http_config::ProtocolConfig;
    use upstream::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};
    let (config, idle) = match spoken {
        Spoken::Tcp => return None,
        Spoken::Http1 => (ProtocolConfig::HttpProtocolOptions(http1()), Some(HTTP1_IDLE)),
        Spoken::Http2 => (ProtocolConfig::Http2ProtocolOptions(http2()), None),
    };
    let explicit = ExplicitHttpConfig {
        protocol_config: Some(config),
    };
    let options = upstream::HttpProtocolOptions {
        common_http_protocol_options: idle.map(|idle| core::HttpProtocolOptions {
            idle_timeout: duration(idle),
            ..Default::default()
        }),
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
        ..Default::default()
    };
    Some((HTTP_OPTIONS.into(), any(&options)))
}

fn http1() -> core::Http1ProtocolOptions {
    core::Http1ProtocolOptions {
        enable_trailers: true,
        ..Default::default()
    }
}

fn http2() -> core::Http2ProtocolOptions {
    let pings = core::KeepaliveSettings {
        interval: duration(PING_INTERVAL),
        timeout: duration(PING_TIMEOUT),
        ..Default::default()
    };
    core::Http2ProtocolOptions {
        allow_connect: true,
        initial_stream_window_size: uint(STREAM_WINDOW_BYTES),
        initial_connection_window_size: uint(CONNECTION_WINDOW_BYTES),
        connection_keepalive: Some(pings),
        ..Default::default()
    }
}
