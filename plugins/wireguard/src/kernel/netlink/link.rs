//! Devices. Ours are known by their alias, which says whose they are; a name alone is nobody's.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::socket::{Ask, ENODEV, EOPNOTSUPP, Netlink, forgive};
use super::wg::{Read, WireGuard};
use super::{KernelError, Scope, unreachable_because};
use crate::resource::{Device, Resource};

/// Reverse path filter: any way back will do (RFC 3704 section 2.4). What a peer may send as is checked by WireGuard.
const LOOSE: &str = "2";

/// A device of ours.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: Arc<str>,
    pub(super) index: u32,
    pub(super) up: bool,
    kind: Option<InfoKind>,
    mtu: u32,
    alias: String,
}

impl Found {
    pub(super) fn is_ours(&self, scope: &Scope) -> bool {
        self.may_be_ours() && self.alias.starts_with(&scope.alias_prefix())
    }

    /// WireGuard by the kernel, or by a program.
    fn may_be_ours(&self) -> bool {
        matches!(self.kind, Some(InfoKind::Wireguard | InfoKind::Tun))
    }

    /// Whether it is one that `wireguard` makes, and not of a run that had its WireGuard elsewhere.
    pub(super) fn is_of(&self, wireguard: &WireGuard) -> bool {
        self.kind == Some(wireguard.kind())
    }

    pub(super) fn resource(&self, scope: &Scope, read: &Read) -> Resource {
        let organisation = self.alias.strip_prefix(&scope.alias_prefix()).unwrap_or_default();
        let Some(public_key) = read.public_key else {
            return Resource::Altered;
        };
        Resource::Device(Device {
            organisation: organisation.into(),
            private_key: None,
            public_key,
            listen_port: read.listen_port,
            mtu: self.mtu,
        })
    }
}

/// The devices with our alias.
pub(super) fn ours(netlink: &mut Netlink, scope: &Scope) -> Result<Vec<Found>, KernelError> {
    let links = netlink.request("list devices", &Message::GetLink(LinkMessage::default()), Ask::Dump)?;
    let found = links.iter().filter_map(|message| match message {
        Message::NewLink(link) => read(link),
        _ => None,
    });
    Ok(found.filter(|found| found.is_ours(scope)).collect())
}

/// The index of a device of ours. What is somebody else's is not touched, whatever its name.
pub(super) fn index(netlink: &mut Netlink, scope: &Scope, name: &str) -> Result<u32, KernelError> {
    let gone = || KernelError::Refused {
        what: format!("device {name}").into(),
        errno: ENODEV,
    };
    let found = by_name(netlink, name)?.ok_or_else(gone)?;
    if !found.is_ours(scope) {
        return Err(KernelError::Foreign(name.into()));
    }
    Ok(found.index)
}

fn by_name(netlink: &mut Netlink, name: &str) -> Result<Option<Found>, KernelError> {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.to_owned()));
    match netlink.request(&format!("look up device {name}"), &Message::GetLink(link), Ask::Do(0)) {
        Err(KernelError::Refused { errno: ENODEV, .. }) => Ok(None),
        Err(error) => Err(error),
        Ok(found) => Ok(found.into_iter().find_map(|message| match message {
            Message::NewLink(link) => read(&link),
            _ => None,
        })),
    }
}

/// Makes the device, or takes the one that is there if it is ours; gives its index. One without an alias, a key or a
/// peer is ours too, if it is under our name: a start that was cut short. One of ours that does not work is made anew.
pub(super) fn make(
    netlink: &mut Netlink,
    wireguard: &mut WireGuard,
    scope: &Scope,
    name: &Arc<str>,
    device: &Device,
) -> Result<u32, KernelError> {
    let index = match by_name(netlink, name)? {
        Some(found) if found.is_ours(scope) => {
            if found.is_of(wireguard) && wireguard.answers(name) {
                found.index
            } else {
                tracing::warn!(device = %name, "the device of an earlier run, or one whose process does not answer, is made anew");
                wireguard.retire(name);
                remove(netlink, scope, name)?;
                create(netlink, wireguard, name, device)?
            }
        }
        Some(found) => {
            let unmarked = found.is_of(wireguard) && found.alias.is_empty();
            if !unmarked || !wireguard.read(name)?.is_some_and(|read| read.is_blank()) {
                return Err(KernelError::Foreign(name.clone()));
            }
            found.index
        }
        None => create(netlink, wireguard, name, device)?,
    };
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes
        .push(LinkAttribute::IfAlias(scope.alias(&device.organisation)));
    link.attributes.push(LinkAttribute::Mtu(device.mtu));
    if wireguard.program().is_some() {
        // The kernel's WireGuard does the same by itself: no address that nobody asked for, no router solicitations.
        let no_addresses = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        link.attributes.push(LinkAttribute::AfSpecUnspec(vec![no_addresses]));
    }
    netlink.request(&format!("mark device {name}"), &Message::SetLink(link), Ask::Do(0))?;
    Ok(index)
}

/// Gives the index.
fn create(
    netlink: &mut Netlink,
    wireguard: &mut WireGuard,
    name: &Arc<str>,
    device: &Device,
) -> Result<u32, KernelError> {
    if let Some(program) = wireguard.program() {
        program.make(name, device.listen_port)?;
    } else {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.to_string()));
        let kind = LinkInfo::Kind(wireguard.kind());
        link.attributes.push(LinkAttribute::LinkInfo(vec![kind]));
        let what = format!("make WireGuard device {name}");
        let made = netlink.request(&what, &Message::NewLink(link), Ask::Do(NLM_F_CREATE | NLM_F_EXCL));
        made.map_err(without_wireguard)?;
    }
    let gone = || KernelError::Refused {
        what: format!("device {name}").into(),
        errno: ENODEV,
    };
    Ok(by_name(netlink, name)?.ok_or_else(gone)?.index)
}

/// A kernel that does not know the kind of a device is one without WireGuard.
fn without_wireguard(error: KernelError) -> KernelError {
    match error {
        KernelError::Refused {
            what,
            errno: EOPNOTSUPP,
        } => KernelError::Refused {
            what: format!("{what} (a kernel without WireGuard takes plugins.wireguard.userspace)").into(),
            errno: EOPNOTSUPP,
        },
        other => other,
    }
}

pub(super) fn raise(netlink: &mut Netlink, index: u32) -> Result<(), KernelError> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    netlink
        .request("set device up", &Message::SetLink(link), Ask::Do(0))
        .map(drop)
}

/// Only one of ours.
pub(super) fn remove(netlink: &mut Netlink, scope: &Scope, name: &Arc<str>) -> Result<(), KernelError> {
    let Some(found) = by_name(netlink, name)? else {
        return Ok(());
    };
    if !found.is_ours(scope) {
        return Err(KernelError::Foreign(name.clone()));
    }
    let mut link = LinkMessage::default();
    link.header.index = found.index;
    forgive(
        netlink.request(&format!("remove device {name}"), &Message::DelLink(link), Ask::Do(0)),
        &[ENODEV],
    )
}

pub(super) fn read(link: &LinkMessage) -> Option<Found> {
    let mut found = Found {
        name: "".into(),
        index: link.header.index,
        up: link.header.flags.contains(LinkFlags::Up),
        kind: None,
        mtu: 0,
        alias: String::new(),
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name = name.as_str().into(),
            LinkAttribute::IfAlias(alias) => found.alias.clone_from(alias),
            LinkAttribute::Mtu(mtu) => found.mtu = *mtu,
            LinkAttribute::LinkInfo(infos) => {
                found.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.clone()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    (!found.name.is_empty()).then_some(found)
}

/// Names of devices are checked: no path leads out of the folder.
fn reverse_path_filter(name: &str) -> PathBuf {
    ["/proc/sys/net/ipv4/conf", name, "rp_filter"].iter().collect()
}

/// `None`: not to be seen here.
pub(super) fn is_loose(name: &str) -> Option<bool> {
    fs::read_to_string(reverse_path_filter(name))
        .ok()
        .map(|mode| mode.trim() == LOOSE)
}

pub(super) fn loosen(name: &str) -> Result<(), KernelError> {
    if is_loose(name) == Some(true) {
        return Ok(());
    }
    fs::write(reverse_path_filter(name), LOOSE)
        .map_err(|error| unreachable_because(&format!("reverse path filter of {name}"), &error))
}
