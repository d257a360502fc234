//! docs/config.md and docs/config.schema.json, generated from the types.

use std::fmt::Write as _;

use serde_json::Value;

use super::cli;
use super::flags::SHORTHANDS;
use super::schema::{Kind, kind, long, schema, short};

const INTRODUCTION: &str = r#"# Configuration

Generated from the types of `routed/src/config`; `BLESS=1 cargo test -p catalyst-routed --test config_docs` writes it anew.

`catalyst-routed` takes its configuration from a JSON file (`-c routed.json`), from flags, or from both: flags win over
the file, later flags over earlier ones. Unknown and duplicate keys are refused, and each error names its place and key:

    routed.json:12:7: peers["b"].address: expected IP:port, found "x"

`--check` validates and exits with 0 or 64. `--print-config` prints the effective configuration, every default written
out; it can be read back. [config.schema.json](config.schema.json) is the JSON Schema, for editors.

## Any key as a flag

`--set PATH=VALUE` sets any key, and may be repeated:

    catalyst-routed -c routed.json \
      --set 'services["orders.dc1.acme"].endpoints[0].url=http://127.0.0.1:4001' \
      --set peering.hold_time=6s \
      --set 'peers["b"]={"address": "127.0.0.2:1790", "as": 65002}' \
      --set 'node.domains=["acme.example"]' \
      --set plugins.graphql=null

- A path is made of identifiers (`node.name`), quoted keys (`peers["b"]`) and elements of lists (`[0]`; the element after
  the last one appends).
- The value of a string, number or boolean is written as it is; objects and lists are JSON and replace what was there.
- Where one value or a list may stand, or a word or an object, JSON that begins with `[` or `{` is the latter.
- `null` deletes a key, and the default counts again. The string of that name is written `'"null"'`.

Lengths of time are a number and a unit: `500ms`, `90s`, `2m`, `1h`. An address `ADDR` is `unix:PATH` or `IP:port`.
"#;

/// The order of the sections for people; others follow.
const SECTIONS: [&str; 11] = [
    "node",
    "peering",
    "peers",
    "services",
    "prefixes",
    "policies",
    "sets",
    "communities",
    "admin",
    "metrics",
    "plugins",
];

/// docs/config.schema.json.
#[must_use]
pub fn schema_json() -> String {
    format!("{:#}\n", schema())
}

/// docs/config.md.
#[must_use]
pub fn markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    let mut sections: Vec<_> = properties(schema()).collect();
    sections.sort_by_key(|(key, _)| SECTIONS.iter().position(|s| s == key).unwrap_or(SECTIONS.len()));
    for (key, section) in sections {
        write_section(&mut out, key, section);
    }
    out.push_str("\n## Command line\n\n```text\n");
    let help = cli::command().term_width(100).render_long_help().to_string();
    for line in help.trim_end().lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.push_str("```\n");
    out
}

fn write_section(out: &mut String, path: &str, section: &Value) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\n## {path}\n\n{}\n\n", description(section));
    let _ = writeln!(out, "| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |");
    let (base, section) = match kind(section) {
        Kind::Map => (format!("{path}[\"NAME\"]"), &section["additionalProperties"]),
        Kind::Section
        | Kind::List
        | Kind::String
        | Kind::Integer
        | Kind::Bool
        | Kind::NumberOrString
        | Kind::Either => (path.to_owned(), section),
    };
    if kind(section) == Kind::Either {
        write_row(out, &base, section, None, false);
        return write_rows(out, &base, long(section), None);
    }
    write_rows(out, &base, section, None);
}

/// `inherited`: the default of the section around, which says the defaults of its keys.
fn write_rows(out: &mut String, base: &str, section: &Value, inherited: Option<&Value>) {
    for (key, property) in properties(section) {
        let path = format!("{base}.{key}");
        let default = inherited.and_then(|d| d.get(key)).or_else(|| property.get("default"));
        write_row(out, &path, property, default, is_required(section, key));
        write_below(out, &path, property, default);
    }
}

/// The rows of what is below a key that is no plain value.
fn write_below(out: &mut String, path: &str, property: &Value, default: Option<&Value>) {
    match kind(property) {
        // Said already, in the words of its description.
        Kind::Section if property["x-keys-of"].is_string() => {}
        Kind::Section => write_rows(out, path, property, default),
        Kind::Either => write_below(out, path, long(property), None),
        Kind::List if kind(&property["items"]) == Kind::Section => {
            write_rows(out, &format!("{path}[N]"), &property["items"], None);
        }
        Kind::Map if kind(&property["additionalProperties"]) == Kind::Section => {
            write_rows(
                out,
                &format!("{path}[\"NAME\"]"),
                &property["additionalProperties"],
                None,
            );
        }
        Kind::Map | Kind::List | Kind::String | Kind::Integer | Kind::Bool | Kind::NumberOrString => {}
    }
}

fn write_row(out: &mut String, path: &str, property: &Value, default: Option<&Value>, required: bool) {
    let default = match default {
        _ if required => "required".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) if value.is_number() || value.is_boolean() => format!("`{value}`"),
        Some(_) | None => String::new(),
    };
    let flag = SHORTHANDS.iter().find(|s| s.path == path);
    let flag = flag.map(|s| format!(" Flag: `--{}`.", s.flag)).unwrap_or_default();
    let _ = writeln!(
        out,
        "| `{path}` | {} | {default} | {}{flag} |",
        spelling(property),
        description(property)
    );
}

fn spelling(schema: &Value) -> String {
    match kind(schema) {
        Kind::Section => "object".to_owned(),
        Kind::Map => format!("object: NAME to {}", spelling(&schema["additionalProperties"])),
        Kind::List => format!("list: {}", spelling(&schema["items"])),
        Kind::Either => either(schema),
        Kind::NumberOrString => expected(schema),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Integer => range(schema),
        Kind::String => match schema["enum"].as_array() {
            Some(choices) => choices
                .iter()
                .map(|c| format!("`{}`", text(c)))
                .collect::<Vec<_>>()
                .join(", "),
            None => expected(schema),
        },
    }
}

fn expected(schema: &Value) -> String {
    schema["x-expected"].as_str().unwrap_or("string").to_owned()
}

/// A list of the same needs no second description.
fn either(schema: &Value) -> String {
    let one = spelling(short(schema));
    if kind(long(schema)) == Kind::List {
        format!("{one}; or a list of them")
    } else {
        format!("{one}; or an object")
    }
}

fn range(schema: &Value) -> String {
    let minimum = schema["minimum"].as_u64().unwrap_or(0);
    match schema["maximum"].as_u64() {
        Some(maximum) => format!("number, {minimum} to {maximum}"),
        None => format!("number, at least {minimum}"),
    }
}

fn is_required(section: &Value, key: &str) -> bool {
    section["required"]
        .as_array()
        .is_some_and(|r| r.iter().any(|k| k == key))
}

fn description(schema: &Value) -> String {
    match text(&schema["description"]) {
        "" if kind(schema) == Kind::Either => "The short spelling, or the keys below.".to_owned(),
        description => description.replace('\n', " "),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn properties(section: &Value) -> impl Iterator<Item = (&str, &Value)> {
    section["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}
