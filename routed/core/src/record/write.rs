//! Events as lines.

use std::sync::Arc;

use crate::attrs::LargeCommunity;
use crate::event::{Event, LocalPrefix, LocalService, PlaneReport};
use crate::operate::{Operation, PeerAct};
use crate::route::{Destination, PlaneStatus};

/// A field: whatever is not visible, and what separates, as %XX; empty as %.
pub(super) fn escaped(text: &str) -> String {
    if text.is_empty() {
        return "%".to_owned();
    }
    let field = |byte| match byte {
        b'%' | b',' | b'=' => format!("%{byte:02x}"),
        b'!'..=b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(field).collect()
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "%".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list<T>(items: &[T], item: impl Fn(&T) -> String) -> String {
    if items.is_empty() {
        return "%".to_owned();
    }
    items.iter().map(item).collect::<Vec<_>>().join(",")
}

fn number(number: Option<u32>) -> String {
    number.map_or_else(|| "%".to_owned(), |number| number.to_string())
}

/// The line of an event, without its time.
pub(super) fn event(event: &Event, word: &str) -> String {
    match event {
        Event::Connected {
            peer,
            conn,
            local,
            remote,
        } => format!("connected {} {} {local} {remote}", escaped(peer), conn.0),
        Event::ConnectFailed { peer, error } => format!("connect-failed {} {}", escaped(peer), escaped(error)),
        Event::Accepted { conn, local, remote } => format!("accepted {} {local} {remote}", conn.0),
        Event::Frame { conn, kind, body } => format!("frame {} {kind} {}", conn.0, hex(body)),
        Event::BadFrame { conn, length } => format!("bad-frame {} {length}", conn.0),
        Event::Closed { conn, reason } => format!("closed {} {}", conn.0, escaped(reason)),
        Event::Sent { conn, bytes } => format!("sent {} {bytes}", conn.0),
        Event::Heard { conn } => format!("heard {}", conn.0),
        Event::Timeout => "timeout".to_owned(),
        Event::ServiceAdd(it) => service(it),
        Event::ServiceRemove(name) => format!("service-remove {name}"),
        Event::PrefixAdd(it) => prefix(it),
        Event::PrefixRemove(prefix) => format!("prefix-remove {prefix}"),
        Event::PlaneUp(plane) => format!("plane-up {}", escaped(plane)),
        Event::PlaneDown(plane) => format!("plane-down {}", escaped(plane)),
        Event::PlaneReport(it) => report(it),
        Event::NextHop { address, usable } => format!("next-hop {address} {usable}"),
        Event::Tunnel { address, up } => format!("tunnel {address} {up}"),
        Event::Listeners { plane, closed } => format!("listeners {} {}", escaped(plane), list(closed, closed_to)),
        Event::PeerAdd(_) => format!("peer-add {}", escaped(word)),
        Event::PeerRemove(peer) => format!("peer-remove {}", escaped(peer)),
        Event::Reconfigure(_) => format!("reconfigure {}", escaped(word)),
        Event::Operate(it) => operation(it),
        Event::Leave => "leave".to_owned(),
        Event::Shutdown(text) => format!("shutdown {}", escaped(text)),
    }
}

fn large(communities: &[LargeCommunity]) -> String {
    list(communities, |(global, one, two)| format!("{global}:{one}:{two}"))
}

fn service(it: &LocalService) -> String {
    let endpoint = |it: &crate::route::Endpoint| format!("{}={}={}", escaped(&it.host), it.port, it.weight);
    format!(
        "service-add {} {} {} {} {} {} {} {}",
        it.name,
        it.protocol,
        escaped(it.path.as_deref().unwrap_or_default()),
        it.weight,
        list(&it.endpoints, endpoint),
        list(&it.communities, u32::to_string),
        large(&it.large_communities),
        number(it.med)
    )
}

fn prefix(it: &LocalPrefix) -> String {
    format!(
        "prefix-add {} {} {} {}",
        it.prefix,
        list(&it.communities, u32::to_string),
        large(&it.large_communities),
        number(it.med)
    )
}

fn report(it: &PlaneReport) -> String {
    let status = |(destination, status): &(Destination, PlaneStatus)| match status {
        PlaneStatus::Pending(words) => format!("{destination}=pending={}", escaped(words)),
        PlaneStatus::Programmed => format!("{destination}=programmed=%"),
        PlaneStatus::Rejected(words) => format!("{destination}=rejected={}", escaped(words)),
    };
    format!(
        "plane-report {} {} {}",
        escaped(&it.plane),
        it.version,
        list(&it.statuses, status)
    )
}

fn closed_to((organisation, why): &(Arc<str>, Arc<str>)) -> String {
    format!("{}={}", escaped(organisation), escaped(why))
}

fn operation(it: &Operation) -> String {
    let (act, message) = match &it.act {
        PeerAct::Disable { message } => ("disable", &**message),
        PeerAct::Enable => ("enable", ""),
        PeerAct::Reset { message, hard: true } => ("hard-reset", &**message),
        PeerAct::Reset { message, hard: false } => ("reset", &**message),
        PeerAct::Refresh => ("refresh", ""),
    };
    format!("operate {} {act} {}", escaped(&it.peer), escaped(message))
}
