//! A policy compiled, and its evaluation in two halves: first what the attributes and the peer decide, once per
//! attribute set; then, only where a condition reads the name, a walk over what is left of it, once per name.

use std::sync::Arc;

use super::sets::{CommunitySet, NameSet, PrefixRanges};
use super::{AsPathPattern, Condition, Role, Statement, Verdict};
use crate::attrs::{Attrs, Protocol};
use crate::prefix::Prefix;
use crate::route::Table;
use crate::wire::Family;

/// What a policy sees of a route besides its destination.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    /// The attributes before any change by the policy.
    pub(crate) attrs: &'a Attrs,
    /// The table of the route's origin.
    pub(crate) table: Table,
    /// The other side, by its key under `peers`.
    pub(crate) peer: &'a str,
    /// Our role towards it.
    pub(crate) role: Option<Role>,
}

/// What a route leads to, as policies see it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'a> {
    Name(&'a str),
    Prefix(Prefix),
}

impl Key<'_> {
    pub(crate) fn family(&self) -> Family {
        match self {
            Self::Name(_) => Family::Name,
            Self::Prefix(prefix) => prefix.family(),
        }
    }
}

/// What decided: a statement, and whether it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// By its place.
    pub(crate) statement: usize,
    pub(crate) accept: bool,
}

/// What a policy reads besides attributes: its results are shared as far as that allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reads {
    /// Names, prefixes or families.
    pub(crate) key: bool,
    /// The peer's name.
    pub(crate) peer: bool,
}

/// A compiled policy.
#[derive(Debug)]
pub(crate) struct Program {
    statements: Vec<Compiled>,
    pub(crate) reads: Reads,
}

#[derive(Debug)]
struct Compiled {
    tests: Vec<Test>,
    /// Whether it ends the evaluation, and how.
    accept: Option<bool>,
    changes: bool,
}

#[derive(Debug)]
enum Test {
    Key(KeyTest),
    Protocol(Vec<Protocol>),
    Community(CommunitySet),
    AsPath(Vec<AsPathPattern>),
    OriginOrganisation(Vec<Arc<str>>),
    Peer(Vec<Arc<str>>),
    Table(Vec<Table>),
    Role(Vec<Role>),
    NeighbourAs(Vec<u32>),
    Not(Vec<Test>),
}

/// A test of the destination alone.
#[derive(Debug, Clone)]
enum KeyTest {
    Name(Arc<NameSet>),
    Prefix(Arc<PrefixRanges>),
    Family(Arc<[Family]>),
    Not(Box<[KeyTest]>),
}

/// What is left of tests once the attributes are known.
enum Reduced {
    Holds,
    Fails,
    Asks(Vec<KeyTest>),
}

/// What is left of a policy once the attributes are known: the statements that may still apply, in order.
#[derive(Debug)]
pub(crate) struct Residual {
    steps: Box<[Step]>,
}

#[derive(Debug)]
struct Step {
    statement: usize,
    /// None: it applies.
    tests: Box<[KeyTest]>,
}

impl Program {
    pub(crate) fn new(statements: &[Statement]) -> Self {
        let mut reads = Reads::default();
        let statements = statements
            .iter()
            .map(|statement| Compiled {
                tests: compile(&statement.conditions, &mut reads),
                accept: match statement.verdict {
                    Verdict::Accept => Some(true),
                    Verdict::Reject => Some(false),
                    Verdict::Next => None,
                },
                changes: !statement.actions.is_empty(),
            })
            .collect();
        Self { statements, reads }
    }

    /// Evaluates what does not depend on the destination.
    pub(crate) fn reduce(&self, given: &Given<'_>) -> Residual {
        let as_path = AsPathText::default();
        let mut steps = Vec::new();
        for (index, statement) in self.statements.iter().enumerate() {
            let tests = match reduce(&statement.tests, given, &as_path) {
                Reduced::Fails => continue,
                Reduced::Holds => Box::default(),
                Reduced::Asks(tests) => tests.into_boxed_slice(),
            };
            let ends = tests.is_empty() && statement.accept.is_some();
            steps.push(Step {
                statement: index,
                tests,
            });
            if ends {
                break;
            }
        }
        Residual {
            steps: steps.into_boxed_slice(),
        }
    }

    /// Evaluates a policy that reads no destination.
    pub(crate) fn decide_for_all(&self, given: &Given<'_>, applied: &mut Vec<usize>) -> Option<Decision> {
        self.walk(&self.reduce(given), |_| true, applied)
    }

    /// Evaluates the rest for a destination: `None`, no statement decides. The statements that apply and change
    /// something are listed in `applied`, which is emptied before.
    pub(crate) fn decide(&self, residual: &Residual, key: Key<'_>, applied: &mut Vec<usize>) -> Option<Decision> {
        self.walk(residual, |test| test.holds(key), applied)
    }

    fn walk(
        &self,
        residual: &Residual,
        holds: impl Fn(&KeyTest) -> bool,
        applied: &mut Vec<usize>,
    ) -> Option<Decision> {
        applied.clear();
        for step in &residual.steps {
            if !step.tests.iter().all(&holds) {
                continue;
            }
            let statement = &self.statements[step.statement];
            if statement.changes {
                applied.push(step.statement);
            }
            if let Some(accept) = statement.accept {
                return Some(Decision {
                    statement: step.statement,
                    accept,
                });
            }
        }
        None
    }
}

fn compile(conditions: &[Condition], reads: &mut Reads) -> Vec<Test> {
    let compiled = conditions.iter().map(|condition| match condition {
        Condition::Name(patterns) => key_test(KeyTest::Name(Arc::new(NameSet::new(patterns))), reads),
        Condition::Prefix(patterns) => key_test(KeyTest::Prefix(Arc::new(PrefixRanges::new(patterns))), reads),
        Condition::Family(families) => key_test(KeyTest::Family(families.as_slice().into()), reads),
        Condition::Protocol(protocols) => Test::Protocol(protocols.clone()),
        Condition::Community(patterns) => Test::Community(CommunitySet::new(patterns)),
        Condition::AsPath(patterns) => Test::AsPath(patterns.clone()),
        Condition::OriginOrganisation(names) => Test::OriginOrganisation(sorted(names)),
        Condition::Peer(names) => {
            reads.peer = true;
            Test::Peer(sorted(names))
        }
        Condition::Table(tables) => Test::Table(tables.clone()),
        Condition::Role(roles) => Test::Role(roles.clone()),
        Condition::NeighbourAs(numbers) => Test::NeighbourAs(sorted(numbers)),
        Condition::Not(conditions) => Test::Not(compile(conditions, reads)),
    });
    compiled.collect()
}

fn key_test(test: KeyTest, reads: &mut Reads) -> Test {
    reads.key = true;
    Test::Key(test)
}

fn sorted<T: Ord + Clone>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list
}

/// AS_PATH as text, written once an expression asks for it.
#[derive(Default)]
struct AsPathText(std::cell::OnceCell<String>);

impl AsPathText {
    fn of(&self, attrs: &Attrs) -> &str {
        self.0.get_or_init(|| as_path_text(&attrs.as_path))
    }
}

/// AS_PATH as expressions see it: numbers and single spaces, nearest first.
pub(crate) fn as_path_text(as_path: &[u32]) -> String {
    let numbers: Vec<String> = as_path.iter().map(u32::to_string).collect();
    numbers.join(" ")
}

/// All tests together.
fn reduce(tests: &[Test], given: &Given<'_>, as_path: &AsPathText) -> Reduced {
    let mut asks = Vec::new();
    for test in tests {
        match test.reduce(given, as_path) {
            Reduced::Fails => return Reduced::Fails,
            Reduced::Holds => {}
            Reduced::Asks(more) => asks.extend(more),
        }
    }
    if asks.is_empty() {
        Reduced::Holds
    } else {
        Reduced::Asks(asks)
    }
}

impl Test {
    fn reduce(&self, given: &Given<'_>, as_path: &AsPathText) -> Reduced {
        let attrs = given.attrs;
        let holds = match self {
            Self::Key(test) => return Reduced::Asks(vec![test.clone()]),
            Self::Not(tests) => {
                return match reduce(tests, given, as_path) {
                    Reduced::Holds => Reduced::Fails,
                    Reduced::Fails => Reduced::Holds,
                    Reduced::Asks(tests) => Reduced::Asks(vec![KeyTest::Not(tests.into_boxed_slice())]),
                };
            }
            Self::Protocol(protocols) => {
                let service = attrs.service.as_ref();
                service.is_some_and(|service| protocols.contains(&service.protocol))
            }
            Self::Community(communities) => communities.meets(attrs),
            Self::AsPath(patterns) => {
                let text = as_path.of(attrs);
                patterns.iter().any(|pattern| pattern.matches(text))
            }
            Self::OriginOrganisation(names) => names.binary_search(&attrs.origin_node.organisation).is_ok(),
            Self::Peer(names) => names.binary_search_by(|name| (**name).cmp(given.peer)).is_ok(),
            Self::Table(tables) => tables.contains(&given.table),
            Self::Role(roles) => given.role.is_some_and(|role| roles.contains(&role)),
            Self::NeighbourAs(numbers) => {
                let neighbour = attrs.as_path.first();
                neighbour.is_some_and(|asn| numbers.binary_search(asn).is_ok())
            }
        };
        if holds { Reduced::Holds } else { Reduced::Fails }
    }
}

impl KeyTest {
    fn holds(&self, key: Key<'_>) -> bool {
        match (self, key) {
            (Self::Name(names), Key::Name(name)) => names.contains(name),
            (Self::Prefix(ranges), Key::Prefix(prefix)) => ranges.contains(prefix),
            (Self::Name(_), Key::Prefix(_)) | (Self::Prefix(_), Key::Name(_)) => false,
            (Self::Family(families), key) => families.contains(&key.family()),
            (Self::Not(tests), key) => !tests.iter().all(|test| test.holds(key)),
        }
    }
}
