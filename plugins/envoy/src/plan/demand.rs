//! What a single route needs, whatever else is in the table.

use catalyst_plugin::{Protocol, Route, Target};

use super::access::Access;
use super::scope::{self, Action, Clusters, no_route};
use super::{check, cluster, names};
use crate::config::EnvoyConfig;
use crate::resource::{Resource, ResourceKind};

/// Whether a route has an egress listener of its own.
pub(crate) fn has_port(route: &Route) -> bool {
    route.protocol == Protocol::Tcp && !matches!(route.target, Target::Discard) && check::clusters(route).is_ok()
}

/// The clusters that it names: its own, or those of its next hops.
pub(crate) fn clusters_of(route: &Route, config: &EnvoyConfig) -> Vec<Resource> {
    match &route.target {
        Target::Local(endpoints) => {
            let name = names::local_cluster(&route.name);
            let cluster = cluster::local(name.clone(), route.protocol, endpoints);
            vec![Resource::encode(ResourceKind::Cluster, name, &cluster)]
        }
        Target::Remote(hops) => check::usable(hops)
            .map(|hop| {
                let cluster = cluster::hop(hop.address, config.source_for(hop.address.ip()));
                Resource::encode(ResourceKind::Cluster, cluster.name.as_str(), &cluster)
            })
            .collect(),
        Target::Discard => Vec::new(),
    }
}

/// What its scopes do.
pub(crate) fn action(route: &Route, clusters: Clusters) -> Action {
    let ends_here = matches!(route.target, Target::Local(_));
    match (&route.target, route.protocol) {
        (Target::Discard, _) => Action::Answer {
            status: 404,
            body: no_route(route.name.as_str()),
        },
        (_, Protocol::Tcp) => Action::Tunnel { clusters, ends_here },
        (_, protocol) => Action::Http {
            clusters,
            streams: protocol == Protocol::HttpGrpc,
            ends_here,
        },
    }
}

/// The scope of a name.
pub(crate) fn scope_resource(name: &str, action: &Action, access: &Access) -> Resource {
    let scope = scope::service(name, action, access);
    Resource::encode(ResourceKind::ScopedRoute, names::scope(name), &scope)
}
