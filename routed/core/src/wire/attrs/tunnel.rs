//! The value of TUNNEL.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, BytesMut};
use nom::IResult;
use nom::Parser;
use nom::bytes::complete::take;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16, be_u64};

use super::value::{BAD_LENGTH, Problem, host, next_hop};
use super::{LEAST_TUNNEL_MTU, MAX_TUNNEL_ADDRESSES};
use crate::attrs::Tunnel;
use crate::prefix::Prefix;

/// What stands before the addresses.
type Head<'a> = (u64, u16, &'a [u8], &'a [u8], u8);

// Rare: what reads the other attributes stays small.
#[cold]
pub(super) fn read(value: &[u8]) -> Result<Tunnel, Problem> {
    let (rest, (serial, mtu, key, endpoint, count)) = head(value).map_err(|_| BAD_LENGTH)?;
    if mtu < LEAST_TUNNEL_MTU {
        return Err(format!("an MTU of {mtu} is below {LEAST_TUNNEL_MTU}").into());
    }
    let public_key = <[u8; 32]>::try_from(key).map_err(|_| BAD_LENGTH)?;
    if public_key == [0; 32] {
        return Err("a key of zeros is no key".into());
    }
    Ok(Tunnel {
        public_key,
        endpoint: read_endpoint(endpoint)?,
        addresses: addresses(rest, count.into())?,
        mtu,
        serial,
    })
}

fn head(value: &[u8]) -> IResult<&[u8], Head<'_>> {
    (be_u64, be_u16, take(32_usize), length_data(be_u8), be_u8).parse(value)
}

fn read_endpoint(value: &[u8]) -> Result<Option<SocketAddr>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    let endpoint = next_hop(value)?;
    if endpoint.port() == 0 {
        return Err("nothing listens on port 0".into());
    }
    Ok(Some(endpoint))
}

fn addresses(mut rest: &[u8], count: usize) -> Result<Vec<Prefix>, Problem> {
    if count == 0 || count > MAX_TUNNEL_ADDRESSES {
        return Err(format!("{count} addresses, there are 1 to {MAX_TUNNEL_ADDRESSES}").into());
    }
    let mut addresses = Vec::with_capacity(count);
    for _ in 0..count {
        let (after, address) = one(rest).map_err(|_| BAD_LENGTH)?;
        addresses.push(Prefix::of_host(host(address)?));
        rest = after;
    }
    if !rest.is_empty() {
        return Err(BAD_LENGTH);
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

fn one(input: &[u8]) -> IResult<&[u8], &[u8]> {
    length_data(be_u8).parse(input)
}

#[cold]
pub(super) fn write(tunnel: &Tunnel, out: &mut BytesMut) {
    out.put_u64(tunnel.serial);
    out.put_u16(tunnel.mtu);
    out.put_slice(&tunnel.public_key);
    match tunnel.endpoint {
        None => out.put_u8(0),
        Some(endpoint) => {
            out.put_u8(if endpoint.is_ipv4() { 6 } else { 18 });
            out.put_u16(endpoint.port());
            address(endpoint.ip(), out);
        }
    }
    let addresses = tunnel.addresses.iter().take(MAX_TUNNEL_ADDRESSES);
    out.put_u8(u8::try_from(addresses.len()).unwrap_or(u8::MAX));
    for host in addresses.map(|prefix| prefix.address()) {
        out.put_u8(if host.is_ipv4() { 4 } else { 16 });
        address(host, out);
    }
}

fn address(ip: IpAddr, out: &mut BytesMut) {
    match ip {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()),
    }
}
