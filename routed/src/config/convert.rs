//! From what was written to what the core runs on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use catalyst_core::attrs::{OriginNode, RouterId};
use catalyst_core::event::{
    DynamicPeers, GracefulRestartConfig, LocalPrefix, LocalRoute, LocalService, PeerConfig, PeerTunnel, PlaneConfig,
    SpeakerConfig,
};
use catalyst_core::name::ServiceName;
use catalyst_core::route::{Endpoint, Prefix, Protocol};
use catalyst_core::wire::{Families, Family};
use catalyst_envoy::config::{EnvoyConfig, TunnelEnds, XdsAddress};
use catalyst_external::PlaneSpec;
use catalyst_graphql::{ControlAddress, GraphqlConfig};

use super::communities::by_size;
use super::dynamic::DynamicPeers as DynamicPeersSection;
use super::limits::MaxRoutes;
use super::path::KeyPath;
use super::policy::{Policies, PolicyWord, Resolver, policies};
use super::text::{Listen, Spelled};
use super::types::{Config, OwnPrefix, Peer, Service};
use crate::driver::{Source, Transport, Transports};

/// How long an advertisement waits for the gating data planes.
const ACK_WAIT: Duration = Duration::from_secs(1);
/// The path of a GraphQL endpoint that says none.
const GRAPHQL_PATH: &str = "/graphql";
/// The session's local address, and no data plane behind it.
const NO_DATA_PLANE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// An empty range: tcp services get no port.
#[expect(clippy::reversed_empty_ranges, reason = "empty is what is meant")]
const NO_PORTS: RangeInclusive<u16> = 1..=0;

impl Config {
    /// The organisation of a peer.
    #[must_use]
    pub fn organisation_of<'a>(&'a self, peer: &'a Peer) -> &'a str {
        &peer.organisation.as_ref().unwrap_or(&self.node.organisation).0.0
    }

    /// Whether a peer belongs to another organisation.
    #[must_use]
    pub fn is_outside(&self, peer: &Peer) -> bool {
        self.organisation_of(peer) != self.node.organisation.0.0
    }

    /// Whether a session off loopback is allowed although it is neither encrypted nor authenticated.
    #[must_use]
    pub fn peer_is_insecure(&self, peer: &Peer) -> bool {
        peer.insecure.unwrap_or(self.peering.insecure)
    }

    /// What the Speaker runs on.
    #[must_use]
    pub fn speaker(&self) -> SpeakerConfig {
        let policies = policies(self);
        let mut resolver = Resolver::new(self);
        let peers = self.peers.iter();
        let templates: Vec<(&String, Peer)> = (self.dynamic_peers.iter())
            .map(|(name, dynamic)| (name, dynamic.template()))
            .collect();
        SpeakerConfig {
            identity: self.identity(),
            domains: self.node.domains.iter().map(|d| d.0.0.clone()).collect(),
            reflector: self.node.reflector,
            cluster: self
                .node
                .cluster
                .as_ref()
                .unwrap_or(&self.node.name)
                .0
                .0
                .as_str()
                .into(),
            hold_time: *self.peering.hold_time,
            send_hold_time: self.peering.send_hold_time.as_deref().copied(),
            drain: *self.peering.drain,
            startup_wait: *self.peering.startup_wait,
            ack_wait: ACK_WAIT,
            planes: self.planes(),
            peers: peers
                .map(|(name, peer)| self.peer(name, peer, &policies, &mut resolver))
                .collect(),
            aggregates: self.core_aggregates(),
            dynamic_peers: templates
                .iter()
                .map(|(name, template)| self.dynamic(name, template, &policies, &mut resolver))
                .collect(),
            internal_communities: self.internal_communities(),
        }
    }

    /// How connections to peers are made, by the key of each.
    #[must_use]
    pub fn transports(&self) -> Transports {
        let of_peer = |(name, peer): (&String, &Peer)| {
            let source = peer.source.map(|source| source.0);
            (
                name.as_str().into(),
                Transport {
                    source,
                    ttl_security: peer.ttl_security,
                },
            )
        };
        let of_group = |(name, group): (&String, &DynamicPeersSection)| {
            (
                name.as_str().into(),
                Transport {
                    source: None,
                    ttl_security: group.ttl_security,
                },
            )
        };
        let peers = self.peers.iter().map(of_peer);
        peers.chain(self.dynamic_peers.iter().map(of_group)).collect()
    }

    /// Where connections come from, and how far that may be.
    #[must_use]
    pub fn callers(&self) -> Vec<Source> {
        let of_peer = |peer: &Peer| Source {
            from: Prefix::of_host(peer.address.ip().to_canonical()),
            hops: peer.ttl_security,
        };
        let of_group = |group: &DynamicPeersSection| Source {
            from: group.prefix.0,
            hops: group.ttl_security,
        };
        let peers = self.peers.values().map(of_peer);
        peers.chain(self.dynamic_peers.values().map(of_group)).collect()
    }

    /// The services of this node, in order of name.
    #[must_use]
    pub fn local_services(&self) -> Vec<LocalService> {
        let named = |(key, service): (&String, &Service)| {
            let service = self.with_numbers(service);
            Some(local_service(ServiceName::parse(key).ok()?, &service))
        };
        self.services.iter().filter_map(named).collect()
    }

    /// What this node offers, services first.
    #[must_use]
    pub fn local_routes(&self) -> Vec<LocalRoute> {
        let services = self.local_services().into_iter().map(LocalRoute::Service);
        services
            .chain(self.local_prefixes().into_iter().map(LocalRoute::Prefix))
            .collect()
    }

    fn local_prefixes(&self) -> Vec<LocalPrefix> {
        let local = |(key, prefix): (&String, &OwnPrefix)| {
            let (communities, large_communities) = self.numbers_of(&prefix.communities);
            Some(LocalPrefix {
                prefix: key.parse().ok()?,
                communities,
                large_communities,
                med: prefix.med,
            })
        };
        self.prefixes.iter().filter_map(local).collect()
    }

    /// What the envoy plugin runs on; `None` if it is off.
    #[must_use]
    pub fn envoy(&self) -> Option<EnvoyConfig> {
        let envoy = self.plugins.envoy.as_ref()?;
        let graphql = self.plugins.graphql.as_ref();
        let identity = self.identity();
        let organisation = |(name, address): (&String, &Spelled<SocketAddr>)| (name.as_str().into(), **address);
        Some(EnvoyConfig {
            node: identity.router_id.node,
            asn: identity.router_id.asn,
            organisation: identity.organisation,
            xds: xds_address(&envoy.xds),
            ingress: *envoy.ingress,
            egress: *envoy.egress,
            peer_listener: *envoy.peer_listener,
            peer_listeners: envoy.peer_listeners.iter().map(organisation).collect(),
            tcp_address: *envoy.tcp_address,
            tcp_ports: envoy.tcp_ports.map_or(NO_PORTS, |ports| ports.first..=ports.last),
            admin: *envoy.admin,
            gateway: graphql.map(|g| *g.gateway),
            graphql_hosts: graphql
                .map(|g| g.hosts.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            tunnels: self.tunnel_ends(),
            state_dir: Some(self.node.state_dir.clone()),
        })
    }

    /// The tunnels as Envoy has to know of them: those of peers, then those that nobody announces.
    fn tunnel_ends(&self) -> Vec<TunnelEnds> {
        let Some(wireguard) = &self.plugins.wireguard else {
            return Vec::new();
        };
        let ends = |organisation: &str, theirs: &[Spelled<Prefix>]| {
            let own = wireguard.tunnels.get(organisation)?;
            Some(TunnelEnds {
                theirs: theirs.iter().map(|prefix| prefix.0).collect(),
                ours: own.addresses.iter().map(|address| address.0.address()).collect(),
            })
        };
        let peers = self.peers.values();
        let announced = peers.filter_map(|peer| ends(self.organisation_of(peer), &peer.tunnel.as_ref()?.addresses));
        let fixed = wireguard.fixed.values();
        announced
            .chain(fixed.filter_map(|fixed| ends(&fixed.organisation, &fixed.addresses)))
            .collect()
    }

    /// What the graphql plugin runs on; `None` if it is off.
    #[must_use]
    pub fn graphql(&self) -> Option<GraphqlConfig> {
        let graphql = self.plugins.graphql.as_ref()?;
        let egress = *self.plugins.envoy.as_ref()?.egress;
        Some(GraphqlConfig {
            control: control_address(&graphql.control),
            egress,
        })
    }

    /// (AS, node name) and the organisation.
    #[must_use]
    pub fn identity(&self) -> OriginNode {
        OriginNode {
            router_id: RouterId {
                asn: self.node.asn,
                node: self.node.name.0.0.as_str().into(),
            },
            organisation: self.node.organisation.0.0.as_str().into(),
        }
    }

    fn planes(&self) -> Vec<PlaneConfig> {
        let envoy = self.plugins.envoy.as_ref().map(|_| PlaneConfig {
            name: "envoy".into(),
            gates: true,
            families: Families::NAMES,
            protocols: Protocol::ALL.into(),
        });
        let graphql = self.plugins.graphql.as_ref().map(|_| PlaneConfig {
            name: "graphql".into(),
            gates: false,
            families: Families::NAMES,
            protocols: vec![Protocol::HttpGraphql],
        });
        let wireguard = self.plugins.wireguard.as_ref().map(|_| PlaneConfig {
            name: "wireguard".into(),
            gates: false,
            families: [Family::Ipv4, Family::Ipv6].into_iter().collect(),
            protocols: Vec::new(),
        });
        let external = self.plugins.external.iter().map(|(name, external)| PlaneConfig {
            name: name.as_str().into(),
            gates: external.gates,
            families: external.families.iter().map(|family| **family).collect(),
            protocols: external.protocols.iter().map(|protocol| **protocol).collect(),
        });
        envoy
            .into_iter()
            .chain(graphql)
            .chain(wireguard)
            .chain(external)
            .collect()
    }

    /// The data planes that are programs of their own, and where each is served.
    pub fn external(&self) -> impl Iterator<Item = (PlaneSpec, Spelled<Listen>)> {
        self.plugins.external.iter().map(|(name, external)| {
            let has = |family| external.families.iter().any(|served| **served == family);
            let protocols = external.protocols.iter().filter(|_| has(Family::Name));
            let spec = PlaneSpec {
                name: name.as_str().into(),
                protocols: protocols.map(|protocol| **protocol).collect(),
                ipv4: has(Family::Ipv4),
                ipv6: has(Family::Ipv6),
            };
            (spec, external.listen_of(name))
        })
    }

    fn peer<'a>(&'a self, name: &str, peer: &Peer, policies: &Policies, resolver: &mut Resolver<'a>) -> PeerConfig {
        let organisation: Arc<str> = self.organisation_of(peer).into();
        let policy = |name: &Option<Spelled<PolicyWord>>| policies.get(&name.as_ref()?.0.0.0).cloned();
        let names = |names| resolver.items(names, &self.sets.names, &KeyPath::default());
        PeerConfig {
            name: name.into(),
            dynamic: None,
            address: *peer.address,
            asn: peer.asn,
            node: peer.node.as_ref().map(|n| n.0.0.as_str().into()),
            passive: peer.passive,
            families: peer.families.iter().map(|family| family.0).collect(),
            client: peer.client,
            next_hop_self: peer.next_hop_self,
            next_hop: self.next_hop_for(peer),
            graceful_restart: peer.graceful_restart.as_ref().map(|graceful| GracefulRestartConfig {
                restart_time: *graceful.restart_time,
                stale_time: *graceful.stale_time,
            }),
            max_routes: peer.max_routes.as_ref().map(MaxRoutes::limits),
            max_update_rate: peer.max_update_rate,
            max_frame: peer.max_frame,
            role: peer.role.map(|role| role.0),
            strict_role: peer.strict_role,
            allowed_next_hops: peer.allowed_next_hops.iter().map(|ip| ip.0).collect(),
            allowed_prefixes: peer.allowed_prefixes.iter().map(|prefix| prefix.0).collect(),
            import: policy(&peer.import),
            export: policy(&peer.export),
            allowed_names: peer.allowed_names.as_ref().map(names),
            tunnel: peer.tunnel.as_ref().map(|tunnel| PeerTunnel {
                addresses: tunnel.addresses.iter().map(|address| address.0).collect(),
                required: tunnel.required,
                // What is told of it depends on more than the configuration: crate::tunnels.
                own: None,
            }),
            organisation,
        }
    }

    fn dynamic<'a>(
        &'a self,
        name: &str,
        template: &'a Peer,
        policies: &Policies,
        resolver: &mut Resolver<'a>,
    ) -> DynamicPeers {
        let dynamic = &self.dynamic_peers[name];
        DynamicPeers {
            name: name.into(),
            prefix: dynamic.prefix.0,
            asns: dynamic.asns.items().iter().map(|range| range.0.clone()).collect(),
            max_peers: dynamic.max_peers as usize,
            template: self.peer(name, template, policies, resolver),
        }
    }

    /// Our peer listener for this receiver.
    fn next_hop_for(&self, peer: &Peer) -> SocketAddr {
        let Some(envoy) = &self.plugins.envoy else {
            return self.peering.next_hop.map_or(NO_DATA_PLANE, |n| n.0);
        };
        let own = self
            .is_outside(peer)
            .then(|| envoy.peer_listeners.get(self.organisation_of(peer)))
            .flatten();
        *own.copied().unwrap_or(envoy.peer_listener)
    }

    /// Writes every default out that depends on another key, so that the printed configuration leaves nothing open.
    pub(super) fn complete(&mut self) {
        let ours = self.node.organisation.clone();
        let insecure = self.peering.insecure;
        if self.node.reflector {
            self.node.cluster.get_or_insert_with(|| self.node.name.clone());
        }
        for peer in self.peers.values_mut() {
            peer.organisation.get_or_insert_with(|| ours.clone());
            peer.insecure.get_or_insert(insecure);
        }
        for dynamic in self.dynamic_peers.values_mut() {
            dynamic.organisation.get_or_insert_with(|| ours.clone());
            dynamic.insecure.get_or_insert(insecure);
        }
        self.services.values_mut().for_each(complete_service);
        for (name, external) in &mut self.plugins.external {
            external.listen = Some(external.listen_of(name));
        }
    }
}

fn complete_service(service: &mut Service) {
    if *service.protocol == Protocol::HttpGraphql {
        service.path.get_or_insert_with(|| GRAPHQL_PATH.to_owned());
    }
}

fn xds_address(listen: &Listen) -> XdsAddress {
    match listen {
        Listen::Unix(path) => XdsAddress::Unix(path.clone()),
        Listen::Tcp(address) => XdsAddress::Tcp(*address),
    }
}

fn control_address(listen: &Listen) -> ControlAddress {
    match listen {
        Listen::Unix(path) => ControlAddress::Unix(path.clone()),
        Listen::Tcp(address) => ControlAddress::Tcp(*address),
    }
}

/// A service as the core knows it, its communities given by number.
#[must_use]
pub fn local_service(name: ServiceName, service: &Service) -> LocalService {
    let mut service = service.clone();
    complete_service(&mut service);
    // Names are not known without a configuration: see `with_numbers`.
    let (communities, large_communities) = by_size(service.communities.iter().map(|community| community.0.clone()));
    LocalService {
        name,
        protocol: *service.protocol,
        path: service.path.as_deref().map(Into::into),
        weight: service.weight,
        endpoints: service.endpoints.iter().map(endpoint).collect(),
        communities,
        large_communities,
        med: service.med,
    }
}

fn endpoint(endpoint: &super::types::Endpoint) -> Endpoint {
    Endpoint {
        host: endpoint.url.host.as_str().into(),
        port: endpoint.url.port,
        weight: endpoint.weight,
    }
}
