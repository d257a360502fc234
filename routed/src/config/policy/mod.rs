//! The policy language: what can be written under `policies`, `sets` and `communities`, and what it means to the
//! Speaker (docs/policy.md is the guide for users).

mod as_number;
mod patterns;
mod recorded;
mod resolve;
mod tests;
mod trial;
mod types;
mod words;

pub use as_number::AsNumber;
pub use patterns::CommunityWord;
pub(super) use patterns::pattern_of;
pub use recorded::Recorded;
pub(super) use resolve::{Policies, Resolver, policies};
pub use tests::{Expectation, PolicyTest, TestRoute};
pub use trial::Trial;
pub(super) use trial::run_tests;
pub use types::{Changes, CommunitySection, Conditions, Match, NamedCommunity, PolicySection, Sets, StatementSection};
pub use words::{Decision, InSets, Item, PeerWord, PolicyWord};

use std::sync::Arc;

use catalyst_core::policy::Policy;

use super::nearest::instead;
use super::type_error::quote;
use super::types::Config;

/// The policies that need no configuration; nothing else may be called so.
pub const BUILT_IN: [&str; 2] = ["accept", "reject"];

impl Config {
    /// A policy by its name, built-in ones too.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<Arc<Policy>> {
        let policy = match (name, self.policies.get(name)) {
            ("accept", _) => Policy::accept(),
            ("reject", _) => Policy::reject(),
            (_, section) => Resolver::new(self).policy(name, section?),
        };
        Some(Arc::new(policy))
    }

    /// What to say of a peer that there is not.
    #[must_use]
    pub fn unknown_peer(&self, name: &str) -> String {
        let known = self.peers.keys().chain(self.dynamic_peers.keys());
        let instead = instead(name, known.map(String::as_str));
        format!("no peer is called {}{instead}", quote(name))
    }

    /// What to say of a policy that there is not.
    #[must_use]
    pub fn unknown_policy(&self, name: &str) -> String {
        let known = self.policies.keys().map(String::as_str).chain(BUILT_IN);
        format!("no policy is called {}{}", quote(name), instead(name, known))
    }
}
