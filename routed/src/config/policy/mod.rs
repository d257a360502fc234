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
