//! WireGuard's own part: keys, peers, allowed addresses.
//!
//! Its habits, each dealt with here: a request for a device that is not there fails and makes none; an update of a peer
//! must say `UPDATE_ONLY`, or it makes one; a large peer is told of in several messages; an allowed address moves from
//! its peer to the one that it is given to; an allowed address cannot be removed from a peer on older kernels, only moved.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use catalyst_plugin::Prefix;
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute, WireguardCmd,
    WireguardMessage, WireguardPeer, WireguardPeerAttribute as Attribute, WireguardPeerFlags, WireguardTimeSpec,
};

use super::socket::{Ask, ENODEV, ENOENT, Netlink};
use super::{KernelError, Operation, Peers, unreachable_because};
use crate::keys::{self, PresharedKey, PublicKey};
use crate::liveness::PeerCounters;
use crate::resource::{Device, Key, Peer, Resource};

/// A peer with its key and nothing to remove: the bytes of a key that stands for none.
const NO_KEY: [u8; keys::KEY_BYTES] = [0; keys::KEY_BYTES];

/// The number of WireGuard's family in generic netlink.
pub(super) fn family(netlink: &mut Netlink) -> Result<u16, KernelError> {
    let ask = GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName("wireguard".to_owned())],
    };
    let what = "WireGuard in this kernel";
    let found = match netlink.request(what, &GenlMessage::from_payload(ask), Ask::Do(0)) {
        Err(KernelError::Refused { errno: ENOENT, .. }) => {
            return Err(unreachable_because(
                what,
                &"there is none (its module may have to be loaded)",
            ));
        }
        found => found?,
    };
    let id = found
        .iter()
        .flat_map(|message| &message.payload.nlas)
        .find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(*id),
            _ => None,
        });
    id.ok_or_else(|| unreachable_because(what, &"its family has no number"))
}

/// What the kernel tells of one device. No `Debug`: keys are in it.
#[derive(Default)]
pub(super) struct Read {
    pub(super) public_key: Option<PublicKey>,
    pub(super) listen_port: u16,
    peers: BTreeMap<PublicKey, ReadPeer>,
}

#[derive(Default)]
struct ReadPeer {
    preshared_key: Option<PresharedKey>,
    keepalive_s: u16,
    endpoint: Option<SocketAddr>,
    counters: PeerCounters,
    allowed: Vec<Prefix>,
}

/// `None`: there is no such WireGuard device.
pub(super) fn read(netlink: &mut Netlink, family: u16, device: &str) -> Result<Option<Read>, KernelError> {
    let attributes = vec![WireguardAttribute::IfName(device.to_owned())];
    let ask = message(family, WireguardCmd::GetDevice, attributes);
    let answers = match netlink.request(&format!("peers of {device}"), &ask, Ask::Dump) {
        Err(KernelError::Refused { errno: ENODEV, .. }) => return Ok(None),
        answers => answers?,
    };
    let mut read = Read::default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for attribute in answers.into_iter().flat_map(|answer| answer.payload.attributes) {
        match attribute {
            WireguardAttribute::PublicKey(key) => read.public_key = Some(PublicKey(key)),
            WireguardAttribute::ListenPort(port) => read.listen_port = port,
            // One that is told of in parts comes again under its key.
            WireguardAttribute::Peers(peers) => peers.into_iter().for_each(|peer| read.take(peer, now)),
            _ => {}
        }
    }
    Ok(Some(read))
}

impl Read {
    fn take(&mut self, told: WireguardPeer, now: Duration) {
        let key = told.0.iter().find_map(|attribute| match attribute {
            Attribute::PublicKey(key) => Some(PublicKey(*key)),
            _ => None,
        });
        let Some(key) = key else { return };
        let peer = self.peers.entry(key).or_default();
        for attribute in told.0 {
            match attribute {
                Attribute::PresharedKey(NO_KEY) => peer.preshared_key = None,
                Attribute::PresharedKey(key) => peer.preshared_key = Some(PresharedKey::from_bytes(key)),
                Attribute::PersistentKeepalive(seconds) => peer.keepalive_s = seconds,
                Attribute::Endpoint(endpoint) => peer.endpoint = Some(endpoint),
                Attribute::LastHandshake(at) => peer.counters.handshake_age = age(at, now),
                Attribute::RxBytes(bytes) => peer.counters.received = bytes,
                Attribute::TxBytes(bytes) => peer.counters.sent = bytes,
                Attribute::AllowedIps(allowed) => peer.allowed.extend(allowed.iter().filter_map(prefix)),
                _ => {}
            }
        }
    }

    /// Neither a key nor a peer: nobody has configured it.
    pub(super) fn is_blank(&self) -> bool {
        self.public_key.is_none_or(|key| key.0 == NO_KEY) && self.peers.is_empty()
    }

    pub(super) fn into_peers(self, device: &Arc<str>, peers: &mut Peers) {
        for (key, peer) in self.peers {
            let id = (device.clone(), key);
            peers.counters.insert(id.clone(), peer.counters);
            peers.endpoints.extend(peer.endpoint.map(|endpoint| (id, endpoint)));
            let content = Peer {
                preshared_key: peer.preshared_key,
                keepalive_s: peer.keepalive_s,
            };
            peers.held.insert(
                Key::Peer {
                    device: device.clone(),
                    key,
                },
                Resource::Peer(content),
            );
            let allowed = peer.allowed.into_iter();
            peers.held.extend(allowed.map(|prefix| {
                (
                    Key::Allowed {
                        device: device.clone(),
                        prefix,
                    },
                    Resource::Allowed(key),
                )
            }));
        }
    }
}

/// A clock that was set back makes no handshake of the future.
fn age(at: WireguardTimeSpec, now: Duration) -> Option<Duration> {
    let seconds = u64::try_from(at.seconds).ok()?;
    let nanos = u32::try_from(at.nano_seconds).ok()?;
    let at = Duration::new(seconds, nanos);
    (!at.is_zero()).then(|| now.saturating_sub(at))
}

fn prefix(allowed: &WireguardAllowedIp) -> Option<Prefix> {
    let (mut address, mut length) = (None, None);
    for attribute in &allowed.0 {
        match attribute {
            WireguardAllowedIpAttr::IpAddr(ip) => address = Some(*ip),
            WireguardAllowedIpAttr::Cidr(bits) => length = Some(*bits),
            _ => {}
        }
    }
    Prefix::of(address?, length?).ok()
}

fn message(family: u16, cmd: WireguardCmd, attributes: Vec<WireguardAttribute>) -> GenlMessage<WireguardMessage> {
    let mut message = GenlMessage::from_payload(WireguardMessage { cmd, attributes });
    message.set_resolved_family_id(family);
    message
}

/// The key and the port of a device.
pub(super) fn configure(netlink: &mut Netlink, family: u16, name: &str, device: &Device) -> Result<(), KernelError> {
    let mut attributes = vec![
        WireguardAttribute::IfName(name.to_owned()),
        WireguardAttribute::ListenPort(device.listen_port),
        WireguardAttribute::Fwmark(0),
    ];
    let key = device.private_key.as_ref();
    attributes.extend(key.map(|key| WireguardAttribute::PrivateKey(*key.bytes())));
    let change = message(family, WireguardCmd::SetDevice, attributes);
    netlink
        .request(&format!("configure device {name}"), &change, Ask::Do(0))
        .map(drop)
}

/// Whether two changes that follow each other may go in one message: the same kind, on one device.
pub(super) fn in_one_message(one: &Operation, other: &Operation) -> bool {
    let kind = |operation: &Operation| {
        let putting = matches!(operation, Operation::Put(..));
        match operation.key() {
            Key::Peer { device, .. } => Some((device.clone(), 0, putting)),
            Key::Endpoint { device, .. } => Some((device.clone(), 1, putting)),
            Key::Allowed { device, .. } => Some((device.clone(), 2, putting)),
            Key::Guard { .. }
            | Key::Rule { .. }
            | Key::Filter { .. }
            | Key::Device(_)
            | Key::Address { .. }
            | Key::Route { .. }
            | Key::Refused(_) => None,
        }
    };
    kind(one).is_some_and(|kind_of_one| Some(kind_of_one) == kind(other))
}

/// Changes of one kind to the peers of one device. The caller bounds their number: a message holds 64 KiB, and the kernel
/// does all of it before it does anything else.
pub(super) fn change(netlink: &mut Netlink, family: u16, operations: &[Operation]) -> Result<(), KernelError> {
    let Some(device) = operations.first().and_then(device_of) else {
        return Ok(());
    };
    let peers = match operations {
        [Operation::Remove(Key::Allowed { .. }), ..] => move_away(operations)?,
        _ => operations.iter().filter_map(peer_change).collect(),
    };
    if peers.is_empty() {
        return Ok(());
    }
    let attributes = vec![
        WireguardAttribute::IfName(device.to_string()),
        WireguardAttribute::Peers(peers),
    ];
    let change = message(family, WireguardCmd::SetDevice, attributes);
    netlink
        .request(&format!("change peers of {device}"), &change, Ask::Do(0))
        .map(drop)
}

/// The device whose peers are changed.
pub(super) fn device_of(operation: &Operation) -> Option<&Arc<str>> {
    match operation.key() {
        Key::Peer { device, .. } | Key::Endpoint { device, .. } | Key::Allowed { device, .. } => Some(device),
        Key::Guard { .. }
        | Key::Rule { .. }
        | Key::Filter { .. }
        | Key::Device(_)
        | Key::Address { .. }
        | Key::Route { .. }
        | Key::Refused(_) => None,
    }
}

fn peer_change(operation: &Operation) -> Option<WireguardPeer> {
    let update_only = Attribute::Flags(WireguardPeerFlags::UpdateOnly);
    let attributes = match operation {
        Operation::Put(Key::Peer { key, .. }, Resource::Peer(peer)) => vec![
            Attribute::PublicKey(key.0),
            Attribute::PresharedKey(peer.preshared_key.as_ref().map_or(NO_KEY, |key| *key.bytes())),
            Attribute::PersistentKeepalive(peer.keepalive_s),
        ],
        Operation::Put(Key::Endpoint { key, .. }, Resource::Endpoint(endpoint)) => {
            vec![Attribute::PublicKey(key.0), update_only, Attribute::Endpoint(*endpoint)]
        }
        Operation::Put(Key::Allowed { prefix, .. }, Resource::Allowed(key)) => {
            vec![
                Attribute::PublicKey(key.0),
                update_only,
                Attribute::AllowedIps(vec![allowed(*prefix)]),
            ]
        }
        Operation::Remove(Key::Peer { key, .. }) => {
            let remove = WireguardPeerFlags::RemoveMe | WireguardPeerFlags::UpdateOnly;
            vec![Attribute::PublicKey(key.0), Attribute::Flags(remove)]
        }
        // An endpoint cannot be taken back.
        Operation::Put(..) | Operation::Remove(_) => return None,
    };
    Some(WireguardPeer(attributes))
}

/// Moves allowed addresses to a peer that nobody is, and removes that peer: kernels up to 6.15 refuse to take a single
/// address from a peer, and replacing all of a peer's addresses loses packets of the others.
fn move_away(operations: &[Operation]) -> Result<Vec<WireguardPeer>, KernelError> {
    let nobody = keys::random().map_err(|error| unreachable_because("random bytes", &error))?;
    let prefixes = operations.iter().filter_map(|operation| match operation.key() {
        Key::Allowed { prefix, .. } => Some(allowed(*prefix)),
        _ => None,
    });
    let taken = vec![Attribute::PublicKey(*nobody), Attribute::AllowedIps(prefixes.collect())];
    let gone = vec![
        Attribute::PublicKey(*nobody),
        Attribute::Flags(WireguardPeerFlags::RemoveMe),
    ];
    Ok(vec![WireguardPeer(taken), WireguardPeer(gone)])
}

fn allowed(prefix: Prefix) -> WireguardAllowedIp {
    let family = match prefix.address() {
        std::net::IpAddr::V4(_) => WireguardAddressFamily::Ipv4,
        std::net::IpAddr::V6(_) => WireguardAddressFamily::Ipv6,
    };
    WireguardAllowedIp(vec![
        WireguardAllowedIpAttr::Family(family),
        WireguardAllowedIpAttr::IpAddr(prefix.address()),
        WireguardAllowedIpAttr::Cidr(prefix.length()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(key: u8, attributes: Vec<Attribute>) -> WireguardPeer {
        let mut all = vec![Attribute::PublicKey([key; 32])];
        all.extend(attributes);
        WireguardPeer(all)
    }

    fn range(number: u8) -> WireguardAllowedIp {
        allowed(Prefix::new([10, number, 0, 0].into(), 16).unwrap())
    }

    #[test]
    fn a_peer_that_is_told_of_in_parts_is_put_together() {
        let mut read = Read::default();
        let first = vec![Attribute::RxBytes(7), Attribute::AllowedIps(vec![range(1), range(2)])];
        read.take(told(1, first), Duration::ZERO);
        read.take(told(1, vec![Attribute::AllowedIps(vec![range(3)])]), Duration::ZERO);
        read.take(told(2, vec![Attribute::AllowedIps(vec![range(4)])]), Duration::ZERO);
        let mut peers = Peers::default();
        read.into_peers(&"wg0".into(), &mut peers);
        let of = |key: u8| {
            peers
                .held
                .values()
                .filter(|held| **held == Resource::Allowed(PublicKey([key; 32])))
                .count()
        };
        assert_eq!((peers.counters.len(), of(1), of(2)), (2, 3, 1));
        assert_eq!(peers.counters[&("wg0".into(), PublicKey([1; 32]))].received, 7);
    }

    #[test]
    fn only_a_new_peer_may_be_made() {
        let device: Arc<str> = "wg0".into();
        let (key, prefix) = (PublicKey([1; 32]), Prefix::new([10, 1, 0, 0].into(), 16).unwrap());
        let peer = Peer {
            preshared_key: None,
            keepalive_s: 5,
        };
        let flags = |operation: Operation| {
            peer_change(&operation)
                .unwrap()
                .0
                .into_iter()
                .find_map(|attribute| match attribute {
                    Attribute::Flags(flags) => Some(flags),
                    _ => None,
                })
        };
        let put = |key, resource| Operation::Put(key, resource);
        assert_eq!(
            flags(put(
                Key::Peer {
                    device: device.clone(),
                    key
                },
                Resource::Peer(peer)
            )),
            None
        );
        let endpoint = Resource::Endpoint(([192, 0, 2, 1], 1).into());
        for update in [
            put(
                Key::Endpoint {
                    device: device.clone(),
                    key,
                },
                endpoint,
            ),
            put(
                Key::Allowed {
                    device: device.clone(),
                    prefix,
                },
                Resource::Allowed(key),
            ),
            Operation::Remove(Key::Peer { device, key }),
        ] {
            let flags = flags(update).unwrap();
            assert!(flags.contains(WireguardPeerFlags::UpdateOnly));
        }
    }

    #[test]
    fn a_handshake_has_an_age_once_there_was_one() {
        let at = |seconds| WireguardTimeSpec {
            seconds,
            nano_seconds: 0,
        };
        let now = Duration::from_secs(100);
        assert_eq!(age(at(0), now), None);
        assert_eq!(age(at(-1), now), None);
        assert_eq!(age(at(40), now), Some(Duration::from_secs(60)));
        assert_eq!(age(at(140), now), Some(Duration::ZERO), "the clock was set back");
    }
}
