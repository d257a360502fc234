//! Short spellings for the protobuf forms that every resource is made of.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf;
use prost::{Message, Name};

/// Packs a message into an `Any`.
pub(crate) fn any<T: Name + Message>(message: &T) -> protobuf::Any {
    protobuf::Any {
        type_url: format!("type.googleapis.com/{}", T::full_name()),
        value: message.encode_to_vec(),
    }
}

/// An extension with its typed configuration.
pub(crate) fn extension<T: Name + Message>(name: &str, message: &T) -> core::TypedExtensionConfig {
    core::TypedExtensionConfig {
        name: name.into(),
        typed_config: Some(any(message)),
    }
}

/// A duration; whole or fractional seconds.
pub(crate) fn duration(value: Duration) -> Option<protobuf::Duration> {
    let seconds = i64::try_from(value.as_secs()).ok()?;
    let nanos = i32::try_from(value.subsec_nanos()).ok()?;
    Some(protobuf::Duration { seconds, nanos })
}

/// A number where "not set" differs from 0.
pub(crate) fn uint(value: u32) -> Option<protobuf::UInt32Value> {
    Some(protobuf::UInt32Value { value })
}

/// A truth where "not set" differs from false.
pub(crate) fn boolean(value: bool) -> Option<protobuf::BoolValue> {
    Some(protobuf::BoolValue { value })
}

/// A TCP address by IP.
pub(crate) fn address(at: SocketAddr) -> core::Address {
    named_address(&bare(at.ip()).to_string(), at.port())
}

/// A socket's address by IP or DNS name.
pub(crate) fn socket_address(host: &str, port: u16) -> core::SocketAddress {
    let port = core::socket_address::PortSpecifier::PortValue(u32::from(port));
    core::SocketAddress {
        address: host.into(),
        port_specifier: Some(port),
        ..Default::default()
    }
}

/// A TCP address by IP or DNS name.
pub(crate) fn named_address(host: &str, port: u16) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(socket_address(host, port))),
    }
}

/// An IPv4 address that came as IPv4-mapped IPv6 is an IPv4 address: one next hop, one cluster.
pub(crate) fn bare(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The ADS stream as the source of a resource. Waits for it without end: serving without it would be wrong.
pub(crate) fn ads() -> core::ConfigSource {
    core::ConfigSource {
        initial_fetch_timeout: duration(Duration::ZERO),
        resource_api_version: core::ApiVersion::V3.into(),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        ..Default::default()
    }
}

/// Text inline.
pub(crate) fn inline(text: impl Into<String>) -> core::DataSource {
    core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(text.into())),
        ..Default::default()
    }
}

/// A header to set, replacing what is there.
pub(crate) fn header(name: &str, value: &str) -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: name.into(),
            value: value.into(),
            ..Default::default()
        }),
        append_action: core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    }
}

/// Weights as Envoy takes them: at least 1 where none has weight, and a sum within 32 bits.
pub(crate) fn weights(shares: &[u32]) -> Vec<u32> {
    let mut sum: u64 = shares.iter().map(|share| u64::from(*share)).sum();
    if sum == 0 {
        return vec![1; shares.len()];
    }
    let mut shift = 0;
    // Room for the units that rounding up adds.
    while sum >> shift > u64::from(u32::MAX / 2) {
        shift += 1;
    }
    sum >>= shift;
    debug_assert!(sum > 0);
    shares
        .iter()
        .map(|share| if *share == 0 { 0 } else { (share >> shift).max(1) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_a_sum_that_envoy_takes() {
        assert_eq!(weights(&[3, 1]), [3, 1]);
        assert_eq!(weights(&[0, 0]), [1, 1]);
        assert_eq!(weights(&[0, 7]), [0, 7]);
        let wide = weights(&[u32::MAX, u32::MAX, 1]);
        assert!(wide.iter().map(|w| u64::from(*w)).sum::<u64>() <= u64::from(u32::MAX));
        assert!(wide.iter().all(|w| *w > 0));
    }
}
