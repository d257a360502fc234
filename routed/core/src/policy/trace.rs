//! How a policy comes to its result, statement by statement: for people, and as the plain reading of a policy that the
//! compiled one is tested against.

use std::fmt;
use std::sync::Arc;

use super::program::{Decision, Given, Key, as_path_text};
use super::{Action, Condition, Policy, Role, Verdict};
use crate::attrs::{Attrs, format_community, format_large_community};
use crate::destination::Destination;
use crate::route::Table;

/// A route, and the other side, as a policy is asked about them.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What the route leads to.
    pub destination: &'a Destination,
    /// Its attributes before the policy.
    pub attrs: &'a Attrs,
    /// The table of its origin.
    pub table: Table,
    /// The other side, by its key under `peers`.
    pub peer: &'a str,
    /// Our role towards it.
    pub role: Option<Role>,
    /// Whether routes pass that no statement decides: those inside the organisation do.
    pub accepts_by_default: bool,
}

/// How a policy came to its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The name of the policy.
    pub policy: Arc<str>,
    /// Every statement, in order.
    pub statements: Vec<StatementTrace>,
    /// Whether the route passes.
    pub accepted: bool,
    /// The statement that decided; `None`: the default did.
    pub decided_by: Option<Arc<str>>,
    /// The attributes after all changes; of a route that does not pass they are as they were.
    pub after: Attrs,
}

/// What became of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementTrace {
    /// Its name.
    pub name: Arc<str>,
    /// Whether a statement before has not decided already.
    pub reached: bool,
    /// Its conditions; empty if it was not reached.
    pub conditions: Vec<ConditionTrace>,
    /// Whether it was reached and all conditions hold.
    pub applies: bool,
    /// Its changes, in words.
    pub changes: Vec<String>,
    /// Its verdict.
    pub verdict: Verdict,
}

/// What became of one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionTrace {
    /// The key, as the configuration spells it.
    pub key: &'static str,
    /// What it asks for.
    pub wanted: String,
    /// What it was compared with.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
    /// Of `not`: the conditions in it.
    pub inner: Vec<ConditionTrace>,
}

impl Trace {
    /// The statements that applied, by place.
    pub(crate) fn applied(&self) -> Vec<usize> {
        let statements = self.statements.iter().enumerate();
        statements
            .filter(|(_, it)| it.applies)
            .map(|(index, _)| index)
            .collect()
    }
}

/// Evaluates a policy and says how.
#[must_use]
pub fn trace(policy: &Policy, question: &Question<'_>) -> Trace {
    let given = Given {
        attrs: question.attrs,
        table: question.table,
        peer: question.peer,
        role: question.role,
    };
    let key = Key::from(question.destination);
    let mut decision = None;
    let mut applied = Vec::new();
    let mut statements = Vec::new();
    for (index, statement) in policy.statements().iter().enumerate() {
        let reached = decision.is_none();
        let conditions: Vec<ConditionTrace> = match reached {
            true => statement
                .conditions
                .iter()
                .map(|it| trace_condition(it, &given, key))
                .collect(),
            false => Vec::new(),
        };
        let applies = reached && conditions.iter().all(|condition| condition.holds);
        if applies {
            applied.push(index);
            decision = final_verdict(statement.verdict);
        }
        statements.push(StatementTrace {
            name: statement.name.clone(),
            reached,
            conditions,
            applies,
            changes: statement.actions.iter().map(Action::to_string).collect(),
            verdict: statement.verdict,
        });
    }
    let accepted = decision.unwrap_or(question.accepts_by_default);
    let mut after = question.attrs.clone();
    if accepted {
        policy.changes(&applied).for_each(|action| action.apply(&mut after));
    }
    let decided_by = decision
        .and(applied.last())
        .map(|last| policy.statements()[*last].name.clone());
    Trace {
        policy: policy.name().clone(),
        statements,
        accepted,
        decided_by,
        after,
    }
}

/// The plain reading of a policy: what decides, and the statements that apply until then.
pub(crate) fn evaluate(policy: &Policy, given: &Given<'_>, key: Key<'_>) -> (Option<Decision>, Vec<usize>) {
    let mut applied = Vec::new();
    for (index, statement) in policy.statements().iter().enumerate() {
        if !statement
            .conditions
            .iter()
            .all(|condition| holds(condition, given, key))
        {
            continue;
        }
        applied.push(index);
        if let Some(accept) = final_verdict(statement.verdict) {
            let statement = index;
            return (Some(Decision { statement, accept }), applied);
        }
    }
    (None, applied)
}

fn final_verdict(verdict: Verdict) -> Option<bool> {
    match verdict {
        Verdict::Accept => Some(true),
        Verdict::Reject => Some(false),
        Verdict::Next => None,
    }
}

fn holds(condition: &Condition, given: &Given<'_>, key: Key<'_>) -> bool {
    let attrs = given.attrs;
    match condition {
        Condition::Name(patterns) => match key {
            Key::Name(name) => patterns.iter().any(|pattern| pattern.matches(name)),
            Key::Prefix(_) => false,
        },
        Condition::Prefix(patterns) => match key {
            Key::Prefix(prefix) => patterns.iter().any(|pattern| pattern.matches(prefix)),
            Key::Name(_) => false,
        },
        Condition::Family(families) => families.contains(&key.family()),
        Condition::Protocol(protocols) => {
            let service = attrs.service.as_ref();
            service.is_some_and(|service| protocols.contains(&service.protocol))
        }
        Condition::Community(patterns) => patterns.iter().any(|pattern| {
            let standard = |community: &u32| pattern.matches_standard(*community);
            let large = |community: &(u32, u32, u32)| pattern.matches_large(*community);
            attrs.communities.iter().any(standard) || attrs.large_communities.iter().any(large)
        }),
        Condition::AsPath(patterns) => {
            let text = as_path_text(&attrs.as_path);
            patterns.iter().any(|pattern| pattern.matches(&text))
        }
        Condition::OriginOrganisation(names) => names.contains(&attrs.origin_node.organisation),
        Condition::Peer(names) => names.iter().any(|name| &**name == given.peer),
        Condition::Table(tables) => tables.contains(&given.table),
        Condition::Role(roles) => given.role.is_some_and(|role| roles.contains(&role)),
        Condition::NeighbourAs(numbers) => attrs.as_path.first().is_some_and(|asn| numbers.contains(asn)),
        Condition::Not(conditions) => !conditions.iter().all(|condition| holds(condition, given, key)),
    }
}

fn trace_condition(condition: &Condition, given: &Given<'_>, key: Key<'_>) -> ConditionTrace {
    let inner: &[Condition] = if let Condition::Not(inner) = condition {
        inner
    } else {
        &[]
    };
    let inner = inner.iter().map(|it| trace_condition(it, given, key)).collect();
    ConditionTrace {
        key: condition.key(),
        wanted: condition.wanted(),
        found: found(condition, given, key),
        holds: holds(condition, given, key),
        inner,
    }
}

/// What a condition compares with, as people read it.
fn found(condition: &Condition, given: &Given<'_>, key: Key<'_>) -> String {
    let attrs = given.attrs;
    match condition {
        Condition::Name(_) | Condition::Prefix(_) => match key {
            Key::Name(name) => name.to_owned(),
            Key::Prefix(prefix) => prefix.to_string(),
        },
        Condition::Family(_) => key.family().as_str().to_owned(),
        Condition::Protocol(_) => {
            let service = attrs.service.as_ref();
            service.map_or("none".to_owned(), |service| service.protocol.to_string())
        }
        Condition::Community(_) => or_none(listed(communities(attrs))),
        Condition::AsPath(_) => or_empty(as_path_text(&attrs.as_path)),
        Condition::OriginOrganisation(_) => attrs.origin_node.organisation.to_string(),
        Condition::Peer(_) => given.peer.to_owned(),
        Condition::Table(_) => given.table.as_str().to_owned(),
        Condition::Role(_) => given.role.map_or("none", Role::as_str).to_owned(),
        Condition::NeighbourAs(_) => attrs.as_path.first().map_or("none".to_owned(), u32::to_string),
        Condition::Not(_) => String::new(),
    }
}

fn communities(attrs: &Attrs) -> impl Iterator<Item = String> + '_ {
    let standard = attrs.communities.iter().copied().map(format_community);
    standard.chain(attrs.large_communities.iter().copied().map(format_large_community))
}

fn listed(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

fn or_empty(text: String) -> String {
    if text.is_empty() { "empty".to_owned() } else { text }
}

impl Condition {
    /// The key, as the configuration spells it.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Family(_) => "family",
            Self::Protocol(_) => "protocol",
            Self::Community(_) => "community",
            Self::AsPath(_) => "as_path",
            Self::OriginOrganisation(_) => "origin_organisation",
            Self::Peer(_) => "peer",
            Self::Table(_) => "table",
            Self::Role(_) => "role",
            Self::NeighbourAs(_) => "neighbour_as",
            Self::Prefix(_) => "prefix",
            Self::Not(_) => "not",
        }
    }

    /// What it asks for: its list.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self {
            Self::Name(list) => listed(list),
            Self::Family(list) => listed(list.iter().map(|family| family.as_str())),
            Self::Protocol(list) => listed(list),
            Self::Community(list) => listed(list),
            Self::AsPath(list) => listed(list),
            Self::OriginOrganisation(list) | Self::Peer(list) => listed(list),
            Self::Table(list) => listed(list.iter().map(|table| table.as_str())),
            Self::Role(list) => listed(list.iter().map(|role| role.as_str())),
            Self::NeighbourAs(list) => listed(list),
            Self::Prefix(list) => listed(list),
            Self::Not(_) => String::new(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetLocalPref(value) => write!(f, "local_pref {value}"),
            Self::SetMed(Some(value)) => write!(f, "med {value}"),
            Self::SetMed(None) => f.write_str("med none"),
            Self::AddCommunities(list) => {
                write!(
                    f,
                    "add communities {}",
                    listed(list.iter().copied().map(format_community))
                )
            }
            Self::AddLargeCommunities(list) => {
                let list = list.iter().copied().map(format_large_community);
                write!(f, "add communities {}", listed(list))
            }
            Self::RemoveCommunities(list) => write!(f, "remove communities {}", listed(list)),
            Self::Prepend(times) => write!(f, "prepend {times}"),
        }
    }
}

impl<'a> From<&'a Destination> for Key<'a> {
    fn from(destination: &'a Destination) -> Self {
        match destination {
            Destination::Name(name) => Self::Name(name.as_str()),
            Destination::Prefix(prefix) => Self::Prefix(*prefix),
        }
    }
}
