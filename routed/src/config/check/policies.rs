//! Rules about policies, sets, named communities, and the keys of peers that refer to them.

use std::collections::BTreeMap;

use catalyst_core::attrs::WELL_KNOWN_COMMUNITIES;
use catalyst_core::policy::Verdict;

use super::super::communities::number;
use super::super::either::Either;
use super::super::path::KeyPath;
use super::super::policy::{BUILT_IN, Changes, PolicySection, Resolver, StatementSection, run_tests};
use super::super::text::{Community, Label, Spelled, Text};
use super::super::types::{Config, Peer};
use super::{Problems, section};

/// The most policies, sets of a kind, and named communities.
const MAX_NAMED: usize = 1000;
/// The most statements and tests of a policy.
const MAX_STATEMENTS: usize = 1000;
/// The most values of a set, or of a list in a policy.
const MAX_VALUES: usize = 10_000;
/// The most times that a policy puts our AS in front.
const MAX_PREPEND: u8 = 32;

pub(super) fn check_policies(config: &Config, problems: &mut Problems) {
    check_communities(config, problems);
    check_sets(config, problems);
    let path = section("policies");
    at_most(MAX_NAMED, config.policies.len(), "policies", &path, problems);
    let mut resolver = Resolver::new(config);
    let mut resolved = Vec::new();
    for (name, policy) in &config.policies {
        let path = path.key(name);
        check_label(name, "a policy", &path, problems);
        problems.unless(!BUILT_IN.contains(&name.as_str()), path.clone(), || {
            format!("{name} is built in and stays what it is; choose another name")
        });
        check_policy(policy, &path, problems);
        resolved.push((policy, resolver.policy(name, policy), path));
    }
    for (name, peer) in &config.peers {
        check_peer(config, peer, &section("peers").key(name), &mut resolver);
    }
    let templates: Vec<(&String, Peer)> = (config.dynamic_peers.iter())
        .map(|(name, dynamic)| (name, dynamic.template()))
        .collect();
    for (name, template) in &templates {
        check_peer(config, template, &section("dynamic_peers").key(name), &mut resolver);
    }
    problems.append(resolver.into_problems());
    // A policy that is not what was meant fails tests for no reason of its own.
    if problems.errors.is_empty() {
        for (section, policy, path) in &resolved {
            run_tests(config, section, policy, path, problems);
        }
    }
}

/// A key that is one label in lower case.
fn check_label(name: &str, what: &str, path: &KeyPath, problems: &mut Problems) {
    match Spelled::<Label>::parse(name) {
        Ok(label) if label.0.0 == name => {}
        Ok(label) => problems.add(path.clone(), format!("{what}'s name is written in lower case: {label}")),
        Err(message) => problems.add(path.clone(), message),
    }
}

fn at_most(max: usize, count: usize, what: &str, path: &KeyPath, problems: &mut Problems) {
    problems.unless(count <= max, path.clone(), || {
        format!("at most {max} {what}, found {count}")
    });
}

fn check_communities(config: &Config, problems: &mut Problems) {
    let path = section("communities");
    at_most(MAX_NAMED, config.communities.len(), "names", &path, problems);
    let mut by_number: BTreeMap<&Community, &str> = BTreeMap::new();
    for (name, named) in &config.communities {
        let path = path.key(name);
        check_label(name, "a community", &path, problems);
        let known = WELL_KNOWN_COMMUNITIES.iter().find(|(known, _)| known == name);
        if let Some((_, value)) = known {
            let value = Community::Standard(*value).print();
            problems.add(
                path.clone(),
                format!("{name} is well known as {value}; choose another name"),
            );
        }
        let number = number(named);
        if let Community::Named(other) = number {
            let message = format!("expected the number of a community, found the name {:?}", other.0);
            problems.add(path.clone(), message);
        }
        if let Some(other) = by_number.insert(number, name) {
            problems.add(path, format!("communities[{other:?}] is the same number"));
        }
    }
}

fn check_sets(config: &Config, problems: &mut Problems) {
    let sets = &config.sets;
    check_kind("names", &sets.names, problems);
    check_kind("communities", &sets.communities, problems);
    check_kind("as_paths", &sets.as_paths, problems);
    check_kind("organisations", &sets.organisations, problems);
    check_kind("peers", &sets.peers, problems);
    check_kind("as_numbers", &sets.as_numbers, problems);
    check_kind("prefixes", &sets.prefixes, problems);
    for (name, numbers) in &sets.as_numbers {
        if let Some(index) = numbers.iter().position(|asn| *asn == 0) {
            let path = section("sets").field("as_numbers").key(name).index(index);
            problems.add(path, "expected an AS number of at least 1, found 0");
        }
    }
}

fn check_kind<T>(kind: &str, sets: &BTreeMap<String, Vec<T>>, problems: &mut Problems) {
    let path = section("sets").field(kind);
    at_most(MAX_NAMED, sets.len(), "sets", &path, problems);
    for (name, values) in sets {
        let path = path.key(name);
        check_label(name, "a set", &path, problems);
        problems.unless(!values.is_empty(), path.clone(), || {
            "an empty set would never match; delete it, or name at least one value".to_owned()
        });
        at_most(MAX_VALUES, values.len(), "values", &path, problems);
    }
}

fn check_policy(policy: &PolicySection, path: &KeyPath, problems: &mut Problems) {
    let statements = &policy.statements;
    at_most(
        MAX_STATEMENTS,
        policy.tests.len(),
        "tests",
        &path.field("tests"),
        problems,
    );
    let path = path.field("statements");
    problems.unless(!statements.is_empty(), path.clone(), || {
        "a policy without statements decides nothing; use accept or reject".to_owned()
    });
    at_most(MAX_STATEMENTS, statements.len(), "statements", &path, problems);
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, statement) in statements.iter().enumerate() {
        let path = path.index(index);
        if let Some(earlier) = statement.name.as_ref().and_then(|name| names.insert(&name.0.0, index)) {
            let message = format!("statement [{earlier}] has this name already");
            problems.add(path.field("name"), message);
        }
        check_statement(statement, &path, problems);
    }
    warn_of_unreachable(statements, &path, problems);
}

fn check_statement(statement: &StatementSection, path: &KeyPath, problems: &mut Problems) {
    let then = path.field("then");
    let Either::Long(changes) = &statement.then else {
        if statement.verdict() == Verdict::Next {
            problems.warn(then, "next without changes: this statement has no effect");
        }
        return;
    };
    let any = changes.any();
    problems.unless(
        !any || statement.verdict() != Verdict::Reject,
        then.field("verdict"),
        || "a rejected route goes nowhere: nothing of it can be changed".to_owned(),
    );
    if !any && statement.verdict() == Verdict::Next {
        problems.warn(then.clone(), "next without changes: this statement has no effect");
    }
    if let Some(prepend) = changes.prepend {
        problems.unless((1..=MAX_PREPEND).contains(&prepend), then.field("prepend"), || {
            format!("expected 1 to {MAX_PREPEND} times, found {prepend}")
        });
    }
}

impl Changes {
    /// Whether there is one.
    fn any(&self) -> bool {
        self.set_local_pref.is_some()
            || self.set_med.is_some()
            || self.remove_med
            || self.remove_communities.is_some()
            || self.add_communities.is_some()
            || self.prepend.is_some()
    }
}

/// What stands behind a statement that takes everything is never reached, nor is a repetition.
fn warn_of_unreachable(statements: &[StatementSection], path: &KeyPath, problems: &mut Problems) {
    let decides = |statement: &StatementSection| statement.verdict() != Verdict::Next;
    let always = |statement: &StatementSection| statement.conditions.as_deref().is_none_or(|m| *m == <_>::default());
    for (index, statement) in statements.iter().enumerate() {
        let earlier = &statements[..index];
        let taken = earlier.iter().position(|e| decides(e) && always(e));
        let same = |e: &StatementSection| decides(e) && e.conditions == statement.conditions;
        if let Some(first) = taken.or_else(|| earlier.iter().position(same)) {
            let message = format!("never reached: statement [{first}] decides whatever would get here");
            problems.warn(path.index(index), message);
            if taken.is_some() {
                // One word about the rest of the policy is enough.
                return;
            }
        }
    }
}

fn check_peer<'a>(config: &'a Config, peer: &Peer, path: &KeyPath, resolver: &mut Resolver<'a>) {
    for (key, policy) in [("import", &peer.import), ("export", &peer.export)] {
        let Some(name) = policy.as_ref().map(|name| name.0.0.0.as_str()) else {
            continue;
        };
        if !config.policies.contains_key(name) && !BUILT_IN.contains(&name) {
            resolver.problems().add(path.field(key), config.unknown_policy(name));
        }
    }
    if let Some(names) = &peer.allowed_names {
        resolver.items(names, &config.sets.names, &path.field("allowed_names"));
    }
    let path_of_prefixes = path.field("allowed_prefixes");
    let count = peer.allowed_prefixes.len();
    at_most(MAX_VALUES, count, "prefixes", &path_of_prefixes, resolver.problems());
    resolver
        .problems()
        .unless(count == 0 || config.is_outside(peer), path_of_prefixes, || {
            "only outside peers are held to prefixes; inside our organisation any is taken".to_owned()
        });
}
