//! Every refusal names the place and the key.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use catalyst_routed::config::{Config, Flag, load, load_text, local_service, parse_service};

const BASE: &str = r#"{
  "node": { "name": "a", "as": 65001, "organisation": "acme" },
  "peers": {
    "b": { "address": "127.0.0.2:1790", "as": 65002 }
  },
  "services": {
    "s.acme": { "protocol": "http", "endpoints": [{ "url": "http://127.0.0.1:4001" }] }
  }
}"#;

fn refused(text: &str) -> String {
    load_text(Some(("routed.json", text)), &[]).unwrap_err().to_string()
}

fn set(assignments: &[&str]) -> Result<Config, String> {
    let flags: Vec<Flag> = assignments.iter().map(|a| Flag::new("set", a)).collect();
    load_text(Some(("routed.json", BASE)), &flags).map_err(|e| e.to_string())
}

#[track_caller]
fn set_refused(assignments: &[&str], says: &str) {
    let error = set(assignments).unwrap_err();
    assert!(error.contains(says), "{assignments:?}\n  says: {error}\n  not:  {says}");
}

#[test]
fn the_base_is_good() {
    set(&[]).unwrap();
}

#[test]
fn a_wrong_value_is_shown_with_line_column_and_key() {
    let text = BASE.replace("127.0.0.2:1790", "x");
    assert_eq!(
        refused(&text),
        r#"routed.json:4:23: peers["b"].address: expected IP:port, found "x""#
    );
}

#[test]
fn unknown_keys_are_shown_at_the_key_with_what_could_stand_there() {
    let error = refused(&BASE.replace("\"peers\"", "\"pears\""));
    assert!(
        error.starts_with("routed.json:3:3: pears: unknown key; did you mean \"peers\"? Expected node, peering, peers"),
        "{error}"
    );
}

#[test]
fn duplicate_keys_are_shown_at_the_second() {
    let error = refused(&BASE.replace("\"as\": 65002", "\"as\": 65002, \"as\": 65003"));
    assert_eq!(
        error,
        r#"routed.json:4:54: peers["b"].as: duplicate key; the first is at line 4, column 41"#
    );
}

#[test]
fn a_service_is_not_called_like_an_address() {
    for name in ["10.0.0.1", "localhost"] {
        let error = refused(&BASE.replace("s.acme", name));
        let says = format!("services[\"{name}\"]: a service cannot be called {name}: whoever asks for an IP address");
        assert!(error.contains(&says), "{error}");
    }
}

#[test]
fn types_are_named_in_plain_words() {
    for (from, to, says) in [
        (
            "65002",
            "\"65002\"",
            r#"routed.json:4:47: peers["b"].as: expected a whole number from 0 to 4294967295, found "65002""#,
        ),
        (
            "65002",
            "-1",
            r#"peers["b"].as: expected a whole number from 0 to 4294967295, found -1"#,
        ),
        ("65002", "1.5", r#"found 1.5"#),
        ("65002", "null", r#"found null"#),
        (
            "\"127.0.0.2:1790\"",
            "{}",
            r#"peers["b"].address: expected IP:port, found an object"#,
        ),
        (
            "[{ \"url\": \"http://127.0.0.1:4001\" }]",
            "\"x\"",
            r#"services["s.acme"].endpoints: expected a list, found "x""#,
        ),
        (
            ", \"as\": 65002",
            "",
            r#"routed.json:4:10: peers["b"]: missing key "as""#,
        ),
    ] {
        let error = refused(&BASE.replace(from, to));
        assert!(error.contains(says), "{from} -> {to}: {error}");
    }
}

/// One line each, in the order of the text; nothing that only follows from another line.
#[test]
fn every_wrong_value_key_and_gap_is_told_at_once() {
    let text = r#"{
  "node": { "as": "x", "organisation": "acme" },
  "peering": { "drain": 3, "hold": "1s" },
  "peers": {
    "b": { "address": "b:1790" },
    "c": { "address": "127.0.0.3:1790", "as": 65003, "passive": "no" }
  },
  "services": {
    "s.acme": { "endpoints": [
      { "url": "http://127.0.0.1:4001" },
      { "url": "gopher://x", "weight": -1 },
      { "url": "http://127.0.0.1:4002" },
      { "weight": 2 }
    ] },
    "t.acme": 7
  },
  "plugins": { "envoy": { "tcp_ports": "9-1" } }
}"#;
    let error = refused(text);
    let found: Vec<&str> = error
        .lines()
        .map(|line| line.strip_prefix("routed.json:").unwrap())
        .collect();
    let expected = [
        r#"2:11: node: missing key "name""#,
        r#"2:19: node.as: expected a whole number from 0 to 4294967295, found "x""#,
        r#"3:25: peering.drain: expected a duration"#,
        r#"3:28: peering.hold: unknown key; expected listen, hold_time"#,
        r#"5:10: peers["b"]: missing key "as""#,
        r#"5:23: peers["b"].address: expected IP:port, found "b:1790""#,
        r#"6:65: peers["c"].passive: expected true or false, found "no""#,
        r#"9:15: services["s.acme"]: missing key "protocol""#,
        r#"11:16: services["s.acme"].endpoints[1].url: expected "#,
        r#"11:40: services["s.acme"].endpoints[1].weight: expected a whole number from 0 to 4294967295, found -1"#,
        r#"13:7: services["s.acme"].endpoints[3]: missing key "url""#,
        r#"15:15: services["t.acme"]: expected an object, found 7"#,
        r#"17:40: plugins.envoy.tcp_ports: expected "#,
    ];
    assert_eq!(found.len(), expected.len(), "{error}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n  expected: {expected}\n{error}");
    }
}

#[test]
fn an_empty_object_lacks_every_section_and_an_empty_section_every_key() {
    assert_eq!(refused("{}"), r#"routed.json:1:1: missing key "node""#);
    let error = refused(r#"{ "node": {} }"#);
    let keys: Vec<&str> = error.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(keys, [r#""name""#, r#""as""#, r#""organisation""#], "{error}");
    assert_eq!(refused("[]"), "routed.json:1:1: expected an object, found a list");
    assert_eq!(
        refused(r#"{ "node": ["a", 65001, "acme"] }"#),
        "routed.json:1:11: node: expected an object, found a list"
    );
}

#[test]
fn the_list_of_mistakes_has_an_end_and_says_so() {
    let peer = |at: usize| format!(r#""p{at}": {{ "address": "x", "as": 1 }}"#);
    let peers = |count: usize| (0..count).map(peer).collect::<Vec<_>>().join(",\n");
    let with = |count: usize| BASE.replace("\"peers\": {", &format!("\"peers\": {{\n{},", peers(count)));
    let error = refused(&with(20));
    assert_eq!(error.lines().count(), 20, "{error}");
    assert!(!error.contains("there are more"));
    let error = refused(&with(1000));
    assert_eq!(error.lines().count(), 21, "{error}");
    assert!(
        error.lines().nth(19).unwrap().contains("[\"p19\"]"),
        "the first ones: {error}"
    );
    assert!(error.ends_with("\nthese are the first 20, there are more"), "{error}");
}

#[test]
fn duplicate_keys_are_told_beside_wrong_values_and_before_a_syntax_error() {
    let text = BASE.replace("\"as\": 65001", "\"as\": 65001, \"as\": 65009, \"name\": 7");
    let error = refused(&text.replace("65002", "\"x\""));
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(
        lines[0].contains("node.as: duplicate key") && lines[1].contains("node.name: duplicate key"),
        "{error}"
    );
    assert!(
        lines[2].contains(r#"peers["b"].as: expected a whole number"#),
        "{error}"
    );
    let error = refused(&text.replace("65002 }", "65002 ]"));
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(lines[2].contains("expected ',' or '}', found ']'"), "{error}");
}

#[test]
fn every_flag_that_cannot_be_used_is_told() {
    let error = set(&["peering.drain", "peers.b.as=x", "peering.hold_time=5s"]).unwrap_err();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(
        lines[0].starts_with("--set peering.drain: expected PATH=VALUE"),
        "{error}"
    );
    assert!(
        lines[1].starts_with(r#"--set peers.b.as=x: peers["b"].as: expected a whole number"#),
        "{error}"
    );
}

#[test]
fn rules_between_keys_are_shown_at_the_key_that_breaks_them() {
    let text = BASE.replace("127.0.0.2:1790", "127.0.0.1:1790");
    assert_eq!(
        refused(&text),
        r#"routed.json:4:12: peers["b"].address: 127.0.0.1:1790 is this node itself (peering.listen)"#
    );
    let flag = set(&["peering.listen=10.0.0.1:1790"]).unwrap_err();
    assert!(
        flag.starts_with("--set peering.listen=10.0.0.1:1790: peering.listen: 10.0.0.1:1790 is not a"),
        "{flag}"
    );
}

#[test]
fn every_broken_rule_is_listed_in_the_order_of_the_text() {
    let text = BASE
        .replace("127.0.0.2:1790", "10.0.0.2:1790")
        .replace("http://127.0.0.1:4001", "tcp://127.0.0.1:4001");
    let error = refused(&text);
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(
        lines[0].starts_with("routed.json:4:12: peers[\"b\"].address: 10.0.0.2:1790 is not a loopback"),
        "{error}"
    );
    assert!(
        lines[1].starts_with("routed.json:7:53: services[\"s.acme\"].endpoints[0].url: a service of"),
        "{error}"
    );
}

#[test]
fn node_and_peering_rules() {
    set_refused(&["node.as=0"], "node.as: expected an AS number of at least 1");
    set_refused(&["node.name=a.b"], "node.name: expected one label");
    set_refused(&["node.name=-a"], "must not begin or end with '-'");
    set_refused(&["node.state_dir=\"\""], "node.state_dir: expected a directory");
    set_refused(&["node.cluster=c"], "node.cluster: only a reflector");
    set_refused(
        &["node.domains=[\"*.acme\"]"],
        "node.domains[0]: expected a name without '*'",
    );
    set_refused(
        &["node.domains=[\"acme\",\"Acme\"]"],
        "node.domains[1]: \"acme\" is in this list already",
    );
    set_refused(
        &["peering.hold_time=299ms"],
        "peering.hold_time: expected 0s (no timer) or 300ms to 86400s, found 299ms",
    );
    set_refused(&["peering.hold_time=90"], "expected a duration such as");
    set_refused(
        &["peering.hold_time=99999999999999999999s"],
        "expected a duration such as",
    );
    set_refused(
        &["peering.drain=2h"],
        "peering.drain: expected at most 3600s, found 7200s",
    );
    set_refused(&["peering.listen=0.0.0.0:1790"], "neither encrypted nor authenticated");
    set_refused(&["peering.listen=127.0.0.1:0"], "port 0");
    set_refused(
        &["peering.next_hop=127.0.0.1:9", "plugins.envoy={}"],
        "peering.next_hop: the envoy plugin",
    );
    for good in ["0s", "300ms", "2m", "1h"] {
        set(&[&format!("peering.hold_time={good}")]).unwrap();
    }
    set(&["peering.listen=0.0.0.0:1790", "peering.insecure=true"]).unwrap();
}

#[test]
fn peer_rules() {
    let b = |key: &str| format!("peers[\"b\"].{key}");
    let c = r#"peers.c={"address":"127.0.0.2:1791","as":65003}"#;
    set_refused(&[c], r#"peers["c"].address: peers["b"] has the same IP"#);
    set_refused(
        &[r#"peers["B"]={"address":"127.0.0.9:1790","as":65003}"#],
        "written in lower case: b",
    );
    set_refused(&[&b("address=10.0.0.2:1790")], r#"set peers["b"].insecure to true"#);
    set_refused(
        &[
            &b("address=10.0.0.2:1790"),
            "peering.insecure=true",
            &b("insecure=false"),
        ],
        "not a loopback",
    );
    set(&[&b("address=10.0.0.2:1790"), "peering.insecure=true"]).unwrap();
    set(&[&b("address=10.0.0.2:1790"), &b("insecure=true")]).unwrap();
    set_refused(
        &[&b("address=0.0.0.0:1790"), &b("insecure=true")],
        "expected the address of a host",
    );
    set_refused(&[&b("as=0")], "expected an AS number");
    set_refused(
        &[&b("as=65001"), &b("node=a")],
        r#"peers["b"].node: 65001/a is this node itself"#,
    );
    set_refused(&[&b("as=65001"), &b("organisation=beta")], "AS 65001 is ours");
    set_refused(&[&b("source=::1")], "different IP versions");
    set_refused(&[&b("source=0.0.0.0")], "leave it out");
    set_refused(&[&b("allowed_next_hops=[\"127.0.0.9\"]")], "only outside peers");
    set_refused(
        &[&b("import=maybe")],
        r#"peers["b"].import: no policy is called "maybe"; there is accept, reject"#,
    );
    set(&[&b("graceful_restart={}")]).unwrap();
    set_refused(
        &[&b("graceful_restart.restart_time=999ms")],
        r#"peers["b"].graceful_restart.restart_time: expected 1s to 3600s, found 999ms"#,
    );
    set_refused(&[&b("graceful_restart.stale_time=2h")], "expected 1s to 3600s");
    set(&[
        &b("max_routes.limit=1000"),
        &b("max_update_rate=5000"),
        "peering.send_hold_time=0s",
    ])
    .unwrap();
    set(&[&b(r#"max_routes={"limit":1,"action":"reset","restart_after":"5m"}"#)]).unwrap();
    set_refused(&[&b("max_routes={}")], r#"peers["b"].max_routes: missing key"#);
    set_refused(&[&b("max_routes.limit=0")], "expected at least 1 route, found 0");
    set_refused(
        &[&b("max_routes.limit=1"), &b("max_routes.warn_at_percent=101")],
        "expected 1 to 100, found 101",
    );
    set_refused(
        &[&b("max_routes.limit=1"), &b("max_routes.restart_after=5m")],
        r#"set peers["b"].max_routes.action to "reset""#,
    );
    set_refused(
        &[&b(r#"max_routes={"limit":1,"action":"reset","restart_after":"1ms"}"#)],
        "expected 1s to 86400s, found 1ms",
    );
    set_refused(
        &[&b("max_routes.limit=1"), &b("max_routes.action=drop")],
        "expected warn, block or reset",
    );
    set(&[&b("max_frame=40960")]).unwrap();
    set_refused(
        &[&b("max_frame=40959")],
        r#"peers["b"].max_frame: expected 40960 to 65536 bytes, found 40959"#,
    );
    set_refused(&[&b("max_frame=65537")], "expected 40960 to 65536 bytes");
    set_refused(&[&b("max_update_rate=0")], "expected at least 1 per second, found 0");
    set_refused(
        &["peering.send_hold_time=10ms"],
        "expected 0s (no timer) or 1s to 86400s, found 10ms",
    );
    set(&[&b("role=customer"), &b("strict_role=true")]).unwrap();
    set_refused(&[&b("as=65001"), &b("role=peer")], "nodes of one AS have no roles");
    set_refused(&[&b("strict_role=true")], r#"set peers["b"].role"#);
    set_refused(
        &[&b("role=rs")],
        r#"peers["b"].role: expected provider, route-server, route-server-client, customer or peer, found "rs""#,
    );
    let outside = b("organisation=beta");
    set_refused(&[&outside, &b("next_hop_self=false")], "next_hop_self is always on");
    set_refused(
        &[&outside, "plugins.envoy={}"],
        r#"set plugins.envoy.peer_listeners["beta"] to an IP:port"#,
    );
    set(&[
        &outside,
        r#"plugins.envoy={"peer_listeners":{"beta":"127.0.0.1:8090"}}"#,
    ])
    .unwrap();
    set(&[&outside, &b("allowed_next_hops=[\"127.0.0.9\"]")]).unwrap();
}

#[test]
fn service_rules() {
    let s = |rest: &str| format!("services[\"s.acme\"].{rest}");
    set_refused(&[&s("endpoints=[]")], "expected 1 to 1000 endpoints, found 0");
    set_refused(
        &[&s("endpoints[0].weight=0")],
        "expected a weight from 1 to 65535, found 0",
    );
    set_refused(
        &[&s("endpoints[0].weight=65536")],
        "expected a weight from 1 to 65535, found 65536",
    );
    set_refused(
        &[&s("weight=65536")],
        "expected a whole number from 0 to 65535, found 65536",
    );
    set_refused(&[&s("path=/x")], "only a service of protocol http:graphql");
    set_refused(
        &[&s("protocol=http:graphql"), &s("path=x")],
        "expected a path that begins with '/'",
    );
    set_refused(
        &[&s("protocol=ftp")],
        r#"expected tcp, http, http:graphql or http:grpc, found "ftp""#,
    );
    set_refused(
        &[&s("protocol=tcp")],
        "endpoints tcp://HOST:PORT, found http://127.0.0.1:4001",
    );
    let tcp = [&s("protocol=tcp")[..], &s("endpoints[0].url=tcp://127.0.0.1:4001")];
    set_refused(
        &[tcp[0], tcp[1], "plugins.envoy={}"],
        "a tcp service needs a local port",
    );
    set(&[tcp[0], tcp[1], "plugins.envoy.tcp_ports=20000-20009"]).unwrap();
    set(&tcp).unwrap();
    set_refused(
        &[&s("communities=[\"65536:1\"]")],
        r#"communities[0]: expected a community"#,
    );
    set_refused(
        &[&s("communities=[\"1:2:3:4\"]")],
        r#"communities[0]: expected a community"#,
    );
    set_refused(
        &[r#"services["S.ACME"]={"protocol":"http","endpoints":[{"url":"http://h:1"}]}"#],
        "in another case",
    );
    set_refused(
        &[r#"services["s..acme"]={"protocol":"http","endpoints":[{"url":"http://h:1"}]}"#],
        "no empty label",
    );
    for (url, says) in [
        ("https://127.0.0.1:1", "spoken to in the clear"),
        ("http://127.0.0.1", "the port is missing"),
        ("http://127.0.0.1:0", "a port is a number from 1"),
        ("http://127.0.0.1:+80", "a port is a number from 1"),
        ("http://127.0.0.1:80/graphql", "a GraphQL path goes to"),
        ("http://u@h:80", "nothing but host and port"),
        ("http://::1:80", "stands in brackets"),
        ("http://[::g]:80", "no IPv6 address"),
        ("http://:80", "no IP address and no DNS name"),
        ("http://1.2.3:80", "no IP address and no DNS name"),
        ("http://*.a:80", "no IP address and no DNS name"),
        ("127.0.0.1:80", "expected http://HOST:PORT"),
    ] {
        set_refused(&[&s(&format!("endpoints[0].url={url}"))], says);
    }
    for url in ["http://[::1]:80", "http://Orders.local:80", "http://h_1:65535"] {
        set(&[&s(&format!("endpoints[0].url={url}"))]).unwrap();
    }
}

#[test]
fn plugin_rules() {
    set_refused(
        &["admin.listen=0.0.0.0:1"],
        "admin.listen: 0.0.0.0:1 is open to the network",
    );
    set_refused(&["admin.listen=unix:"], "expected unix:PATH or IP:port");
    set_refused(
        &[&format!("admin.listen=unix:/{}", "x".repeat(107))],
        "at most 107 bytes, this one has 108",
    );
    set_refused(
        &["metrics.listen=9179"],
        "metrics.listen: expected unix:PATH or IP:port",
    );
    set_refused(
        &["metrics.listen=unix:"],
        "metrics.listen: expected unix:PATH or IP:port",
    );
    set_refused(&["metrics.port=9179"], "metrics.port: unknown key");
    let off_loopback = set(&["metrics.listen=10.0.0.1:9179"]).unwrap();
    assert!(off_loopback.metrics.is_some());
    set_refused(
        &["plugins.envoy.xds=10.0.0.1:1"],
        "plugins.envoy.xds: 10.0.0.1:1 is open",
    );
    set_refused(
        &["plugins.envoy.admin=10.0.0.1:1"],
        "plugins.envoy.admin: 10.0.0.1:1 is open",
    );
    set_refused(&["plugins.graphql={}"], "add plugins.envoy");
    set_refused(
        &["plugins.envoy={}", "plugins.graphql.control=10.0.0.1:1"],
        "plugins.graphql.control: 10.0.0.1:1 is open",
    );
    set_refused(
        &["plugins.envoy={}", "plugins.graphql.hosts=[\"S.acme\"]"],
        "services[\"s.acme\"]: this name is in plugins.graphql.hosts",
    );
    set_refused(&["plugins.envoy.tcp_ports=9-1"], "not above the last");
    set_refused(
        &["plugins.envoy.peer_listeners.acme=127.0.0.1:5"],
        "our own organisation comes in at",
    );
    set_refused(
        &["plugins.envoy.peer_listeners.Beta=127.0.0.1:5"],
        "written in lower case: beta",
    );
    set(&["plugins.envoy={}", "plugins.graphql={}"]).unwrap();
}

#[test]
fn data_planes_of_their_own_have_a_name_a_private_socket_and_protocols() {
    for (key, says) in [
        (
            "plugins.external.Hosts={}",
            "plugins.external[\"Hosts\"]: a data plane is written in lower case: hosts",
        ),
        ("plugins.external[\"a.b\"]={}", "plugins.external[\"a.b\"]: "),
        (
            "plugins.external.envoy={}",
            "envoy is a data plane of the daemon itself",
        ),
        (
            "plugins.external.hosts.listen=10.0.0.1:1",
            ".listen: 10.0.0.1:1 is open",
        ),
        (
            "plugins.external.hosts.protocols=[]",
            ".protocols: a data plane serves at least one protocol",
        ),
        (
            "plugins.external.hosts.protocols=[\"tcp\",\"tcp\"]",
            ".protocols[1]: \"tcp\" is in this list already",
        ),
        (
            "plugins.external.hosts.listen=unix:/run/catalyst/routed.sock",
            "admin.listen is the same socket",
        ),
        (
            "plugins.external.hosts.listen=127.0.0.1:1790",
            "peering.listen listens there already",
        ),
    ] {
        set_refused(&[key], says);
    }
    set_refused(
        &[
            "plugins.external.a.listen=unix:/tmp/x.sock",
            "plugins.external.b.listen=unix:/tmp/x.sock",
        ],
        "plugins.external[\"a\"].listen is the same socket",
    );
    let many = (0..17).map(|n| format!("plugins.external.p{n}={{}}"));
    let many: Vec<String> = many.collect();
    set_refused(
        &many.iter().map(String::as_str).collect::<Vec<_>>(),
        "at most 16 data planes",
    );
    let good = set(&["plugins.external.hosts={}"]).unwrap();
    let (spec, listen) = good.external().next().unwrap();
    assert_eq!(
        (&*spec.name, spec.protocols.len(), listen.to_string().as_str()),
        ("hosts", 4, "unix:/run/catalyst/plane-hosts.sock")
    );
}

#[test]
fn no_two_things_listen_on_one_address() {
    set_refused(
        &["plugins.envoy.egress=127.0.0.1:8080"],
        "plugins.envoy.egress: plugins.envoy.ingress listens there already",
    );
    set_refused(
        &["plugins.envoy.ingress=0.0.0.0:1790"],
        "plugins.envoy.ingress: peering.listen listens there already",
    );
    set_refused(
        &["plugins.envoy.tcp_ports=8000-9000"],
        "plugins.envoy.tcp_ports: plugins.envoy.ingress listens there",
    );
    set_refused(
        &["plugins.envoy={}", "plugins.graphql.gateway=127.0.0.1:9901"],
        "plugins.envoy.admin listens there",
    );
    set_refused(
        &["metrics.listen=127.0.0.1:1790"],
        "metrics.listen: peering.listen listens there already",
    );
    set_refused(
        &["metrics.listen=unix:/run/catalyst/routed.sock"],
        "metrics.listen: admin.listen is the same socket",
    );
    set_refused(
        &["plugins.envoy.xds=unix:/run/catalyst/routed.sock"],
        "plugins.envoy.xds: admin.listen is the same socket",
    );
    set_refused(
        &["plugins.envoy={}", "plugins.graphql.control=127.0.0.1:8081"],
        "plugins.envoy.egress: plugins.graphql.control listens",
    );
    set(&[
        "plugins.envoy.egress=127.0.0.2:8080",
        "plugins.envoy.tcp_ports=20000-20000",
    ])
    .unwrap();
}

#[test]
fn flags_that_cannot_be_used_name_themselves() {
    set_refused(
        &["peering.lisen=x"],
        "--set peering.lisen=x: peering.lisen: unknown key; did you mean \"listen\"? Expected drain, hold_time,",
    );
    set_refused(
        &["node.as=x"],
        "--set node.as=x: node.as: expected a whole number, found \"x\"",
    );
    set_refused(
        &["node.reflector=yes"],
        "node.reflector: expected true or false, found \"yes\"",
    );
    set_refused(&["node"], "--set node: expected PATH=VALUE");
    set_refused(
        &["node={"],
        "expected an object in JSON, found \"{\": column 2 of the value",
    );
    set_refused(&["node={\"a\":1,\"a\":2}"], "duplicate key");
    set_refused(
        &["node.domains[1]=x"],
        "the list has 0 elements so far: the next is [0]",
    );
    set_refused(&["node.domains.x=x"], "this is a list");
    set_refused(&["node[0]=x"], "this is no list");
    set_refused(&["node.name.x=x"], "this is a plain value");
    set_refused(&["node.name=null"], "routed.json:2:11: node: missing key \"name\"");
    for (flag, value, says) in [
        ("peer", "b", "--peer b: peers: expected NAME=AS@IP:PORT"),
        ("peer", "c=x@127.0.0.3:1", "peers[\"c\"].as: expected a whole number"),
        ("peer", "c=1@127.0.0.3:1,colour=red", "peers[\"c\"].colour: unknown key"),
        (
            "peer",
            "c=1@127.0.0.3:1,passive",
            "expected KEY=VALUE, found \"passive\"",
        ),
        (
            "service",
            "s.acme",
            "--service s.acme: services: expected NAME=PROTOCOL@URL",
        ),
        ("service", "s.acme=http@", "expected KEY=VALUE"),
        ("service", "s.acme=http@http://h", "the port is missing"),
    ] {
        let error = load_text(Some(("routed.json", BASE)), &[Flag::new(flag, value)])
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "--{flag} {value}: {error}");
    }
}

#[test]
fn what_is_missing_on_the_command_line_is_nobodys_fault_in_particular() {
    let error = load_text(None, &[Flag::new("name", "a")]).unwrap_err().to_string();
    assert_eq!(
        error,
        "command line: node: missing key \"as\"\ncommand line: node: missing key \"organisation\""
    );
    let error = load(None, &[]).unwrap_err().to_string();
    assert!(error.contains("no configuration: give a file by -c FILE"), "{error}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routed.json");
    let error = |file: &std::path::Path| load(Some(file), &[]).unwrap_err().to_string();
    assert!(
        error(&file).contains("routed.json: cannot be read: No such file"),
        "{}",
        error(&file)
    );
    std::fs::write(&file, b"{\"a\": \"\xff\"}").unwrap();
    assert!(
        error(&file).contains("routed.json: not UTF-8 at byte 7"),
        "{}",
        error(&file)
    );
    std::fs::write(&file, vec![b' '; (16 << 20) + 1]).unwrap();
    assert!(error(&file).contains("larger than 16777216 bytes"), "{}", error(&file));
}

#[test]
fn services_of_service_add_are_held_to_the_same_rules() {
    let good = r#"{"protocol": "http:graphql", "endpoints": [{"url": "http://127.0.0.1:1"}], "communities": ["1:2", "1:2:3", "1:2"]}"#;
    let (name, service) = parse_service("Orders.acme", good).unwrap();
    let service = local_service(name, &service);
    assert_eq!(service.name.as_str(), "orders.acme");
    assert_eq!(service.path.as_deref(), Some("/graphql"));
    assert_eq!(
        (service.communities, service.large_communities),
        (vec![0x0001_0002], vec![(1, 2, 3)])
    );
    for (name, json, says) in [
        ("a..b", good, "services[\"a..b\"]: a service name has no empty label"),
        ("a", "{", "service:1:2: expected a key"),
        ("a", "{}", "services[\"a\"]: missing key \"protocol\""),
        (
            "a",
            r#"{"protocol":"http","endpoints":[]}"#,
            "services[\"a\"].endpoints: expected 1 to 1000 endpoints, found 0",
        ),
        (
            "a",
            r#"{"protocol":"http","endpoints":[{"url":"tcp://h:1"}]}"#,
            "services[\"a\"].endpoints[0].url: a service of protocol http",
        ),
    ] {
        let error = parse_service(name, json).unwrap_err().to_string();
        assert!(error.starts_with(says), "{json}: {error}");
    }
}

#[test]
fn an_aggregate_is_a_wildcard_towards_outside_peers() {
    let aggregate = |key: &str, rest: &str| format!("aggregates[{key:?}]={rest}");
    set(&[&aggregate("*.acme", r#"{"to": []}"#), r#"aggregates["*"].always=true"#]).unwrap();
    set_refused(
        &[&aggregate("a.acme", "{}")],
        r#"aggregates["a.acme"]: an aggregate is a wildcard: *.a.acme, or * for all names"#,
    );
    set_refused(
        &[&aggregate("*.acme", r#"{"to": ["bb"]}"#)],
        r#"aggregates["*.acme"].to[0]: no peer is called "bb"; there is b"#,
    );
    set_refused(
        &[&aggregate("*.acme", r#"{"communities": ["nobody"]}"#)],
        r#"aggregates["*.acme"].communities[0]: no community is called "nobody""#,
    );
    set_refused(
        &[&aggregate("*.acme", r#"{"members": "all"}"#)],
        r#"aggregates["*.acme"].members: expected own or any, found "all""#,
    );
}

#[test]
fn a_program_for_wireguard_is_named_by_its_whole_path() {
    set(&["plugins.wireguard.userspace=/usr/bin/wireguard-go"]).unwrap();
    for program in ["wireguard-go", ""] {
        set_refused(
            &[&format!("plugins.wireguard.userspace={program}")],
            &format!("plugins.wireguard.userspace: expected the absolute path of a program, found {program:?}"),
        );
    }
}
