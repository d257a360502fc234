//! Rules about prefixes of this node, and about the families of peers.

use std::collections::BTreeMap;

use catalyst_core::prefix::Prefix;

use super::super::path::KeyPath;
use super::super::policy::Resolver;
use super::super::text::Spelled;
use super::super::types::{Config, Peer};
use super::services::MAX_COMMUNITIES;
use super::{Problems, section};

/// The most prefixes of this node.
const MAX_PREFIXES: usize = 10_000;

pub(super) fn check_prefixes(config: &Config, problems: &mut Problems) {
    let count = config.prefixes.len();
    problems.unless(count <= MAX_PREFIXES, section("prefixes"), || {
        format!("at most {MAX_PREFIXES} prefixes, found {count}")
    });
    let mut canonical: BTreeMap<Prefix, &str> = BTreeMap::new();
    let mut resolver = Resolver::new(config);
    for (key, prefix) in &config.prefixes {
        let path = section("prefixes").key(key);
        match Spelled::<Prefix>::parse(key) {
            Err(message) => problems.add(path.clone(), message),
            Ok(parsed) => {
                if let Some(other) = canonical.insert(parsed.0, key) {
                    problems.add(
                        path.clone(),
                        format!("prefixes[{other:?}] is the same prefix in another spelling"),
                    );
                }
            }
        }
        let path = path.field("communities");
        let count = prefix.communities.len();
        problems.unless(count <= MAX_COMMUNITIES, path.clone(), || {
            format!("at most {MAX_COMMUNITIES} communities, found {count}")
        });
        for (index, community) in prefix.communities.iter().enumerate() {
            resolver.community(community, &path.index(index));
        }
    }
    problems.append(resolver.into_problems());
}

/// The families of a peer: at least one, each once; and they carry what its other keys speak of.
pub(super) fn check_families(peer: &Peer, path: &KeyPath, problems: &mut Problems) {
    let families = path.field("families");
    problems.unless(!peer.families.is_empty(), families.clone(), || {
        "expected at least one family (name, ipv4, ipv6), found none".to_owned()
    });
    for (index, family) in peer.families.iter().enumerate() {
        problems.unless(!peer.families[..index].contains(family), families.index(index), || {
            format!("{family} is in this list already")
        });
    }
    for (index, prefix) in peer.allowed_prefixes.iter().enumerate() {
        let family = Spelled(prefix.family());
        if !peer.families.contains(&family) {
            let message = format!("{prefix} can never come: {family} is not among the families of this peer");
            problems.warn(path.field("allowed_prefixes").index(index), message);
        }
    }
}
