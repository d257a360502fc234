//! The Lua filter that finds the scope of a request: one for all HTTP listeners, delivered by ECDS. It alone changes when
//! wildcards come and go, so that the listeners stay as they are and drain nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::Lua;

use super::names::SCOPE_FILTER;
use super::proto::{extension, inline};
use crate::config::EnvoyConfig;

const SCRIPT: &str = include_str!("scope.lua");

/// The wildcards by suffix (`.dc1.acme`, empty for `*`): true where somebody offers it, false where it is a stop.
pub(crate) type Wildcards = BTreeMap<String, bool>;

/// The filter with the wildcards of the table.
pub(crate) fn filter(config: &EnvoyConfig, wildcards: &Wildcards) -> TypedExtensionConfig {
    let lua = Lua {
        default_source_code: Some(inline(source(config, wildcards))),
        ..Default::default()
    };
    extension(SCOPE_FILTER, &lua)
}

fn source(config: &EnvoyConfig, wildcards: &Wildcards) -> String {
    let mut text = String::with_capacity(SCRIPT.len() + 256 + 32 * wildcards.len());
    // Writing to a String cannot fail.
    let _ = writeln!(text, "local NODE = {}", quoted(&config.node_id()));
    let _ = writeln!(text, "local AS = {}", quoted(&config.asn.to_string()));
    let _ = writeln!(text, "local GRAPH = {}", graph_table(&config.graphql_hosts));
    let _ = writeln!(text, "local WILD = {}", wildcard_table(wildcards));
    text.push_str(SCRIPT);
    text
}

fn graph_table(hosts: &[String]) -> String {
    let mut all: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    all.push("localhost".into());
    all.sort();
    all.dedup();
    let entries: Vec<String> = all.iter().map(|host| format!("[{}]=true", quoted(host))).collect();
    format!("{{{}}}", entries.join(","))
}

fn wildcard_table(wildcards: &Wildcards) -> String {
    let entries = wildcards
        .iter()
        .map(|(suffix, offered)| format!("[{}]={offered}", quoted(suffix)));
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
    use super::super::tests::config;
    use super::*;

    #[test]
    fn no_text_can_end_a_lua_string() {
        assert_eq!(quoted("a.b-c"), "\"a.b-c\"");
        assert_eq!(quoted("\" .. os.exit() --\n\\"), "\"\\034 .. os.exit() --\\010\\092\"");
    }

    #[test]
    fn wildcards_and_stops_are_in_the_source() {
        let wildcards = Wildcards::from([
            (".dc1.acme".into(), true),
            (".acme".into(), false),
            (String::new(), true),
        ]);
        let text = source(&config(&[], 1..=1), &wildcards);
        for line in [
            "local WILD = {[\"\"]=true,[\".acme\"]=false,[\".dc1.acme\"]=true}",
            "local GRAPH = {[\"graph.acme\"]=true,[\"localhost\"]=true}",
            "local NODE = \"65001/a\"",
            "local AS = \"65001\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
