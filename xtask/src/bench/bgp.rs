//! The smallest BGP-4 that a daemon accepts as a neighbour (RFC 4271, 4-octet AS by RFC 6793, IPv4 unicast).

use std::ops::Range;

use super::speaker::{Change, Dialect, ROUTES_PER_SET, Who, communities};

const HEADER_BYTES: usize = 19;
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;
/// The first of the /24 prefixes, 16.0.0.0, so that a million of them stay below the multicast range.
const FIRST_PREFIX: u32 = 16 << 16;

/// BGP-4 with a router id.
#[derive(Clone)]
pub(super) struct Bgp {
    /// Our router id.
    pub(super) router_id: [u8; 4],
}

impl Dialect for Bgp {
    fn open(&self, asn: u32) -> Vec<u8> {
        let mut capabilities = vec![1, 4, 0, 1, 0, 1, 65, 4];
        capabilities.extend(asn.to_be_bytes());
        let parameters = [&[2, length_u8(&capabilities)], capabilities.as_slice()].concat();
        let short_asn = u16::try_from(asn).unwrap_or(23456);
        let mut body = vec![4];
        body.extend(short_asn.to_be_bytes());
        body.extend(180_u16.to_be_bytes());
        body.extend(self.router_id);
        body.push(length_u8(&parameters));
        body.extend(parameters);
        message(OPEN, &body)
    }

    fn keepalive(&self) -> Vec<u8> {
        message(KEEPALIVE, &[])
    }

    fn announce(&self, who: Who, range: Range<u32>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut next = range.start;
        while next < range.end {
            let set = next / ROUTES_PER_SET;
            let end = ((set + 1) * ROUTES_PER_SET).min(range.end);
            let attributes = attributes(who, set);
            let mut body = vec![0, 0];
            body.extend(length_u16(attributes.len()));
            body.extend(attributes);
            for index in next..end {
                body.push(24);
                body.extend(&(FIRST_PREFIX + index).to_be_bytes()[1..]);
            }
            out.extend(message(UPDATE, &body));
            next = end;
        }
        out
    }

    fn message_length(&self, bytes: &[u8]) -> Option<usize> {
        let length = bytes.get(16..18)?;
        Some(usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    fn is_keepalive(&self, message: &[u8]) -> bool {
        message.get(18) == Some(&KEEPALIVE)
    }

    fn notification(&self, message: &[u8]) -> Option<String> {
        (message.get(18) == Some(&NOTIFICATION)).then(|| format!("code {:?}", &message[HEADER_BYTES..]))
    }

    fn changes(&self, message: &[u8], mut each: impl FnMut(Change)) {
        if message.get(18) == Some(&UPDATE) {
            let body = &message[HEADER_BYTES..];
            let withdrawn = usize::from(u16::from_be_bytes([body[0], body[1]]));
            routes(&body[2..2 + withdrawn]).for_each(|route| each(Change::Withdrawn(route)));
            let rest = &body[2 + withdrawn..];
            let attributes = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            routes(&rest[2 + attributes..]).for_each(|route| each(Change::Announced(route)));
        }
    }
}

/// ORIGIN, AS_PATH, NEXT_HOP and two COMMUNITIES, different for each set.
fn attributes(who: Who, set: u32) -> Vec<u8> {
    let hops = who.as_path(set);
    let mut path = vec![2, length_u8(&hops)];
    path.extend(hops.iter().flat_map(|hop| hop.to_be_bytes()));
    let communities: Vec<u8> = communities(set).iter().flat_map(|it| it.to_be_bytes()).collect();
    let mut out = attribute(0x40, 1, &[0]);
    out.extend(attribute(0x40, 2, &path));
    out.extend(attribute(0x40, 3, &who.ip.octets()));
    out.extend(attribute(0xc0, 8, &communities));
    out
}

fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![flags, code, length_u8(value)];
    out.extend(value);
    out
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff; 16];
    out.extend(length_u16(HEADER_BYTES + body.len()));
    out.push(kind);
    out.extend(body);
    out
}

/// All that is built here is short: OPEN, and attributes of a few bytes.
fn length_u8<T>(items: &[T]) -> u8 {
    u8::try_from(items.len()).unwrap_or(u8::MAX)
}

/// As [`length_u8`], for messages of at most 4096 bytes.
fn length_u16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// The numbers of the routes of NLRI; other prefixes than ours are passed over.
fn routes(mut bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    std::iter::from_fn(move || {
        let (&bits, rest) = bytes.split_first()?;
        let (prefix, after) = rest.split_at_checked(usize::from(bits.div_ceil(8)))?;
        bytes = after;
        Some(prefix)
    })
    .filter_map(|prefix| match *prefix {
        [one, two, three] => u32::from_be_bytes([0, one, two, three]).checked_sub(FIRST_PREFIX),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_hold_the_routes_of_their_range() {
        let bgp = Bgp {
            router_id: [1, 1, 1, 1],
        };
        let bytes = bgp.announce(
            Who {
                ip: [10, 0, 0, 1].into(),
                asn: 65000,
                variant: 1,
            },
            5..25,
        );
        let (mut start, mut changes, mut messages) = (0, Vec::new(), 0);
        while let Some(length) = bgp.message_length(&bytes[start..]) {
            bgp.changes(&bytes[start..start + length], |change| changes.push(change));
            messages += 1;
            start += length;
        }
        let expected: Vec<_> = (5..25).map(Change::Announced).collect();
        assert_eq!((changes, messages, start), (expected, 3, bytes.len()));
    }
}
