//! Routing policy: named lists of statements, as the configuration writes them and as the Speaker evaluates them
//! (DESIGN.md, "Policy").
//!
//! A policy is a list of statements. A statement applies where all of its conditions hold (keys AND, lists OR); its
//! actions change the attributes, its verdict ends the evaluation or goes on to the next statement. First match decides;
//! where none does, the default of the direction and the peer stands (RFC 8212: reject towards and from outside).
//!
//! Conditions compare the route as it came to the policy, whatever statements before have changed: what a statement
//! matches can be read without the others. On import that is the route as the peer sent it, without what only counts
//! inside an AS; on export it is the selected route, before the path, the next hop and private attributes are rewritten.

mod change;
mod pattern;
mod program;
mod rule;
mod sets;
mod trace;

use std::sync::Arc;

pub(crate) use change::remove_communities;
pub use pattern::{AsPathPattern, CommunityPattern, NamePattern, PatternError, PrefixPattern};
pub(crate) use program::{Given, Key, Program, Reads, Residual};
pub(crate) use rule::Rule;
pub(crate) use sets::NameSet;
pub(crate) use trace::evaluate;
pub use trace::{ConditionTrace, Question, StatementTrace, Trace, trace};

use crate::attrs::{LargeCommunity, Protocol};
use crate::route::Table;
use crate::wire::Family;

/// A named list of statements. Patterns are checked and compiled where they are parsed, so that a policy which exists
/// can be evaluated.
#[derive(Debug, Clone)]
pub struct Policy {
    name: Arc<str>,
    statements: Vec<Statement>,
    program: Arc<Program>,
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.statements == other.statements
    }
}

impl Eq for Policy {}

/// One statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its own name, else `#1`, `#2` .. by place; what a trace and `show route --why` call it.
    pub name: Arc<str>,
    /// All must hold. None: the statement always applies.
    pub conditions: Vec<Condition>,
    /// What changes, in order.
    pub actions: Vec<Action>,
    /// What follows.
    pub verdict: Verdict,
}

/// What a statement that applies decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The route passes, with the changes made so far.
    Accept,
    /// The route does not pass.
    Reject,
    /// The next statement decides; changes made so far stay.
    Next,
}

/// One key of `match`: holds if any of its list does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The service name.
    Name(Vec<NamePattern>),
    /// The family of the route.
    Family(Vec<Family>),
    /// The protocol that the service speaks; never holds for a prefix.
    Protocol(Vec<Protocol>),
    /// Any of the route's communities, standard or large.
    Community(Vec<CommunityPattern>),
    /// AS_PATH as text: `65001 65002`, nearest first.
    AsPath(Vec<AsPathPattern>),
    /// The organisation in ORIGIN_NODE.
    OriginOrganisation(Vec<Arc<str>>),
    /// The other side: on import the peer that sent the route, on export the peer that is to get it.
    Peer(Vec<Arc<str>>),
    /// The table of the route's origin.
    Table(Vec<Table>),
    /// This node's role towards the peer (RFC 9234 section 4.1).
    Role(Vec<Role>),
    /// The leftmost AS of AS_PATH; never holds for a route of this AS.
    NeighbourAs(Vec<u32>),
    /// The prefix; never holds for a service name.
    Prefix(Vec<PrefixPattern>),
    /// None of these hold together: `not { .. }` with its keys AND as everywhere.
    Not(Vec<Condition>),
}

/// A change of the attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// LOCAL_PREF.
    SetLocalPref(u32),
    /// MULTI_EXIT_DISC; `None` takes it off.
    SetMed(Option<u32>),
    /// Standard communities to add.
    AddCommunities(Vec<u32>),
    /// Large communities to add.
    AddLargeCommunities(Vec<LargeCommunity>),
    /// Communities to take off.
    RemoveCommunities(Vec<CommunityPattern>),
    /// Own AS in front of AS_PATH, so many times more (export towards another AS only).
    Prepend(u8),
}

/// A role of RFC 9234 section 4.1, as this side plays it towards a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// We give the peer transit.
    Provider,
    /// We are a route server for the peer.
    RouteServer,
    /// We are a client of the peer, a route server.
    RouteServerClient,
    /// The peer gives us transit.
    Customer,
    /// Lateral peers: own and customer routes only.
    Peer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Provider,
        Self::RouteServer,
        Self::RouteServerClient,
        Self::Customer,
        Self::Peer,
    ];

    /// The spelling of configuration, CLI and JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::RouteServer => "route-server",
            Self::RouteServerClient => "route-server-client",
            Self::Customer => "customer",
            Self::Peer => "peer",
        }
    }

    /// Reads the spelling of [`Role::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// The role that the other side must have (RFC 9234 section 4.2, table 2).
    #[must_use]
    pub fn counterpart(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Peer => Self::Peer,
        }
    }
}

impl Policy {
    /// A policy of these statements, by the key under which the configuration has it.
    #[must_use]
    pub fn new(name: &str, statements: Vec<Statement>) -> Self {
        Self {
            name: name.into(),
            program: Arc::new(Program::new(&statements)),
            statements,
        }
    }

    /// Every route passes unchanged.
    #[must_use]
    pub fn accept() -> Self {
        Self::built_in("accept", Verdict::Accept)
    }

    /// No route passes.
    #[must_use]
    pub fn reject() -> Self {
        Self::built_in("reject", Verdict::Reject)
    }

    fn built_in(name: &str, verdict: Verdict) -> Self {
        let statement = Statement {
            name: name.into(),
            conditions: Vec::new(),
            actions: Vec::new(),
            verdict,
        };
        Self::new(name, vec![statement])
    }

    /// Its key under `policies`, or `accept` / `reject` for the built-in ones.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// In order; the first one that applies and has a final verdict decides.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The changes by some of its statements, in order.
    pub(crate) fn changes<'a>(&'a self, statements: &'a [usize]) -> impl Iterator<Item = &'a Action> + Clone + 'a {
        statements
            .iter()
            .filter_map(|statement| self.statements.get(*statement))
            .flat_map(|statement| &statement.actions)
    }

    /// It compiled.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// The verdict, where it is the same for every route.
    #[must_use]
    pub fn constant(&self) -> Option<Verdict> {
        let first = self.statements.first()?;
        let always = first.conditions.is_empty() && first.actions.is_empty() && first.verdict != Verdict::Next;
        always.then_some(first.verdict)
    }
}

#[cfg(test)]
mod tests;
