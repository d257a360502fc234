//! Policies, short to write.

use std::sync::Arc;

use catalyst_core::policy::{Action, CommunityPattern, Condition, NamePattern, Policy, Statement, Verdict};

/// A statement.
#[must_use]
pub fn statement(name: &str, conditions: Vec<Condition>, actions: Vec<Action>, verdict: Verdict) -> Statement {
    Statement {
        name: name.into(),
        conditions,
        actions,
        verdict,
    }
}

/// A statement that accepts where these hold.
#[must_use]
pub fn accept(name: &str, conditions: Vec<Condition>) -> Statement {
    statement(name, conditions, Vec::new(), Verdict::Accept)
}

/// A statement that rejects where these hold.
#[must_use]
pub fn reject(name: &str, conditions: Vec<Condition>) -> Statement {
    statement(name, conditions, Vec::new(), Verdict::Reject)
}

/// A policy as a peer takes it.
#[must_use]
pub fn policy(name: &str, statements: Vec<Statement>) -> Option<Arc<Policy>> {
    Some(Arc::new(Policy::new(name, statements)))
}

/// The name fits one of these.
#[must_use]
pub fn names(patterns: &[&str]) -> Condition {
    Condition::Name(patterns.iter().map(|text| NamePattern::parse(text).unwrap()).collect())
}

/// It carries this community.
#[must_use]
pub fn community(asn: u16, value: u16) -> Condition {
    Condition::Community(vec![CommunityPattern::Standard(Some(asn), Some(value))])
}
