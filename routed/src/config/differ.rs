//! How two configurations differ, key by key, and which keys can change while the daemon runs.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::ConfigErrors;
use super::load::load_text;
use super::path::{KeyPath, Step};
use super::schema;
use super::types::Config;

/// What can change while the daemon runs; everything else needs a restart.
const LIVE: &[&str] = &[
    "node.domains",
    "node.reflector",
    "node.cluster",
    "peering.hold_time",
    "peering.send_hold_time",
    "peering.drain",
    "peering.startup_wait",
    "peering.insecure",
    "peering.next_hop",
    "peers",
    "dynamic_peers",
    "policies",
    "sets",
    "communities",
    "aggregates",
    "plugins.envoy.peer_listeners",
    "plugins.graphql.hosts",
    "plugins.wireguard.tunnels",
    "plugins.wireguard.rotate_every",
    "plugins.wireguard.static",
    "services",
    "prefixes",
];

/// A key that differs between two configurations.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyChange {
    /// The key.
    pub path: KeyPath,
    /// What stood there; `None`: nothing.
    pub before: Option<Value>,
    /// What stands there now.
    pub after: Option<Value>,
    /// Whether it can only change with a restart.
    pub needs_restart: bool,
}

/// The keys that differ between two effective configurations, in order.
#[must_use]
pub fn key_changes(old: &Config, new: &Config) -> Vec<KeyChange> {
    let mut changes = Vec::new();
    compare(&KeyPath::default(), Some(&tree(old)), Some(&tree(new)), &mut changes);
    changes
}

/// The new configuration with the keys that need a restart left as they are.
///
/// # Errors
/// The two do not go together.
pub fn without_restart(old: &Config, new: &Config) -> Result<Config, ConfigErrors> {
    let mut merged = tree(new);
    for change in key_changes(old, new).iter().filter(|change| change.needs_restart) {
        put(&mut merged, &change.path.0, change.before.clone());
    }
    load_text(Some(("what can change without a restart", &merged.to_string())), &[])
}

/// A configuration is maps, lists and plain values: it always becomes a tree.
fn tree(config: &Config) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

fn compare(path: &KeyPath, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<KeyChange>) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (old, new) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            compare(&path.field(key), before.get(key), after.get(key), changes);
        }
        return;
    }
    let path = schema::spell(path);
    changes.push(KeyChange {
        needs_restart: !is_live(&path),
        path,
        before: old.cloned(),
        after: new.cloned(),
    });
}

fn is_live(path: &KeyPath) -> bool {
    let text = path.to_string();
    LIVE.iter().any(|live| {
        let rest = text.strip_prefix(live);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

fn put(tree: &mut Value, path: &[Step], value: Option<Value>) {
    let Some((Some(key), rest)) = path.split_first().map(|(step, rest)| (step.key(), rest)) else {
        return;
    };
    let Value::Object(map) = tree else {
        return;
    };
    match (rest.is_empty(), value) {
        (true, Some(value)) => drop(map.insert(key.to_owned(), value)),
        (true, None) => drop(map.remove(key)),
        (false, value) => put(map.entry(key).or_insert_with(|| Value::Object(Map::new())), rest, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key that needs a restart, but for what is live below it. With [`LIVE`] these are all there are.
    const FIXED: &[&str] = &[
        "node.name",
        "node.as",
        "node.organisation",
        "node.state_dir",
        "peering.listen",
        "admin.listen",
        "metrics.listen",
        "plugins.envoy",
        "plugins.graphql",
        "plugins.wireguard",
        "plugins.external",
    ];

    fn config(more: &str) -> Config {
        let text = format!(
            r#"{{"node": {{"name": "a", "as": 65001, "organisation": "acme"}}, "peering": {{"listen": "127.0.0.1:1790"}}{more}}}"#
        );
        load_text(Some(("a", &text)), &[]).unwrap()
    }

    fn differ(old: &str, new: &str) -> Vec<String> {
        let changes = key_changes(&config(old), &config(new));
        let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
        let shown = changes.iter().map(|it| {
            let mark = if it.needs_restart { " (restart)" } else { "" };
            format!("{}: {} -> {}{mark}", it.path, text(&it.before), text(&it.after))
        });
        shown.collect()
    }

    const B: &str = r#""b": {"address": "127.0.0.2:1790", "as": 65001"#;

    #[test]
    fn keys_are_told_as_far_down_as_they_differ() {
        assert!(differ("", "").is_empty());
        assert_eq!(
            differ(
                &format!(r#", "peers": {{{B}}}}}"#),
                &format!(r#", "peers": {{{B}, "import": "reject"}}}}"#)
            ),
            [r#"peers["b"].import: - -> "reject""#]
        );
        let gone = differ(&format!(r#", "peers": {{{B}}}}}"#), "");
        assert!(
            gone.len() == 1 && gone[0].starts_with(r#"peers["b"]: {"address":"127.0.0.2:1790""#),
            "{gone:?}"
        );
        assert_eq!(
            differ("", r#", "admin": {"listen": "unix:/tmp/x"}"#),
            [r#"admin.listen: "unix:/run/catalyst/routed.sock" -> "unix:/tmp/x" (restart)"#]
        );
    }

    #[test]
    fn without_a_restart_the_rest_changes() {
        let old = config("");
        let new = config(&format!(
            r#", "admin": {{"listen": "unix:/tmp/x"}}, "peers": {{{B}}}}}"#
        ));
        let merged = without_restart(&old, &new).unwrap();
        assert_eq!((&merged.admin, &merged.peers), (&old.admin, &new.peers));
    }

    #[test]
    fn every_key_is_known_to_be_live_or_fixed() {
        let top = schema::schema()["properties"].as_object().unwrap();
        for (section, below) in top {
            let mut keys = vec![section.clone()];
            if schema::kind(below) == schema::Kind::Section && !LIVE.contains(&&**section) {
                keys = schema::keys(below)
                    .iter()
                    .map(|key| format!("{section}.{key}"))
                    .collect();
            }
            for key in keys {
                let at = |list: &[&str]| list.contains(&&*key);
                assert!(at(LIVE) != at(FIXED), "{key} has to be in one of LIVE and FIXED");
            }
        }
    }
}
