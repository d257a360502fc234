//! Dynamic peers in the configuration: what can be written, what it comes to, what is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use catalyst_core::event::DynamicPeers;
use catalyst_core::wire::{Families, Family};
use catalyst_routed::config::{Config, Flag, load_text, load_with_warnings};

const BASE: &str = r#"{
  "node": { "name": "a", "as": 65001, "organisation": "acme" },
  "peers": { "b": { "address": "127.0.0.2:1790", "as": 65002 } },
  "dynamic_peers": { "edge": { "prefix": "127.0.1.0/24", "as": 65001 } },
  "policies": { "in": { "statements": [{ "match": { "peer": "edge" }, "then": "accept" }] } }
}"#;

fn flags(set: &[&str]) -> Vec<Flag> {
    set.iter().map(|value| Flag::new("set", value)).collect()
}

fn load(set: &[&str]) -> Result<Config, String> {
    load_text(Some(("routed.json", BASE)), &flags(set)).map_err(|error| error.to_string())
}

fn edge(set: &[&str]) -> DynamicPeers {
    load(set).unwrap().speaker().dynamic_peers[0].clone()
}

#[track_caller]
fn refused(set: &[&str], says: &str) {
    let error = load(set).unwrap_err();
    assert!(error.contains(says), "{set:?}\n says: {error}\n not:  {says}");
}

#[test]
fn what_is_written_is_what_the_core_gets() {
    let edge = edge(&[
        "dynamic_peers.edge.as=[65001, \"65010-65019\"]",
        "dynamic_peers.edge.max_peers=7",
        "dynamic_peers.edge.families=[\"name\"]",
        "dynamic_peers.edge.client=false",
        "dynamic_peers.edge.graceful_restart={}",
        "dynamic_peers.edge.import=in",
        "dynamic_peers.edge.allowed_names=[\"*.edge\"]",
    ]);
    assert_eq!((&*edge.name, edge.max_peers), ("edge", 7));
    assert_eq!(edge.prefix, "127.0.1.0/24".parse().unwrap());
    assert_eq!(edge.asns, [65001..=65001, 65010..=65019]);
    let template = &edge.template;
    assert_eq!(template.families, Families::from_iter([Family::Name]));
    assert!(template.passive && !template.client && template.graceful_restart.is_some());
    assert_eq!(&*template.organisation, "acme");
    assert_eq!(
        template
            .import
            .as_ref()
            .map(|policy| policy.name().to_string())
            .as_deref(),
        Some("in")
    );
    assert!(template.export.is_none());
    assert_eq!(template.allowed_names.as_ref().map(Vec::len), Some(1));
}

#[test]
fn little_has_to_be_written() {
    let edge = edge(&[]);
    assert_eq!((edge.max_peers, edge.template.families), (100, Families::ALL));
    assert!(edge.template.client && edge.template.next_hop_self);
    let text = serde_json::to_string(&load(&[]).unwrap()).unwrap();
    assert!(
        text.contains("\"edge\":{\"prefix\":\"127.0.1.0/24\",\"as\":65001,\"max_peers\":100,\"organisation\":\"acme\""),
        "{text}"
    );
}

#[test]
fn policies_know_them_by_the_name_of_their_entry() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routed.json");
    let warnings = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let (_, warnings) = load_with_warnings(Some(&file), &[]).unwrap();
        warnings.iter().map(ToString::to_string).collect::<String>()
    };
    assert_eq!(warnings(BASE), "");
    let told = warnings(&BASE.replace("\"edge\": {", "\"edges\": {"));
    assert!(
        told.contains("no peer is called \"edge\"") && told.contains("edges"),
        "{told}"
    );
}

#[test]
fn peers_that_the_listener_cannot_guard_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routed.json");
    std::fs::write(&file, BASE).unwrap();
    let warnings = |peers: u32| {
        let mut set = vec!["dynamic_peers.edge.ttl_security=1".to_owned()];
        for at in 0..peers {
            let address = std::net::Ipv4Addr::from_bits(0x7f02_0000 + at);
            let peer = format!(r#"{{"address":"{address}:1790","as":65002,"ttl_security":1}}"#);
            set.push(format!("peers.p{at}={peer}"));
        }
        let flags: Vec<Flag> = set.iter().map(|value| Flag::new("set", value)).collect();
        let (_, warnings) = load_with_warnings(Some(&file), &flags).unwrap();
        warnings.iter().map(ToString::to_string).collect::<String>()
    };
    assert_eq!(warnings(900), "");
    let told = warnings(1100);
    assert!(told.contains("dynamic_peers[\"edge\"].ttl_security"), "{told}");
    assert!(told.contains("only once a connection is accepted"), "{told}");
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    refused(
        &["dynamic_peers.edge.as=[]"],
        "dynamic_peers[\"edge\"].as: expected at least one AS number",
    );
    refused(
        &["dynamic_peers.edge.as=0"],
        "an AS number, or a range of them such as \"65001-65010\"",
    );
    refused(&["dynamic_peers.edge.as=\"9-1\""], "an AS number, or a range of them");
    refused(
        &["dynamic_peers.edge.prefix=127.0.1.1/24"],
        "the network is 127.0.1.0/24",
    );
    refused(
        &["dynamic_peers.edge.max_peers=0"],
        "dynamic_peers[\"edge\"].max_peers: expected 1 to 10000, found 0",
    );
    refused(
        &["dynamic_peers.edge.max_peers=10001"],
        "expected 1 to 10000, found 10001",
    );
    refused(&["dynamic_peers.edge.address=127.0.0.1:1"], "address: unknown key");
    refused(&["dynamic_peers.edge.families=[]"], "dynamic_peers[\"edge\"].families");
    refused(
        &["dynamic_peers.edge.strict_role=true"],
        "without a role of ours nothing is checked",
    );
    refused(
        &["dynamic_peers.edge.role=provider"],
        "nodes of one AS have no roles towards each other, and `as` has ours",
    );
    refused(
        &["dynamic_peers.edge.organisation=beta"],
        "AS 65001 is ours, and an AS belongs to one organisation: acme",
    );
    refused(
        &["dynamic_peers.edge.allowed_next_hops=[\"127.0.0.9\"]"],
        "only outside peers are held to next hops",
    );
    refused(
        &["dynamic_peers.edge.graceful_restart.stale_time=0s"],
        "graceful_restart.stale_time: expected 1s to 3600s",
    );
    refused(
        &["dynamic_peers.Edge={\"prefix\": \"127.0.2.0/24\", \"as\": 1}"],
        "is written in lower case: edge",
    );
    refused(
        &["dynamic_peers.b={\"prefix\": \"127.0.2.0/24\", \"as\": 1}"],
        "dynamic_peers[\"b\"]: a peer is called \"b\", too",
    );
    refused(
        &["dynamic_peers.other={\"prefix\": \"127.0.1.0/24\", \"as\": 1}"],
        "dynamic_peers[\"other\"].prefix: dynamic_peers[\"edge\"] has the same prefix",
    );
}

#[test]
fn how_connections_are_made_goes_by_key() {
    let config = load(&[
        "peers.b.source=127.0.0.1",
        "peers.b.ttl_security=2",
        "dynamic_peers.edge.ttl_security=1",
    ])
    .unwrap();
    let transports = config.transports();
    assert_eq!(transports["b"].source, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(
        (transports["b"].ttl_security, transports["edge"].ttl_security),
        (Some(2), Some(1))
    );
    assert_eq!(load(&[]).unwrap().transports()["b"].ttl_security, None);
    refused(
        &["peers.b.ttl_security=0"],
        "peers[\"b\"].ttl_security: expected 1 to 254 links, found 0",
    );
    refused(
        &["dynamic_peers.edge.ttl_security=255"],
        "expected 1 to 254 links, found 255",
    );
    refused(&["peers.b.ttl_security=256"], "ttl_security");
}

#[test]
fn off_loopback_they_have_to_be_allowed() {
    for prefix in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0"] {
        let prefix = format!("dynamic_peers.edge.prefix={prefix}");
        refused(&[&prefix], "set dynamic_peers[\"edge\"].insecure to true");
        load(&[&prefix, "dynamic_peers.edge.insecure=true"]).unwrap();
        load(&[&prefix, "peering.insecure=true"]).unwrap();
        refused(
            &[&prefix, "peering.insecure=true", "dynamic_peers.edge.insecure=false"],
            "insecure to true",
        );
    }
    load(&["dynamic_peers.edge.prefix=::1/128"]).unwrap();
}

#[test]
fn those_of_another_organisation_are_held_to_its_rules() {
    let outside = ["dynamic_peers.edge.as=65100", "dynamic_peers.edge.organisation=beta"];
    load(&outside).unwrap();
    let with = |more: &'static str| [outside[0], outside[1], more];
    refused(
        &with("dynamic_peers.edge.next_hop_self=false"),
        "next_hop_self is always on",
    );
    refused(
        &with("plugins.envoy={}"),
        "set plugins.envoy.peer_listeners[\"beta\"] to an IP:port",
    );
    load(&with("dynamic_peers.edge.role=provider")).unwrap();
}
