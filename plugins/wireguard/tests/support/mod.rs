//! Configurations and routes of tests.
#![allow(clippy::unwrap_used, dead_code, reason = "shared helpers of several tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::{NextHop, Prefix, PrefixRoute, Table, Target, Tunnel};
use catalyst_wireguard::{KeyChange, PrivateKey, TunnelDevice, TunnelPeer, WireguardConfig};

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| prefix(text)).collect()
}

/// A node with devices to `b` and `c`, and no peers.
pub(crate) fn config() -> WireguardConfig {
    let tunnel = |device: &str, port, addresses: [&str; 2]| TunnelDevice {
        device: device.into(),
        listen_port: port,
        second_port: 0,
        is_called: true,
        addresses: prefixes(&addresses),
        mtu: 1420,
    };
    WireguardConfig {
        private_key: PrivateKey::from_bytes([99; 32]),
        key_change: KeyChange::None,
        table: 1790,
        rule_priority: 1790,
        protocol: 179,
        keepalive: Duration::from_secs(5),
        tunnels: [
            ("b".into(), tunnel("wg-b", 51821, ["10.255.1.1/32", "fd00:1::1/128"])),
            ("c".into(), tunnel("wg-c", 51822, ["10.255.2.1/32", "fd00:2::1/128"])),
        ]
        .into(),
        peers: [].into(),
        own_prefixes: prefixes(&["10.1.0.0/16"]),
    }
}

pub(crate) fn peer(organisation: &str, addresses: &[&str], allowed: &[&str]) -> TunnelPeer {
    TunnelPeer {
        organisation: organisation.into(),
        addresses: prefixes(addresses),
        public_keys: Vec::new(),
        preshared_key: None,
        endpoint: None,
        allowed_prefixes: prefixes(allowed),
        static_tunnel: None,
        static_prefixes: Vec::new(),
    }
}

/// So many peers on the device to `b`, each with a host and a key of its own, and what they announce.
pub(crate) fn many_peers(count: u16) -> (WireguardConfig, Vec<Arc<PrefixRoute>>) {
    let mut config = config();
    let mut routes = Vec::new();
    for number in 0..count {
        let host = host_of(number);
        let peer = peer("b", &[&host], &["10.2.0.0/16"]);
        config.peers.insert(format!("peer-{number}").into(), peer);
        routes.push(announced(&host, tunnel_of(number, 1)));
    }
    (config, routes)
}

/// The tunnel address of one of many peers.
pub(crate) fn host_of(number: u16) -> String {
    let [high, low] = number.to_be_bytes();
    format!("10.254.{high}.{low}/32")
}

/// What one of many peers announces.
pub(crate) fn tunnel_of(number: u16, serial: u64) -> Arc<Tunnel> {
    let [high, low] = number.to_be_bytes();
    let mut tunnel = Tunnel::clone(&tunnel(1, serial, &[&host_of(number)]));
    tunnel.public_key[..2].copy_from_slice(&[high + 2, low]);
    Arc::new(tunnel)
}

pub(crate) fn tunnel(key: u8, serial: u64, addresses: &[&str]) -> Arc<Tunnel> {
    Arc::new(Tunnel {
        public_key: [key; 32],
        endpoint: Some(SocketAddr::from(([192, 0, 2, key], 51820))),
        addresses: prefixes(addresses),
        mtu: 1420,
        serial,
    })
}

/// A route of `prefix` by next hop.
pub(crate) fn via(prefix: Prefix, hop: &str) -> Arc<PrefixRoute> {
    route(prefix, hop, None)
}

/// The route of a tunnel address that announces a tunnel.
pub(crate) fn announced(host: &str, tunnel: Arc<Tunnel>) -> Arc<PrefixRoute> {
    let prefix = prefix(host);
    route(prefix, &prefix.address().to_string(), Some(tunnel))
}

fn route(prefix: Prefix, hop: &str, tunnel: Option<Arc<Tunnel>>) -> Arc<PrefixRoute> {
    let address = SocketAddr::new(hop.parse().unwrap(), 0);
    Arc::new(PrefixRoute {
        prefix,
        table: Table::External,
        origin: None,
        target: Target::Remote(vec![NextHop { address, weight: 1 }]),
        exported_to: Arc::default(),
        tunnel,
    })
}
