//! From the policy language as it is written to what the Speaker evaluates: sets are put in, names of communities
//! become numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalyst_core::policy::{Action, CommunityPattern, Condition, Policy, Statement, Verdict};

use super::super::check::Problems;
use super::super::either::{Either, Many};
use super::super::nearest::instead;
use super::super::path::KeyPath;
use super::super::text::{Community, Label, Spelled, Text};
use super::super::types::Config;
use super::as_number::AsNumber;
use super::patterns::{CommunityWord, pattern_of};
use super::types::{Changes, Conditions, Match, PolicySection, StatementSection};
use super::words::{InSets, Item, PeerWord};

/// Patterns that all policies may hold together, sets counted wherever they are put in.
const MAX_PATTERNS: usize = 200_000;
/// Regular expressions that all policies may hold together: each may take 256 KiB compiled.
const MAX_REGEXES: usize = 1000;

/// Resolves policies against the sets, communities and peers of a configuration.
pub(in crate::config) struct Resolver<'a> {
    config: &'a Config,
    problems: Problems,
    patterns: usize,
    regexes: usize,
}

/// Policies by name.
pub(in crate::config) type Policies = BTreeMap<String, Arc<Policy>>;

/// Every policy of a configuration that holds no mistake, by name; the built-in ones among them.
pub(in crate::config) fn policies(config: &Config) -> Policies {
    let mut resolver = Resolver::new(config);
    let built_in = [Policy::accept(), Policy::reject()];
    let named = config
        .policies
        .iter()
        .map(|(name, section)| resolver.policy(name, section));
    let all: Vec<Policy> = built_in.into_iter().chain(named).collect();
    all.into_iter()
        .map(|policy| (policy.name().to_string(), Arc::new(policy)))
        .collect()
}

impl<'a> Resolver<'a> {
    pub(in crate::config) fn new(config: &'a Config) -> Self {
        Self {
            config,
            problems: Problems::default(),
            patterns: 0,
            regexes: 0,
        }
    }

    /// What was wrong so far.
    pub(in crate::config) fn into_problems(self) -> Problems {
        self.problems
    }

    /// Where to say what is wrong beside.
    pub(in crate::config) fn problems(&mut self) -> &mut Problems {
        &mut self.problems
    }

    /// A policy; where something is wrong with it, less of it, and the problem is kept.
    pub(in crate::config) fn policy(&mut self, name: &str, section: &PolicySection) -> Policy {
        let path = KeyPath::default().field("policies").key(name).field("statements");
        let statements = section.statements.iter().enumerate();
        let statements = statements.map(|(index, statement)| self.statement(index, statement, &path.index(index)));
        Policy::new(name, statements.collect())
    }

    fn statement(&mut self, index: usize, section: &StatementSection, path: &KeyPath) -> Statement {
        let conditions = section.conditions.as_deref();
        let name = section.name.as_ref().map(|name| name.0.0.clone());
        Statement {
            name: name.unwrap_or_else(|| format!("#{}", index + 1)).into(),
            conditions: conditions.map_or_else(Vec::new, |m| self.matches(m, &path.field("match"))),
            actions: match &section.then {
                Either::Short(_) => Vec::new(),
                Either::Long(changes) => self.actions(changes, &path.field("then")),
            },
            verdict: section.verdict(),
        }
    }

    fn matches(&mut self, keys: &Match, path: &KeyPath) -> Vec<Condition> {
        let mut conditions = self.conditions(&keys.plain(), path);
        if let Some(not) = &keys.not {
            let path = path.field("not");
            let inner = self.conditions(not, &path);
            if inner.is_empty() && **not == Conditions::default() {
                self.problems
                    .add(path, "no condition in it: what must not hold has to be said");
            }
            conditions.push(Condition::Not(inner));
        }
        conditions
    }

    fn conditions(&mut self, keys: &Conditions, path: &KeyPath) -> Vec<Condition> {
        let sets = &self.config.sets;
        let at = |key: &str| path.field(key);
        let some = |condition: Option<Condition>| condition.into_iter();
        let mut all = Vec::new();
        // In the order of cost: what is cheap to compare comes first.
        all.extend(some(self.plain(keys.family.as_ref(), &at("family"), Condition::Family)));
        all.extend(some(self.plain(keys.table.as_ref(), &at("table"), Condition::Table)));
        all.extend(some(self.plain(keys.role.as_ref(), &at("role"), Condition::Role)));
        all.extend(some(self.plain(
            keys.protocol.as_ref(),
            &at("protocol"),
            Condition::Protocol,
        )));
        all.extend(keys.peer.as_ref().map(|many| {
            let peers = self.items(many, &sets.peers, &at("peer"));
            self.known_peers(many, &at("peer"));
            Condition::Peer(peers.iter().map(|peer| peer.0.0.as_str().into()).collect())
        }));
        all.extend(
            keys.neighbour_as
                .as_ref()
                .map(|many| Condition::NeighbourAs(self.as_numbers(many, &at("neighbour_as")))),
        );
        all.extend(keys.origin_organisation.as_ref().map(|many| {
            let organisations = self.items(many, &sets.organisations, &at("origin_organisation"));
            Condition::OriginOrganisation(organisations.iter().map(|label| label.0.as_str().into()).collect())
        }));
        all.extend(
            keys.community
                .as_ref()
                .map(|many| Condition::Community(self.communities(many, &at("community")))),
        );
        all.extend(
            keys.prefix
                .as_ref()
                .map(|many| Condition::Prefix(self.items(many, &sets.prefixes, &at("prefix")))),
        );
        all.extend(
            keys.name
                .as_ref()
                .map(|many| Condition::Name(self.items(many, &sets.names, &at("name")))),
        );
        all.extend(keys.as_path.as_ref().map(|many| {
            let patterns = self.items(many, &sets.as_paths, &at("as_path"));
            self.count_regexes(patterns.len(), &at("as_path"));
            Condition::AsPath(patterns)
        }));
        all
    }

    /// A condition whose values know no sets.
    fn plain<T: Copy>(
        &mut self,
        many: Option<&Many<Spelled<T>>>,
        path: &KeyPath,
        condition: impl FnOnce(Vec<T>) -> Condition,
    ) -> Option<Condition> {
        let many = many?;
        self.not_empty(many, path);
        Some(condition(many.items().iter().map(|item| item.0).collect()))
    }

    /// The values of a key, sets put in.
    pub(in crate::config) fn items<T: InSets + Clone>(
        &mut self,
        many: &Many<Spelled<Item<T>>>,
        sets: &'a BTreeMap<String, Vec<Spelled<T>>>,
        path: &KeyPath,
    ) -> Vec<T> {
        self.not_empty(many, path);
        let mut values = Vec::new();
        for (index, item) in many.items().iter().enumerate() {
            match &item.0 {
                Item::Value(value) => values.push(value.clone()),
                Item::Set(name) => {
                    let set = self.set(name, sets, T::SECTION, &many.place(path, index));
                    values.extend(set.iter().map(|value| value.0.clone()));
                }
            }
        }
        self.count_patterns(values.len(), path);
        values
    }

    fn as_numbers(&mut self, many: &Many<AsNumber>, path: &KeyPath) -> Vec<u32> {
        self.not_empty(many, path);
        let mut numbers = Vec::new();
        for (index, item) in many.items().iter().enumerate() {
            match item {
                AsNumber::Number(number) => numbers.push(*number),
                AsNumber::Set(name) => {
                    let sets = &self.config.sets.as_numbers;
                    numbers.extend(self.set(name, sets, "as_numbers", &many.place(path, index)));
                }
            }
        }
        self.count_patterns(numbers.len(), path);
        numbers
    }

    fn set<T>(&mut self, name: &Label, sets: &'a BTreeMap<String, Vec<T>>, section: &str, path: &KeyPath) -> &'a [T] {
        if let Some(set) = sets.get(&name.0) {
            return set;
        }
        let instead = instead(&name.0, sets.keys().map(String::as_str));
        let message = format!("there is no set {:?} in sets.{section}{instead}", name.0);
        self.problems.add(path.clone(), message);
        &[]
    }

    fn communities(&mut self, many: &Many<Spelled<Item<CommunityWord>>>, path: &KeyPath) -> Vec<CommunityPattern> {
        let words = self.items(many, &self.config.sets.communities, path);
        words
            .iter()
            .filter_map(|word| self.community_pattern(word, path))
            .collect()
    }

    fn community_pattern(&mut self, word: &CommunityWord, path: &KeyPath) -> Option<CommunityPattern> {
        match word {
            CommunityWord::Pattern(pattern) => Some(*pattern),
            CommunityWord::Named(name) => {
                let named = Spelled(Community::Named(name.clone()));
                self.community(&named, path).as_ref().and_then(pattern_of)
            }
        }
    }

    /// A community by number.
    pub(in crate::config) fn community(&mut self, community: &Spelled<Community>, path: &KeyPath) -> Option<Community> {
        let found = self.config.community(community);
        if found.is_none() {
            let instead = instead(&community.print(), self.config.community_names());
            let message = format!(
                "no community is called {:?}{instead} (by number: 65001:100 or 65001:1:2)",
                community.print()
            );
            self.problems.add(path.clone(), message);
        }
        found
    }

    fn actions(&mut self, changes: &Changes, path: &KeyPath) -> Vec<Action> {
        let mut actions = Vec::new();
        actions.extend(changes.set_local_pref.map(Action::SetLocalPref));
        actions.extend(changes.set_med.map(|med| Action::SetMed(Some(med))));
        actions.extend(changes.remove_med.then_some(Action::SetMed(None)));
        if let Some(many) = &changes.remove_communities {
            let path = path.field("remove_communities");
            actions.push(Action::RemoveCommunities(self.communities(many, &path)));
        }
        if let Some(many) = &changes.add_communities {
            actions.extend(self.additions(many, &path.field("add_communities")));
        }
        actions.extend(changes.prepend.map(Action::Prepend));
        self.problems.unless(
            changes.set_med.is_none() || !changes.remove_med,
            path.field("remove_med"),
            || "set_med sets it: one or the other".to_owned(),
        );
        actions
    }

    fn additions(&mut self, many: &Many<Spelled<Community>>, path: &KeyPath) -> Vec<Action> {
        self.not_empty(many, path);
        let (mut standard, mut large) = (Vec::new(), Vec::new());
        for (index, community) in many.items().iter().enumerate() {
            match self.community(community, &many.place(path, index)) {
                Some(Community::Standard(c)) => standard.push(c),
                Some(Community::Large(c)) => large.push(c),
                Some(Community::Named(_)) | None => {}
            }
        }
        let standard = (!standard.is_empty()).then_some(Action::AddCommunities(standard));
        let large = (!large.is_empty()).then_some(Action::AddLargeCommunities(large));
        standard.into_iter().chain(large).collect()
    }

    /// An empty list is never what somebody wants to say.
    fn not_empty<T>(&mut self, many: &Many<T>, path: &KeyPath) {
        self.problems.unless(!many.items().is_empty(), path.clone(), || {
            "an empty list would never match; leave the key out, or name at least one value".to_owned()
        });
    }

    /// A policy may be written for a peer that is yet to come.
    fn known_peers(&mut self, many: &Many<Spelled<Item<PeerWord>>>, path: &KeyPath) {
        for (index, item) in many.items().iter().enumerate() {
            if let Item::Value(peer) = &item.0 {
                self.known_peer(peer, &many.place(path, index));
            }
        }
    }

    /// As [`Resolver::known_peers`], for one.
    fn known_peer(&mut self, peer: &PeerWord, path: &KeyPath) {
        let Config {
            peers, dynamic_peers, ..
        } = self.config;
        if !peers.contains_key(&peer.0.0) && !dynamic_peers.contains_key(&peer.0.0) {
            self.problems.warn(path.clone(), self.config.unknown_peer(&peer.0.0));
        }
    }

    /// A test is about a peer that there is.
    pub(in crate::config) fn must_know_peer(&mut self, peer: &PeerWord, path: &KeyPath) {
        self.known_peer(peer, path);
        let Problems { errors, warnings } = &mut self.problems;
        errors.append(warnings);
    }

    fn count_patterns(&mut self, more: usize, path: &KeyPath) {
        let before = self.patterns;
        self.patterns = before.saturating_add(more);
        if before <= MAX_PATTERNS && self.patterns > MAX_PATTERNS {
            let message = format!("all policies together hold more than {MAX_PATTERNS} values here, sets put in");
            self.problems.add(path.clone(), message);
        }
    }

    fn count_regexes(&mut self, more: usize, path: &KeyPath) {
        let before = self.regexes;
        self.regexes = before.saturating_add(more);
        if before <= MAX_REGEXES && self.regexes > MAX_REGEXES {
            let message = format!("all policies together hold more than {MAX_REGEXES} regular expressions here");
            self.problems.add(path.clone(), message);
        }
    }
}

impl StatementSection {
    /// The verdict, however it is spelled.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.then {
            Either::Short(verdict) => verdict.0,
            Either::Long(changes) => changes.verdict.0,
        }
    }
}
