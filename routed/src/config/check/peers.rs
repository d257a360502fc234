//! Rules about peers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use catalyst_core::route::Prefix;
use catalyst_core::wire::{LEAST_MAX_FRAME_BYTES, MAX_FRAME_BYTES};

use super::super::path::KeyPath;
use super::super::text::{Label, Spelled};
use super::super::types::{Config, Peer};
use super::prefixes::check_families;
use super::{Problems, off_loopback, section};
use crate::driver::Guard;

/// The bounds of `restart_time` and `stale_time`.
const RESTART_TIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// The bounds of `ttl_security`.
const HOPS: RangeInclusive<u8> = 1..=254;
/// The bounds of `max_frame`.
const FRAME: RangeInclusive<usize> = LEAST_MAX_FRAME_BYTES..=MAX_FRAME_BYTES;
/// The most `allowed_next_hops` of one peer.
const MAX_NEXT_HOPS: usize = 256;

pub(super) fn check_peers(config: &Config, problems: &mut Problems) {
    let mut by_ip: BTreeMap<IpAddr, &str> = BTreeMap::new();
    for (name, peer) in &config.peers {
        let path = section("peers").key(name);
        check_peer_name(name, &path, problems);
        check_peer(config, name, peer, &path, problems);
        if let Some(other) = by_ip.insert(peer.address.ip(), name) {
            let message = format!("peers[{other:?}] has the same IP, which is what incoming connections are told by");
            problems.add(path.field("address"), message);
        }
    }
}

/// The listener's program is bounded (docs/operate.md): of these something is heard that came too far.
pub(super) fn warn_of_unguarded(config: &Config, problems: &mut Problems) {
    let left_out = Guard::of(config.callers()).left_out;
    if left_out.is_empty() {
        return;
    }
    let peers = config.peers.iter().map(|(name, peer)| {
        let from = Prefix::of_host(peer.address.ip().to_canonical());
        (section("peers").key(name), from)
    });
    let dynamic = config.dynamic_peers.iter();
    let groups = dynamic.map(|(name, group)| (section("dynamic_peers").key(name), group.prefix.0));
    for (path, from) in peers.chain(groups) {
        if left_out.contains(&from) {
            problems.warn(
                path.field("ttl_security"),
                "with so many peers it counts only once a connection is accepted: what was sent before is heard",
            );
        }
    }
}

pub(super) fn check_peer_name(name: &str, path: &KeyPath, problems: &mut Problems) {
    match Spelled::<Label>::parse(name) {
        Ok(label) if label.0.0 == name => {}
        Ok(label) => problems.add(path.clone(), format!("a peer's name is written in lower case: {label}")),
        Err(message) => problems.add(path.clone(), message),
    }
}

fn check_peer(config: &Config, name: &str, peer: &Peer, path: &KeyPath, problems: &mut Problems) {
    problems.unless(peer.asn > 0, path.field("as"), || {
        "expected an AS number of at least 1, found 0".to_owned()
    });
    check_address(config, name, peer, path, problems);
    check_identity(config, peer, path, problems);
    check_role(config, peer, path, problems);
    check_ttl_security(peer.ttl_security, path, problems);
    check_graceful(peer, path, problems);
    check_limits(peer, path, problems);
    check_families(peer, path, problems);
    check_borders(config, peer, path, problems);
}

fn check_address(config: &Config, name: &str, peer: &Peer, path: &KeyPath, problems: &mut Problems) {
    let address = *peer.address;
    problems.unless(!address.ip().is_unspecified(), path.field("address"), || {
        format!("expected the address of a host, found {address}")
    });
    problems.unless(address != *config.peering.listen, path.field("address"), || {
        format!("{address} is this node itself (peering.listen)")
    });
    problems.unless(
        config.peer_is_insecure(peer) || address.ip().is_loopback(),
        path.field("address"),
        || off_loopback(address, &path.field("insecure").to_string()),
    );
    let Some(source) = peer.source else { return };
    problems.unless(source.is_ipv4() == address.is_ipv4(), path.field("source"), || {
        format!("{source} and the address {address} of {name} are of different IP versions")
    });
    problems.unless(!source.is_unspecified(), path.field("source"), || {
        format!("expected an address of this host, found {source}; leave it out to let the kernel choose")
    });
}

fn check_identity(config: &Config, peer: &Peer, path: &KeyPath, problems: &mut Problems) {
    let same_as = peer.asn == config.node.asn;
    problems.unless(
        !(same_as && config.is_outside(peer)),
        path.field("organisation"),
        || {
            format!(
                "AS {} is ours, and an AS belongs to one organisation: {}",
                peer.asn, config.node.organisation
            )
        },
    );
    let is_self = same_as && peer.node.as_ref() == Some(&config.node.name);
    problems.unless(!is_self, path.field("node"), || {
        format!("{}/{} is this node itself", config.node.asn, config.node.name)
    });
}

pub(super) fn check_ttl_security(hops: Option<u8>, path: &KeyPath, problems: &mut Problems) {
    let possible = hops.is_none_or(|hops| HOPS.contains(&hops));
    problems.unless(possible, path.field("ttl_security"), || {
        format!("expected 1 to 254 links, found {}", hops.unwrap_or_default())
    });
}

pub(super) fn check_graceful(peer: &Peer, path: &KeyPath, problems: &mut Problems) {
    let Some(graceful) = &peer.graceful_restart else { return };
    let path = path.field("graceful_restart");
    let times = [
        ("restart_time", &graceful.restart_time),
        ("stale_time", &graceful.stale_time),
    ];
    for (key, time) in times {
        problems.unless(RESTART_TIME.contains(&**time), path.field(key), || {
            format!("expected 1s to 3600s, found {time}")
        });
    }
}

pub(super) fn check_limits(peer: &Peer, path: &KeyPath, problems: &mut Problems) {
    problems.unless(peer.max_update_rate != Some(0), path.field("max_update_rate"), || {
        "expected at least 1 per second, found 0; leave it out for no limit".to_owned()
    });
    let fits = peer.max_frame.is_none_or(|bytes| FRAME.contains(&(bytes as usize)));
    problems.unless(fits, path.field("max_frame"), || {
        format!(
            "expected 40960 to 65536 bytes, found {}",
            peer.max_frame.unwrap_or_default()
        )
    });
    if let Some(max) = &peer.max_routes {
        max.check(&path.field("max_routes"), problems);
    }
}

fn check_role(config: &Config, peer: &Peer, path: &KeyPath, problems: &mut Problems) {
    let external = peer.asn != config.node.asn;
    problems.unless(external || peer.role.is_none(), path.field("role"), || {
        "nodes of one AS have no roles towards each other".to_owned()
    });
    problems.unless(
        !peer.strict_role || peer.role.is_some(),
        path.field("strict_role"),
        || format!("without a role of ours nothing is checked; set {}", path.field("role")),
    );
}

/// What a peer may be told and may bring, by organisation.
pub(super) fn check_borders(config: &Config, peer: &Peer, path: &KeyPath, problems: &mut Problems) {
    if config.is_outside(peer) {
        return check_outside(config, peer, path, problems);
    }
    problems.unless(
        peer.allowed_next_hops.is_empty(),
        path.field("allowed_next_hops"),
        || "only outside peers are held to next hops; inside our organisation any is taken".to_owned(),
    );
}

fn check_outside(config: &Config, peer: &Peer, path: &KeyPath, problems: &mut Problems) {
    problems.unless(peer.next_hop_self, path.field("next_hop_self"), || {
        "an outside peer can reach only us: next_hop_self is always on".to_owned()
    });
    let count = peer.allowed_next_hops.len();
    problems.unless(count <= MAX_NEXT_HOPS, path.field("allowed_next_hops"), || {
        format!("at most {MAX_NEXT_HOPS} addresses, found {count}")
    });
    let Some(envoy) = &config.plugins.envoy else { return };
    let organisation = config.organisation_of(peer);
    problems.unless(
        envoy.peer_listeners.contains_key(organisation),
        path.field("organisation"),
        || {
            let key = section("plugins")
                .field("envoy")
                .field("peer_listeners")
                .key(organisation);
            format!("an outside organisation needs a listener of its own: set {key} to an IP:port")
        },
    );
}
