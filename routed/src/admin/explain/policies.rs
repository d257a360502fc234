//! The policies of the configuration as messages.

use catalyst_proto::admin::v1 as proto;
use serde_json::json;
use tonic::Status;

use crate::config::Config;
use crate::config::policy::{BUILT_IN, PolicySection};

/// Every policy of the configuration, and the built-in ones that a peer uses.
pub(super) fn list(config: &Config) -> Vec<proto::Policy> {
    let mut all: Vec<proto::Policy> = BUILT_IN
        .iter()
        .map(|name| built_in(config, name))
        .filter(|policy| !policy.used_by.is_empty())
        .collect();
    all.extend(
        config
            .policies
            .iter()
            .map(|(name, section)| configured(config, name, section)),
    );
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// One policy by name.
pub(super) fn get(config: &Config, name: &str) -> Result<proto::GetPolicyResponse, Status> {
    let (policy, json) = if let Some(section) = config.policies.get(name) {
        let json = serde_json::to_string(section).map_err(|error| Status::internal(error.to_string()))?;
        (configured(config, name, section), json)
    } else if BUILT_IN.contains(&name) {
        let json = json!({ "statements": [{ "then": name }] }).to_string();
        (built_in(config, name), json)
    } else {
        return Err(Status::not_found(config.unknown_policy(name)));
    };
    Ok(proto::GetPolicyResponse {
        policy: Some(policy),
        json,
    })
}

fn configured(config: &Config, name: &str, section: &PolicySection) -> proto::Policy {
    proto::Policy {
        name: name.to_owned(),
        built_in: false,
        statements: count(section.statements.len()),
        tests: count(section.tests.len()),
        used_by: used_by(config, name),
    }
}

fn built_in(config: &Config, name: &str) -> proto::Policy {
    proto::Policy {
        name: name.to_owned(),
        built_in: true,
        statements: 1,
        tests: 0,
        used_by: used_by(config, name),
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Peers in order of name, import before export.
fn used_by(config: &Config, name: &str) -> Vec<proto::PolicyUse> {
    let mut uses = Vec::new();
    for (peer, section) in &config.peers {
        for (direction, policy) in [("import", &section.import), ("export", &section.export)] {
            if policy.as_ref().is_some_and(|policy| policy.0.0.0 == name) {
                uses.push(proto::PolicyUse {
                    peer: peer.clone(),
                    direction: direction.to_owned(),
                });
            }
        }
    }
    uses
}
