//! Rules about dynamic peers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use catalyst_core::route::Prefix;

use super::super::dynamic::DynamicPeers;
use super::super::path::KeyPath;
use super::super::types::Config;
use super::peers::{check_borders, check_graceful, check_limits, check_peer_name, check_ttl_security};
use super::prefixes::check_families;
use super::{Problems, section};

/// The bounds of `max_peers`.
const MAX_PEERS: std::ops::RangeInclusive<u32> = 1..=10_000;
/// The most AS numbers and ranges of one entry, and the most entries.
const MAX_LISTED: usize = 1000;

pub(super) fn check_dynamic_peers(config: &Config, problems: &mut Problems) {
    let path = section("dynamic_peers");
    let count = config.dynamic_peers.len();
    problems.unless(count <= MAX_LISTED, path.clone(), || {
        format!("at most {MAX_LISTED} entries, found {count}")
    });
    let mut by_prefix: BTreeMap<Prefix, &str> = BTreeMap::new();
    for (name, dynamic) in &config.dynamic_peers {
        let path = path.key(name);
        check_peer_name(name, &path, problems);
        problems.unless(!config.peers.contains_key(name), path.clone(), || {
            format!("a peer is called {name:?}, too, and policies would not tell them apart")
        });
        if let Some(other) = by_prefix.insert(dynamic.prefix.0, name) {
            let message = format!("dynamic_peers[{other:?}] has the same prefix");
            problems.add(path.field("prefix"), message);
        }
        check_one(config, dynamic, &path, problems);
    }
}

fn check_one(config: &Config, dynamic: &DynamicPeers, path: &KeyPath, problems: &mut Problems) {
    let template = dynamic.template();
    let prefix = dynamic.prefix.0;
    problems.unless(MAX_PEERS.contains(&dynamic.max_peers), path.field("max_peers"), || {
        format!("expected 1 to 10000, found {}", dynamic.max_peers)
    });
    let listed = dynamic.asns.items().len();
    problems.unless((1..=MAX_LISTED).contains(&listed), path.field("as"), || {
        format!("expected at least one AS number and at most {MAX_LISTED}, found {listed}")
    });
    problems.unless(
        config.peer_is_insecure(&template) || is_loopback(prefix),
        path.field("prefix"),
        || {
            format!(
                "{prefix} is not within loopback, and sessions are neither encrypted nor authenticated yet: whoever \
                 calls from there may pose as a peer; on a network that you trust set {} to true",
                path.field("insecure")
            )
        },
    );
    let ours = dynamic.takes_as(config.node.asn);
    problems.unless(
        !(ours && config.is_outside(&template)),
        path.field("organisation"),
        || {
            format!(
                "AS {} is ours, and an AS belongs to one organisation: {}",
                config.node.asn, config.node.organisation
            )
        },
    );
    problems.unless(!(ours && dynamic.role.is_some()), path.field("role"), || {
        "nodes of one AS have no roles towards each other, and `as` has ours".to_owned()
    });
    problems.unless(
        !dynamic.strict_role || dynamic.role.is_some(),
        path.field("strict_role"),
        || format!("without a role of ours nothing is checked; set {}", path.field("role")),
    );
    check_ttl_security(template.ttl_security, path, problems);
    check_graceful(&template, path, problems);
    check_limits(&template, path, problems);
    check_families(&template, path, problems);
    check_borders(config, &template, path, problems);
}

fn is_loopback(prefix: Prefix) -> bool {
    let within = |address: IpAddr, length| Prefix::of(address, length).is_ok_and(|loopback| loopback.covers(prefix));
    within(Ipv4Addr::new(127, 0, 0, 0).into(), 8) || within(Ipv6Addr::LOCALHOST.into(), 128)
}
