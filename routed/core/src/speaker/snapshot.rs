//! What a Speaker holds, copied out in parts: for work on it that must not hold up routing.

use std::net::SocketAddr;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use super::Speaker;
use crate::attrs::RouterId;
use crate::event::{LocalService, PeerConfig, PeerName};
use crate::intern::{AttrId, NameId};
use crate::name::ServiceName;
use crate::rib::LOCAL;

/// One peer and what its last session said.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    pub(super) config: PeerConfig,
    pub(super) router_id: RouterId,
    /// Our address on its connection.
    pub(super) local: Option<SocketAddr>,
}

/// The peers of a Speaker and what data planes said of next hops.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub(super) neighbours: Vec<Neighbour>,
    pub(super) unusable: HashSet<SocketAddr>,
}

/// A name as its peers and this node offer it.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) name: Box<str>,
    /// Attribute sets as they were received.
    pub(super) paths: Vec<(PeerName, Bytes)>,
    pub(super) local: Option<LocalService>,
}

/// Some names of a table, in order.
#[derive(Debug, Clone)]
pub struct TablePage {
    pub(super) names: Vec<Offered>,
}

impl TablePage {
    /// Where the next page begins; `None`: this one is past the end.
    #[must_use]
    pub fn last(&self) -> Option<ServiceName> {
        self.names
            .last()
            .map(|offered| ServiceName::from_checked(&offered.name))
    }
}

impl Speaker {
    /// The peers as they are now.
    #[must_use]
    pub fn surroundings(&self) -> Surroundings {
        let neighbours = self.peers.iter().map(|peer| Neighbour {
            config: peer.config.clone(),
            router_id: peer.router_id.clone(),
            local: peer
                .up
                .as_ref()
                .and_then(|up| self.conns.get(&up.conn))
                .map(|conn| conn.local),
        });
        Surroundings {
            neighbours: neighbours.collect(),
            unusable: self.unusable.clone(),
        }
    }

    /// What is offered of the names from `after` (exclusive) on, until `limit` paths are passed; whole names only.
    #[must_use]
    pub fn table_page(&self, after: Option<&ServiceName>, limit: usize) -> TablePage {
        let order = self.order.of(&self.rib.names);
        let names = &self.rib.names;
        let from = after.map_or(0, |after| {
            order.partition_point(|name| names.bytes(*name) <= after.as_str().as_bytes())
        });
        let mut sets = HashMap::new();
        let mut page = TablePage { names: Vec::new() };
        let mut paths = 0;
        for name in &order[from..] {
            if paths >= limit {
                break;
            }
            let offered = self.offered(*name, &mut sets);
            paths += offered.paths.len() + 1;
            page.names.push(offered);
        }
        page
    }

    fn offered(&self, name: NameId, sets: &mut HashMap<AttrId, Bytes>) -> Offered {
        let paths = self.rib.paths_of(name).filter_map(|(_, path)| {
            let peer = self.peer(path.peer)?;
            let raw = sets.entry(path.attr_in);
            let raw = raw.or_insert_with(|| Bytes::copy_from_slice(self.rib.attrs.raw(path.attr_in)));
            Some((peer.config.name.clone(), raw.clone()))
        });
        Offered {
            name: self.rib.names.text(name).into(),
            paths: paths.collect(),
            local: self.local_service(name),
        }
    }

    /// The services of this node, in order of name.
    #[must_use]
    pub fn local_services(&self) -> Vec<LocalService> {
        let mut services: Vec<LocalService> = self
            .services
            .keys()
            .filter_map(|name| self.local_service(*name))
            .collect();
        services.sort_by(|one, other| one.name.cmp(&other.name));
        services
    }

    fn local_service(&self, name: NameId) -> Option<LocalService> {
        let service = self.services.get(&name)?;
        let path = self.rib.path(self.rib.find(name, LOCAL)?);
        let attrs = self.rib.attrs.decode(path.attr_in);
        Some(LocalService {
            name: ServiceName::from_checked(self.rib.names.text(name)),
            protocol: attrs.service.protocol,
            path: attrs.service.path.clone(),
            weight: attrs.service.weight,
            endpoints: service.endpoints.clone(),
            communities: attrs.communities.clone(),
            large_communities: attrs.large_communities.clone(),
            med: attrs.med,
        })
    }
}
