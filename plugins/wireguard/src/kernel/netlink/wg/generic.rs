//! The kernel's WireGuard, by generic netlink.
//!
//! Its habits, each dealt with here or by [`super`]: a request for a device that is not there fails and makes none; an update of
//! a peer must say `UPDATE_ONLY`, or it makes one; a large peer is told of in several messages; an allowed address moves from
//! its peer to the one that it is given to; an allowed address cannot be removed from a peer on older kernels, only moved.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use catalyst_plugin::Prefix;
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute, WireguardCmd,
    WireguardMessage, WireguardPeer, WireguardPeerAttribute as Attribute, WireguardPeerFlags, WireguardTimeSpec,
};

use super::super::socket::{Ask, ENODEV, ENOENT, Netlink};
use super::{Does, KernelError, NO_KEY, PeerChange, Read, age, unreachable_because};
use crate::keys::{PresharedKey, PublicKey};
use crate::resource::Device;

/// The kernel.
pub(in super::super) struct Generic {
    netlink: Netlink,
    /// The number of WireGuard's family, once asked for.
    family: Option<u16>,
}

impl Generic {
    pub(super) fn open() -> Result<Self, KernelError> {
        Ok(Self {
            netlink: Netlink::open(netlink_sys::protocols::NETLINK_GENERIC)?,
            family: None,
        })
    }

    /// `None`: there is no such WireGuard device.
    pub(super) fn read(&mut self, device: &str) -> Result<Option<Read>, KernelError> {
        let ask = self.message(
            WireguardCmd::GetDevice,
            vec![WireguardAttribute::IfName(device.to_owned())],
        )?;
        let answers = match self.netlink.request(&format!("peers of {device}"), &ask, Ask::Dump) {
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
                WireguardAttribute::Peers(peers) => peers.into_iter().for_each(|peer| take(&mut read, peer, now)),
                _ => {}
            }
        }
        Ok(Some(read))
    }

    /// The key and the port of a device.
    pub(super) fn configure(&mut self, name: &str, device: &Device) -> Result<(), KernelError> {
        let mut attributes = vec![
            WireguardAttribute::IfName(name.to_owned()),
            WireguardAttribute::ListenPort(device.listen_port),
            WireguardAttribute::Fwmark(0),
        ];
        let key = device.private_key.as_ref();
        attributes.extend(key.map(|key| WireguardAttribute::PrivateKey(*key.bytes())));
        self.set(&format!("configure device {name}"), attributes)
    }

    /// Peers of a device.
    pub(super) fn change(&mut self, device: &str, changes: &[PeerChange<'_>]) -> Result<(), KernelError> {
        let attributes = vec![
            WireguardAttribute::IfName(device.to_owned()),
            WireguardAttribute::Peers(changes.iter().map(peer).collect()),
        ];
        self.set(&format!("change peers of {device}"), attributes)
    }

    fn set(&mut self, what: &str, attributes: Vec<WireguardAttribute>) -> Result<(), KernelError> {
        let change = self.message(WireguardCmd::SetDevice, attributes)?;
        self.netlink.request(what, &change, Ask::Do(0)).map(drop)
    }

    fn message(
        &mut self,
        cmd: WireguardCmd,
        attributes: Vec<WireguardAttribute>,
    ) -> Result<GenlMessage<WireguardMessage>, KernelError> {
        let family = match self.family {
            Some(family) => family,
            None => *self.family.insert(family(&mut self.netlink)?),
        };
        let mut message = GenlMessage::from_payload(WireguardMessage { cmd, attributes });
        message.set_resolved_family_id(family);
        Ok(message)
    }
}

/// The number of WireGuard's family in generic netlink.
fn family(netlink: &mut Netlink) -> Result<u16, KernelError> {
    let ask = GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName("wireguard".to_owned())],
    };
    let what = "WireGuard in this kernel";
    let found = match netlink.request(what, &GenlMessage::from_payload(ask), Ask::Do(0)) {
        Err(KernelError::Refused { errno: ENOENT, .. }) => {
            return Err(unreachable_because(what, &NONE));
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

/// What to do on a kernel without WireGuard.
const NONE: &str = "there is none: load its module, or name a program that does without in plugins.wireguard.userspace";

fn take(read: &mut Read, told: WireguardPeer, now: Duration) {
    let key = told.0.iter().find_map(|attribute| match attribute {
        Attribute::PublicKey(key) => Some(PublicKey(*key)),
        _ => None,
    });
    let Some(key) = key else { return };
    let peer = read.peers.entry(key).or_default();
    for attribute in told.0 {
        match attribute {
            Attribute::PresharedKey(NO_KEY) => peer.preshared_key = None,
            Attribute::PresharedKey(key) => peer.preshared_key = Some(PresharedKey::from_bytes(key)),
            Attribute::PersistentKeepalive(seconds) => peer.keepalive_s = seconds,
            Attribute::Endpoint(endpoint) => peer.endpoint = Some(endpoint),
            Attribute::LastHandshake(at) => peer.counters.handshake_age = age(since_1970(&at), now),
            Attribute::RxBytes(bytes) => peer.counters.received = bytes,
            Attribute::TxBytes(bytes) => peer.counters.sent = bytes,
            Attribute::AllowedIps(allowed) => peer.allowed.extend(allowed.iter().filter_map(prefix)),
            _ => {}
        }
    }
}

fn since_1970(at: &WireguardTimeSpec) -> Duration {
    let (seconds, nanos) = (u64::try_from(at.seconds), u32::try_from(at.nano_seconds));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
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

fn peer(change: &PeerChange<'_>) -> WireguardPeer {
    let update_only = Attribute::Flags(WireguardPeerFlags::UpdateOnly);
    let mut attributes = vec![Attribute::PublicKey(change.key.0)];
    match &change.does {
        Does::Make(peer) => attributes.extend([
            Attribute::PresharedKey(peer.preshared_key.as_ref().map_or(NO_KEY, |key| *key.bytes())),
            Attribute::PersistentKeepalive(peer.keepalive_s),
        ]),
        Does::Call(endpoint) => attributes.extend([update_only, Attribute::Endpoint(*endpoint)]),
        Does::Allow(prefixes) => attributes.extend([update_only, allowed(prefixes)]),
        Does::MakeToAllow(prefixes) => attributes.push(allowed(prefixes)),
        Does::Remove => attributes.push(Attribute::Flags(
            WireguardPeerFlags::RemoveMe | WireguardPeerFlags::UpdateOnly,
        )),
    }
    WireguardPeer(attributes)
}

fn allowed(prefixes: &[Prefix]) -> Attribute {
    let one = |prefix: &Prefix| {
        let family = match prefix.address() {
            std::net::IpAddr::V4(_) => WireguardAddressFamily::Ipv4,
            std::net::IpAddr::V6(_) => WireguardAddressFamily::Ipv6,
        };
        WireguardAllowedIp(vec![
            WireguardAllowedIpAttr::Family(family),
            WireguardAllowedIpAttr::IpAddr(prefix.address()),
            WireguardAllowedIpAttr::Cidr(prefix.length()),
        ])
    };
    Attribute::AllowedIps(prefixes.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kernel::Peers;
    use crate::resource::{Peer, Resource};

    fn told(key: u8, attributes: Vec<Attribute>) -> WireguardPeer {
        let mut all = vec![Attribute::PublicKey([key; 32])];
        all.extend(attributes);
        WireguardPeer(all)
    }

    fn range(number: u8) -> Prefix {
        Prefix::new([10, number, 0, 0].into(), 16).unwrap()
    }

    #[test]
    fn a_peer_that_is_told_of_in_parts_is_put_together() {
        let mut read = Read::default();
        let first = vec![Attribute::RxBytes(7), allowed(&[range(1), range(2)])];
        take(&mut read, told(1, first), Duration::ZERO);
        take(&mut read, told(1, vec![allowed(&[range(3)])]), Duration::ZERO);
        take(&mut read, told(2, vec![allowed(&[range(4)])]), Duration::ZERO);
        let mut peers = Peers::default();
        let device: Arc<str> = "wg0".into();
        read.into_peers(&device, &mut peers);
        let of = |key: u8| {
            let owned = |held: &&Resource| **held == Resource::Allowed(PublicKey([key; 32]));
            peers.held.values().filter(owned).count()
        };
        assert_eq!((peers.counters.len(), of(1), of(2)), (2, 3, 1));
        assert_eq!(peers.counters[&(device, PublicKey([1; 32]))].received, 7);
    }

    #[test]
    fn only_a_new_peer_may_be_made() {
        let flags = |does: Does<'_>| {
            let change = PeerChange {
                key: PublicKey([1; 32]),
                does,
            };
            peer(&change).0.into_iter().find_map(|attribute| match attribute {
                Attribute::Flags(flags) => Some(flags),
                _ => None,
            })
        };
        let fresh = Peer {
            preshared_key: None,
            keepalive_s: 5,
        };
        assert_eq!(flags(Does::Make(&fresh)), None);
        assert_eq!(flags(Does::MakeToAllow(vec![range(1)])), None);
        for update in [
            Does::Call(([192, 0, 2, 1], 1).into()),
            Does::Allow(vec![range(1)]),
            Does::Remove,
        ] {
            assert!(flags(update).unwrap().contains(WireguardPeerFlags::UpdateOnly));
        }
    }
}
