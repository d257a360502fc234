//! The value of each attribute, bounded and checked.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use nom::IResult;
use nom::Parser;
use nom::combinator::{all_consuming, rest};
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u128};

use super::encode::protocol_code;
use super::{MAX_CLUSTERS, MAX_COMMUNITIES, MAX_HOPS, MAX_PATH_BYTES};
use crate::attrs::{LargeCommunity, Origin, OriginNode, Protocol, RouterId, ServiceAttr};
use crate::wire::names::is_label;

/// What is wrong with one attribute, as a part of a sentence.
pub(super) type Problem = Cow<'static, str>;

pub(super) const BAD_LENGTH: Problem = Cow::Borrowed("its length is wrong");

/// Reads a value to its last byte.
fn whole<'a, T>(
    parser: impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>>,
    value: &'a [u8],
) -> Result<T, Problem> {
    let parsed = all_consuming(parser).parse(value);
    parsed.map(|(_, parsed)| parsed).map_err(|_| BAD_LENGTH)
}

pub(super) fn number(value: &[u8]) -> Result<u32, Problem> {
    whole(be_u32, value)
}

/// AS 0 names no system (RFC 7607).
pub(super) fn system(asn: u32) -> Result<u32, Problem> {
    if asn == 0 {
        Err("AS 0 is not a system".into())
    } else {
        Ok(asn)
    }
}

pub(super) fn origin(value: &[u8]) -> Result<Origin, Problem> {
    match whole(be_u8, value)? {
        0 => Ok(Origin::Igp),
        1 => Ok(Origin::Egp),
        2 => Ok(Origin::Incomplete),
        other => Err(format!("{other} is not an origin").into()),
    }
}

/// A list of u32, `PER_ITEM` to each item, at most `max` items.
fn numbers<const PER_ITEM: usize>(value: &[u8], max: usize) -> Result<Vec<[u32; PER_ITEM]>, Problem> {
    let (words, []) = value.as_chunks::<4>() else {
        return Err(BAD_LENGTH);
    };
    let (items, []) = words.as_chunks::<PER_ITEM>() else {
        return Err(BAD_LENGTH);
    };
    if items.len() > max {
        return Err(format!("{} entries, the most is {max}", items.len()).into());
    }
    Ok(items.iter().map(|item| item.map(u32::from_be_bytes)).collect())
}

pub(super) fn as_path(value: &[u8]) -> Result<Vec<u32>, Problem> {
    numbers::<1>(value, MAX_HOPS)?
        .into_iter()
        .map(|[asn]| system(asn))
        .collect()
}

pub(super) fn communities(value: &[u8]) -> Result<Vec<u32>, Problem> {
    let list = numbers::<1>(value, MAX_COMMUNITIES)?;
    Ok(sorted(list.into_iter().map(|[community]| community)))
}

pub(super) fn large_communities(value: &[u8]) -> Result<Vec<LargeCommunity>, Problem> {
    let list = numbers::<3>(value, MAX_COMMUNITIES)?;
    Ok(sorted(list.into_iter().map(|[global, one, two]| (global, one, two))))
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}

pub(super) fn next_hop(value: &[u8]) -> Result<SocketAddr, Problem> {
    let (port, ip) = whole((be_u16, rest), value)?;
    Ok(SocketAddr::new(host(ip)?, port))
}

/// The address of a host, 4 or 16 bytes.
pub(super) fn host(ip: &[u8]) -> Result<IpAddr, Problem> {
    let ip = match ip.len() {
        4 => IpAddr::V4(whole(be_u32, ip).map(Ipv4Addr::from_bits)?),
        16 => IpAddr::V6(whole(be_u128, ip).map(Ipv6Addr::from_bits)?),
        _ => return Err(BAD_LENGTH),
    };
    if is_host(ip) {
        return Ok(ip);
    }
    Err(format!("{ip} is not the address of a host").into())
}

/// An IPv4 address written as IPv6 is refused: one host has one spelling, or `allowed_next_hops` could be passed by.
fn is_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast() && ip.to_ipv4_mapped().is_none(),
    }
}

fn label(bytes: &[u8]) -> Result<Arc<str>, Problem> {
    let text = std::str::from_utf8(bytes).ok().filter(|_| is_label(bytes));
    text.map(Arc::from)
        .ok_or(Cow::Borrowed("a node, organisation or cluster in it is not a label"))
}

fn router_id((asn, node): (u32, &[u8])) -> Result<RouterId, Problem> {
    Ok(RouterId {
        asn: system(asn)?,
        node: label(node)?,
    })
}

pub(super) fn originator(value: &[u8]) -> Result<RouterId, Problem> {
    router_id(whole((be_u32, length_data(be_u8)), value)?)
}

pub(super) fn origin_node(value: &[u8]) -> Result<OriginNode, Problem> {
    let (asn, node, organisation) = whole((be_u32, length_data(be_u8), length_data(be_u8)), value)?;
    Ok(OriginNode {
        router_id: router_id((asn, node))?,
        organisation: label(organisation)?,
    })
}

/// The node in the value of ORIGIN_NODE; the organisation is not read.
pub(super) fn system_and_node(value: &[u8]) -> Option<(u32, &[u8])> {
    let read: IResult<_, _> = (be_u32, length_data(be_u8)).parse(value);
    read.ok().map(|(_, read)| read)
}

pub(super) fn cluster_list(mut value: &[u8]) -> Result<Vec<Arc<str>>, Problem> {
    let mut clusters = Vec::new();
    while !value.is_empty() {
        if clusters.len() == MAX_CLUSTERS {
            return Err(format!("more than {MAX_CLUSTERS} clusters").into());
        }
        let (after, cluster) = one_label(value).map_err(|_| BAD_LENGTH)?;
        clusters.push(label(cluster)?);
        value = after;
    }
    Ok(clusters)
}

fn one_label(input: &[u8]) -> IResult<&[u8], &[u8]> {
    length_data(be_u8).parse(input)
}

pub(super) fn service(value: &[u8]) -> Result<ServiceAttr, Problem> {
    let (code, health, weight, path) = whole((be_u8, be_u8, be_u16, rest), value)?;
    let protocol = protocol(code)?;
    if health > 100 {
        return Err(format!("a health of {health} is above 100").into());
    }
    Ok(ServiceAttr {
        protocol,
        path: service_path(protocol, path)?,
        weight,
        health,
    })
}

fn protocol(code: u8) -> Result<Protocol, Problem> {
    [Protocol::Tcp, Protocol::Http, Protocol::HttpGraphql, Protocol::HttpGrpc]
        .into_iter()
        .find(|&protocol| protocol_code(protocol) == code)
        .ok_or_else(|| format!("no protocol has code {code}").into())
}

fn service_path(protocol: Protocol, path: &[u8]) -> Result<Option<Arc<str>>, Problem> {
    if path.is_empty() {
        return Ok(None);
    }
    if protocol != Protocol::HttpGraphql {
        return Err(format!("a service of protocol {protocol} has no path").into());
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(format!("a path of {} bytes is longer than {MAX_PATH_BYTES}", path.len()).into());
    }
    let visible = path[0] == b'/' && path.iter().all(u8::is_ascii_graphic);
    let text = std::str::from_utf8(path).ok().filter(|_| visible);
    let text = text.ok_or(Cow::Borrowed(
        "its path does not begin with '/' or holds bytes that are not visible ASCII",
    ))?;
    Ok(Some(text.into()))
}
