//! Tests that a policy carries: a route in, a decision out.

use catalyst_core::route::{Destination, Protocol};
use catalyst_core::view::Direction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::either::Either;
use super::super::text::{Community, Label, Spelled};
use super::words::{Decision, PeerWord};

/// A test of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyTest {
    /// What it shows, in your words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "their public services come in")]
    pub name: Option<String>,
    /// Whether the policy is tried as one of import or of export.
    #[serde(default = "import")]
    pub direction: Spelled<Direction>,
    /// The peer that sends the route, on export the one that is to get it. Default: an outside peer that no `match`
    /// names and that has no role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Spelled<PeerWord>>,
    /// The route.
    pub route: TestRoute,
    /// What has to become of it: a decision alone, or with what else has to be true.
    pub expect: Either<Spelled<Decision>, Expectation>,
}

fn import() -> Spelled<Direction> {
    Spelled(Direction::Import)
}

/// A route to try a policy with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestRoute {
    /// The service name, which may be a wildcard, or the prefix.
    pub name: Spelled<Destination>,
    /// What the service speaks.
    #[serde(default = "http")]
    pub protocol: Spelled<Protocol>,
    /// Its communities, by number or by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<Spelled<Community>>,
    /// Its AS_PATH, nearest AS first. Default: the peer's AS on import from another AS, else empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_path: Option<Vec<u32>>,
    /// The organisation that it was born in. Default: the peer's on import, else ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_organisation: Option<Spelled<Label>>,
    /// Its LOCAL_PREF. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// Its MULTI_EXIT_DISC. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
}

fn http() -> Spelled<Protocol> {
    Spelled(Protocol::Http)
}

/// What has to be true after the policy. What is left out may be anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Whether the route passes.
    pub verdict: Spelled<Decision>,
    /// The statement that decides, by its name or `#1`, `#2` ..; `default` if none does and the default counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "#1")]
    pub statement: Option<String>,
    /// LOCAL_PREF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// All of its communities, by number or by name, in any order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communities: Option<Vec<Spelled<Community>>>,
    /// How many times more our own AS is put in front of AS_PATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepend: Option<u32>,
}
