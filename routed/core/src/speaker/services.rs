//! Services of this node: paths of the local peer, plus the endpoints that only data planes see.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::Speaker;
use crate::attrs::{Attrs, LargeCommunity, Origin, OriginNode, Protocol, ServiceAttr};
use crate::event::LocalService;
use crate::intern::NameId;
use crate::name::ServiceName;
use crate::rib::{LOCAL, Learned, Note};
use crate::route::Endpoint;
use crate::wire;

/// What attributes do not say of a local service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) endpoints: Vec<Endpoint>,
}

/// The health that a service is announced with while nobody checks it.
pub(super) const HEALTHY: u8 = 100;

/// At most as many as the wire carries, in canonical order.
fn canonical<T: Ord + Clone>(communities: &[T]) -> Vec<T> {
    let mut communities = communities.to_vec();
    communities.sort_unstable();
    communities.dedup();
    communities.truncate(wire::MAX_COMMUNITIES);
    communities
}

/// The path that the wire carries: of GraphQL services only, bounded, absolute.
fn canonical_path(service: &LocalService) -> Option<Arc<str>> {
    let fits = |path: &&Arc<str>| path.starts_with('/') && path.len() <= wire::MAX_PATH_BYTES;
    service
        .path
        .as_ref()
        .filter(|_| service.protocol == Protocol::HttpGraphql)
        .filter(fits)
        .cloned()
}

fn attrs_of(service: &LocalService, identity: &OriginNode) -> Attrs {
    let attr = ServiceAttr {
        protocol: service.protocol,
        path: canonical_path(service),
        weight: service.weight,
        health: HEALTHY,
    };
    let (standard, large) = (&service.communities, &service.large_communities);
    local_attrs(identity, Some(attr), service.med, standard, large)
}

/// The attributes of a route that is born here.
pub(super) fn local_attrs(
    identity: &OriginNode,
    service: Option<ServiceAttr>,
    med: Option<u32>,
    communities: &[u32],
    large_communities: &[LargeCommunity],
) -> Attrs {
    Attrs {
        origin: Origin::Igp,
        as_path: Vec::new(),
        // Every export of a local path sets its own; port 0 stands for no data plane.
        next_hop: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        origin_node: identity.clone(),
        local_pref: None,
        med,
        communities: canonical(communities),
        large_communities: canonical(large_communities),
        originator: None,
        cluster_list: Vec::new(),
        service,
        only_to_customer: None,
        tunnel: None,
        unknown: Vec::new(),
    }
}

impl Speaker {
    pub(super) fn on_service_add(&mut self, service: LocalService, now: Instant) {
        let attrs = attrs_of(&service, &self.config.identity);
        let attr = self.rib.attrs.intern(&attrs);
        let name = self.rib.names.intern(service.name.as_str().as_bytes());
        let learned = Learned {
            attr_in: attr,
            attr,
            note: Note::Accepted,
        };
        self.rib.upsert(name, LOCAL, learned, self.tenths(now));
        // Endpoints alone may have changed, which the path does not show.
        self.rib.mark_dirty(name);
        self.services.insert(
            name,
            Service {
                endpoints: service.endpoints,
            },
        );
    }

    pub(super) fn on_service_remove(&mut self, name: &ServiceName) {
        if let Some(name) = self.rib.names.lookup(name.as_str().as_bytes()) {
            self.rib.remove(name, LOCAL);
            self.services.remove(&name);
        }
    }

    pub(super) fn endpoints(&self, name: NameId) -> Vec<Endpoint> {
        self.services
            .get(&name)
            .map_or_else(Vec::new, |service| service.endpoints.clone())
    }
}
