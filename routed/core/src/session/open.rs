//! OPEN: what ours says, and what the peer's must say.

use crate::attrs::RouterId;
use crate::policy::Role;
use crate::wire::{Families, GracefulRestart, Notification, Open, RoleCode, VERSION, code, subcode};

use super::{Restart, SessionConfig};

/// Our OPEN.
pub(super) fn local_open(config: &SessionConfig, restart: Restart) -> Open {
    let graceful_restart = |restart_time| GracefulRestart {
        restarting: restart.restarting,
        notification: true,
        restart_time,
        families: config
            .families
            .iter()
            .map(|family| (family, restart.forwarding.has(family)))
            .collect(),
    };
    Open {
        version: VERSION,
        asn: config.local.router_id.asn,
        node: config.local.router_id.node.clone(),
        organisation: config.local.organisation.clone(),
        hold_time: config.hold_time,
        families: config.families.iter().collect(),
        route_refresh: true,
        role: config.role.map(RoleCode::from),
        graceful_restart: config.restart_time.map(graceful_restart),
    }
}

/// The router id that an OPEN claims.
pub(super) fn router_id(open: &Open) -> RouterId {
    RouterId {
        asn: open.asn,
        node: open.node.clone(),
    }
}

/// Checks the peer's OPEN against the configuration (RFC 4271 section 6.2); version and hold time are checked by the
/// decoder. The error is the NOTIFICATION to send; its text reaches the other side's `show peer`.
pub(crate) fn check(config: &SessionConfig, open: &Open) -> Result<(), Notification> {
    let refused = |subcode, text: String| Err(Notification::new(code::OPEN, subcode, text));
    if open.asn != config.peer_asn {
        let text = format!("expected AS {}, got AS {}", config.peer_asn, open.asn);
        return refused(subcode::open::BAD_PEER_AS, text);
    }
    if open.organisation != config.peer_organisation {
        let (expected, got) = (&config.peer_organisation, &open.organisation);
        return refused(
            subcode::open::BAD_ORGANISATION,
            format!("expected organisation {expected}, got {got}"),
        );
    }
    if let Some(expected) = config.peer_node.as_ref().filter(|expected| **expected != open.node) {
        return refused(
            subcode::open::BAD_NODE,
            format!("expected node {expected}, got {}", open.node),
        );
    }
    if router_id(open) == config.local.router_id {
        return refused(
            subcode::open::BAD_NODE,
            format!("{} is the router id of this side too", router_id(open)),
        );
    }
    let offered: Families = open.families.iter().copied().collect();
    if config.families.common(offered).is_empty() {
        return refused(subcode::open::UNSUPPORTED_CAPABILITY, "no family in common".to_owned());
    }
    check_role(config, open.role).map_err(|text| Notification::new(code::OPEN, subcode::open::ROLE_MISMATCH, text))
}

/// RFC 9234 section 4.2. Without a role of our own, that of the peer means nothing.
fn check_role(config: &SessionConfig, claimed: Option<RoleCode>) -> Result<(), String> {
    let Some(expected) = config.role.map(Role::counterpart) else {
        return Ok(());
    };
    match claimed {
        Some(code) if code.role() == Some(expected) => Ok(()),
        Some(code) => Err(format!("expected role {}, got {code}", expected.as_str())),
        None if config.strict_role => Err(format!("expected role {}, got none", expected.as_str())),
        None => Ok(()),
    }
}
