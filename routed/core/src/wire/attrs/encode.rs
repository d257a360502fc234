//! Attribute sets to their canonical bytes.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

use super::{Known, tunnel};
use crate::attrs::{Attrs, OriginNode, Protocol, RouterId, ServiceAttr, UnknownAttr};
use crate::wire::encode::{short, sized};

/// The canonical encoding of an attribute set (attributes in order of code). Equal sets give equal bytes.
#[must_use]
pub fn encode_attrs(attrs: &Attrs) -> Bytes {
    let mut out = BytesMut::with_capacity(160);
    let mut unknown = attrs.unknown.iter().peekable();
    for known in Known::ALL {
        while let Some(attr) = unknown.next_if(|attr| attr.code < known.code()) {
            put_unknown(attr, &mut out);
        }
        put_known(known, attrs, &mut out);
    }
    unknown.for_each(|attr| put_unknown(attr, &mut out));
    out.freeze()
}

fn put_unknown(attr: &UnknownAttr, out: &mut BytesMut) {
    put(attr.flags, attr.code, out, |out| out.put_slice(&attr.value));
}

fn put(flags: u8, code: u8, out: &mut BytesMut, value: impl FnOnce(&mut BytesMut)) {
    out.put_slice(&[flags, code]);
    sized(out, value);
}

fn put_known(known: Known, attrs: &Attrs, out: &mut BytesMut) {
    if is_present(known, attrs) {
        put(known.flags(), known.code(), out, |out| put_value(known, attrs, out));
    }
}

fn is_present(known: Known, attrs: &Attrs) -> bool {
    match known {
        Known::Origin | Known::AsPath | Known::NextHop | Known::OriginNode => true,
        Known::Service => attrs.service.is_some(),
        Known::Med => attrs.med.is_some(),
        Known::LocalPref => attrs.local_pref.is_some(),
        Known::Communities => !attrs.communities.is_empty(),
        Known::Originator => attrs.originator.is_some(),
        Known::ClusterList => !attrs.cluster_list.is_empty(),
        Known::LargeCommunities => !attrs.large_communities.is_empty(),
        Known::OnlyToCustomer => attrs.only_to_customer.is_some(),
        Known::Tunnel => attrs.tunnel.is_some(),
    }
}

fn put_value(known: Known, attrs: &Attrs, out: &mut BytesMut) {
    match known {
        Known::Origin => out.put_u8(attrs.origin as u8),
        Known::AsPath => attrs.as_path.iter().for_each(|asn| out.put_u32(*asn)),
        Known::NextHop => next_hop(attrs.next_hop, out),
        Known::Med => attrs.med.iter().for_each(|value| out.put_u32(*value)),
        Known::LocalPref => attrs.local_pref.iter().for_each(|value| out.put_u32(*value)),
        Known::Communities => attrs.communities.iter().for_each(|value| out.put_u32(*value)),
        Known::Originator => attrs.originator.iter().for_each(|id| router_id(id, out)),
        Known::ClusterList => attrs
            .cluster_list
            .iter()
            .for_each(|cluster| short(out, cluster.as_bytes())),
        Known::LargeCommunities => large_communities(attrs, out),
        Known::OnlyToCustomer => attrs.only_to_customer.iter().for_each(|value| out.put_u32(*value)),
        Known::OriginNode => origin_node(&attrs.origin_node, out),
        Known::Service => attrs.service.iter().for_each(|it| service(it, out)),
        Known::Tunnel => attrs.tunnel.iter().for_each(|it| tunnel::write(it, out)),
    }
}

fn next_hop(address: SocketAddr, out: &mut BytesMut) {
    out.put_u16(address.port());
    match address.ip() {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()),
    }
}

fn router_id(id: &RouterId, out: &mut BytesMut) {
    out.put_u32(id.asn);
    short(out, id.node.as_bytes());
}

fn large_communities(attrs: &Attrs, out: &mut BytesMut) {
    for &(global, one, two) in &attrs.large_communities {
        [global, one, two].into_iter().for_each(|part| out.put_u32(part));
    }
}

fn origin_node(origin: &OriginNode, out: &mut BytesMut) {
    router_id(&origin.router_id, out);
    short(out, origin.organisation.as_bytes());
}

fn service(service: &ServiceAttr, out: &mut BytesMut) {
    out.put_slice(&[protocol_code(service.protocol), service.health]);
    out.put_u16(service.weight);
    out.put_slice(service.path.as_deref().unwrap_or_default().as_bytes());
}

/// The code of a protocol in SERVICE. 0 is none, so that zeroed bytes are not a service.
pub(super) fn protocol_code(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 1,
        Protocol::Http => 2,
        Protocol::HttpGraphql => 3,
        Protocol::HttpGrpc => 4,
    }
}
