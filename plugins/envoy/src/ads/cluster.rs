//! What the server must know of the content of a cluster.

use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use prost::Message;

use crate::resource::Resource;

/// The name under which a cluster asks for its endpoints, if it does.
pub(super) fn endpoints_name(cluster: &Resource) -> Option<Arc<str>> {
    let cluster = Cluster::decode(cluster.body.clone()).ok()?;
    if !is_found_by(&cluster, DiscoveryType::Eds) {
        return None;
    }
    let service = cluster.eds_cluster_config.map(|config| config.service_name);
    Some(service.filter(|name| !name.is_empty()).unwrap_or(cluster.name).into())
}

/// Whether Envoy may have to wait for somebody else before it can use the cluster.
pub(super) fn may_warm(cluster: &Resource) -> bool {
    let Ok(cluster) = Cluster::decode(cluster.body.clone()) else {
        return false;
    };
    let waits = cluster.wait_for_warm_on_init.is_none_or(|wait| wait.value);
    let is_static = is_found_by(&cluster, DiscoveryType::Static);
    (waits && !is_static) || !cluster.health_checks.is_empty()
}

fn is_found_by(cluster: &Cluster, way: DiscoveryType) -> bool {
    match cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(found)) => found == i32::from(way),
        Some(ClusterDiscoveryType::ClusterType(_)) => false,
        None => way == DiscoveryType::Static,
    }
}
