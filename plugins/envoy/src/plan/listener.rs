//! The HTTP listeners: ingress, egress, one for our own organisation's nodes, one per outside organisation. They do not
//! change with the routes; what does is behind them, in scopes and in the Lua filter.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
use envoy_types::pb::envoy::config::common::mutation_rules::v3 as mutation;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation;
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;

use super::access::{Class, stamp_filter};
use super::names::{SCOPE_FILTER, SCOPE_HEADER};
use super::proto::{address, ads, any, boolean, duration, extension, inline, uint};
use crate::config::EnvoyConfig;

const LUA_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
/// The time a client has to send its request headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without a stream is closed after this long.
const CONNECTION_IDLE: Duration = Duration::from_secs(3600);
/// In force until a route is found, whose own idle timeout then counts.
const STREAM_IDLE: Duration = Duration::from_secs(300);
/// A changed listener lets its connections finish for this long.
const DRAIN: Duration = Duration::from_secs(5);
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Headers by which a request tells Envoy how to treat it.
const ENVOY_HEADERS: &str = "x-envoy-";
const NO_ROUTE: &str = "no route to %REQ(:AUTHORITY)%\n";

/// Who comes in by a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Anyone.
    Clients,
    /// This node's services.
    Services,
    /// Envoys of other nodes.
    Peers,
}

/// What a listener does with the via header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    /// Discards it and starts a new one with this node's entry.
    Start,
    /// Appends this node's entry, refuses a request that has it already.
    Node,
    /// Appends our AS, refuses a request that has passed it already.
    As,
}

impl Via {
    /// As the Lua filter knows it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Node => "node",
            Self::As => "as",
        }
    }
}

/// One HTTP listener.
#[derive(Debug, Clone)]
pub(crate) struct HttpListener {
    name: String,
    at: SocketAddr,
    side: Side,
    via: Via,
    /// Whether it sends requests for the graph to the gateway.
    graph: bool,
    /// The outside organisation that it is for.
    org: Option<Arc<str>>,
    /// Whether its address may not be there yet (that of a tunnel).
    freebind: bool,
}

/// Every HTTP listener of a node.
pub(crate) fn all(config: &EnvoyConfig) -> Vec<HttpListener> {
    let own = |name: &str, at, side, via| HttpListener {
        name: name.into(),
        at,
        side,
        via,
        graph: side == Side::Clients,
        org: None,
        freebind: false,
    };
    let outside = config.peer_listeners.iter().map(|(org, at)| HttpListener {
        org: Some(org.clone()),
        freebind: config.is_in_tunnel(at.ip()),
        ..own(&format!("peer:{org}"), *at, Side::Peers, Via::As)
    });
    let inside = [
        own("ingress", config.ingress, Side::Clients, Via::Start),
        own("egress", config.egress, Side::Services, Via::Start),
        own("peer", config.peer_listener, Side::Peers, Via::Node),
    ];
    inside.into_iter().chain(outside).collect()
}

impl HttpListener {
    /// The LDS name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The outside organisation that it is for; `None`: all routes can be reached by it.
    pub(crate) fn org(&self) -> Option<&Arc<str>> {
        self.org.as_ref()
    }

    /// Whether nodes of our own organisation come in by it.
    pub(crate) fn is_for_own_peers(&self) -> bool {
        self.side == Side::Peers && self.org.is_none()
    }

    /// The LDS resource.
    pub(crate) fn resource(&self) -> pb::Listener {
        let balance = pb::listener::connection_balance_config::BalanceType::ExactBalance(Default::default());
        pb::Listener {
            name: self.name.clone(),
            address: Some(address(self.at)),
            filter_chains: vec![network_filter(
                "envoy.filters.network.http_connection_manager",
                any(&self.manager()),
            )],
            traffic_direction: self.direction().into(),
            freebind: self.freebind.then_some(true).and_then(boolean),
            // Without SO_REUSEPORT a port in use is an error, not a silent share of somebody else's traffic.
            enable_reuse_port: boolean(false),
            // Peers bring few, long connections: spread them over the workers one by one.
            connection_balance_config: (self.side == Side::Peers).then_some(pb::listener::ConnectionBalanceConfig {
                balance_type: Some(balance),
            }),
            ..Default::default()
        }
    }

    fn direction(&self) -> core::TrafficDirection {
        match self.side {
            Side::Clients | Side::Peers => core::TrafficDirection::Inbound,
            Side::Services => core::TrafficDirection::Outbound,
        }
    }

    fn manager(&self) -> hcm::HttpConnectionManager {
        hcm::HttpConnectionManager {
            codec_type: hcm::http_connection_manager::CodecType::Auto.into(),
            stat_prefix: self.name.replace(':', "_"),
            common_http_protocol_options: Some(core::HttpProtocolOptions {
                idle_timeout: duration(CONNECTION_IDLE),
                ..Default::default()
            }),
            http_protocol_options: Some(core::Http1ProtocolOptions {
                enable_trailers: true,
                ..Default::default()
            }),
            http2_protocol_options: Some(self.http2()),
            stream_idle_timeout: duration(STREAM_IDLE),
            request_headers_timeout: duration(HEADERS_TIMEOUT),
            drain_timeout: duration(DRAIN),
            use_remote_address: boolean(self.side == Side::Clients),
            server_header_transformation: hcm::http_connection_manager::ServerHeaderTransformation::PassThrough.into(),
            // A tcp service's route opens CONNECT for itself; the Lua filter refuses it on ingress and egress.
            upgrade_configs: vec![upgrade("websocket", true), upgrade("CONNECT", false)],
            early_header_mutation_extensions: vec![discard_headers(self.side)],
            local_reply_config: Some(no_route_reply()),
            http_filters: vec![self.stamp(), discovered(SCOPE_FILTER), router()],
            route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::ScopedRoutes(
                scoped_routes(),
            )),
            ..Default::default()
        }
    }

    fn stamp(&self) -> hcm::HttpFilter {
        let class = self.org.as_deref().map_or(Class::Own, Class::Org);
        hcm::HttpFilter {
            name: "envoy.filters.http.set_metadata".into(),
            config_type: Some(hcm::http_filter::ConfigType::TypedConfig(stamp_filter(
                class,
                self.via.as_str(),
                self.graph,
            ))),
            ..Default::default()
        }
    }

    fn http2(&self) -> core::Http2ProtocolOptions {
        core::Http2ProtocolOptions {
            // Extended CONNECT (WebSocket) needs it everywhere; plain CONNECT is opened per route.
            allow_connect: true,
            initial_stream_window_size: uint(STREAM_WINDOW_BYTES),
            initial_connection_window_size: uint(CONNECTION_WINDOW_BYTES),
            ..Default::default()
        }
    }
}

fn upgrade(kind: &str, enabled: bool) -> hcm::http_connection_manager::UpgradeConfig {
    hcm::http_connection_manager::UpgradeConfig {
        upgrade_type: kind.into(),
        enabled: boolean(enabled),
        ..Default::default()
    }
}

/// A filter chain of one network filter.
pub(crate) fn network_filter(name: &str, config: envoy_types::pb::google::protobuf::Any) -> pb::FilterChain {
    let filter = pb::Filter {
        name: name.into(),
        config_type: Some(pb::filter::ConfigType::TypedConfig(config)),
    };
    pb::FilterChain {
        filters: vec![filter],
        ..Default::default()
    }
}

/// What nobody may bring along goes before anything looks at it, so that even a broken filter cannot let it in: the scope
/// header, and from clients and other nodes Envoy's own controls (`x-envoy-max-retries` and the like).
fn discard_headers(side: Side) -> core::TypedExtensionConfig {
    use mutation::header_mutation::{Action, RemoveOnMatch};
    let mut actions = vec![Action::Remove(SCOPE_HEADER.into())];
    if side != Side::Services {
        let prefix = StringMatcher {
            match_pattern: Some(MatchPattern::Prefix(ENVOY_HEADERS.into())),
            ..Default::default()
        };
        actions.push(Action::RemoveOnMatch(RemoveOnMatch {
            key_matcher: Some(prefix),
        }));
    }
    let mutations = actions
        .into_iter()
        .map(|action| mutation::HeaderMutation { action: Some(action) });
    let config = HeaderMutation {
        mutations: mutations.collect(),
    };
    extension("envoy.http.early_header_mutation.header_mutation", &config)
}

/// The body of 404 where no scope or route is found (response flag NR).
fn no_route_reply() -> hcm::LocalReplyConfig {
    let flags = accesslog::ResponseFlagFilter {
        flags: vec!["NR".into()],
    };
    let filter = accesslog::AccessLogFilter {
        filter_specifier: Some(accesslog::access_log_filter::FilterSpecifier::ResponseFlagFilter(flags)),
    };
    let body = core::SubstitutionFormatString {
        format: Some(core::substitution_format_string::Format::TextFormatSource(inline(
            NO_ROUTE,
        ))),
        ..Default::default()
    };
    let mapper = hcm::ResponseMapper {
        filter: Some(filter),
        body_format_override: Some(body),
        ..Default::default()
    };
    hcm::LocalReplyConfig {
        mappers: vec![mapper],
        ..Default::default()
    }
}

fn discovered(name: &str) -> hcm::HttpFilter {
    let source = core::ExtensionConfigSource {
        config_source: Some(ads()),
        type_urls: vec![LUA_TYPE.into()],
        ..Default::default()
    };
    hcm::HttpFilter {
        name: name.into(),
        config_type: Some(hcm::http_filter::ConfigType::ConfigDiscovery(source)),
        ..Default::default()
    }
}

fn router() -> hcm::HttpFilter {
    let router = Router {
        suppress_envoy_headers: true,
        ..Default::default()
    };
    hcm::HttpFilter {
        name: "envoy.filters.http.router".into(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(any(&router))),
        ..Default::default()
    }
}

/// The same for every listener: Envoy then keeps one subscription and one table.
fn scoped_routes() -> hcm::ScopedRoutes {
    use hcm::scoped_routes::scope_key_builder::{FragmentBuilder, fragment_builder};
    use hcm::scoped_routes::{ConfigSpecifier, ScopeKeyBuilder};
    let extractor = fragment_builder::HeaderValueExtractor {
        name: SCOPE_HEADER.into(),
        element_separator: ";".into(),
        extract_type: Some(fragment_builder::header_value_extractor::ExtractType::Index(0)),
    };
    let fragment = FragmentBuilder {
        r#type: Some(fragment_builder::Type::HeaderValueExtractor(extractor)),
    };
    let discovery = hcm::ScopedRds {
        scoped_rds_config_source: Some(ads()),
        srds_resources_locator: String::new(),
    };
    hcm::ScopedRoutes {
        name: "catalyst".into(),
        scope_key_builder: Some(ScopeKeyBuilder {
            fragments: vec![fragment],
        }),
        rds_config_source: None,
        config_specifier: Some(ConfigSpecifier::ScopedRds(discovery)),
    }
}
