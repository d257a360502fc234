//! What Envoy would take and not work with, found before it is sent.

use envoy_types::pb::envoy::config::listener::v3::{Filter, Listener, filter::ConfigType};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use prost::{Message, Name};

use crate::resource::{Resource, ResourceKind};

/// What is wrong with a resource, if anything.
pub(super) fn find_fault(resource: &Resource) -> Option<String> {
    if resource.key.kind != ResourceKind::Listener {
        return None;
    }
    match Listener::decode(resource.body.clone()) {
        Ok(listener) => fault_of_listener(&listener),
        Err(error) => Some(format!("not a Listener: {error}")),
    }
}

fn fault_of_listener(listener: &Listener) -> Option<String> {
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    chains.flat_map(|chain| &chain.filters).find_map(fault_of_filter)
}

/// Envoy accepts an HTTP connection manager without filters; nobody answers its requests then.
fn fault_of_filter(filter: &Filter) -> Option<String> {
    let Some(ConfigType::TypedConfig(config)) = &filter.config_type else {
        return None;
    };
    if config.type_url != HttpConnectionManager::type_url() {
        return None;
    }
    match HttpConnectionManager::decode(config.value.as_slice()) {
        Err(error) => Some(format!("filter {}: not an HttpConnectionManager: {error}", filter.name)),
        Ok(manager) if manager.http_filters.is_empty() => Some(format!(
            "filter {}: http_filters is empty, so no request would ever be answered",
            filter.name
        )),
        Ok(_) => None,
    }
}
