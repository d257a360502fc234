//! What can be expressed in Envoy's terms, and what cannot and why. Nothing that Envoy would refuse gets past this: a
//! refusal there comes late, and for scopes it would concern every route in the batch.

use std::collections::BTreeMap;

use catalyst_plugin::{Endpoint, NextHop, Protocol, Route, Target};

use super::cluster::ip_of;
use super::names::{hop_cluster, local_cluster};
use super::proto::weights;
use super::scope::Clusters;

/// Longer names do not exist in DNS (RFC 1035 section 2.3.4).
const MAX_HOST_BYTES: usize = 253;
/// Beyond this a single resource would outgrow a message.
const MAX_ENDPOINTS: usize = 10_000;

/// The clusters that a route's traffic goes to; an error says why there are none.
pub(crate) fn clusters(route: &Route) -> Result<Clusters, String> {
    if route.protocol == Protocol::Tcp && route.name.is_wildcard() {
        return Err("a tcp service needs an exact name: nothing in a TCP connection says which name is meant".into());
    }
    match &route.target {
        Target::Local(endpoints) => {
            endpoints_are_sound(endpoints)?;
            Ok(vec![(local_cluster(&route.name), 1)])
        }
        Target::Remote(hops) => hops_of(hops),
        Target::Discard => Ok(Clusters::new()),
    }
}

/// The next hops that traffic can be sent to.
pub(crate) fn usable(hops: &[NextHop]) -> impl Iterator<Item = &NextHop> {
    hops.iter()
        .filter(|hop| hop.address.port() != 0 && !hop.address.ip().is_unspecified())
}

fn hops_of(hops: &[NextHop]) -> Result<Clusters, String> {
    let usable: Vec<&NextHop> = usable(hops).collect();
    if usable.is_empty() {
        return Err("no next hop has a peer listener (the advertiser has no data plane)".into());
    }
    // One address in two forms (IPv4-mapped IPv6) is one next hop.
    let mut shares = BTreeMap::<String, u32>::new();
    for hop in usable {
        let share = shares.entry(hop_cluster(hop.address)).or_default();
        *share = share.saturating_add(hop.weight);
    }
    let weights = weights(&shares.values().copied().collect::<Vec<_>>());
    Ok(shares.into_keys().zip(weights).collect())
}

fn endpoints_are_sound(endpoints: &[Endpoint]) -> Result<(), String> {
    if endpoints.is_empty() {
        return Err("the service has no endpoints".into());
    }
    if endpoints.len() > MAX_ENDPOINTS {
        return Err(format!(
            "the service has {} endpoints, at most {MAX_ENDPOINTS} are possible",
            endpoints.len()
        ));
    }
    endpoints.iter().try_for_each(endpoint_is_sound)
}

fn endpoint_is_sound(endpoint: &Endpoint) -> Result<(), String> {
    if endpoint.port == 0 {
        return Err(format!("endpoint {:?} has port 0", endpoint.host));
    }
    if ip_of(&endpoint.host).is_some() || is_dns_name(&endpoint.host) {
        return Ok(());
    }
    Err(format!(
        "endpoint {:?} is neither an IP address nor a DNS name",
        endpoint.host
    ))
}

fn is_dns_name(host: &str) -> bool {
    let labels = host.strip_suffix('.').unwrap_or(host);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    host.len() <= MAX_HOST_BYTES
        && labels
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint {
            host: host.into(),
            port,
            weight: 1,
        }
    }

    #[test]
    fn endpoints_are_checked() {
        for host in [
            "127.0.0.1",
            "::1",
            "[::1]",
            "localhost",
            "a.b",
            "a_b.c-d.",
            "xn--bcher-kva",
        ] {
            assert_eq!(endpoint_is_sound(&endpoint(host, 1)), Ok(()), "{host}");
        }
        for host in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "[::1",
            "ä",
            &"a".repeat(64),
            &"a.".repeat(127),
        ] {
            assert!(endpoint_is_sound(&endpoint(host, 1)).is_err(), "{host}");
        }
        assert!(endpoint_is_sound(&endpoint("a", 0)).is_err());
        assert!(endpoints_are_sound(&[]).is_err());
    }

    #[test]
    fn next_hops_without_a_data_plane_are_left_out() {
        let hop = |text: &str| NextHop {
            address: text.parse().unwrap(),
            weight: 1,
        };
        let clusters = hops_of(&[hop("127.0.0.1:0"), hop("127.0.0.2:80"), hop("0.0.0.0:80")]).unwrap();
        assert_eq!(clusters, [("hop/127.0.0.2:80".to_owned(), 1)]);
        assert!(hops_of(&[hop("127.0.0.1:0")]).is_err());
        assert!(hops_of(&[]).is_err());
    }
}
