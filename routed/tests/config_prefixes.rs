//! Prefixes in the configuration: what this node originates, what peers may offer, which families sessions carry.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use catalyst_core::event::{LocalPrefix, LocalRoute};
use catalyst_core::wire::{Families, Family};
use catalyst_routed::config::{Config, Flag, load_text, load_with_warnings};

const BASE: &str = r#"{
  "node": { "name": "a", "as": 65001, "organisation": "acme" },
  "peers": { "b": { "address": "127.0.0.2:1790", "as": 65002, "organisation": "beta" } },
  "communities": { "backbone": "65001:7" }
}"#;

fn flags(set: &[&str]) -> Vec<Flag> {
    set.iter().map(|value| Flag::new("set", value)).collect()
}

fn load(set: &[&str]) -> Result<Config, String> {
    load_text(Some(("routed.json", BASE)), &flags(set)).map_err(|error| error.to_string())
}

fn refused(set: &str, says: &str) {
    let error = load(&[set]).unwrap_err();
    assert!(error.contains(says), "{set}: {error}");
}

#[test]
fn prefixes_are_originated_as_they_are_written() {
    let config = load(&[
        "prefixes[\"10.2.0.0/16\"]={}",
        "prefixes[\"2001:DB8:0:0::/32\"]={\"communities\": [\"backbone\", \"1:2:3\", \"65001:1\"], \"med\": 7}",
    ])
    .unwrap();
    let plain = LocalPrefix {
        prefix: "10.2.0.0/16".parse().unwrap(),
        communities: Vec::new(),
        large_communities: Vec::new(),
        med: None,
    };
    let full = LocalPrefix {
        prefix: "2001:db8::/32".parse().unwrap(),
        communities: vec![65001 << 16 | 1, 65001 << 16 | 7],
        large_communities: vec![(1, 2, 3)],
        med: Some(7),
    };
    let expected = [LocalRoute::Prefix(plain), LocalRoute::Prefix(full)];
    assert_eq!(config.local_routes(), expected);
}

#[test]
fn what_is_no_prefix_is_refused_with_the_reason() {
    refused("prefixes[\"10.2.0.0\"]={}", "expected a prefix such as \"10.0.0.0/8\"");
    refused("prefixes[\"10.2.0.1/16\"]={}", "the network is 10.2.0.0/16");
    refused("prefixes[\"10.2.0.0/33\"]={}", "at most 32 bits");
    refused(
        "prefixes={\"2001:db8::/32\": {}, \"2001:DB8::/32\": {}}",
        "is the same prefix in another spelling",
    );
    refused(
        "prefixes[\"10.2.0.0/16\"].communities=[\"spine\"]",
        "prefixes[\"10.2.0.0/16\"].communities[0]",
    );
    refused("prefixes[\"10.2.0.0/16\"].weight=1", "weight");
    refused("peers.b.allowed_prefixes=[\"10.0.0.1/8\"]", "the network is 10.0.0.0/8");
}

#[test]
fn a_peer_may_offer_what_is_allowed_and_nothing_by_default() {
    let peer = |config: &Config| config.speaker().peers[0].clone();
    let covers = |config: &Config, text: &str| peer(config).allowed_prefixes.covers(text.parse().unwrap());
    let none = load(&[]).unwrap();
    assert!(!covers(&none, "10.2.0.0/16"));
    let some = load(&["peers.b.allowed_prefixes=[\"10.0.0.0/8\"]"]).unwrap();
    assert!(covers(&some, "10.2.0.0/16") && !covers(&some, "0.0.0.0/0"));
}

#[test]
fn sessions_offer_every_family_unless_told() {
    let families = |set: &[&str]| load(set).unwrap().speaker().peers[0].families;
    assert_eq!(families(&[]), Families::ALL);
    let two: Families = [Family::Name, Family::Ipv6].into_iter().collect();
    assert_eq!(families(&["peers.b.families=[\"ipv6\", \"name\"]"]), two);
    refused("peers.b.families=[]", "expected at least one family");
    refused("peers.b.families=[\"name\", \"name\"]", "name is in this list already");
    refused("peers.b.families=[\"ipv5\"]", "expected name, ipv4 or ipv6");
}

#[test]
fn a_prefix_that_can_never_come_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routed.json");
    std::fs::write(&file, BASE).unwrap();
    let set = [
        "peers.b.families=[\"name\", \"ipv6\"]",
        "peers.b.allowed_prefixes=[\"10.0.0.0/8\"]",
    ];
    let (_, warnings) = load_with_warnings(Some(&file), &flags(&set)).unwrap();
    let said = warnings[0].to_string();
    assert!(
        said.contains("10.0.0.0/8 can never come: ipv4 is not among the families"),
        "{said}"
    );
}
