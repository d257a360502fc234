//! Traces of policies as messages.

use catalyst_core::attrs::{Attrs, format_community, format_large_community};
use catalyst_core::policy::{ConditionTrace, StatementTrace, Trace, Verdict};
use catalyst_proto::admin::v1 as proto;

/// As much of a long list as a trace repeats, in characters.
const MAX_WANTED: usize = 1000;

/// How a policy came to its result for a route.
pub(super) fn message(route: String, peer: &str, before: &Attrs, trace: &Trace) -> proto::PolicyTrace {
    proto::PolicyTrace {
        policy: trace.policy.to_string(),
        route,
        peer: peer.to_owned(),
        accepted: trace.accepted,
        decided_by: trace.decided_by.as_deref().unwrap_or_default().to_owned(),
        statements: trace.statements.iter().map(statement).collect(),
        before: Some(attributes(before)),
        after: Some(attributes(&trace.after)),
    }
}

fn statement(trace: &StatementTrace) -> proto::StatementTrace {
    let verdict = match trace.verdict {
        Verdict::Accept => "accept",
        Verdict::Reject => "reject",
        Verdict::Next => "next",
    };
    proto::StatementTrace {
        name: trace.name.to_string(),
        reached: trace.reached,
        applies: trace.applies,
        conditions: trace.conditions.iter().map(condition).collect(),
        changes: trace.changes.clone(),
        verdict: verdict.to_owned(),
    }
}

fn condition(trace: &ConditionTrace) -> proto::ConditionTrace {
    let mut wanted: String = trace.wanted.chars().take(MAX_WANTED).collect();
    if wanted.len() < trace.wanted.len() {
        wanted.push('…');
    }
    proto::ConditionTrace {
        key: trace.key.to_owned(),
        wanted,
        found: trace.found.clone(),
        holds: trace.holds,
        inner: trace.inner.iter().map(condition).collect(),
    }
}

pub(super) fn attributes(attrs: &Attrs) -> proto::RouteAttributes {
    let standard = attrs.communities.iter().copied().map(format_community);
    let large = attrs.large_communities.iter().copied().map(format_large_community);
    proto::RouteAttributes {
        protocol: attrs
            .service
            .as_ref()
            .map(|service| service.protocol.to_string())
            .unwrap_or_default(),
        origin_organisation: attrs.origin_node.organisation.to_string(),
        as_path: attrs.as_path.clone(),
        local_pref: attrs.local_pref,
        med: attrs.med,
        communities: standard.chain(large).collect(),
    }
}
