//! See README.md beside this file.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Capture, Client, LONG, Namespace, poll, scenario, start_envoy};
use serde_json::json;

const UNDERLAY: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const TUNNEL: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 0, 2)];
const PORT: u16 = 51820;
const ENVOY_ADMIN: u16 = 9901;
const PINGS: usize = 5;

/// Makes `wg0` and returns its public key.
fn add_device(namespace: &Namespace, address: Ipv4Addr, folder: &Path) -> Result<String> {
    namespace
        .run("ip link add wg0 type wireguard")
        .context("this kernel makes no WireGuard device, or not for us: run `cargo xtask test`")?;
    let key = folder.join(format!("{}.key", namespace.name));
    fs::write(&key, namespace.run("wg genkey")?)?;
    namespace.run(&format!("wg set wg0 listen-port {PORT} private-key {}", key.display()))?;
    namespace.run(&format!("ip address add {address}/24 dev wg0"))?;
    namespace.run("ip link set wg0 up")?;
    Ok(namespace.run("wg show wg0 public-key")?.trim().to_owned())
}

fn add_peer(namespace: &Namespace, key: &str, underlay: Ipv4Addr, tunnel: Ipv4Addr) -> Result<()> {
    let peer = format!("peer {key} endpoint {underlay}:{PORT} allowed-ips {tunnel}/32");
    namespace.run(&format!("wg set wg0 {peer}")).map(drop)
}

/// WireGuard messages and all other frames.
#[derive(Debug, Default)]
struct Seen {
    wireguard: usize,
    other: Vec<Vec<u8>>,
}

impl Seen {
    fn add(&mut self, capture: &Capture) -> Result<()> {
        for frame in capture.take()? {
            if is_wireguard(&frame) {
                self.wireguard += 1;
            } else {
                self.other.push(frame);
            }
        }
        Ok(())
    }
}

/// IPv4 without options, UDP between the ports, and a message type of WireGuard with its three reserved zeroes.
fn is_wireguard(frame: &[u8]) -> bool {
    let port = PORT.to_be_bytes();
    frame.get(12..15) == Some(&[0x08, 0x00, 0x45])
        && frame.get(23) == Some(&17)
        && frame.get(34..36) == Some(&port)
        && frame.get(36..38) == Some(&port)
        && matches!(frame.get(42..46), Some([1..=4, 0, 0, 0]))
}

fn ping(from: &Namespace, to: Ipv4Addr, count: usize) -> Result<()> {
    from.run(&format!("ping -c {count} -i 0.2 -W 20 {to}")).map(drop)
}

#[test]
fn wg_only_wireguard_passes_the_underlay() -> Result<()> {
    scenario(|network| {
        let folder = network.folder().to_owned();
        let (a, b) = (Namespace::new(&folder, "a")?, Namespace::new(&folder, "b")?);
        a.connect("underlay", UNDERLAY, &b)?;
        let (key_a, key_b) = (add_device(&a, TUNNEL[0], &folder)?, add_device(&b, TUNNEL[1], &folder)?);
        add_peer(&a, &key_b, UNDERLAY[1], TUNNEL[1])?;
        add_peer(&b, &key_a, UNDERLAY[0], TUNNEL[0])?;
        let capture = a.capture("underlay")?;
        let mut seen = Seen::default();

        ping(&a, TUNNEL[1], PINGS)?;
        // A request and an answer each, and a handshake of two messages before.
        let least = 2 * PINGS + 2;
        seen.add(&capture)?;
        ensure!(
            seen.wireguard >= least,
            "{} WireGuard messages, not {least}",
            seen.wireguard
        );
        ensure!(seen.other.is_empty(), "in the clear: {:02x?}", seen.other);

        ping(&a, UNDERLAY[1], 1)?;
        poll("a request and an answer in the clear", LONG, || {
            seen.add(&capture)?;
            ensure!(seen.other.len() == 2, "{:02x?}", seen.other);
            Ok(())
        })
    })
}

#[test]
fn wg_an_envoy_becomes_ready() -> Result<()> {
    scenario(|network| {
        let node = network.node("a", 65001, "acme")?;
        let address = SocketAddr::from((node.ip, ENVOY_ADMIN));
        let admin = json!({ "address": { "socket_address": { "address": node.ip, "port_value": ENVOY_ADMIN } } });
        fs::write(node.folder().join("envoy.json"), json!({ "admin": admin }).to_string())?;
        let mut envoy = start_envoy(node.folder())?;
        let client = Client::default();
        envoy.wait_until("a ready Envoy", || {
            let answer = client.get(address, "admin", "/ready")?;
            ensure!(answer.status == 200 && answer.body == "LIVE\n", "{answer:?}");
            Ok(())
        })
    })
}
