//! Attribute sets from the wire. Whatever is wrong here withdraws the names of the UPDATE and nothing else (RFC 7606).

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use nom::IResult;
use nom::Parser;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16};

use super::tunnel;
use super::value::{self, Problem};
use super::{Known, MAX_ATTRS_BYTES, MAX_UNKNOWN, OPTIONAL, PARTIAL, TRANSITIVE};
use crate::attrs::{Attrs, LargeCommunity, Origin, OriginNode, RouterId, ServiceAttr, Tunnel, UnknownAttr};
use crate::wire::Family;
use crate::wire::error::AttrError;

/// Decodes an attribute set; see [`check_family`] for what depends on the family. Unknown non-transitive attributes are dropped; unknown transitive ones kept.
pub fn decode_attrs(raw: &Bytes) -> Result<Attrs, AttrError> {
    if raw.len() > MAX_ATTRS_BYTES {
        let problem = format!(
            "an attribute set of {} bytes is longer than {MAX_ATTRS_BYTES}",
            raw.len()
        );
        return Err(AttrError(problem));
    }
    decode_kept(raw)
}

/// As [`decode_attrs`], of a set that is kept here: import may have made it longer than one that may be sent.
pub(crate) fn decode_kept(raw: &Bytes) -> Result<Attrs, AttrError> {
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

/// Whether AS_PATH of an encoded set holds a system, without decoding the rest.
pub(crate) fn as_path_holds(raw: &[u8], asn: u32) -> bool {
    let mut input = raw;
    while let Ok((after, attr)) = tlv(input) {
        if attr.code == Known::AsPath.code() {
            let (hops, _) = attr.value.as_chunks::<4>();
            return hops.contains(&asn.to_be_bytes());
        }
        input = after;
    }
    false
}

/// AS and name of the node in ORIGIN_NODE, of a set that has been decoded before: it is well-formed.
pub(crate) fn origin_of(raw: &[u8]) -> Option<(u32, &[u8])> {
    let mut input = raw;
    while let Ok((after, attr)) = tlv(input) {
        if attr.code == Known::OriginNode.code() {
            return value::system_and_node(attr.value);
        }
        input = after;
    }
    None
}

/// Whether a set may come with what is announced: names have a SERVICE, prefixes have none.
///
/// # Errors
/// The text that says which it is.
pub fn check_family(family: Family, has_service: bool) -> Result<(), AttrError> {
    let service = || format!("{} ({})", Known::Service.name(), Known::Service.code());
    match (family, has_service) {
        (Family::Name, true) | (Family::Ipv4 | Family::Ipv6, false) => Ok(()),
        (Family::Name, false) => Err(AttrError(format!("{} is missing", service()))),
        (Family::Ipv4 | Family::Ipv6, true) => Err(AttrError(format!("{} is of names, not of prefixes", service()))),
    }
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
    tunnel: Option<Arc<Tunnel>>,
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
            tunnel: None,
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

    fn add_known(&mut self, known: Known, raw: &[u8]) -> Result<(), Problem> {
        match known {
            Known::Origin => self.origin = Some(value::origin(raw)?),
            Known::AsPath => self.as_path = Some(value::as_path(raw)?),
            Known::NextHop => self.next_hop = Some(value::next_hop(raw)?),
            Known::Med => self.med = Some(value::number(raw)?),
            Known::LocalPref => self.local_pref = Some(value::number(raw)?),
            Known::Communities => self.communities = value::communities(raw)?,
            Known::Originator => self.originator = Some(value::originator(raw)?),
            Known::ClusterList => self.cluster_list = value::cluster_list(raw)?,
            Known::LargeCommunities => self.large_communities = value::large_communities(raw)?,
            Known::OnlyToCustomer => self.only_to_customer = Some(value::system(value::number(raw)?)?),
            Known::OriginNode => self.origin_node = Some(value::origin_node(raw)?),
            Known::Service => self.service = Some(value::service(raw)?),
            Known::Tunnel => self.tunnel = Some(Arc::new(tunnel::read(raw)?)),
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
        if self.service.is_some() && self.tunnel.is_some() {
            let (name, code) = (Known::Tunnel.name(), Known::Tunnel.code());
            return Err(AttrError(format!("{name} ({code}) is of prefixes, not of names")));
        }
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
            service: self.service,
            only_to_customer: self.only_to_customer,
            tunnel: self.tunnel,
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
