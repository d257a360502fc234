//! Resources of every kind, good and bad.

use std::net::SocketAddr;

use catalyst_envoy::resource::{Resource, ResourceKind};
use envoy_types::pb::envoy::config::cluster::v3 as cluster_pb;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbConfig, LbPolicy, RingHashLbConfig,
};
use envoy_types::pb::envoy::config::core::v3 as core_pb;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint_pb;
use envoy_types::pb::envoy::config::listener::v3 as listener_pb;
use envoy_types::pb::envoy::config::route::v3 as route_pb;
use envoy_types::pb::envoy::extensions::filters::http::header_mutation::v3 as header_mutation_pb;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm_pb;
use envoy_types::pb::google::protobuf::{Any, Duration, UInt32Value, UInt64Value};
use prost::{Message, Name};

/// A cluster with its endpoint inline.
pub fn cluster(name: &str, to: SocketAddr) -> Resource {
    encode_cluster(&static_cluster(name, to))
}

pub fn encode_cluster(cluster: &cluster_pb::Cluster) -> Resource {
    Resource::encode(ResourceKind::Cluster, cluster.name.as_str(), cluster)
}

pub fn static_cluster(name: &str, to: SocketAddr) -> cluster_pb::Cluster {
    cluster_pb::Cluster {
        name: name.into(),
        connect_timeout: Some(Duration { seconds: 1, nanos: 0 }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        load_assignment: Some(assignment(name, &[to])),
        ..Default::default()
    }
}

/// A cluster that asks for its endpoints; `timeout_s` makes one content differ from another.
pub fn eds_cluster(name: &str, timeout_s: i64) -> Resource {
    let ads = core_pb::config_source::ConfigSourceSpecifier::Ads(core_pb::AggregatedConfigSource {});
    encode_cluster(&cluster_pb::Cluster {
        name: name.into(),
        connect_timeout: Some(Duration {
            seconds: timeout_s,
            nanos: 0,
        }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(source(ads)),
            service_name: String::new(),
        }),
        ..Default::default()
    })
}

/// A cluster that Envoy refuses only once it has begun to warm: the ring's bounds contradict each other.
pub fn late_failing_cluster(name: &str, to: SocketAddr) -> Resource {
    encode_cluster(&cluster_pb::Cluster {
        lb_policy: LbPolicy::RingHash.into(),
        lb_config: Some(LbConfig::RingHashLbConfig(RingHashLbConfig {
            minimum_ring_size: Some(UInt64Value { value: 1024 }),
            maximum_ring_size: Some(UInt64Value { value: 16 }),
            ..Default::default()
        })),
        ..static_cluster(name, to)
    })
}

/// A cluster that Envoy refuses at once: the first address is not one.
pub fn bad_cluster(name: &str) -> Resource {
    let mut cluster = static_cluster(name, ([127, 0, 0, 1], 1).into());
    cluster.load_assignment = Some(assignment_to(name, [("not-an-ip".to_owned(), 1)].into_iter()));
    encode_cluster(&cluster)
}

pub fn endpoints(name: &str, to: &[SocketAddr]) -> Resource {
    Resource::encode(ResourceKind::Endpoints, name, &assignment(name, to))
}

fn assignment(name: &str, to: &[SocketAddr]) -> endpoint_pb::ClusterLoadAssignment {
    assignment_to(name, to.iter().map(|to| (to.ip().to_string(), to.port())))
}

fn assignment_to(name: &str, to: impl Iterator<Item = (String, u16)>) -> endpoint_pb::ClusterLoadAssignment {
    let lb_endpoints = to.map(|(host, port)| endpoint_pb::LbEndpoint {
        host_identifier: Some(endpoint_pb::lb_endpoint::HostIdentifier::Endpoint(
            endpoint_pb::Endpoint {
                address: Some(address(&host, port)),
                ..Default::default()
            },
        )),
        load_balancing_weight: Some(UInt32Value { value: 1 }),
        ..Default::default()
    });
    endpoint_pb::ClusterLoadAssignment {
        cluster_name: name.into(),
        endpoints: vec![endpoint_pb::LocalityLbEndpoints {
            lb_endpoints: lb_endpoints.collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn address(host: &str, port: u16) -> core_pb::Address {
    let port = core_pb::socket_address::PortSpecifier::PortValue(port.into());
    core_pb::Address {
        address: Some(core_pb::address::Address::SocketAddress(core_pb::SocketAddress {
            address: host.into(),
            port_specifier: Some(port),
            ..Default::default()
        })),
    }
}

/// A scope for the host `host`, all of it to `cluster`.
pub fn scope(host: &str, cluster: &str) -> Resource {
    scope_for(host, host, cluster)
}

/// A scope named `name` for the host `host`.
pub fn scope_for(name: &str, host: &str, cluster: &str) -> Resource {
    encode_scope(&scope_message(name, host, cluster))
}

/// A scope that Envoy refuses: its routes hold a virtual host without domains.
pub fn bad_scope(host: &str) -> Resource {
    let mut scope = scope_message(host, host, "any");
    scope.route_configuration.as_mut().unwrap().virtual_hosts[0]
        .domains
        .clear();
    encode_scope(&scope)
}

fn encode_scope(scope: &route_pb::ScopedRouteConfiguration) -> Resource {
    Resource::encode(ResourceKind::ScopedRoute, scope.name.as_str(), scope)
}

pub fn scope_message(name: &str, host: &str, cluster: &str) -> route_pb::ScopedRouteConfiguration {
    use route_pb::scoped_route_configuration::{Key, key};
    let fragment = key::Fragment {
        r#type: Some(key::fragment::Type::StringKey(host.into())),
    };
    route_pb::ScopedRouteConfiguration {
        name: name.into(),
        key: Some(Key {
            fragments: vec![fragment],
        }),
        route_configuration: Some(route_pb::RouteConfiguration {
            name: name.into(),
            virtual_hosts: vec![route_pb::VirtualHost {
                name: host.into(),
                domains: vec!["*".into()],
                routes: vec![route_to(cluster)],
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn route_to(cluster: &str) -> route_pb::Route {
    let everything = route_pb::route_match::PathSpecifier::Prefix("/".into());
    let cluster = route_pb::route_action::ClusterSpecifier::Cluster(cluster.into());
    route_pb::Route {
        r#match: Some(route_pb::RouteMatch {
            path_specifier: Some(everything),
            ..Default::default()
        }),
        action: Some(route_pb::route::Action::Route(route_pb::RouteAction {
            cluster_specifier: Some(cluster),
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// A listener that finds the scope by the Host header.
pub fn listener(name: &str, at: SocketAddr) -> Resource {
    listener_with(name, at, vec![router()])
}

/// A listener whose first filter comes by ECDS.
pub fn listener_with_extension(name: &str, at: SocketAddr, extension: &str) -> Resource {
    let ads = core_pb::config_source::ConfigSourceSpecifier::Ads(core_pb::AggregatedConfigSource {});
    let discovered = hcm_pb::HttpFilter {
        name: extension.into(),
        config_type: Some(hcm_pb::http_filter::ConfigType::ConfigDiscovery(
            core_pb::ExtensionConfigSource {
                config_source: Some(source(ads)),
                type_urls: vec![header_mutation_pb::HeaderMutation::type_url()],
                ..Default::default()
            },
        )),
        ..Default::default()
    };
    listener_with(name, at, vec![discovered, router()])
}

/// A listener that Envoy refuses: it has no address.
pub fn bad_listener(name: &str) -> Resource {
    let listener = listener_pb::Listener {
        name: name.into(),
        ..Default::default()
    };
    Resource::encode(ResourceKind::Listener, name, &listener)
}

pub fn listener_with(name: &str, at: SocketAddr, http_filters: Vec<hcm_pb::HttpFilter>) -> Resource {
    let hcm = hcm_pb::HttpConnectionManager {
        stat_prefix: name.into(),
        http_filters,
        strip_port_mode: Some(hcm_pb::http_connection_manager::StripPortMode::StripAnyHostPort(true)),
        route_specifier: Some(hcm_pb::http_connection_manager::RouteSpecifier::ScopedRoutes(
            scoped_routes(),
        )),
        ..Default::default()
    };
    let filter = listener_pb::Filter {
        name: "envoy.filters.network.http_connection_manager".into(),
        config_type: Some(listener_pb::filter::ConfigType::TypedConfig(any(&hcm))),
    };
    let listener = listener_pb::Listener {
        name: name.into(),
        address: Some(address(&at.ip().to_string(), at.port())),
        filter_chains: vec![listener_pb::FilterChain {
            filters: vec![filter],
            ..Default::default()
        }],
        ..Default::default()
    };
    Resource::encode(ResourceKind::Listener, name, &listener)
}

fn scoped_routes() -> hcm_pb::ScopedRoutes {
    use hcm_pb::scoped_routes::scope_key_builder::{FragmentBuilder, fragment_builder};
    use hcm_pb::scoped_routes::{ConfigSpecifier, ScopeKeyBuilder};
    let by_host = fragment_builder::HeaderValueExtractor {
        name: ":authority".into(),
        element_separator: ";".into(),
        extract_type: Some(fragment_builder::header_value_extractor::ExtractType::Index(0)),
    };
    let fragment = FragmentBuilder {
        r#type: Some(fragment_builder::Type::HeaderValueExtractor(by_host)),
    };
    let ads = core_pb::config_source::ConfigSourceSpecifier::Ads(core_pb::AggregatedConfigSource {});
    let scoped_rds = hcm_pb::ScopedRds {
        scoped_rds_config_source: Some(source(ads)),
        ..Default::default()
    };
    hcm_pb::ScopedRoutes {
        name: "scopes".into(),
        scope_key_builder: Some(ScopeKeyBuilder {
            fragments: vec![fragment],
        }),
        config_specifier: Some(ConfigSpecifier::ScopedRds(scoped_rds)),
        ..Default::default()
    }
}

pub fn router() -> hcm_pb::HttpFilter {
    hcm_pb::HttpFilter {
        name: "envoy.filters.http.router".into(),
        config_type: Some(hcm_pb::http_filter::ConfigType::TypedConfig(any(&Router::default()))),
        ..Default::default()
    }
}

/// The extension `name`: a filter that overwrites the Host header of every request with `host`, or with itself.
pub fn extension(name: &str, body: &header_mutation_pb::HeaderMutation) -> Resource {
    let config = core_pb::TypedExtensionConfig {
        name: name.into(),
        typed_config: Some(any(body)),
    };
    Resource::encode(ResourceKind::Extension, name, &config)
}

/// A filter that adds one response header.
pub fn header_filter(key: &str, value: &str) -> header_mutation_pb::HeaderMutation {
    use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation::Action};
    let append = core_pb::HeaderValueOption {
        header: Some(core_pb::HeaderValue {
            key: key.into(),
            value: value.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    header_mutation_pb::HeaderMutation {
        mutations: Some(header_mutation_pb::Mutations {
            response_mutations: vec![HeaderMutation {
                action: Some(Action::Append(append)),
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn source(specifier: core_pb::config_source::ConfigSourceSpecifier) -> core_pb::ConfigSource {
    core_pb::ConfigSource {
        resource_api_version: core_pb::ApiVersion::V3.into(),
        config_source_specifier: Some(specifier),
        ..Default::default()
    }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}
