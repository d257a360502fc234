//! What the plugin is given: plain types, checked once, whole.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::{Prefix, Tunnel};

use crate::keys::{PrivateKey, PublicKey};
use crate::plan::{Phase, Slot};

/// The least that IPv6 asks of a link (RFC 8200 section 5).
pub const MIN_MTU: u16 = 1280;
/// The most addresses of one tunnel end.
const MAX_ADDRESSES: usize = 8;
/// A device name is shorter than the kernel's IFNAMSIZ, and the second one's is a byte longer.
const MAX_DEVICE_BYTES: usize = 14;
/// Of the name of a second device.
const SECOND: &str = "_";
/// The shortest time that a line of a change still receives, and the longest.
const DRAIN: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(30));
/// Tables that are the system's: unspec, default, main, local.
const SYSTEM_TABLES: [u32; 4] = [0, 253, 254, 255];
/// The rule of the main table; ours stands before it.
const MAIN_RULE: u32 = 32766;
/// Route protocols up to here are the kernel's and the administrator's.
const LAST_SYSTEM_PROTOCOL: u8 = 4;

/// Everything that the plane is configured with.
#[derive(Debug, Clone)]
pub struct WireguardConfig {
    /// Of all our devices, but for a change of it.
    pub private_key: PrivateKey,
    /// How far a change of our key is.
    pub key_change: KeyChange,
    /// The routing table that is ours alone.
    pub table: u32,
    /// Where its rule stands.
    pub rule_priority: u32,
    /// Marks our routes and rules (`ip route show proto N`).
    pub protocol: u8,
    /// How often an idle tunnel is heard; one that is silent for three of these is down.
    pub keepalive: Duration,
    /// Our end of the tunnels to each outside organisation.
    pub tunnels: BTreeMap<Arc<str>, TunnelDevice>,
    /// The peers with tunnels, by name.
    pub peers: BTreeMap<Arc<str>, TunnelPeer>,
    /// Prefixes of our own: never through a tunnel, whoever offers them.
    pub own_prefixes: Vec<Prefix>,
}

/// A change of our key.
#[derive(Debug, Clone)]
pub enum KeyChange {
    /// None is under way.
    None,
    /// The second devices have this key, which peers are told of.
    Moving(PrivateKey),
    /// The second devices have [`WireguardConfig::private_key`], and there are no others.
    Parting,
    /// All devices have [`WireguardConfig::private_key`].
    Returning,
    /// It is given up: the second devices still have this key, and nobody is told of it any longer.
    Abandoning(PrivateKey),
}

impl KeyChange {
    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::None => Phase::Rest,
            Self::Moving(_) => Phase::Moving,
            Self::Parting => Phase::Parting,
            Self::Returning => Phase::Returning,
            Self::Abandoning(_) => Phase::Abandoning,
        }
    }

    /// The key of the second devices, where that is another one than the first ones have.
    pub(crate) fn second(&self) -> Option<&PrivateKey> {
        match self {
            Self::Moving(key) | Self::Abandoning(key) => Some(key),
            Self::None | Self::Parting | Self::Returning => None,
        }
    }
}

/// Our end of the tunnels to one organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelDevice {
    /// Its name in the kernel. The second device, of a change of keys, has an underscore behind it.
    pub device: Arc<str>,
    /// The UDP port.
    pub listen_port: u16,
    /// The UDP port of the second device; 0: any.
    pub second_port: u16,
    /// Whether peers are told where to call it.
    pub is_called: bool,
    /// Our tunnel addresses: host prefixes.
    pub addresses: Vec<Prefix>,
    /// Of the device.
    pub mtu: u16,
}

/// The other end of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelPeer {
    /// One of the tunnels.
    pub organisation: Arc<str>,
    /// Where its tunnel addresses lie. No other peer's may.
    pub addresses: Vec<Prefix>,
    /// The only keys that it may have: the one of today, and the one of tomorrow. Empty: any.
    pub public_keys: Vec<PublicKey>,
    /// The file of the pre-shared key. While it cannot be read, there is no tunnel.
    pub preshared_key: Option<PathBuf>,
    /// Where it is called, whatever it announces.
    pub endpoint: Option<SocketAddr>,
    /// What it may offer. Guarded from the start.
    pub allowed_prefixes: Vec<Prefix>,
    /// Its tunnel, for one that announces none.
    pub static_tunnel: Option<Arc<Tunnel>>,
    /// Prefixes that are routed to it without being announced. Guarded too.
    pub static_prefixes: Vec<Prefix>,
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct ConfigError {
    /// The key path below the plugin's configuration.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

type Checked = Result<(), ConfigError>;

fn refuse<T>(place: impl Into<String>, reason: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError {
        place: place.into(),
        reason: reason.into(),
    })
}

impl TunnelDevice {
    /// The name of the device in a slot.
    #[must_use]
    pub fn device_in(&self, slot: Slot) -> Arc<str> {
        match slot {
            Slot::Home => self.device.clone(),
            Slot::Second => format!("{}{SECOND}", self.device).into(),
        }
    }
}

/// How long the way that was sent by before still receives, in a change of keys: what is on its way arrives, and the
/// other end has had the time to do the same.
#[must_use]
pub fn drain(keepalive: Duration) -> Duration {
    keepalive.saturating_mul(2).clamp(DRAIN.0, DRAIN.1)
}

impl WireguardConfig {
    /// The whole configuration makes sense.
    ///
    /// # Errors
    /// The first place that does not.
    pub fn check(&self) -> Checked {
        self.check_numbers()?;
        self.check_tunnels()?;
        for (name, peer) in &self.peers {
            self.check_peer(&format!("peers.{name}"), peer)?;
        }
        self.check_overlaps()?;
        self.check_endpoints()
    }

    fn check_numbers(&self) -> Checked {
        if SYSTEM_TABLES.contains(&self.table) {
            return refuse("table", format!("{} is a table of the system", self.table));
        }
        if self.rule_priority == 0 || self.rule_priority >= MAIN_RULE {
            return refuse(
                "rule_priority",
                format!("1 to {}, before the rule of table main", MAIN_RULE - 1),
            );
        }
        if self.protocol <= LAST_SYSTEM_PROTOCOL {
            return refuse(
                "protocol",
                format!("0 to {LAST_SYSTEM_PROTOCOL} are the kernel's and the administrator's"),
            );
        }
        if !(1..=65535).contains(&self.keepalive.as_secs()) || self.keepalive.subsec_nanos() != 0 {
            return refuse("keepalive", "whole seconds, 1 to 65535");
        }
        Ok(())
    }

    fn check_tunnels(&self) -> Checked {
        let (mut devices, mut ports) = (BTreeSet::new(), BTreeSet::new());
        for (organisation, tunnel) in &self.tunnels {
            let place = |key: &str| format!("tunnels.{organisation}.{key}");
            if !is_device_name(&tunnel.device) {
                return refuse(place("device"), "1 to 14 letters, digits, '-', '_' or '.'");
            }
            for slot in [Slot::Home, Slot::Second] {
                let device = tunnel.device_in(slot);
                if let Some(device) = devices.replace(device) {
                    return refuse(place("device"), format!("{device} is the device of another tunnel"));
                }
            }
            if tunnel.listen_port == 0 || !ports.insert(tunnel.listen_port) {
                return refuse(place("listen_port"), "1 to 65535, another one for each tunnel");
            }
            if tunnel.second_port != 0 && !ports.insert(tunnel.second_port) {
                return refuse(place("second.listen_port"), "it is the port of another device");
            }
            if tunnel.mtu < MIN_MTU {
                return refuse(place("mtu"), format!("at least {MIN_MTU}, or IPv6 does not pass"));
            }
            check_hosts(&place("addresses"), &tunnel.addresses)?;
        }
        Ok(())
    }

    fn check_peer(&self, place: &str, peer: &TunnelPeer) -> Checked {
        if !self.tunnels.contains_key(&peer.organisation) {
            return refuse(
                format!("{place}.organisation"),
                format!("there is no tunnels.{}", peer.organisation),
            );
        }
        let own = || self.tunnels.values().flat_map(|tunnel| &tunnel.addresses);
        for (key, prefixes) in [
            ("addresses", &peer.addresses),
            ("allowed_prefixes", &peer.allowed_prefixes),
            ("static_prefixes", &peer.static_prefixes),
        ] {
            for prefix in prefixes {
                if prefix.is_martian() {
                    return refuse(
                        format!("{place}.{key}"),
                        format!("{prefix} is not routed between networks"),
                    );
                }
                if own().any(|own| own.covers(*prefix)) {
                    return refuse(format!("{place}.{key}"), format!("{prefix} is our own address"));
                }
                // Our table is asked before table main: a guard around our own prefix would cut it off.
                let overlaps = |own: &&Prefix| own.covers(*prefix) || prefix.covers(**own);
                if let Some(own) = self.own_prefixes.iter().find(overlaps) {
                    return refuse(format!("{place}.{key}"), format!("{prefix} overlaps our own {own}"));
                }
            }
        }
        if let Some(tunnel) = &peer.static_tunnel {
            check_hosts(&format!("{place}.static_tunnel.addresses"), &tunnel.addresses)?;
            let within = |host: &Prefix| peer.addresses.iter().any(|range| range.covers(*host));
            if !tunnel.addresses.iter().all(within) {
                return refuse(
                    format!("{place}.static_tunnel.addresses"),
                    "not within the peer's addresses",
                );
            }
        }
        Ok(())
    }

    fn check_overlaps(&self) -> Checked {
        let mut ranges: Vec<(Prefix, &Arc<str>)> = Vec::new();
        let mut fixed = BTreeSet::new();
        for (name, peer) in &self.peers {
            ranges.extend(peer.addresses.iter().map(|range| (*range, name)));
            if let Some(twice) = peer.static_prefixes.iter().find(|prefix| !fixed.insert(**prefix)) {
                return refuse(
                    format!("peers.{name}.static_prefixes"),
                    format!("{twice} is another peer's too"),
                );
            }
        }
        // Sorted, a prefix stands right before those within it.
        ranges.sort();
        for pair in ranges.windows(2) {
            if let [(one, first), (other, second)] = pair
                && one.covers(*other)
                && first != second
            {
                return refuse(
                    format!("peers.{second}.addresses"),
                    format!("{other} is within {one} of peer {first}: nobody could tell whose it is"),
                );
            }
        }
        Ok(())
    }

    /// An endpoint that is guarded could only be reached through the tunnel that it ends.
    fn check_endpoints(&self) -> Checked {
        let guarded = self.guarded();
        for (name, peer) in &self.peers {
            let fixed = peer.static_tunnel.as_ref().and_then(|tunnel| tunnel.endpoint);
            if let Some(endpoint) = peer.endpoint.or(fixed)
                && let Some(prefix) = covering(&guarded, endpoint.ip())
            {
                return refuse(
                    format!("peers.{name}.endpoint"),
                    format!("{endpoint} lies within {prefix}, which is to be reached through tunnels only"),
                );
            }
        }
        Ok(())
    }

    /// The names of all devices that there may be.
    pub(crate) fn devices(&self) -> impl Iterator<Item = Arc<str>> {
        let of = |tunnel: &TunnelDevice| [Slot::Home, Slot::Second].map(|slot| tunnel.device_in(slot));
        self.tunnels.values().flat_map(of)
    }

    /// What leaves through a tunnel or not at all.
    #[must_use]
    pub fn guarded(&self) -> BTreeSet<Prefix> {
        let of = |peer: &TunnelPeer| {
            let all = [&peer.addresses, &peer.allowed_prefixes, &peer.static_prefixes];
            all.into_iter().flatten().copied().collect::<Vec<_>>()
        };
        self.peers.values().flat_map(of).collect()
    }
}

/// The shortest of these prefixes that an address is in.
pub(crate) fn covering(prefixes: &BTreeSet<Prefix>, address: IpAddr) -> Option<Prefix> {
    let mut found = None;
    for prefix in Prefix::of_host(address).and_supernets() {
        if prefixes.contains(&prefix) {
            found = Some(prefix);
        }
    }
    found
}

pub(crate) fn is_host(prefix: Prefix) -> bool {
    prefix == Prefix::of_host(prefix.address())
}

fn check_hosts(place: &str, addresses: &[Prefix]) -> Checked {
    if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
        return refuse(place, format!("1 to {MAX_ADDRESSES} addresses"));
    }
    match addresses
        .iter()
        .find(|address| !is_host(**address) || address.is_martian())
    {
        Some(wrong) => refuse(
            place,
            format!("{wrong}: a tunnel address is a host (/32, /128) that is routed"),
        ),
        None => Ok(()),
    }
}

/// What the kernel takes and no shell or nftables syntax is surprised by.
fn is_device_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let first = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    first && name.len() <= MAX_DEVICE_BYTES && name.bytes().all(plain) && !["all", "default", "lo"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn config() -> WireguardConfig {
        let tunnel = TunnelDevice {
            device: "wg-b".into(),
            listen_port: 51820,
            second_port: 0,
            is_called: true,
            addresses: prefixes(&["10.255.0.1/32", "fd00::1/128"]),
            mtu: 1420,
        };
        let peer = |range: &str| TunnelPeer {
            organisation: "b".into(),
            addresses: prefixes(&[range]),
            public_keys: Vec::new(),
            preshared_key: None,
            endpoint: None,
            allowed_prefixes: prefixes(&["10.2.0.0/16"]),
            static_tunnel: None,
            static_prefixes: Vec::new(),
        };
        WireguardConfig {
            private_key: PrivateKey::from_bytes([1; 32]),
            key_change: KeyChange::None,
            table: 1790,
            rule_priority: 1790,
            protocol: 179,
            keepalive: Duration::from_secs(5),
            tunnels: [("b".into(), tunnel)].into(),
            peers: [
                ("b1".into(), peer("10.255.1.0/28")),
                ("b2".into(), peer("10.255.1.16/28")),
            ]
            .into(),
            own_prefixes: prefixes(&["10.1.0.0/16"]),
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        type Break = fn(&mut WireguardConfig);
        let broken: [(&str, Break); 17] = [
            ("table: 254 is a table", |c| c.table = 254),
            ("rule_priority: 1 to 32765", |c| c.rule_priority = 32766),
            ("protocol: 0 to 4", |c| c.protocol = 4),
            ("keepalive: whole seconds", |c| {
                c.keepalive = Duration::from_millis(1500);
            }),
            ("tunnels.b.device: 1 to 14", |c| {
                c.tunnels.get_mut("b").unwrap().device = "a-name-of-15-b_".into();
            }),
            ("tunnels.c.device: wg-b_ is the device of another tunnel", |c| {
                let mut other = c.tunnels["b"].clone();
                (other.device, other.listen_port) = ("wg-b_".into(), 1);
                c.tunnels.insert("c".into(), other);
            }),
            ("tunnels.b.second.listen_port: it is the port", |c| {
                c.tunnels.get_mut("b").unwrap().second_port = 51820;
            }),
            ("tunnels.b.mtu: at least 1280", |c| {
                c.tunnels.get_mut("b").unwrap().mtu = 1279;
            }),
            ("tunnels.b.addresses: 10.0.0.0/8: a tunnel address is a host", |c| {
                c.tunnels.get_mut("b").unwrap().addresses = prefixes(&["10.0.0.0/8"]);
            }),
            ("peers.b1.organisation: there is no tunnels.c", |c| {
                c.peers.get_mut("b1").unwrap().organisation = "c".into();
            }),
            ("peers.b1.allowed_prefixes: 127.0.0.0/8 is not routed", |c| {
                c.peers.get_mut("b1").unwrap().allowed_prefixes = prefixes(&["127.0.0.0/8"]);
            }),
            (
                "peers.b1.allowed_prefixes: 10.1.2.0/24 overlaps our own 10.1.0.0/16",
                |c| {
                    c.peers.get_mut("b1").unwrap().allowed_prefixes = prefixes(&["10.1.2.0/24"]);
                },
            ),
            (
                "peers.b1.allowed_prefixes: 10.0.0.0/8 overlaps our own 10.1.0.0/16",
                |c| {
                    c.peers.get_mut("b1").unwrap().allowed_prefixes = prefixes(&["10.0.0.0/8"]);
                },
            ),
            ("peers.b1.addresses: 10.255.0.1/32 is our own address", |c| {
                c.peers.get_mut("b1").unwrap().addresses = prefixes(&["10.255.0.1/32"]);
            }),
            (
                "peers.b2.addresses: 10.255.1.4/32 is within 10.255.1.0/28 of peer b1",
                |c| {
                    c.peers.get_mut("b2").unwrap().addresses = prefixes(&["10.255.1.4/32"]);
                },
            ),
            ("peers.b2.static_prefixes: 10.9.0.0/16 is another peer's too", |c| {
                c.peers
                    .values_mut()
                    .for_each(|peer| peer.static_prefixes = prefixes(&["10.9.0.0/16"]));
            }),
            ("peers.b2.endpoint: 10.2.3.4:51820 lies within 10.2.0.0/16", |c| {
                c.peers.get_mut("b2").unwrap().endpoint = Some("10.2.3.4:51820".parse().unwrap());
            }),
        ];
        config().check().unwrap();
        for (said, breaks) in broken {
            let mut config = config();
            breaks(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(said), "{error:?}, not {said:?}");
        }
    }

    #[test]
    fn the_private_key_is_not_shown() {
        assert!(format!("{:?}", config()).contains("PrivateKey(..)"));
    }
}
