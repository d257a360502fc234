//! The configuration of a node.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::Node;

/// Ports are the same on every node: each node has an address of its own.
pub(crate) const PEERING: u16 = 1790;
pub(crate) const INGRESS: u16 = 8080;
pub(crate) const EGRESS: u16 = 8081;
pub(crate) const PEER_LISTENER: u16 = 8082;
pub(crate) const GATEWAY: u16 = 8083;
/// What every daemon logs: also what it sends to its Envoys, which tests count.
pub(crate) const LOG: &str = "info,catalyst_envoy::ads::service=trace";
/// The first of the listeners for outside organisations.
const OUTSIDE_LISTENERS: u16 = 8100;
pub(crate) const ENVOY_ADMIN: u16 = 9901;
/// The first of the example services.
pub(crate) const SERVICES: u16 = 4100;

/// How two nodes meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peering {
    /// Both dial.
    Both,
    /// Only the first one dials.
    FirstDials,
}

/// Makes peers of two nodes that do not run yet. Between organisations both accept everything by policy.
pub fn peer(first: &mut Node, second: &mut Node, peering: Peering) {
    add_peer(first, second, false);
    add_peer(second, first, peering == Peering::FirstDials);
}

fn add_peer(node: &mut Node, other: &Node, passive: bool) {
    let outside = node.organisation != other.organisation;
    let mut peer = json!({
        "address": format!("{}:{PEERING}", other.ip),
        "as": other.asn,
        "organisation": other.organisation,
        "source": node.ip,
        "passive": passive,
    });
    if outside {
        peer["import"] = json!("accept");
        peer["export"] = json!("accept");
        open_listener(node, &other.organisation);
    }
    node.config["peers"][&other.name] = peer;
}

/// Gives an outside organisation a peer listener of its own.
fn open_listener(node: &mut Node, organisation: &str) {
    let address = node.ip;
    let envoy = node.config["plugins"].get_mut("envoy").and_then(Value::as_object_mut);
    let Some(envoy) = envoy else { return };
    let listeners = envoy.entry("peer_listeners").or_insert_with(|| json!({}));
    let count = listeners.as_object().map_or(0, serde_json::Map::len);
    if listeners.get(organisation).is_none() {
        let port = usize::from(OUTSIDE_LISTENERS) + count;
        listeners[organisation] = json!(format!("{address}:{port}"));
    }
}

/// A node without peers and services. Paths are relative to its folder, where it runs.
pub(crate) fn base(name: &str, asn: u32, organisation: &str, ip: Ipv4Addr) -> Value {
    json!({
        "node": { "name": name, "as": asn, "organisation": organisation, "state_dir": "state" },
        "peering": { "listen": format!("{ip}:{PEERING}") },
        "peers": {},
        "services": {},
        "admin": { "listen": "unix:routed.sock" },
        "plugins": {},
    })
}

pub(crate) fn envoy(ip: Ipv4Addr) -> Value {
    json!({
        "xds": "unix:xds.sock",
        "ingress": format!("{ip}:{INGRESS}"),
        "egress": format!("{ip}:{EGRESS}"),
        "peer_listener": format!("{ip}:{PEER_LISTENER}"),
        "tcp_address": ip,
        "tcp_ports": "20000-20099",
        "admin": format!("{ip}:{ENVOY_ADMIN}"),
    })
}

pub(crate) fn graphql(ip: Ipv4Addr) -> Value {
    json!({
        "control": "unix:gateway.sock",
        "gateway": format!("{ip}:{GATEWAY}"),
        "hosts": ["graph.test"],
    })
}
