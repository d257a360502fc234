//! Blocks of prefixes: a length in bits, then as many bytes as it needs (RFC 4271 section 4.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, Bytes, BytesMut};

use super::Family;
use crate::prefix::{Prefix, PrefixError};

/// Prefixes of one family, validated when the UPDATE was decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixBlock {
    family: Family,
    bytes: Bytes,
}

/// What is wrong with a prefix in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixProblem {
    /// The block ends inside it.
    Truncated,
    /// It is longer than an address, or has a bit beyond its length.
    Prefix(PrefixError),
}

impl fmt::Display for PrefixProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the block ends inside it"),
            Self::Prefix(error) => error.fmt(f),
        }
    }
}

impl PrefixBlock {
    /// Validates a block. An error carries the index of the prefix at fault, counted from 0.
    pub(super) fn decode(family: Family, bytes: Bytes) -> Result<Self, (u32, PrefixProblem)> {
        let mut rest = &bytes[..];
        let mut count = 0;
        while let Some((&length, after)) = rest.split_first() {
            (_, rest) = read(family, length, after).map_err(|problem| (count, problem))?;
            count += 1;
        }
        Ok(Self { family, bytes })
    }

    /// A block that was validated before.
    pub(super) fn checked(family: Family, bytes: Bytes) -> Self {
        Self { family, bytes }
    }

    /// The block as it stands on the wire.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many prefixes it holds; counted anew with every call.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut count = 0;
        self.for_each(|_| count += 1);
        count
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Calls `f` with each prefix in order.
    pub fn for_each(&self, mut f: impl FnMut(Prefix)) {
        let mut rest = &self.bytes[..];
        while let Some((&length, after)) = rest.split_first() {
            let Ok((prefix, next)) = read(self.family, length, after) else {
                return;
            };
            f(prefix);
            rest = next;
        }
    }
}

fn read(family: Family, length: u8, input: &[u8]) -> Result<(Prefix, &[u8]), PrefixProblem> {
    let used = usize::from(length.div_ceil(8));
    // Before the bytes are looked at: a length out of bounds is that, not a block cut short.
    let address = |octets: &[u8]| address(family, octets);
    Prefix::of(address(&[]), length).map_err(PrefixProblem::Prefix)?;
    let (octets, rest) = input.split_at_checked(used).ok_or(PrefixProblem::Truncated)?;
    let prefix = Prefix::new(address(octets), length).map_err(PrefixProblem::Prefix)?;
    Ok((prefix, rest))
}

/// The address that begins with these octets, at most as many as it has.
fn address(family: Family, octets: &[u8]) -> IpAddr {
    let mut all = [0; 16];
    all[..octets.len()].copy_from_slice(octets);
    if family == Family::Ipv6 {
        return Ipv6Addr::from(all).into();
    }
    let [a, b, c, d, ..] = all;
    Ipv4Addr::new(a, b, c, d).into()
}

/// Appends a prefix.
pub(super) fn append(prefix: Prefix, out: &mut BytesMut) {
    let used = usize::from(prefix.length().div_ceil(8));
    out.put_u8(prefix.length());
    match prefix.address() {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()[..used]),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()[..used]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(family: Family, bytes: &[u8]) -> Result<Vec<String>, (u32, String)> {
        let block = PrefixBlock::decode(family, Bytes::copy_from_slice(bytes));
        let block = block.map_err(|(index, problem)| (index, problem.to_string()))?;
        let mut texts = Vec::new();
        block.for_each(|prefix| texts.push(prefix.to_string()));
        assert_eq!((texts.len(), texts.is_empty()), (block.len(), block.is_empty()));
        Ok(texts)
    }

    #[test]
    fn a_prefix_takes_the_bytes_that_its_length_needs() {
        let v4 = [0, 8, 10, 9, 10, 128, 16, 10, 2, 32, 192, 0, 2, 1];
        let texts = ["0.0.0.0/0", "10.0.0.0/8", "10.128.0.0/9", "10.2.0.0/16", "192.0.2.1/32"];
        assert_eq!(block(Family::Ipv4, &v4).unwrap(), texts);
        let v6 = [0, 32, 0x20, 0x01, 0x0d, 0xb8];
        assert_eq!(block(Family::Ipv6, &v6).unwrap(), ["::/0", "2001:db8::/32"]);
        let mut out = BytesMut::new();
        texts.iter().for_each(|text| append(text.parse().unwrap(), &mut out));
        assert_eq!(out[..], v4);
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (family, bytes, index, text) in [
            (Family::Ipv4, &[8, 10, 33, 1, 2, 3, 4, 5][..], 1, "at most 32 bits"),
            (Family::Ipv4, &[255], 0, "at most 32 bits"),
            (Family::Ipv6, &[129], 0, "at most 128 bits"),
            (Family::Ipv4, &[16, 10], 0, "the block ends inside it"),
            (Family::Ipv4, &[0, 1], 1, "the block ends inside it"),
            (Family::Ipv4, &[7, 11], 0, "the network is 10.0.0.0/7"),
            (Family::Ipv6, &[1, 0xff], 0, "the network is 8000::/1"),
        ] {
            let (at, problem) = block(family, bytes).unwrap_err();
            assert!(at == index && problem.contains(text), "{bytes:?}: {at} {problem}");
        }
    }
}
