//! The policy language: what can be written under `policies`, `sets` and `communities`, and what it means to the
//! Speaker (docs/policy.md is the guide for users).

mod as_number;
mod patterns;
mod resolve;
mod types;
mod words;

pub use as_number::AsNumber;
pub use patterns::CommunityWord;
pub(super) use patterns::pattern_of;
pub(super) use resolve::{Policies, Resolver, policies};
pub use types::{Changes, CommunitySection, Conditions, Match, NamedCommunity, PolicySection, Sets, StatementSection};
pub use words::{InSets, Item, PeerWord, PolicyWord};

use super::nearest::instead;
use super::types::Config;

/// The policies that need no configuration; nothing else may be called so.
pub const BUILT_IN: [&str; 2] = ["accept", "reject"];

impl Config {
    /// What to say of a policy that there is not.
    #[must_use]
    pub fn unknown_policy(&self, name: &str) -> String {
        let known = self.policies.keys().map(String::as_str).chain(BUILT_IN);
        format!("no policy is called {name:?}{}", instead(name, known))
    }
}
