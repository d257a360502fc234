//! The section `aggregates`: wildcards that stand for services towards other organisations.

use std::sync::Arc;

use catalyst_core::event::{Aggregate, Members};
use catalyst_core::name::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Community, Label, Spelled, Text};
use super::types::Config;

/// A wildcard that is announced to other organisations in place of the `http` and `http:grpc` services below it, while
/// there are any. `http:graphql` and `tcp` services go on by themselves. Export policy has to accept the wildcard, and
/// decides which names below it can be reached; a name below it that nobody offers is answered 404 here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateSection {
    /// The outside peers that it may go to, by their names under `peers`. Default: every one whose export policy accepts
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<Spelled<Label>>>,
    /// Whether the services that it stands for are no longer announced to those that are told of it.
    #[serde(default = "yes")]
    pub suppress: bool,
    /// Which services it stands for: those of our own organisation, or `any`, which hides the path to those of others:
    /// only for a default towards customers.
    #[serde(default = "own")]
    pub members: Spelled<Members>,
    /// Whether it is announced without services below it too: `*`, the default that a provider gives its customers.
    #[serde(default)]
    pub always: bool,
    /// Communities to announce it with: standard (`65001:100`), large (`65001:1:2`), or by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub communities: Vec<Spelled<Community>>,
    /// MULTI_EXIT_DISC to announce it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
}

fn yes() -> bool {
    true
}

fn own() -> Spelled<Members> {
    Spelled(Members::Own)
}

impl Text for Members {
    const EXPECTED: &'static str = "own or any";
    const EXAMPLE: &'static str = "any";
    const CHOICES: &'static [&'static str] = &["own", "any"];

    fn parse(text: &str) -> Result<Self, Option<String>> {
        match text {
            "own" => Ok(Self::Own),
            "any" => Ok(Self::Any),
            _ => Err(None),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::Any => "any".to_owned(),
        }
    }
}

impl Config {
    /// As the core knows them.
    pub(super) fn core_aggregates(&self) -> Vec<Aggregate> {
        let aggregates = self.aggregates.iter();
        aggregates
            .filter_map(|(key, section)| Some(self.aggregate(ServiceName::parse(key).ok()?, section)))
            .collect()
    }

    fn aggregate(&self, name: ServiceName, section: &AggregateSection) -> Aggregate {
        let peer = |label: &Spelled<Label>| Arc::from(label.0.0.as_str());
        let mut aggregate = Aggregate {
            name,
            to: section.to.as_ref().map(|to| to.iter().map(peer).collect()),
            suppress: section.suppress,
            members: *section.members,
            always: section.always,
            communities: Vec::new(),
            large_communities: Vec::new(),
            med: section.med,
        };
        for community in &section.communities {
            match self.community(&community.0) {
                Some(Community::Standard(number)) => aggregate.communities.push(number),
                Some(Community::Large(number)) => aggregate.large_communities.push(number),
                Some(Community::Named(_)) | None => {}
            }
        }
        aggregate
    }
}
