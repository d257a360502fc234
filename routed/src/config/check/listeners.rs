//! No two things may listen on the same address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::super::path::KeyPath;
use super::super::text::{Label, Listen, PortRange, Spelled};
use super::super::types::Config;
use super::{Problems, same_ip, section};

/// A claim on an address.
struct Claim {
    path: KeyPath,
    ip: IpAddr,
    ports: PortRange,
}

pub(super) fn check_listeners(config: &Config, problems: &mut Problems) {
    check_organisations(config, problems);
    let claims = claims(config);
    for (at, later) in claims.iter().enumerate() {
        if let Some(earlier) = claims[..at].iter().find(|earlier| overlap(earlier, later)) {
            problems.add(later.path.clone(), format!("{} listens there already", earlier.path));
        }
    }
    let mut sockets: BTreeMap<PathBuf, KeyPath> = BTreeMap::new();
    for (path, listen) in any_listeners(config) {
        let Listen::Unix(socket) = listen else { continue };
        if let Some(earlier) = sockets.insert(socket, path.clone()) {
            problems.add(path, format!("{earlier} is the same socket"));
        }
    }
}

fn check_organisations(config: &Config, problems: &mut Problems) {
    let Some(envoy) = &config.plugins.envoy else { return };
    for organisation in envoy.peer_listeners.keys() {
        let path = envoy_key("peer_listeners").key(organisation);
        match Spelled::<Label>::parse(organisation) {
            Err(message) => problems.add(path, message),
            Ok(label) if label.0.0 != *organisation => {
                problems.add(path, format!("an organisation is written in lower case: {label}"));
            }
            Ok(label) if label == config.node.organisation => {
                problems.add(path, "our own organisation comes in at plugins.envoy.peer_listener");
            }
            Ok(_) => {}
        }
    }
}

fn overlap(a: &Claim, b: &Claim) -> bool {
    same_ip(a.ip, b.ip) && a.ports.first <= b.ports.last && b.ports.first <= a.ports.last
}

fn claims(config: &Config) -> Vec<Claim> {
    let mut claims = vec![claim(section("peering").field("listen"), *config.peering.listen)];
    for (path, listen) in any_listeners(config) {
        if let Listen::Tcp(address) = listen {
            claims.push(claim(path, address));
        }
    }
    if let Some(envoy) = &config.plugins.envoy {
        claims.push(claim(envoy_key("ingress"), *envoy.ingress));
        claims.push(claim(envoy_key("egress"), *envoy.egress));
        claims.push(claim(envoy_key("peer_listener"), *envoy.peer_listener));
        claims.push(claim(envoy_key("admin"), *envoy.admin));
        for (organisation, address) in &envoy.peer_listeners {
            claims.push(claim(envoy_key("peer_listeners").key(organisation), **address));
        }
    }
    if let Some(graphql) = &config.plugins.graphql {
        claims.push(claim(graphql_key("gateway"), *graphql.gateway));
    }
    if let Some((envoy, ports)) = config.plugins.envoy.as_ref().and_then(|e| Some((e, e.tcp_ports?))) {
        claims.push(Claim {
            path: envoy_key("tcp_ports"),
            ip: *envoy.tcp_address,
            ports: ports.0,
        });
    }
    claims
}

/// The listeners that may be of either kind.
fn any_listeners(config: &Config) -> Vec<(KeyPath, Listen)> {
    let mut listeners = vec![(section("admin").field("listen"), config.admin.listen.0.clone())];
    if let Some(metrics) = &config.metrics {
        listeners.push((section("metrics").field("listen"), metrics.listen.0.clone()));
    }
    if let Some(envoy) = &config.plugins.envoy {
        listeners.push((envoy_key("xds"), envoy.xds.0.clone()));
    }
    if let Some(graphql) = &config.plugins.graphql {
        listeners.push((graphql_key("control"), graphql.control.0.clone()));
    }
    for (name, external) in &config.plugins.external {
        let path = section("plugins").field("external").key(name).field("listen");
        listeners.push((path, external.listen_of(name).0));
    }
    listeners
}

fn claim(path: KeyPath, address: SocketAddr) -> Claim {
    let ports = PortRange {
        first: address.port(),
        last: address.port(),
    };
    Claim {
        path,
        ip: address.ip(),
        ports,
    }
}

fn envoy_key(key: &str) -> KeyPath {
    section("plugins").field("envoy").field(key)
}

fn graphql_key(key: &str) -> KeyPath {
    section("plugins").field("graphql").field(key)
}
