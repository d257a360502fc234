//! The sections `policies`, `sets` and `communities`: what can be written.

use std::collections::BTreeMap;

use catalyst_core::policy::{AsPathPattern, NamePattern, PrefixPattern, Role, Verdict};
use catalyst_core::route::{Protocol, Table};
use catalyst_core::wire::Family;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::either::{Either, Many};
use super::super::text::{Community, Label, Spelled};
use super::as_number::AsNumber;
use super::patterns::CommunityWord;
use super::tests::PolicyTest;
use super::words::{Item, PeerWord};

/// A policy: statements in order. The first one that applies and says `accept` or `reject` decides; where none does,
/// routes from and to our own organisation pass, routes from and to others do not (RFC 8212).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySection {
    /// At least one.
    #[schemars(length(min = 1, max = 1000))]
    pub statements: Vec<StatementSection>,
    /// Routes and what has to become of them: tried by `--check` and at every start and reload; one that fails refuses
    /// the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub tests: Vec<PolicyTest>,
}

/// One statement of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatementSection {
    /// What traces and `show route --why` call it: one label. Default: `#1`, `#2` .. by its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Spelled<Label>>,
    /// When the statement applies: all of its keys have to hold, any value of a list is enough. Default: always.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Box<Match>>,
    /// What the statement does: a verdict alone, or changes and a verdict.
    pub then: Either<Spelled<Verdict>, Changes>,
}

/// Defines the keys of `match` and of `match.not`, which are the same.
macro_rules! conditions {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// Service names; `*` covers all below (`*.acme`), or stays within a label (`api-*.acme`).
            #[serde(skip_serializing_if = "Option::is_none")]
            pub name: Option<Many<Spelled<Item<NamePattern>>>>,
            /// The family of the route.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub family: Option<Many<Spelled<Family>>>,
            /// What the service speaks.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub protocol: Option<Many<Spelled<Protocol>>>,
            /// Communities of the route, any of which is enough: by number, with `*` for any part, or by name.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub community: Option<Many<Spelled<Item<CommunityWord>>>>,
            /// AS_PATH as text, nearest AS first (`65001 65002`); `_` is a boundary between numbers, `^$` a route of
            /// our AS.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub as_path: Option<Many<Spelled<Item<AsPathPattern>>>>,
            /// The organisation that the route was born in.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub origin_organisation: Option<Many<Spelled<Item<Label>>>>,
            /// On import the peer that sent the route, on export the peer that is to get it.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub peer: Option<Many<Spelled<Item<PeerWord>>>>,
            /// The table of the route: `internal` if it was born in our organisation.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub table: Option<Many<Spelled<Table>>>,
            /// Our role towards the peer, as `peers.X.role` has it.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub role: Option<Many<Spelled<Role>>>,
            /// The AS that the route came from: the first of AS_PATH.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub neighbour_as: Option<Many<AsNumber>>,
            /// Prefixes: that one (`10.0.0.0/8`), all within (`orlonger`), or those of some lengths (`ge 16 le 24`).
            #[serde(skip_serializing_if = "Option::is_none")]
            pub prefix: Option<Many<Spelled<Item<PrefixPattern>>>>,
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
}

conditions! {
    /// The conditions of a statement.
    Match {
        /// Conditions that must not hold, all of them together. It has the keys of `match` but `not`.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(extend("x-keys-of" = "match"))]
        not: Option<Box<Conditions>>,
    }
}

conditions! {
    /// Conditions without `not`.
    Conditions {}
}

impl Match {
    /// The conditions beside `not`.
    pub(super) fn plain(&self) -> Conditions {
        Conditions {
            name: self.name.clone(),
            family: self.family.clone(),
            protocol: self.protocol.clone(),
            community: self.community.clone(),
            as_path: self.as_path.clone(),
            origin_organisation: self.origin_organisation.clone(),
            peer: self.peer.clone(),
            table: self.table.clone(),
            role: self.role.clone(),
            neighbour_as: self.neighbour_as.clone(),
            prefix: self.prefix.clone(),
        }
    }
}

/// Changes of a route, and the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// `accept` and `reject` end the policy; after `next` the next statement decides, changes stay.
    pub verdict: Spelled<Verdict>,
    /// LOCAL_PREF: higher is better. It does not leave our AS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_local_pref: Option<u32>,
    /// MULTI_EXIT_DISC: lower is better between routes from one AS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_med: Option<u32>,
    /// Takes MULTI_EXIT_DISC off.
    #[serde(default, skip_serializing_if = "is_false")]
    pub remove_med: bool,
    /// Communities to take off, before others are added: by number, with `*` for any part, or by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_communities: Option<Many<Spelled<Item<CommunityWord>>>>,
    /// Communities to add, by number or by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_communities: Option<Many<Spelled<Community>>>,
    /// How many times more our own AS stands in front of AS_PATH; on export to another AS only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub prepend: Option<u8>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Lists with a name (one label), for policies to refer to by `@NAME`. The key that refers says of which kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sets {
    /// Name patterns, for `match.name` and `peers.X.allowed_names`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Vec<Spelled<NamePattern>>>,
    /// Communities and patterns of them, for `match.community` and `then.remove_communities`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub communities: BTreeMap<String, Vec<Spelled<CommunityWord>>>,
    /// Regular expressions over AS_PATH, for `match.as_path`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub as_paths: BTreeMap<String, Vec<Spelled<AsPathPattern>>>,
    /// Organisations, for `match.origin_organisation`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub organisations: BTreeMap<String, Vec<Spelled<Label>>>,
    /// Peers by their name in the configuration, for `match.peer`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<String, Vec<Spelled<PeerWord>>>,
    /// AS numbers, for `match.neighbour_as`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub as_numbers: BTreeMap<String, Vec<u32>>,
    /// Prefixes, for `match.prefix` and `peers.X.allowed_prefixes`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prefixes: BTreeMap<String, Vec<Spelled<PrefixPattern>>>,
}

impl Sets {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A community that has a name: its number alone, or with what is special about it.
pub type NamedCommunity = Either<Spelled<Community>, CommunitySection>;

/// A community and what is special about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommunitySection {
    /// Its number.
    pub community: Spelled<Community>,
    /// Whether it is ours alone: taken off whatever goes to another organisation.
    #[serde(default)]
    pub internal: bool,
}
