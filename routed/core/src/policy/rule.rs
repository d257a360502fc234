//! What decides in one direction of a peer.

use std::sync::Arc;

use super::{Policy, Reads, Verdict};

/// A policy, or the default in its place; the constant ones apart, because they cost nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Every route passes unchanged.
    All,
    /// No route passes.
    Nothing,
    /// The policy decides.
    Policy(Arc<Policy>),
}

impl Rule {
    /// The rule of a peer: without a policy, everything passes inside the organisation and nothing to and from outside
    /// (RFC 8212).
    pub(crate) fn new(policy: Option<&Arc<Policy>>, outside: bool) -> Self {
        match policy {
            None if outside => Self::Nothing,
            None => Self::All,
            Some(policy) => match policy.constant() {
                Some(Verdict::Accept) => Self::All,
                Some(Verdict::Reject) => Self::Nothing,
                Some(Verdict::Next) | None => Self::Policy(policy.clone()),
            },
        }
    }

    /// The policy, if one has to be asked.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        match self {
            Self::All | Self::Nothing => None,
            Self::Policy(policy) => Some(policy),
        }
    }

    /// What it reads besides attributes.
    pub(crate) fn reads(&self) -> Reads {
        match self {
            Self::All | Self::Nothing => Reads::default(),
            Self::Policy(policy) => policy.program().reads,
        }
    }
}
