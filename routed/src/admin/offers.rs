//! Which services this node offers, and who said so: the configuration, or `service add` and `service remove` since; and
//! paths as `show route` tells of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use catalyst_core::name::ServiceName;
use catalyst_core::route::Protocol;
use catalyst_core::view::RouteView;
use catalyst_envoy::ports::LocalPorts;
use catalyst_proto::admin::v1::Route;

use super::convert;
use super::store::Store;
use crate::config::{Config, Service};

/// A path as a message, with the address that local clients dial, the names of its communities, and who offers it.
pub(super) fn described(view: &RouteView, config: &Config, store: &Store, ports: &LocalPorts) -> Route {
    let mut route = convert::route(view);
    let name = view.destination.name();
    if view.learned_from.is_none() {
        let by = name.map_or("the configuration", |name| offered_by(name, config, store));
        route.offered_by = by.to_owned();
    }
    route.community_names = config.names_of(&route.communities);
    let envoy = config.plugins.envoy.as_ref();
    let protocol = view.attrs.service.as_ref().map(|service| service.protocol);
    let port = name.and_then(|name| ports.port_of(name.as_str()));
    if let (Some(Protocol::Tcp), true, Some(envoy), Some(port)) = (protocol, view.selected, envoy, port) {
        route.local_address = SocketAddr::new(*envoy.tcp_address, port).to_string();
    }
    route
}

/// The words of `show route`.
fn offered_by(name: &ServiceName, config: &Config, store: &Store) -> &'static str {
    match (store.get(name).is_some(), configured(config, name).is_some()) {
        (true, true) => "service add, in place of the configuration",
        (true, false) => "service add",
        (false, _) => "the configuration",
    }
}

/// The service of this name in the configuration, where names may be written in any case.
pub(super) fn configured<'a>(config: &'a Config, name: &ServiceName) -> Option<&'a Service> {
    let same = |key: &str| key.eq_ignore_ascii_case(name.as_str());
    let exact = config.services.get(name.as_str());
    exact.or_else(|| {
        config
            .services
            .iter()
            .find(|(key, _)| same(key))
            .map(|(_, service)| service)
    })
}

/// The configuration with the services that are offered now in place of those that it lists, and what thereby differs
/// from the file.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) config: Config,
    /// Services that only `service add` offers.
    pub(super) added: Vec<String>,
    /// Services that `service add` offers in place of the configuration's.
    pub(super) replaced: Vec<String>,
    /// Services of the configuration that `service remove` has taken out.
    pub(super) removed: Vec<String>,
}

impl InForce {
    pub(super) fn of(config: &Config, store: &Store, offered: &BTreeSet<ServiceName>) -> Self {
        let mut config = config.clone();
        let (mut added, mut replaced, mut removed) = (Vec::new(), BTreeSet::new(), Vec::new());
        config.services.retain(|key, _| {
            let Ok(name) = ServiceName::parse(key) else { return true };
            match (store.get(&name).is_some(), offered.contains(&name)) {
                (true, _) => drop(replaced.insert(name.to_string())),
                (false, false) => removed.push(key.clone()),
                (false, true) => {}
            }
            store.get(&name).is_none() && offered.contains(&name)
        });
        for (name, service) in store.services() {
            if !replaced.contains(name.as_str()) {
                added.push(name.to_string());
            }
            config.services.insert(name.to_string(), service.clone());
        }
        Self {
            config,
            added,
            replaced: replaced.into_iter().collect(),
            removed,
        }
    }
}
