//! Messages in the words of docs/protocol.md.

use std::fmt::Write;

use catalyst_core::attrs::{Attrs, Origin, ServiceAttr, Tunnel, format_community, format_large_community};
use catalyst_core::wire::{AttrError, Family, Message, Notification, Open, Update, UpdateFrame, WireError};

use super::names;

/// The "meaning" part of a vector.
pub fn message(message: &Message) -> String {
    match message {
        Message::Open(message) => open(message),
        Message::Keepalive => "KEEPALIVE".to_owned(),
        Message::Update(message) => update(message),
        Message::Notification(message) => notification(message),
        Message::RouteRefresh(message) => {
            format!("ROUTE-REFRESH {}, subtype {}", message.family.as_str(), message.subtype)
        }
        Message::EndOfRib(family) => format!("END-OF-RIB {}", family.as_str()),
    }
}

/// The answer to a frame that cannot be read.
pub fn wire_error(error: &WireError) -> String {
    if error.is_answered() {
        notification(&error.notification())
    } else {
        format!("no answer: {error}")
    }
}

fn notification(message: &Notification) -> String {
    let data = if message.data.is_empty() {
        "-".to_owned()
    } else {
        hex(&message.data)
    };
    format!(
        "NOTIFICATION {}/{} data {data} {message}",
        message.code, message.subcode
    )
}

fn open(open: &Open) -> String {
    let families: Vec<&str> = open.families.iter().copied().map(Family::as_str).collect();
    let mut text = format!(
        "OPEN AS {}, node {}, organisation {}, hold time {} ms, families {}",
        open.asn,
        open.node,
        open.organisation,
        open.hold_time.as_millis(),
        families.join(" ")
    );
    if open.route_refresh {
        text += ", route refresh";
    }
    if let Some(role) = open.role {
        text += &format!(", role {role}");
    }
    if let Some(graceful) = &open.graceful_restart {
        text += &format!(", graceful restart {graceful}");
    }
    text
}

fn update(update: &UpdateFrame) -> String {
    let steps: Vec<String> = update
        .steps()
        .enumerate()
        .map(|(place, it)| step(&it, place == 0))
        .collect();
    steps.join("\n")
}

fn step(update: &Update, first: bool) -> String {
    if update.announced.is_empty() {
        return head(update);
    }
    match update.attributes() {
        Ok(attrs) if first => head(update) + "\n" + &good(update, &attrs),
        Ok(attrs) => good(update, &attrs),
        Err(error) => treated_as_withdraw(update, &error),
    }
}

fn head(update: &Update) -> String {
    let family = update.family.as_str();
    format!("UPDATE {family}{}", lines("withdraw", &names(&update.withdrawn)))
}

fn good(update: &Update, attrs: &Attrs) -> String {
    let mut text = String::from("attributes");
    let mut rows = attributes(attrs);
    rows.sort_by_key(|(code, _)| *code);
    rows.iter().for_each(|(_, row)| text += &format!("\n  {row}"));
    text + &lines("announce", &names(&update.announced))
}

fn treated_as_withdraw(update: &Update, error: &AttrError) -> String {
    let both = [names(&update.withdrawn), names(&update.announced)].concat();
    format!("{error}{}", lines("withdraw", &both))
}

fn lines(word: &str, names: &[String]) -> String {
    names.iter().map(|name| format!("\n{word} {name}")).collect()
}

fn attributes(attrs: &Attrs) -> Vec<(u8, String)> {
    let origin = match attrs.origin {
        Origin::Igp => "igp",
        Origin::Egp => "egp",
        Origin::Incomplete => "incomplete",
    };
    let born = &attrs.origin_node;
    let mut rows = vec![
        (1, format!("ORIGIN {origin}")),
        (2, format!("AS_PATH{}", list(&attrs.as_path, u32::to_string))),
        (3, format!("NEXT_HOP {}", attrs.next_hop)),
        (224, format!("ORIGIN_NODE {} of {}", born.router_id, born.organisation)),
    ];
    rows.extend(attrs.service.iter().map(|it| (225, service(it))));
    rows.extend(attrs.tunnel.iter().map(|it| (226, tunnel(it))));
    rows.extend(attrs.med.map(|value| (4, format!("MULTI_EXIT_DISC {value}"))));
    rows.extend(attrs.local_pref.map(|value| (5, format!("LOCAL_PREF {value}"))));
    rows.extend(attrs.originator.iter().map(|id| (9, format!("ORIGINATOR {id}"))));
    rows.extend(
        attrs
            .only_to_customer
            .map(|asn| (35, format!("ONLY_TO_CUSTOMER {asn}"))),
    );
    let lists = [
        (8, "COMMUNITIES", list(&attrs.communities, |&it| format_community(it))),
        (10, "CLUSTER_LIST", list(&attrs.cluster_list, ToString::to_string)),
        (
            32,
            "LARGE_COMMUNITIES",
            list(&attrs.large_communities, |&it| format_large_community(it)),
        ),
    ];
    let given = lists.into_iter().filter(|(_, _, items)| !items.is_empty());
    rows.extend(given.map(|(code, name, items)| (code, format!("{name}{items}"))));
    let unknown = attrs.unknown.iter();
    rows.extend(unknown.map(|it| {
        (
            it.code,
            format!("unknown {} flags {:02x} value {}", it.code, it.flags, hex(&it.value)),
        )
    }));
    rows
}

fn service(service: &ServiceAttr) -> String {
    let mut text = format!(
        "SERVICE {}, health {}, weight {}",
        service.protocol, service.health, service.weight
    );
    if let Some(path) = &service.path {
        text += &format!(", path {path}");
    }
    text
}

fn tunnel(tunnel: &Tunnel) -> String {
    let endpoint = tunnel
        .endpoint
        .map_or("none".to_owned(), |endpoint| endpoint.to_string());
    let addresses = list(&tunnel.addresses, ToString::to_string);
    format!(
        "TUNNEL serial {}, MTU {}, key {}, endpoint {endpoint}, addresses{addresses}",
        tunnel.serial,
        tunnel.mtu,
        hex(&tunnel.public_key)
    )
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(|item| format!(" {}", text(item))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
