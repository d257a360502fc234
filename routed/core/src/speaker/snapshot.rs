//! What a Speaker holds, copied out in parts: for work on it that must not hold up routing.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use super::Speaker;
use super::listeners::Closed;
use crate::attrs::RouterId;
use crate::destination::Destination;
use crate::event::{LocalPrefix, LocalRoute, LocalService, PeerConfig, PeerName, SpeakerConfig};
use crate::intern::{AttrId, NameId};
use crate::prefix::Prefix;
use crate::rib::LOCAL;
use crate::wire::Families;

/// One peer and what its last session said.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    pub(super) config: PeerConfig,
    pub(super) router_id: RouterId,
    /// Our address on its connection.
    pub(super) local: Option<SocketAddr>,
    /// The families that the session has agreed on, or would offer.
    pub(super) families: Families,
}

/// The peers of a Speaker and what data planes said of next hops.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub(super) neighbours: Vec<Neighbour>,
    pub(super) unusable: HashSet<SocketAddr>,
    /// The addresses of peers that tunnels lead to, as data planes say.
    pub(super) tunnels_up: HashSet<IpAddr>,
    pub(super) closed: Closed,
    /// The prefixes that this node originates.
    pub(super) prefixes: Vec<Prefix>,
    /// What is offered of the names of aggregates: they concern the names below them, whatever page those are in.
    pub(super) aggregates: Vec<Offered>,
}

/// A name or prefix as its peers and this node offer it.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) destination: Destination,
    /// Attribute sets as they were received.
    pub(super) paths: Vec<(PeerName, Bytes)>,
    pub(super) local: Option<LocalRoute>,
}

/// Some names of a table, in order.
#[derive(Debug, Clone)]
pub struct TablePage {
    pub(super) names: Vec<Offered>,
}

impl Offered {
    /// A name or prefix that nobody offers.
    pub(super) fn by_nobody(destination: Destination) -> Self {
        Self {
            destination,
            paths: Vec::new(),
            local: None,
        }
    }
}

impl TablePage {
    /// Where the next page begins; `None`: this one is past the end.
    #[must_use]
    pub fn last(&self) -> Option<Destination> {
        self.names.last().map(|offered| offered.destination.clone())
    }
}

impl Speaker {
    /// The peers as they are now, and what a look ahead at `new` has to know besides.
    #[must_use]
    pub fn surroundings(&self, new: &SpeakerConfig) -> Surroundings {
        let neighbours = self.peers.iter().map(|peer| Neighbour {
            config: peer.config.clone(),
            router_id: peer.router_id.clone(),
            families: peer.up.as_ref().map_or(peer.config.families, |up| up.families),
            local: peer
                .up
                .as_ref()
                .and_then(|up| self.conns.get(&up.conn))
                .map(|conn| conn.local),
        });
        Surroundings {
            neighbours: neighbours.collect(),
            unusable: self.unusable.clone(),
            tunnels_up: self.tunnels.up().clone(),
            closed: self.closed.clone(),
            prefixes: self.own_prefixes.iter().collect(),
            aggregates: self.offered_aggregates(new),
        }
    }

    /// What is offered of the names of the aggregates of this configuration and of `new`.
    fn offered_aggregates(&self, new: &SpeakerConfig) -> Vec<Offered> {
        let aggregates = self.config.aggregates.iter().chain(&new.aggregates);
        let names: BTreeSet<Destination> = aggregates.map(|aggregate| aggregate.name.clone().into()).collect();
        let mut sets = HashMap::new();
        let mut offered = |name: Destination| match self.rib.names.lookup_destination(&name) {
            Some(known) => self.offered(known, &mut sets),
            None => Offered::by_nobody(name),
        };
        names.into_iter().map(&mut offered).collect()
    }

    /// What is offered of the names from `after` (exclusive) on, until `limit` paths are passed; whole names only.
    #[must_use]
    pub fn table_page(&self, after: Option<&Destination>, limit: usize) -> TablePage {
        let order = self.order.of(&self.rib.names);
        let names = &self.rib.names;
        let from = after.map_or(0, |after| {
            after.with_key(|after| order.partition_point(|name| names.key(*name) <= after))
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
            destination: self.rib.names.destination(name),
            paths: paths.collect(),
            local: self.local_route(name),
        }
    }

    /// How many names and prefixes are in use, and how many paths are held. A pass over the table.
    #[must_use]
    pub fn table_size(&self) -> (u64, u64) {
        let in_use = self.rib.names.ids().filter(|id| self.rib.names.get(*id).selected != 0);
        (in_use.count() as u64, self.rib.all_paths().count() as u64)
    }

    /// The services of this node, in order of name.
    #[must_use]
    pub fn local_services(&self) -> Vec<LocalService> {
        let mut services: Vec<LocalService> = self
            .services
            .keys()
            .filter_map(|name| match self.local_route(*name)? {
                LocalRoute::Service(service) => Some(service),
                LocalRoute::Prefix(_) => None,
            })
            .collect();
        services.sort_by(|one, other| one.name.cmp(&other.name));
        services
    }

    /// What this node offers: services, then prefixes, each in order.
    #[must_use]
    pub fn local_routes(&self) -> Vec<LocalRoute> {
        let names = &self.rib.names;
        let prefixes = self.own_prefixes.iter();
        let prefixes = prefixes.filter_map(|prefix| self.local_route(names.lookup_destination(&prefix.into())?));
        let services = self.local_services().into_iter().map(LocalRoute::Service);
        services.chain(prefixes).collect()
    }

    fn local_route(&self, name: NameId) -> Option<LocalRoute> {
        let path = self.rib.path(self.rib.find(name, LOCAL)?);
        let attrs = self.rib.attrs.decode(path.attr_in);
        let (communities, large_communities) = (attrs.communities.clone(), attrs.large_communities.clone());
        match self.rib.names.destination(name) {
            Destination::Name(name_text) => {
                let service = attrs.service.as_ref()?;
                Some(LocalRoute::Service(LocalService {
                    name: name_text,
                    protocol: service.protocol,
                    path: service.path.clone(),
                    weight: service.weight,
                    endpoints: self.endpoints(name),
                    communities,
                    large_communities,
                    med: attrs.med,
                }))
            }
            Destination::Prefix(prefix) => Some(LocalRoute::Prefix(LocalPrefix {
                prefix,
                communities,
                large_communities,
                med: attrs.med,
            })),
        }
    }
}
