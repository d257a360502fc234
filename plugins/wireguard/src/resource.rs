//! What the kernel is to hold, one piece at a time. What it does hold is told in the same words.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use catalyst_plugin::Prefix;
use sha2::{Digest, Sha256};

use crate::keys::{PresharedKey, PrivateKey, PublicKey};

/// IPv4 or IPv6, where a piece is needed once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Names a resource. Their order is the order in which they are made, and the reverse of that in which they go: guards
/// stand before any packet may be routed into a tunnel, and still stand when the tunnel is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `unreachable PREFIX` in our table, behind every other route.
    Guard {
        /// The table.
        table: u32,
        /// What must not leave but through a tunnel.
        prefix: Prefix,
    },
    /// `ip rule`: everything asks our table first.
    Rule {
        /// The table.
        table: u32,
        /// Of the rule.
        priority: u32,
        /// One for each.
        family: Family,
    },
    /// The nftables table that drops what is guarded and leaves by any other device.
    Filter {
        /// The routing table, which is in its name.
        table: u32,
    },
    /// A WireGuard device.
    Device(Arc<str>),
    /// An address of ours on a device.
    Address {
        /// The device.
        device: Arc<str>,
        /// A host prefix.
        prefix: Prefix,
    },
    /// A peer of a device.
    Peer {
        /// The device.
        device: Arc<str>,
        /// Its key.
        key: PublicKey,
    },
    /// Which peer of a device an address range belongs to: a device has one answer for each.
    Allowed {
        /// The device.
        device: Arc<str>,
        /// The range.
        prefix: Prefix,
    },
    /// Where a peer is called first. A live one is never overwritten.
    Endpoint {
        /// The device.
        device: Arc<str>,
        /// The peer's key.
        key: PublicKey,
    },
    /// A route into a device.
    Route {
        /// The table.
        table: u32,
        /// Where to.
        prefix: Prefix,
    },
    /// A route that gets no resources, and why; never reaches the kernel.
    Refused(Prefix),
}

/// The content of a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// Of [`Key::Guard`].
    Guard,
    /// Of [`Key::Rule`].
    Rule,
    /// Of [`Key::Filter`].
    Filter(Filter),
    /// Of [`Key::Device`].
    Device(Device),
    /// Of [`Key::Address`].
    Address,
    /// Of [`Key::Peer`].
    Peer(Peer),
    /// Of [`Key::Endpoint`].
    Endpoint(SocketAddr),
    /// Of [`Key::Allowed`]: the peer.
    Allowed(PublicKey),
    /// Of [`Key::Route`].
    Route(Route),
    /// Of [`Key::Refused`].
    Refused(Refusal),
    /// Found in the kernel under a name of ours, but not as we make it.
    Altered,
}

/// What the nftables table knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Guarded prefixes, none within another.
    pub guarded: BTreeSet<Prefix>,
    /// The devices that they may leave by.
    pub devices: BTreeSet<Arc<str>>,
}

/// A WireGuard device.
#[derive(Debug, Clone)]
pub struct Device {
    /// The organisation at the other end.
    pub organisation: Arc<str>,
    /// Its key; `None` in what the kernel tells.
    pub private_key: Option<PrivateKey>,
    /// What peers know it by.
    pub public_key: PublicKey,
    /// The UDP port.
    pub listen_port: u16,
    /// At least 1280.
    pub mtu: u32,
}

impl PartialEq for Device {
    /// A private key is as good as its public key.
    fn eq(&self, other: &Self) -> bool {
        let parts = |one: &Self| (Arc::clone(&one.organisation), one.public_key, one.listen_port, one.mtu);
        parts(self) == parts(other)
    }
}

/// A peer of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Mixed into handshakes.
    pub preshared_key: Option<PresharedKey>,
    /// Seconds.
    pub keepalive_s: u16,
}

/// A route into a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The device.
    pub device: Arc<str>,
    /// Where packets of this host come from.
    pub source: Option<IpAddr>,
    /// Where the far device takes less than ours.
    pub mtu: Option<u32>,
}

/// Why a route gets no resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For people.
    pub reason: Arc<str>,
    /// Whether more is awaited, rather than something wrong.
    pub waits: bool,
}

impl Resource {
    /// A fingerprint of the content that is the same in every run and build.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut content = Content::default();
        match self {
            Self::Guard => content.tag(0),
            Self::Rule => content.tag(1),
            Self::Address => content.tag(2),
            Self::Altered => content.tag(3),
            Self::Filter(filter) => {
                content.tag(4);
                filter
                    .guarded
                    .iter()
                    .for_each(|prefix| content.text(&prefix.to_string()));
                content.tag(0);
                filter.devices.iter().for_each(|device| content.text(device));
            }
            Self::Device(device) => {
                content.tag(5);
                content.text(&device.organisation);
                content.bytes(&device.public_key.0);
                content.bytes(&device.listen_port.to_be_bytes());
                content.bytes(&device.mtu.to_be_bytes());
            }
            Self::Peer(peer) => {
                content.tag(6);
                content.bytes(&peer.keepalive_s.to_be_bytes());
                if let Some(key) = &peer.preshared_key {
                    content.bytes(key.bytes());
                }
            }
            Self::Endpoint(address) => {
                content.tag(7);
                content.text(&address.to_string());
            }
            Self::Allowed(key) => {
                content.tag(8);
                content.bytes(&key.0);
            }
            Self::Route(route) => {
                content.tag(9);
                content.text(&route.device);
                content.text(&route.source.map(|source| source.to_string()).unwrap_or_default());
                content.bytes(&route.mtu.unwrap_or(0).to_be_bytes());
            }
            Self::Refused(refusal) => {
                content.tag(10);
                content.tag(u8::from(refusal.waits));
                content.text(&refusal.reason);
            }
        }
        content.finish()
    }
}

#[derive(Default)]
struct Content(Sha256);

impl Content {
    fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.0.update(text.as_bytes());
        // In no UTF-8 text: fields cannot run into each other.
        self.0.update([0xff]);
    }

    fn finish(self) -> u64 {
        let digest = self.0.finalize();
        digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(key: &PrivateKey, shown: bool) -> Resource {
        Resource::Device(Device {
            organisation: "acme".into(),
            private_key: shown.then(|| key.clone()),
            public_key: key.public_key(),
            listen_port: 51820,
            mtu: 1420,
        })
    }

    #[test]
    fn what_the_kernel_tells_of_a_device_is_compared_by_public_key() {
        let (one, other) = (PrivateKey::from_bytes([1; 32]), PrivateKey::from_bytes([2; 32]));
        assert_eq!(device(&one, true).fingerprint(), device(&one, false).fingerprint());
        assert_ne!(device(&one, true).fingerprint(), device(&other, true).fingerprint());
        assert!(!format!("{:?}", device(&one, true)).contains("1, 1, 1"));
    }

    #[test]
    fn a_pre_shared_key_counts_and_is_not_shown() {
        let peer = |key: Option<u8>| {
            Resource::Peer(Peer {
                preshared_key: key.map(|byte| PresharedKey::from_bytes([byte; 32])),
                keepalive_s: 5,
            })
        };
        let all = [peer(None), peer(Some(1)), peer(Some(2))].map(|peer| peer.fingerprint());
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        assert!(!format!("{:?}", peer(Some(201))).contains("201"));
    }

    #[test]
    fn guards_stand_first_and_go_last() {
        let prefix: Prefix = "10.0.0.0/8".parse().unwrap();
        let device: Arc<str> = "wg0".into();
        let table = 1;
        let mut keys = vec![
            Key::Refused(prefix),
            Key::Route { table, prefix },
            Key::Allowed {
                device: device.clone(),
                prefix,
            },
            Key::Peer {
                device: device.clone(),
                key: PublicKey([1; 32]),
            },
            Key::Address {
                device: device.clone(),
                prefix,
            },
            Key::Device(device),
            Key::Filter { table },
            Key::Rule {
                table,
                priority: 1,
                family: Family::V4,
            },
            Key::Guard { table, prefix },
        ];
        let reversed: Vec<Key> = keys.iter().rev().cloned().collect();
        keys.sort();
        assert_eq!(keys, reversed);
    }
}
