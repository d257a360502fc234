//! Routing policy: named lists of statements, as the configuration writes them and as the Speaker evaluates them
//! (DESIGN.md, "Policy").
//!
//! A policy is a list of statements. A statement applies where all of its conditions hold (keys AND, lists OR); its
//! actions change the attributes, its verdict ends the evaluation or goes on to the next statement. First match decides;
//! where none does, the default of the direction and the peer stands (RFC 8212: reject towards and from outside).

use std::net::IpAddr;
use std::sync::Arc;

use crate::attrs::{LargeCommunity, Protocol};
use crate::route::Table;
use crate::wire::Family;

/// A named list of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its key under `policies`, or `accept` / `reject` for the built-in ones.
    pub name: Arc<str>,
    /// In order; the first one that applies and has a final verdict decides.
    pub statements: Vec<Statement>,
}

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

/// Which names: written as `orders.dc1.acme` (that name alone), `*.dc1.acme` (every name below, the wildcard itself
/// included), `*` (all), or with `*` inside a label (`api-*.acme`, which does not cross dots).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(pub Arc<str>);

/// Which communities. Both parts of a standard one, or all three of a large one, may be `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommunityPattern {
    /// AS and value; `None` is any.
    Standard(Option<u16>, Option<u16>),
    /// Global administrator and local parts; `None` is any.
    Large(Option<u32>, Option<u32>, Option<u32>),
}

/// A regular expression over AS_PATH printed with spaces; `_` stands for a boundary between AS numbers, as in every
/// router (`_65001_`, `^65001_`, `_65003$`, `^$`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsPathPattern(pub Arc<str>);

/// Which prefixes: those within `address`/`length` whose own length is from `min` to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixPattern {
    /// The network address, host bits zero.
    pub address: IpAddr,
    /// Its length in bits.
    pub length: u8,
    /// The shortest length that matches: `length` itself for exact and orlonger, else `ge`.
    pub min: u8,
    /// The longest length that matches: `length` for exact, 32 or 128 for orlonger, else `le`.
    pub max: u8,
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
        Self {
            name: name.into(),
            statements: vec![statement],
        }
    }
}
