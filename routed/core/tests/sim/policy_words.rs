//! Policies for tests, short to write.

use std::sync::Arc;

use catalyst_core::policy::{Action, CommunityPattern, Condition, NamePattern, Policy, Statement, Verdict};

pub(crate) fn statement(name: &str, conditions: Vec<Condition>, actions: Vec<Action>, verdict: Verdict) -> Statement {
    Statement {
        name: name.into(),
        conditions,
        actions,
        verdict,
    }
}

pub(crate) fn accept(name: &str, conditions: Vec<Condition>) -> Statement {
    statement(name, conditions, Vec::new(), Verdict::Accept)
}

pub(crate) fn reject(name: &str, conditions: Vec<Condition>) -> Statement {
    statement(name, conditions, Vec::new(), Verdict::Reject)
}

pub(crate) fn policy(name: &str, statements: Vec<Statement>) -> Option<Arc<Policy>> {
    Some(Arc::new(Policy::new(name, statements)))
}

pub(crate) fn names(patterns: &[&str]) -> Condition {
    Condition::Name(patterns.iter().map(|text| NamePattern::parse(text).unwrap()).collect())
}

pub(crate) fn community(asn: u16, value: u16) -> Condition {
    Condition::Community(vec![CommunityPattern::Standard(Some(asn), Some(value))])
}
