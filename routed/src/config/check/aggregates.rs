//! Rules about aggregates.

use std::collections::BTreeMap;

use catalyst_core::name::ServiceName;

use super::super::aggregates::AggregateSection;
use super::super::nearest::instead;
use super::super::path::KeyPath;
use super::super::policy::Resolver;
use super::super::types::Config;
use super::{Problems, section};

/// The most aggregates: each is looked at for every name that comes or goes.
const MAX_AGGREGATES: usize = 100;
/// The most communities of one.
const MAX_COMMUNITIES: usize = 256;

pub(super) fn check_aggregates(config: &Config, problems: &mut Problems) {
    let path = section("aggregates");
    let count = config.aggregates.len();
    problems.unless(count <= MAX_AGGREGATES, path.clone(), || {
        format!("at most {MAX_AGGREGATES} aggregates, found {count}")
    });
    let mut canonical: BTreeMap<ServiceName, &str> = BTreeMap::new();
    for (key, aggregate) in &config.aggregates {
        let path = path.key(key);
        match ServiceName::parse(key) {
            Err(error) => problems.add(path.clone(), error.to_string()),
            Ok(name) => {
                problems.unless(name.is_wildcard(), path.clone(), || {
                    format!("an aggregate is a wildcard: *.{name}, or * for all names")
                });
                if let Some(other) = canonical.insert(name, key) {
                    problems.add(
                        path.clone(),
                        format!("aggregates[{other:?}] is the same name in another case"),
                    );
                }
            }
        }
        check_peers(config, aggregate, &path, problems);
        check_communities(config, aggregate, &path, problems);
    }
}

fn check_peers(config: &Config, aggregate: &AggregateSection, path: &KeyPath, problems: &mut Problems) {
    for (index, peer) in aggregate.to.iter().flatten().enumerate() {
        let path = path.field("to").index(index);
        let name = peer.0.0.as_str();
        match config.peers.get(name) {
            None => {
                let instead = instead(name, config.peers.keys().map(String::as_str));
                problems.add(path, format!("no peer is called {name:?}{instead}"));
            }
            Some(known) if config.is_outside(known) => {}
            Some(_) => problems.warn(
                path,
                format!("{name} is of our organisation, and inside it every name goes by itself"),
            ),
        }
    }
}

fn check_communities(config: &Config, aggregate: &AggregateSection, path: &KeyPath, problems: &mut Problems) {
    let path = path.field("communities");
    let count = aggregate.communities.len();
    problems.unless(count <= MAX_COMMUNITIES, path.clone(), || {
        format!("at most {MAX_COMMUNITIES} communities, found {count}")
    });
    let mut resolver = Resolver::new(config);
    for (index, community) in aggregate.communities.iter().enumerate() {
        resolver.community(community, &path.index(index));
    }
    problems.append(resolver.into_problems());
}
