//! The rules that send everything to our table first.

use std::collections::BTreeMap;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Message};

use super::socket::{Ask, EEXIST, ENOENT, Netlink, forgive};
use super::{KernelError, Scope};
use crate::resource::{Family, Key, Resource};

fn af(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

pub(super) fn observe(
    netlink: &mut Netlink,
    scope: &Scope,
    held: &mut BTreeMap<Key, Resource>,
) -> Result<(), KernelError> {
    for family in [Family::V4, Family::V6] {
        let mut filter = RuleMessage::default();
        filter.header.family = af(family);
        for message in netlink.request("list rules", &Message::GetRule(filter), Ask::Dump)? {
            let Message::NewRule(rule) = message else { continue };
            if let Some(priority) = priority_of_ours(&rule, scope) {
                let key = Key::Rule {
                    table: scope.table,
                    priority,
                    family,
                };
                let plain = if is_plain(&rule) {
                    Resource::Rule
                } else {
                    Resource::Altered
                };
                held.insert(key, plain);
            }
        }
    }
    Ok(())
}

/// A rule to our table with our mark.
pub(super) fn priority_of_ours(rule: &RuleMessage, scope: &Scope) -> Option<u32> {
    let (mut table, mut priority, mut protocol) = (u32::from(rule.header.table), 0, 0);
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::Table(found) => table = *found,
            RuleAttribute::Priority(found) => priority = *found,
            RuleAttribute::Protocol(found) => protocol = u8::from(*found),
            _ => {}
        }
    }
    let ours = table == scope.table && protocol == scope.protocol && rule.header.action == RuleAction::ToTable;
    ours.then_some(priority)
}

/// From all to all.
fn is_plain(rule: &RuleMessage) -> bool {
    let selects = |attribute: &RuleAttribute| {
        matches!(
            attribute,
            RuleAttribute::Source(_)
                | RuleAttribute::Destination(_)
                | RuleAttribute::Iifname(_)
                | RuleAttribute::Oifname(_)
                | RuleAttribute::FwMark(1..)
                | RuleAttribute::IpProtocol(_)
        )
    };
    rule.header.src_len == 0 && rule.header.dst_len == 0 && !rule.attributes.iter().any(selects)
}

fn message(scope: &Scope, table: u32, priority: u32, family: Family) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = af(family);
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Table(table));
    message.attributes.push(RuleAttribute::Priority(priority));
    message
        .attributes
        .push(RuleAttribute::Protocol(RouteProtocol::from(scope.protocol)));
    message
}

pub(super) fn put(
    netlink: &mut Netlink,
    scope: &Scope,
    table: u32,
    priority: u32,
    family: Family,
) -> Result<(), KernelError> {
    let rule = message(scope, table, priority, family);
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let done = netlink.request(
        &format!("rule to table {table}"),
        &Message::NewRule(rule),
        Ask::Do(flags),
    );
    forgive(done, &[EEXIST])
}

pub(super) fn remove(
    netlink: &mut Netlink,
    scope: &Scope,
    table: u32,
    priority: u32,
    family: Family,
) -> Result<(), KernelError> {
    let rule = message(scope, table, priority, family);
    let done = netlink.request(
        &format!("remove rule to table {table}"),
        &Message::DelRule(rule),
        Ask::Do(0),
    );
    forgive(done, &[ENOENT])
}
