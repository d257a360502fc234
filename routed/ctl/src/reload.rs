//! `reload` and `confirm`.

use catalyst_proto::admin::v1::reload_event::Event;
use catalyst_proto::admin::v1::reload_result::Outcome as Said;
use catalyst_proto::admin::v1::{
    Difference, KeyChange, NameChanges, NameList, PeerChange, ReloadRequest, ReloadResult, ServiceChange,
};
use serde::Serialize;
use serde_json::Value;

use crate::args::ReloadArgs;
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output};
use crate::text::{apart, clean, columns, duration, wrap};

/// Names that a line of the table shows of each list.
const SHOWN: usize = 5;
/// Columns of a value of the configuration.
const VALUE: usize = 30;

pub(crate) async fn reload(args: ReloadArgs, client: &mut Client, out: &mut Output) -> Outcome {
    let request = ReloadRequest {
        dry_run: args.dry_run,
        partial: args.partial,
        confirm_ms: args.confirm.unwrap_or(0),
        undo: args.undo,
    };
    let mut events = client.reload(request).await?;
    let mut difference = None;
    while let Some(message) = client.next_of_reload(&mut events).await? {
        match message.event {
            Some(Event::Difference(told)) => {
                if out.format == Format::Table {
                    // Seen before it is applied.
                    render(&told).iter().try_for_each(|line| out.line(line))?;
                    out.flush()?;
                }
                difference = Some(told);
            }
            Some(Event::Result(result)) => return end(&result, difference.unwrap_or_default(), out),
            None => {}
        }
    }
    Err(Failure::refused("the daemon did not say what came of it"))
}

pub(crate) async fn confirm(client: &mut Client, out: &mut Output) -> Outcome {
    client.confirm_reload().await?;
    match out.format {
        Format::Json => out.json(&serde_json::json!({ "confirmed": true })),
        Format::Table => out.line("confirmed: the configuration stays"),
    }
}

fn end(result: &ReloadResult, difference: Difference, out: &mut Output) -> Outcome {
    let text = match result.outcome() {
        Said::Applied if result.undone_in_ms > 0 => format!(
            "applied; undone in {} unless `catalystctl confirm` follows",
            duration(result.undone_in_ms.div_ceil(1000))
        ),
        Said::Applied => "applied".to_owned(),
        Said::Unchanged => "nothing differs".to_owned(),
        Said::DryRun => "a dry run: nothing was changed".to_owned(),
        Said::Refused | Said::Unspecified => String::new(),
    };
    if out.format == Format::Json {
        out.json(&Answer::new(result, difference))?;
    } else if !text.is_empty() {
        out.line(&text)?;
    }
    if text.is_empty() {
        out.flush()?;
        let reason = &result.reason;
        return Err(Failure::refused(format!("nothing was changed: {reason}")));
    }
    Ok(())
}

fn render(difference: &Difference) -> Vec<String> {
    let mut lines = Vec::new();
    let warnings = difference.warnings.iter().flat_map(|it| wrapped("  ", it));
    section("warnings", warnings, &mut lines);
    section("keys", difference.keys.iter().flat_map(key), &mut lines);
    section("peers", difference.peers.iter().flat_map(peer), &mut lines);
    for (heading, offers) in [("services", &difference.services), ("prefixes", &difference.prefixes)] {
        let offers = offers.iter().map(|it| format!("  {} {}", it.name, it.action));
        section(heading, offers, &mut lines);
    }
    if let Some(text) = difference.selected.as_ref().and_then(names) {
        section("routes in use here", wrapped("  ", &text), &mut lines);
    }
    lines
}

fn section(heading: &str, below: impl IntoIterator<Item = String>, lines: &mut Vec<String>) {
    let mut below = below.into_iter().peekable();
    if below.peek().is_some() {
        lines.push(heading.to_owned());
        lines.extend(below);
    }
}

fn wrapped(indent: &str, text: &str) -> Vec<String> {
    let lines = wrap(&clean(text), columns() - indent.len() - 2);
    let indented = lines.into_iter().enumerate();
    indented
        .map(|(at, line)| format!("{indent}{}{line}", if at == 0 { "" } else { "  " }))
        .collect()
}

fn key(change: &KeyChange) -> Vec<String> {
    let (before, after) = apart(&change.before, &change.after, VALUE.max(columns() / 3));
    let value = |json: String| {
        if json.is_empty() {
            "(not there)".to_owned()
        } else {
            json
        }
    };
    let restart = if change.needs_restart { ", needs a restart" } else { "" };
    let text = format!("{}: {} -> {}{restart}", change.key, value(before), value(after));
    wrapped("  ", &text)
}

fn peer(change: &PeerChange) -> Vec<String> {
    let session = match (change.action.as_str(), change.established) {
        ("reset", true) => ", its session is set up anew",
        ("removed", true) => ", its session ends",
        ("changed", true) => ", its session stays",
        _ => "",
    };
    let keys = match change.keys.join(", ") {
        keys if keys.is_empty() => String::new(),
        keys => format!(" ({keys})"),
    };
    let mut lines = wrapped("  ", &format!("{} {}{keys}{session}", change.name, change.action));
    for (what, changes) in [
        ("accepted from it", &change.import),
        ("advertised to it", &change.export),
    ] {
        if let Some(text) = changes.as_ref().and_then(names) {
            lines.extend(wrapped("    ", &format!("{what}: {text}")));
        }
    }
    lines
}

/// `+2 -1: +a.acme, +b.acme, -c.acme`; `None` if nothing differs.
fn names(changes: &NameChanges) -> Option<String> {
    let lists = [('+', &changes.gained), ('-', &changes.lost), ('~', &changes.changed)];
    let lists: Vec<(char, &NameList)> = lists
        .into_iter()
        .filter_map(|(sign, list)| Some((sign, list.as_ref()?)))
        .filter(|(_, list)| list.count > 0)
        .collect();
    let counts: Vec<String> = lists
        .iter()
        .map(|(sign, list)| format!("{sign}{}", list.count))
        .collect();
    let shown: Vec<String> = lists.iter().flat_map(|(sign, list)| some_of(*sign, list)).collect();
    (!counts.is_empty()).then(|| format!("{}: {}", counts.join(" "), shown.join(", ")))
}

fn some_of(sign: char, list: &NameList) -> Vec<String> {
    let mut shown: Vec<String> = list
        .first
        .iter()
        .take(SHOWN)
        .map(|name| format!("{sign}{name}"))
        .collect();
    if list.count > shown.len() as u64 {
        shown.push(format!("{sign}{} more", list.count - shown.len() as u64));
    }
    shown
}

/// The answer as JSON.
#[derive(Debug, Serialize)]
struct Answer {
    outcome: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// `null`: it stays.
    undone_in_s: Option<u64>,
    keys: Vec<Key>,
    peers: Vec<Peer>,
    services: Vec<Offer>,
    prefixes: Vec<Offer>,
    selected: Names,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Key {
    key: String,
    before: Option<Value>,
    after: Option<Value>,
    needs_restart: bool,
}

#[derive(Debug, Serialize)]
struct Peer {
    name: String,
    action: String,
    keys: Vec<String>,
    established: bool,
    import: Names,
    export: Names,
}

#[derive(Debug, Serialize)]
struct Offer {
    name: String,
    action: String,
}

#[derive(Debug, Serialize, Default)]
struct Names {
    gained: List,
    lost: List,
    changed: List,
}

#[derive(Debug, Serialize, Default)]
struct List {
    count: u64,
    first: Vec<String>,
}

fn offers(changes: Vec<ServiceChange>) -> Vec<Offer> {
    let offer = |it: ServiceChange| Offer {
        name: it.name,
        action: it.action,
    };
    changes.into_iter().map(offer).collect()
}

impl Answer {
    fn new(result: &ReloadResult, difference: Difference) -> Self {
        let outcome = match result.outcome() {
            Said::Applied => "applied",
            Said::Unchanged => "unchanged",
            Said::DryRun => "dry run",
            Said::Refused | Said::Unspecified => "refused",
        };
        Self {
            outcome,
            reason: result.reason.clone(),
            undone_in_s: Some(result.undone_in_ms.div_ceil(1000)).filter(|left| *left > 0),
            keys: difference.keys.into_iter().map(Key::from).collect(),
            peers: difference.peers.into_iter().map(Peer::from).collect(),
            services: offers(difference.services),
            prefixes: offers(difference.prefixes),
            selected: difference.selected.into(),
            warnings: difference.warnings,
        }
    }
}

impl From<KeyChange> for Key {
    fn from(change: KeyChange) -> Self {
        let value = |json: &str| serde_json::from_str(json).ok();
        Self {
            before: value(&change.before),
            after: value(&change.after),
            key: change.key,
            needs_restart: change.needs_restart,
        }
    }
}

impl From<PeerChange> for Peer {
    fn from(change: PeerChange) -> Self {
        Self {
            name: change.name,
            action: change.action,
            keys: change.keys,
            established: change.established,
            import: change.import.into(),
            export: change.export.into(),
        }
    }
}

impl From<Option<NameChanges>> for Names {
    fn from(changes: Option<NameChanges>) -> Self {
        let changes = changes.unwrap_or_default();
        let list = |list: Option<NameList>| {
            let list = list.unwrap_or_default();
            List {
                count: list.count,
                first: list.first,
            }
        };
        Self {
            gained: list(changes.gained),
            lost: list(changes.lost),
            changed: list(changes.changed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{WIDTH, width};

    fn list(names: &[&str], count: u64) -> Option<NameList> {
        let first = names.iter().map(ToString::to_string).collect();
        Some(NameList { count, first })
    }

    #[test]
    fn a_difference_reads_from_the_keys_to_the_routes() {
        let export = NameChanges {
            gained: list(&["a", "b", "c", "d", "e", "f"], 1200),
            lost: list(&["x.acme"], 1),
            changed: None,
        };
        let difference = Difference {
            keys: vec![KeyChange {
                key: "peering.listen".to_owned(),
                before: "\"127.0.0.1:1\"".to_owned(),
                after: String::new(),
                needs_restart: true,
            }],
            peers: vec![PeerChange {
                name: "b".to_owned(),
                action: "changed".to_owned(),
                keys: vec!["export".to_owned()],
                established: true,
                import: None,
                export: Some(export),
            }],
            services: Vec::new(),
            prefixes: vec![ServiceChange {
                name: "10.2.0.0/16".to_owned(),
                action: "added".to_owned(),
            }],
            selected: Some(NameChanges::default()),
            warnings: vec!["routed.json:3:1: peers[\"b\"]: hm".to_owned()],
        };
        let lines = render(&difference);
        assert_eq!(
            lines,
            [
                "warnings",
                "  routed.json:3:1: peers[\"b\"]: hm",
                "keys",
                "  peering.listen: \"127.0.0.1:1\" -> (not there), needs a restart",
                "peers",
                "  b changed (export), its session stays",
                "    advertised to it: +1200 -1: +a, +b, +c, +d, +e, +1195 more, -x.acme",
                "prefixes",
                "  10.2.0.0/16 added",
            ]
        );
        assert!(lines.iter().all(|line| width(line) <= WIDTH));
        assert!(render(&Difference::default()).is_empty());
    }
}
