//! The peering protocol of docs/protocol.md, by the wire module of catalyst-core.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use catalyst_core::attrs::{Attrs, Origin, OriginNode, Protocol, RouterId, ServiceAttr};
use catalyst_core::wire::{self, Family, Message, NlriBlock, Open, Packer};

use super::speaker::{Change, Dialect, ROUTES_PER_SET, Who, communities};

/// The organisation of every speaker in the benchmark.
pub(super) const ORGANISATION: &str = "bench";

/// The Catalyst peering protocol, as node `node`.
#[derive(Clone)]
pub(super) struct Catalyst {
    /// Our node name.
    pub(super) node: String,
}

impl Dialect for Catalyst {
    fn open(&self, asn: u32) -> Vec<u8> {
        encoded(&Message::Open(Open {
            version: wire::VERSION,
            asn,
            node: self.node.as_str().into(),
            organisation: ORGANISATION.into(),
            hold_time: Duration::from_secs(180),
            families: vec![Family::Name],
            route_refresh: false,
            role: None,
            graceful_restart: None,
        }))
    }

    fn keepalive(&self) -> Vec<u8> {
        encoded(&Message::Keepalive)
    }

    fn announce(&self, who: Who, range: Range<u32>) -> Vec<u8> {
        let (mut packer, mut out) = (Packer::default(), BytesMut::new());
        let mut next = range.start;
        while next < range.end {
            let set = next / ROUTES_PER_SET;
            let end = ((set + 1) * ROUTES_PER_SET).min(range.end);
            let names: Vec<String> = (next..end).map(name).collect();
            let attrs = wire::encode_attrs(&attributes(who, &self.node, set));
            packer.announce(&attrs, names.iter().map(String::as_str), &mut out);
            next = end;
        }
        out.to_vec()
    }

    fn message_length(&self, bytes: &[u8]) -> Option<usize> {
        let prefix = bytes.first_chunk::<4>()?;
        Some(4 + u32::from_be_bytes(*prefix) as usize)
    }

    fn is_keepalive(&self, message: &[u8]) -> bool {
        matches!(decoded(message), Some(Message::Keepalive))
    }

    fn notification(&self, message: &[u8]) -> Option<String> {
        match decoded(message) {
            Some(Message::Notification(notification)) => Some(notification.text),
            _ => None,
        }
    }

    fn changes(&self, message: &[u8], mut each: impl FnMut(Change)) {
        let Some(Message::Update(update)) = decoded(message) else {
            return;
        };
        for step in update.steps() {
            names_of(&step.withdrawn, |route| each(Change::Withdrawn(route)));
            names_of(&step.announced, |route| each(Change::Announced(route)));
        }
    }
}

/// The numbers of the names of a block; other names than ours are passed over.
fn names_of(block: &NlriBlock, mut each: impl FnMut(u32)) {
    if let NlriBlock::Names(names) = block {
        names.for_each(|name| {
            let number = name.strip_prefix("svc-").and_then(|rest| rest.get(..7));
            if let Some(number) = number.and_then(|digits| digits.parse().ok()) {
                each(number);
            }
        });
    }
}

/// A name of 30 bytes.
fn name(index: u32) -> String {
    format!("svc-{index:07}.t{:04}.dc1.acme.com", index / 100 % 10_000)
}

fn attributes(who: Who, node: &str, set: u32) -> Attrs {
    let router_id = RouterId {
        asn: who.asn,
        node: node.into(),
    };
    Attrs {
        origin: Origin::Igp,
        as_path: who.as_path(set),
        next_hop: SocketAddr::new(IpAddr::V4(who.ip), 0),
        origin_node: OriginNode {
            router_id,
            organisation: ORGANISATION.into(),
        },
        local_pref: None,
        med: None,
        communities: communities(set).to_vec(),
        large_communities: Vec::new(),
        originator: None,
        cluster_list: Vec::new(),
        service: Some(ServiceAttr {
            protocol: Protocol::Http,
            path: None,
            weight: 1,
            health: 100,
        }),
        only_to_customer: None,
        tunnel: None,
        unknown: Vec::new(),
    }
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = BytesMut::new();
    wire::encode(message, &mut out);
    out.to_vec()
}

fn decoded(message: &[u8]) -> Option<Message> {
    let kind = *message.get(4)?;
    wire::decode(kind, &Bytes::copy_from_slice(&message[5..])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_thirty_bytes() {
        assert_eq!(name(1_234_567).len(), 30);
    }

    #[test]
    fn updates_hold_the_routes_of_their_range() {
        let catalyst = Catalyst { node: "a".into() };
        let who = Who {
            ip: [10, 0, 0, 1].into(),
            asn: 65000,
            variant: 1,
        };
        let (bytes, mut start, mut changes) = (catalyst.announce(who, 5..25), 0, Vec::new());
        while let Some(length) = catalyst.message_length(&bytes[start..]) {
            catalyst.changes(&bytes[start..start + length], |change| changes.push(change));
            start += length;
        }
        assert_eq!(changes, (5..25).map(Change::Announced).collect::<Vec<_>>());
    }
}
