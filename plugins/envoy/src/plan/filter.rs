//! The Lua filter of each HTTP listener, delivered by ECDS: it alone changes when wildcards come and go, so that the
//! listeners stay as they are and drain nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::Lua;

use super::proto::{extension, inline};

const SCRIPT: &str = include_str!("scope.lua");

/// The wildcards of a class by suffix (`.dc1.acme`, empty for `*`): true where it is served, false where it is a stop.
pub(crate) type Wildcards = BTreeMap<String, bool>;

/// What a listener does with the via header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Via {
    /// Discards it and starts a new one with this node's entry.
    Start(String),
    /// Appends this node's entry, refuses a request that has it already.
    Node(String),
    /// Appends our AS, refuses a request that has passed it already.
    As(u32),
}

impl Via {
    fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Start(own) => ("start", own.clone()),
            Self::Node(own) => ("node", own.clone()),
            Self::As(asn) => ("as", asn.to_string()),
        }
    }
}

/// What differs between the filters of the listeners.
#[derive(Debug, Clone)]
pub(crate) struct FilterSpec {
    /// The ECDS name.
    pub(crate) name: String,
    /// The class part of scope keys.
    pub(crate) class: String,
    /// The loop guard.
    pub(crate) via: Via,
    /// On ingress: the hosts that mean the graph besides IP literals.
    pub(crate) graph: Option<Vec<String>>,
}

/// The filter of a listener with the wildcards of its class.
pub(crate) fn filter(spec: &FilterSpec, wildcards: &Wildcards) -> TypedExtensionConfig {
    let lua = Lua {
        default_source_code: Some(inline(source(spec, wildcards))),
        ..Default::default()
    };
    extension(&spec.name, &lua)
}

fn source(spec: &FilterSpec, wildcards: &Wildcards) -> String {
    let (mode, own) = spec.via.parts();
    let mut text = String::with_capacity(SCRIPT.len() + 256 + 64 * wildcards.len());
    // Writing to a String cannot fail.
    let _ = writeln!(text, "local CLASS = {}", quoted(&spec.class));
    let _ = writeln!(text, "local VIA = {}", quoted(mode));
    let _ = writeln!(text, "local SELF = {}", quoted(&own));
    let _ = writeln!(text, "local GRAPH = {}", graph_table(spec.graph.as_deref()));
    let _ = writeln!(text, "local WILD = {}", wildcard_table(wildcards));
    text.push_str(SCRIPT);
    text
}

fn graph_table(hosts: Option<&[String]>) -> String {
    let Some(hosts) = hosts else { return "nil".into() };
    let mut all: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    all.push("localhost".into());
    all.sort();
    all.dedup();
    let entries: Vec<String> = all.iter().map(|host| format!("[{}]=true", quoted(host))).collect();
    format!("{{{}}}", entries.join(","))
}

fn wildcard_table(wildcards: &Wildcards) -> String {
    let entries = wildcards.iter().map(|(suffix, open)| {
        let value = if *open {
            quoted(&format!("*{suffix}"))
        } else {
            "false".into()
        };
        format!("[{}]={value}", quoted(suffix))
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

/// A Lua string; everything but plain ASCII as a decimal escape, so that no text can end the literal.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
                let _ = write!(out, "\\{byte:03}");
            }
            plain => out.push(char::from(plain)),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_a_lua_string() {
        assert_eq!(quoted("a.b-c"), "\"a.b-c\"");
        assert_eq!(quoted("\" .. os.exit() --\n\\"), "\"\\034 .. os.exit() --\\010\\092\"");
    }

    #[test]
    fn wildcards_and_stops_are_in_the_source() {
        let spec = FilterSpec {
            name: "f".into(),
            class: "own".into(),
            via: Via::Start("1/a".into()),
            graph: Some(vec!["Graph.acme".into()]),
        };
        let wildcards = Wildcards::from([
            (".dc1.acme".into(), true),
            (".acme".into(), false),
            (String::new(), true),
        ]);
        let text = source(&spec, &wildcards);
        assert!(
            text.contains("local WILD = {[\"\"]=\"*\",[\".acme\"]=false,[\".dc1.acme\"]=\"*.dc1.acme\"}"),
            "{text}"
        );
        assert!(
            text.contains("local GRAPH = {[\"graph.acme\"]=true,[\"localhost\"]=true}"),
            "{text}"
        );
        assert!(text.contains("local SELF = \"1/a\""), "{text}");
    }
}
