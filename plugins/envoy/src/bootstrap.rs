//! Envoy's bootstrap: where the ADS server is, and what cannot be told by xDS.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::config::{EnvoyConfig, XdsAddress};

const XDS_CLUSTER: &str = "catalyst_xds";
/// Connections from clients and peers together; Envoy has no limit of its own.
const MAX_DOWNSTREAM_CONNECTIONS: u64 = 50_000;

/// The bootstrap as JSON, for `envoy -c`. Relative socket paths are made absolute: Envoy may run elsewhere.
#[must_use]
pub fn bootstrap_json(config: &EnvoyConfig) -> String {
    let bootstrap = json!({
        "node": { "id": config.node_id(), "cluster": config.organisation.as_ref() },
        "admin": { "address": address(config.admin) },
        "dynamic_resources": {
            "ads_config": ads(),
            "cds_config": over_ads(),
            "lds_config": over_ads(),
        },
        "static_resources": { "clusters": [xds_cluster(&config.xds)] },
        // Statistics of a cluster take memory from its first use on, not from its creation.
        "deferred_stat_options": { "enable_deferred_creation_stats": true },
        "overload_manager": { "resource_monitors": [connection_limit()] },
    });
    format!("{bootstrap:#}\n")
}

/// Delta ADS. A restarted daemon is found within a second.
fn ads() -> Value {
    json!({
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": true,
        "grpc_services": [{
            "envoy_grpc": {
                "cluster_name": XDS_CLUSTER,
                "retry_policy": { "retry_back_off": { "base_interval": "0.1s", "max_interval": "1s" } },
            },
        }],
    })
}

fn over_ads() -> Value {
    json!({ "ads": {}, "resource_api_version": "V3" })
}

fn xds_cluster(at: &XdsAddress) -> Value {
    json!({
        "name": XDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": xds_address(at) } }] }],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                // A daemon that hangs with its socket open is noticed, too.
                "explicit_http_config": {
                    "http2_protocol_options": { "connection_keepalive": { "interval": "10s", "timeout": "5s" } },
                },
            },
        },
    })
}

fn xds_address(at: &XdsAddress) -> Value {
    match at {
        XdsAddress::Unix(path) => json!({ "pipe": { "path": absolute(path) } }),
        XdsAddress::Tcp(at) => address(*at),
    }
}

fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.to_string_lossy().into_owned()
}

fn address(at: SocketAddr) -> Value {
    json!({ "socket_address": { "address": at.ip().to_string(), "port_value": at.port() } })
}

fn connection_limit() -> Value {
    json!({
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": MAX_DOWNSTREAM_CONNECTIONS,
        },
    })
}
