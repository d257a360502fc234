//! Attribute sets from the wire. Whatever is wrong here withdraws the names of the UPDATE and nothing else (RFC 7606).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use nom::IResult;
use nom::Parser;
use nom::combinator::{all_consuming, rest};
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::encode::protocol_code;
use super::{Known, OPTIONAL, PARTIAL, TRANSITIVE};
use super::{MAX_ATTRS_BYTES, MAX_CLUSTERS, MAX_COMMUNITIES, MAX_HOPS, MAX_PATH_BYTES, MAX_UNKNOWN};
use crate::attrs::{Attrs, LargeCommunity, Origin, OriginNode, Protocol, RouterId, ServiceAttr, UnknownAttr};
use crate::wire::error::AttrError;
use crate::wire::names::is_label;

/// What is wrong with one attribute, as a part of a sentence.
type Problem = Cow<'static, str>;

const BAD_LENGTH: Problem = Cow::Borrowed("its length is wrong");

/// Decodes the attribute set of an UPDATE. Unknown non-transitive attributes are dropped; unknown transitive ones kept.
pub fn decode_attrs(raw: &Bytes) -> Result<Attrs, AttrError> {
    if raw.len() > MAX_ATTRS_BYTES {
        let problem = format!(
            "an attribute set of {} bytes is longer than {MAX_ATTRS_BYTES}",
            raw.len()
        );
        return Err(AttrError(problem));
    }
    let mut set = Set::default();
    let mut input = &raw[..];
    while !input.is_empty() {
        let offset = raw.len() - input.len();
        let (after, attr) = tlv(input).map_err(|_| cut_short(offset))?;
        set.add(&attr).map_err(|problem| at(&attr, offset, &problem))?;
        input = after;
    }
    set.finish()
}

/// One attribute as it stands on the wire.
struct Tlv<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
}

fn tlv(input: &[u8]) -> IResult<&[u8], Tlv<'_>> {
    let (input, (flags, code, value)) = (be_u8, be_u8, length_data(be_u16)).parse(input)?;
    // The low bits are to be zero when sent and ignored when received (RFC 4271 section 4.3).
    let flags = flags & (OPTIONAL | TRANSITIVE | PARTIAL);
    Ok((input, Tlv { flags, code, value }))
}

fn cut_short(offset: usize) -> AttrError {
    AttrError(format!(
        "the attribute at byte {offset} is longer than the attribute set"
    ))
}

fn at(attr: &Tlv<'_>, offset: usize, problem: &str) -> AttrError {
    let name = Known::from_code(attr.code).map_or("unknown attribute", Known::name);
    AttrError(format!("{name} ({}) at byte {offset}: {problem}", attr.code))
}

/// The attributes read so far.
struct Set {
    seen: [bool; 256],
    origin: Option<Origin>,
    as_path: Option<Vec<u32>>,
    next_hop: Option<SocketAddr>,
    origin_node: Option<OriginNode>,
    service: Option<ServiceAttr>,
    med: Option<u32>,
    local_pref: Option<u32>,
    only_to_customer: Option<u32>,
    originator: Option<RouterId>,
    cluster_list: Vec<Arc<str>>,
    communities: Vec<u32>,
    large_communities: Vec<LargeCommunity>,
    unknown: Vec<UnknownAttr>,
}

impl Default for Set {
    fn default() -> Self {
        Self {
            seen: [false; 256],
            origin: None,
            as_path: None,
            next_hop: None,
            origin_node: None,
            service: None,
            med: None,
            local_pref: None,
            only_to_customer: None,
            originator: None,
            cluster_list: Vec::new(),
            communities: Vec::new(),
            large_communities: Vec::new(),
            unknown: Vec::new(),
        }
    }
}

impl Set {
    fn add(&mut self, attr: &Tlv<'_>) -> Result<(), Problem> {
        if std::mem::replace(&mut self.seen[usize::from(attr.code)], true) {
            return Err("it appears twice".into());
        }
        match Known::from_code(attr.code) {
            Some(known) => {
                check_flags(known, attr.flags)?;
                self.add_known(known, attr.value)
            }
            None => self.add_unknown(attr),
        }
    }

    fn add_known(&mut self, known: Known, value: &[u8]) -> Result<(), Problem> {
        match known {
            Known::Origin => self.origin = Some(origin(value)?),
            Known::AsPath => self.as_path = Some(as_path(value)?),
            Known::NextHop => self.next_hop = Some(next_hop(value)?),
            Known::Med => self.med = Some(number(value)?),
            Known::LocalPref => self.local_pref = Some(number(value)?),
            Known::Communities => self.communities = communities(value)?,
            Known::Originator => self.originator = Some(originator(value)?),
            Known::ClusterList => self.cluster_list = cluster_list(value)?,
            Known::LargeCommunities => self.large_communities = large_communities(value)?,
            Known::OnlyToCustomer => self.only_to_customer = Some(system(number(value)?)?),
            Known::OriginNode => self.origin_node = Some(origin_node(value)?),
            Known::Service => self.service = Some(service(value)?),
        }
        Ok(())
    }

    fn add_unknown(&mut self, attr: &Tlv<'_>) -> Result<(), Problem> {
        if attr.flags & OPTIONAL == 0 {
            return Err("it is well-known by its flags, but not to this version".into());
        }
        if attr.flags & TRANSITIVE == 0 {
            return Ok(());
        }
        if self.unknown.len() == MAX_UNKNOWN {
            return Err(format!("more than {MAX_UNKNOWN} unknown attributes").into());
        }
        self.unknown.push(UnknownAttr {
            flags: attr.flags | PARTIAL,
            code: attr.code,
            // A copy: attribute sets outlive their frame and must not hold on to its 64 KiB.
            value: Bytes::copy_from_slice(attr.value),
        });
        Ok(())
    }

    fn finish(mut self) -> Result<Attrs, AttrError> {
        self.unknown.sort_by_key(|attr| attr.code);
        Ok(Attrs {
            origin: mandatory(Known::Origin, self.origin)?,
            as_path: mandatory(Known::AsPath, self.as_path)?,
            next_hop: mandatory(Known::NextHop, self.next_hop)?,
            origin_node: mandatory(Known::OriginNode, self.origin_node)?,
            local_pref: self.local_pref,
            med: self.med,
            communities: self.communities,
            large_communities: self.large_communities,
            originator: self.originator,
            cluster_list: self.cluster_list,
            service: mandatory(Known::Service, self.service)?,
            only_to_customer: self.only_to_customer,
            unknown: self.unknown,
        })
    }
}

fn mandatory<T>(known: Known, value: Option<T>) -> Result<T, AttrError> {
    let missing = || AttrError(format!("{} ({}) is missing", known.name(), known.code()));
    value.ok_or_else(missing)
}

/// The partial bit may be set on optional transitive attributes only (RFC 4271 section 4.3).
fn check_flags(known: Known, flags: u8) -> Result<(), Problem> {
    let expected = known.flags();
    let ignored = if expected == OPTIONAL | TRANSITIVE { PARTIAL } else { 0 };
    if flags & !ignored == expected {
        return Ok(());
    }
    Err(format!("its flags are {flags:#04x}, not {expected:#04x}").into())
}

/// Reads a value to its last byte.
fn whole<'a, T>(
    parser: impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>>,
    value: &'a [u8],
) -> Result<T, Problem> {
    let parsed = all_consuming(parser).parse(value);
    parsed.map(|(_, parsed)| parsed).map_err(|_| BAD_LENGTH)
}

fn number(value: &[u8]) -> Result<u32, Problem> {
    whole(be_u32, value)
}

/// AS 0 names no system (RFC 7607).
fn system(asn: u32) -> Result<u32, Problem> {
    if asn == 0 {
        Err("AS 0 is not a system".into())
    } else {
        Ok(asn)
    }
}

fn origin(value: &[u8]) -> Result<Origin, Problem> {
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

fn as_path(value: &[u8]) -> Result<Vec<u32>, Problem> {
    numbers::<1>(value, MAX_HOPS)?
        .into_iter()
        .map(|[asn]| system(asn))
        .collect()
}

fn communities(value: &[u8]) -> Result<Vec<u32>, Problem> {
    let list = numbers::<1>(value, MAX_COMMUNITIES)?;
    Ok(sorted(list.into_iter().map(|[community]| community)))
}

fn large_communities(value: &[u8]) -> Result<Vec<LargeCommunity>, Problem> {
    let list = numbers::<3>(value, MAX_COMMUNITIES)?;
    Ok(sorted(list.into_iter().map(|[global, one, two]| (global, one, two))))
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}

fn next_hop(value: &[u8]) -> Result<SocketAddr, Problem> {
    let (port, ip) = whole((be_u16, rest), value)?;
    let ip = match ip.len() {
        4 => IpAddr::V4(whole(be_u32, ip).map(Ipv4Addr::from_bits)?),
        16 => IpAddr::V6(whole(nom::number::complete::be_u128, ip).map(Ipv6Addr::from_bits)?),
        _ => return Err(BAD_LENGTH),
    };
    if is_host(ip) {
        return Ok(SocketAddr::new(ip, port));
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

fn originator(value: &[u8]) -> Result<RouterId, Problem> {
    router_id(whole((be_u32, length_data(be_u8)), value)?)
}

fn origin_node(value: &[u8]) -> Result<OriginNode, Problem> {
    let (asn, node, organisation) = whole((be_u32, length_data(be_u8), length_data(be_u8)), value)?;
    Ok(OriginNode {
        router_id: router_id((asn, node))?,
        organisation: label(organisation)?,
    })
}

fn cluster_list(mut value: &[u8]) -> Result<Vec<Arc<str>>, Problem> {
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

fn service(value: &[u8]) -> Result<ServiceAttr, Problem> {
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
