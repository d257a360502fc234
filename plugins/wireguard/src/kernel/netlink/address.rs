//! Our addresses on devices.

use std::collections::BTreeMap;
use std::net::IpAddr;

use catalyst_plugin::Prefix;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};

use super::link::{self, Found};
use super::route::af;
use super::socket::{Ask, EADDRNOTAVAIL, ENODEV, Netlink, forgive};
use super::{KernelError, Scope};
use crate::resource::{Key, Resource};

pub(super) fn observe(
    netlink: &mut Netlink,
    links: &[Found],
    held: &mut BTreeMap<Key, Resource>,
) -> Result<(), KernelError> {
    if links.is_empty() {
        return Ok(());
    }
    let all = netlink.request(
        "list addresses",
        &Message::GetAddress(AddressMessage::default()),
        Ask::Dump,
    )?;
    for message in all {
        let Message::NewAddress(address) = message else {
            continue;
        };
        let Some(found) = links.iter().find(|found| found.index == address.header.index) else {
            continue;
        };
        let Some(prefix) = ip(&address).and_then(|ip| Prefix::of(ip, address.header.prefix_len).ok()) else {
            continue;
        };
        held.insert(
            Key::Address {
                device: found.name.clone(),
                prefix,
            },
            Resource::Address,
        );
    }
    Ok(())
}

fn ip(address: &AddressMessage) -> Option<IpAddr> {
    let local = address.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let remote = || {
        address.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    };
    local.or_else(remote)
}

pub(super) fn put(netlink: &mut Netlink, scope: &Scope, device: &str, prefix: Prefix) -> Result<(), KernelError> {
    let message = message(netlink, scope, device, prefix)?;
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    netlink
        .request(
            &format!("address {prefix} of {device}"),
            &Message::NewAddress(message),
            Ask::Do(flags),
        )
        .map(drop)
}

pub(super) fn remove(netlink: &mut Netlink, scope: &Scope, device: &str, prefix: Prefix) -> Result<(), KernelError> {
    let message = match message(netlink, scope, device, prefix) {
        Err(KernelError::Refused { errno: ENODEV, .. } | KernelError::Foreign(_)) => return Ok(()),
        made => made?,
    };
    let done = netlink.request(
        &format!("remove address {prefix}"),
        &Message::DelAddress(message),
        Ask::Do(0),
    );
    forgive(done, &[EADDRNOTAVAIL])
}

fn message(netlink: &mut Netlink, scope: &Scope, device: &str, prefix: Prefix) -> Result<AddressMessage, KernelError> {
    let mut message = AddressMessage::default();
    message.header.index = link::index(netlink, scope, device)?;
    message.header.family = af(prefix);
    message.header.prefix_len = prefix.length();
    // Nobody else can have it on this link.
    message.header.flags = AddressHeaderFlags::Nodad;
    message.attributes.push(AddressAttribute::Local(prefix.address()));
    message.attributes.push(AddressAttribute::Address(prefix.address()));
    Ok(message)
}
