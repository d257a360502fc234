//! Routes of our table: guards, and ways into devices before them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use catalyst_plugin::Prefix;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Message};

use super::link::{self, Found};
use super::socket::{Ask, ENOENT, ESRCH, Netlink, forgive};
use super::{KernelError, Scope};
use crate::resource::{Key, Resource, Route};

/// Behind every route that anybody else might add.
const GUARD_METRIC: u32 = u32::MAX - 1;
const ROUTE_METRIC: u32 = 100;

pub(super) fn af(prefix: Prefix) -> AddressFamily {
    if prefix.address().is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

pub(super) fn observe(
    netlink: &mut Netlink,
    scope: &Scope,
    links: &[Found],
    held: &mut BTreeMap<Key, Resource>,
) -> Result<(), KernelError> {
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut filter = RouteMessage::default();
        filter.header.address_family = family;
        filter.header.protocol = RouteProtocol::from(scope.protocol);
        filter.attributes.push(RouteAttribute::Table(scope.table));
        let listed = netlink.request("list routes", &Message::GetRoute(filter), Ask::Dump);
        let listed = match listed {
            // No such table yet.
            Err(KernelError::Refused { errno: ENOENT, .. }) => continue,
            listed => listed?,
        };
        for message in listed {
            if let Message::NewRoute(route) = message
                && is_ours(&route, scope)
                && let Some((key, resource)) = read(&route, scope.table, links)
            {
                held.insert(key, resource);
            }
        }
    }
    Ok(())
}

/// In our table, by our protocol.
pub(super) fn is_ours(route: &RouteMessage, scope: &Scope) -> bool {
    table(route) == scope.table && u8::from(route.header.protocol) == scope.protocol
}

fn table(route: &RouteMessage) -> u32 {
    let named = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    named.unwrap_or_else(|| route.header.table.into())
}

fn read(route: &RouteMessage, table: u32, links: &[Found]) -> Option<(Key, Resource)> {
    let (mut metric, mut device, mut source, mut mtu, mut plain) = (0, None, None, None, true);
    let mut to = match route.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip(address)?,
            RouteAttribute::Priority(found) => metric = *found,
            RouteAttribute::Oif(index) => device = links.iter().find(|found| found.index == *index),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|metric| {
                    if let RouteMetric::Mtu(mtu) = metric {
                        Some(*mtu)
                    } else {
                        None
                    }
                });
            }
            RouteAttribute::Gateway(_) | RouteAttribute::MultiPath(_) | RouteAttribute::Encap(_) => plain = false,
            _ => {}
        }
    }
    let prefix = Prefix::of(to, route.header.destination_prefix_length).ok()?;
    match (route.header.kind, metric) {
        (RouteType::Unreachable, GUARD_METRIC) => Some((Key::Guard { table, prefix }, Resource::Guard)),
        (RouteType::Unicast, ROUTE_METRIC) => {
            let way = device.filter(|_| plain).map(|found| Route {
                device: found.name.clone(),
                source,
                mtu,
            });
            Some((
                Key::Route { table, prefix },
                way.map_or(Resource::Altered, Resource::Route),
            ))
        }
        _ => None,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

fn message(scope: &Scope, table: u32, prefix: Prefix, kind: RouteType, metric: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: af(prefix),
        destination_prefix_length: prefix.length(),
        protocol: RouteProtocol::from(scope.protocol),
        kind,
        ..RouteHeader::default()
    };
    message.attributes.push(RouteAttribute::Table(table));
    message.attributes.push(RouteAttribute::Priority(metric));
    message
        .attributes
        .push(RouteAttribute::Destination(prefix.address().into()));
    message
}

pub(super) fn put_guard(netlink: &mut Netlink, scope: &Scope, table: u32, prefix: Prefix) -> Result<(), KernelError> {
    let guard = message(scope, table, prefix, RouteType::Unreachable, GUARD_METRIC);
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    netlink
        .request(&format!("guard {prefix}"), &Message::NewRoute(guard), Ask::Do(flags))
        .map(drop)
}

pub(super) fn remove_guard(
    netlink: &mut Netlink,
    scope: &Scope,
    table: u32,
    prefix: Prefix,
) -> Result<(), KernelError> {
    let guard = message(scope, table, prefix, RouteType::Unreachable, GUARD_METRIC);
    let done = netlink.request(&format!("remove guard {prefix}"), &Message::DelRoute(guard), Ask::Do(0));
    forgive(done, &[ESRCH])
}

pub(super) fn put(
    netlink: &mut Netlink,
    scope: &Scope,
    table: u32,
    prefix: Prefix,
    route: &Route,
) -> Result<(), KernelError> {
    let mut message = message(scope, table, prefix, RouteType::Unicast, ROUTE_METRIC);
    message.header.scope = RouteScope::Link;
    message
        .attributes
        .push(RouteAttribute::Oif(link::index(netlink, scope, &route.device)?));
    message
        .attributes
        .extend(route.source.map(|source| RouteAttribute::PrefSource(source.into())));
    message.attributes.extend(
        route
            .mtu
            .map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)])),
    );
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    let what = format!("route {prefix} into {}", route.device);
    netlink
        .request(&what, &Message::NewRoute(message), Ask::Do(flags))
        .map(drop)
}

pub(super) fn remove(netlink: &mut Netlink, scope: &Scope, table: u32, prefix: Prefix) -> Result<(), KernelError> {
    let mut message = message(scope, table, prefix, RouteType::Unicast, ROUTE_METRIC);
    message.header.scope = RouteScope::NoWhere;
    let done = netlink.request(
        &format!("remove route {prefix}"),
        &Message::DelRoute(message),
        Ask::Do(0),
    );
    forgive(done, &[ESRCH])
}
