//! The server without sockets: a hub, a clock that the test moves, and a model of Envoy.

mod envoy;
mod random;
mod sessions;
mod silence;

use std::sync::Arc;
use std::time::{Duration, Instant};

use catalyst_plugin::Verdict;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::route::v3::ScopedRouteConfiguration;
use envoy_types::pb::google::protobuf::StringValue;

use crate::ads::desired::Changes;
use crate::ads::hub::Hub;
use crate::resource::{Resource, ResourceKey, ResourceKind};

/// A cluster; `content` tells its versions apart. The model refuses `bad`.
fn cluster(name: &str, content: &str) -> Resource {
    let cluster = Cluster {
        name: name.into(),
        alt_stat_name: content.into(),
        ..Default::default()
    };
    Resource::encode(ResourceKind::Cluster, name, &cluster)
}

/// A scope that leads to a cluster. The model refuses the cluster `bad`.
fn scope(name: &str, cluster: &str) -> Resource {
    let scope = ScopedRouteConfiguration {
        name: name.into(),
        route_configuration_name: cluster.into(),
        ..Default::default()
    };
    Resource::encode(ResourceKind::ScopedRoute, name, &scope)
}

fn extension(name: &str, content: &str) -> Resource {
    Resource::encode(ResourceKind::Extension, name, &StringValue { value: content.into() })
}

fn listener(name: &str) -> Resource {
    Resource::encode(ResourceKind::Listener, name, &StringValue::default())
}

fn key(kind: ResourceKind, name: &str) -> ResourceKey {
    ResourceKey::new(kind, name)
}

/// A hub and the time.
struct World {
    hub: Hub,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self {
            hub: Hub::default(),
            now: Instant::now(),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn table(&mut self, resources: impl IntoIterator<Item = Resource>) -> u64 {
        self.hub.update(Changes::table(resources), true)
    }

    fn verdict(&mut self, resource: &Resource) -> Verdict {
        self.hub.tell_verdict(&resource.key)
    }
}

fn rejected(reason: &str) -> Verdict {
    Verdict::Rejected(Arc::from(reason))
}
