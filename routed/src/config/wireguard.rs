//! Tunnels between organisations: WireGuard, as it is written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalyst_core::route::Prefix;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::either::Many;
use super::text::{Spelled, Text};

/// WireGuard, the encrypted path to other organisations. Needs the capability `CAP_NET_ADMIN`, and a kernel with the module
/// `wireguard` unless `userspace` says what to start in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Wireguard {
    /// The file with this node's private key, as `wg genkey` prints it; nobody but its owner may read it. Default:
    /// `wireguard.key` in `node.state_dir`, made at the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/catalyst/wireguard.key")]
    pub private_key_file: Option<PathBuf>,
    /// Our end of the tunnels, by organisation: one device each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tunnels: BTreeMap<String, OwnTunnel>,
    /// Tunnels that nobody announces, by a name of your choice (one label).
    #[serde(rename = "static", skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, StaticTunnel>,
    /// How old the node's key may become: an older one is changed, as by `catalystctl tunnel rotate`. At least 1h. Default: it
    /// stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_every: Option<Spelled<Duration>>,
    /// How often a tunnel says that it is there; one that is silent for three times as long is dead. 1s to 300s.
    pub keepalive: Spelled<Duration>,
    /// The kernel's routing table for what goes through tunnels. Nothing else may use it.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub table: u32,
    /// The priority of the rule that leads into the table; before the main table's, 32766.
    #[schemars(range(min = 1, max = 32765))]
    pub rule_priority: u32,
    /// The `proto` number of our routes and rules (rtnetlink(7)), by which they are told from others'.
    #[schemars(range(min = 5, max = 255))]
    pub route_protocol: u8,
    /// A program that does WireGuard outside of the kernel, as `wireguard-go` does: started with the name of a device, it makes
    /// it, goes into the background, and ends when the device is removed. It outlives catalyst-routed. Default: the kernel
    /// does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/usr/bin/wireguard-go")]
    pub userspace: Option<PathBuf>,
}

impl Default for Wireguard {
    fn default() -> Self {
        Self {
            private_key_file: None,
            tunnels: BTreeMap::new(),
            fixed: BTreeMap::new(),
            rotate_every: None,
            keepalive: Spelled(Duration::from_secs(5)),
            table: 1790,
            rule_priority: 1790,
            route_protocol: 179,
            userspace: None,
        }
    }
}

/// Our end of the tunnels to one organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnTunnel {
    /// Our addresses in the tunnels: hosts (`10.255.0.1/32`, `fd00:255::1/128`). They are announced to the organisation's
    /// peers, and bound to the device.
    #[schemars(length(min = 1, max = 8))]
    pub addresses: Vec<Spelled<Prefix>>,
    /// The UDP port of the device.
    #[schemars(range(min = 1, max = 65535))]
    pub listen_port: u16,
    /// Where the organisation's nodes reach that port. Default: nowhere, and it is this side that calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Spelled<SocketAddr>>,
    /// The second device, which is there while a key is changed. Without it this node's key cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondDevice>,
    /// The name of the device, at most 14 bytes; the second one has an underscore behind it. Default: `cat-` and the
    /// organisation, cut short where it is too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "wg-beta")]
    pub device: Option<String>,
    /// The longest packet in the tunnels, in bytes. 80 less than the underlay's takes any packet in one piece.
    #[serde(default = "default_mtu")]
    #[schemars(range(min = 1280, max = 65455))]
    pub mtu: u16,
}

/// The second device of our end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondDevice {
    /// Its UDP port.
    #[schemars(range(min = 1, max = 65535))]
    pub listen_port: u16,
    /// Where the organisation's nodes reach that port. Default: at the IP address of `endpoint`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Spelled<SocketAddr>>,
}

/// What the name of a device begins with that the configuration does not name.
const DEVICE: &str = "cat-";
/// What of an organisation goes into it: with the sign of a second device in a change of keys, 15 bytes are the most.
const DEVICE_LABEL_BYTES: usize = 10;

impl OwnTunnel {
    /// The name of the device.
    #[must_use]
    pub fn device_of(&self, organisation: &str) -> String {
        let cut = || organisation.get(..DEVICE_LABEL_BYTES).unwrap_or(organisation);
        self.device.clone().unwrap_or_else(|| format!("{DEVICE}{}", cut()))
    }

    /// Where the second device is called; `None`: there is none, or it calls.
    #[must_use]
    pub fn second_endpoint(&self) -> Option<SocketAddr> {
        let second = self.second.as_ref()?;
        let beside = || Some(SocketAddr::new(self.endpoint?.0.ip(), second.listen_port));
        second.endpoint.map(|endpoint| endpoint.0).or_else(beside)
    }
}

/// The usual one: 1500 less what WireGuard adds over IPv6.
fn default_mtu() -> u16 {
    1420
}

/// A tunnel that nobody announces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticTunnel {
    /// The organisation at its other end: one of `plugins.wireguard.tunnels`.
    pub organisation: String,
    /// Its public key, as `wg pubkey` prints it.
    pub public_key: Spelled<WireguardKey>,
    /// The addresses at its other end: hosts.
    #[schemars(length(min = 1, max = 8))]
    pub addresses: Vec<Spelled<Prefix>>,
    /// Where its device listens. Default: nowhere, and it calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Spelled<SocketAddr>>,
    /// The prefixes behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10000))]
    pub prefixes: Vec<Spelled<Prefix>>,
    /// The file with the pre-shared key, as `wg genpsk` prints it; read again when it changes. While it cannot be read, the
    /// tunnel is shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/catalyst/beta.psk")]
    pub preshared_key_file: Option<PathBuf>,
}

/// The tunnel to a peer, as it announces it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerTunnel {
    /// Where its tunnel addresses lie. It may announce hosts within them, and nobody else may.
    #[schemars(length(min = 1, max = 8))]
    pub addresses: Vec<Spelled<Prefix>>,
    /// Its public key, as `wg pubkey` prints it: another one is not talked to. A list, while it is to change: at most 4.
    /// Default: whichever it announces, and `show tunnels` calls it unauthenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<Many<Spelled<WireguardKey>>>,
    /// Where its device listens, whatever it announces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Spelled<SocketAddr>>,
    /// The file with the pre-shared key, as `wg genpsk` prints it; read again when it changes. While it cannot be read, the
    /// tunnel is shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/catalyst/beta.psk")]
    pub preshared_key_file: Option<PathBuf>,
    /// Whether every route of the peer has to lead through the tunnel: with false, its own address counts as a next hop, too,
    /// and traffic to it leaves in the clear.
    #[serde(default = "super::types::yes")]
    pub required: bool,
}

/// A public key of WireGuard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireguardKey(pub [u8; 32]);

impl Text for WireguardKey {
    const EXPECTED: &'static str = "a public key of WireGuard (32 bytes in base64)";
    const EXAMPLE: &'static str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let bytes = STANDARD.decode(text).map_err(|_| None)?;
        let key: [u8; 32] = bytes.try_into().map_err(|_| None)?;
        if key == [0; 32] {
            return Err(Some("this is no key: all of its bytes are 0".to_owned()));
        }
        Ok(Self(key))
    }

    fn print(&self) -> String {
        STANDARD.encode(self.0)
    }
}
