//! JSON and flags are two spellings of the same configuration.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::ffi::OsString;

use catalyst_routed::config::cli::{Action, Invocation, LogFormat};
use catalyst_routed::config::schema::{Kind, kind, long, schema, short};
use catalyst_routed::config::{Config, Flag, KeyPath, Step, load_text};
use serde_json::{Value, json};

/// A public key of WireGuard.
const KEY: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

/// Every section is in it, so that every leaf can be set in it.
fn base() -> Value {
    json!({
        "node": { "name": "a", "as": 65001, "organisation": "acme", "domains": ["one.acme"], "reflector": true },
        "peers": {
            "b": {
                "address": "127.0.0.2:1790", "as": 65002, "organisation": "beta", "role": "peer",
                "allowed_next_hops": ["127.0.0.9"],
                "families": ["ipv6"], "allowed_names": ["*.beta"], "allowed_prefixes": ["2001:db8::/32"],
                "import": "in", "max_routes": { "limit": 1000, "action": "reset" },
                "tunnel": { "addresses": ["fd00:255::2/128"], "public_key": [KEY] }
            },
            "c": { "address": "127.0.0.4:1790", "as": 65004 }
        },
        "dynamic_peers": {
            "edge": {
                "prefix": "127.0.1.0/24", "as": [65006], "organisation": "beta", "families": ["ipv6"],
                "graceful_restart": {}, "role": "provider", "allowed_next_hops": ["127.0.0.2"],
                "allowed_names": ["*.beta"], "allowed_prefixes": ["2001:db8::/32"],
                "max_routes": { "limit": 1000, "action": "reset" }
            }
        },
        "policies": { "in": {
            "statements": [
                { "match": conditions(), "then": changes() },
                { "then": "accept" }
            ],
            "tests": [{
                "name": "a test", "direction": "import", "peer": "b",
                "route": {
                    "name": "x.two", "protocol": "tcp", "communities": ["65001:900"], "as_path": [5],
                    "origin_organisation": "two", "local_pref": 5, "med": 6
                },
                "expect": { "verdict": "accept", "communities": ["65001:900"] }
            }]
        } },
        "sets": {
            "names": { "n": ["*.one"] },
            "communities": { "n": ["1:*"] },
            "as_paths": { "n": ["_1_"] },
            "organisations": { "n": ["one"] },
            "peers": { "n": ["c"] },
            "as_numbers": { "n": [1] },
            "prefixes": { "n": ["10.1.0.0/16"] }
        },
        "communities": { "backbone": { "community": "65001:900", "internal": false } },
        "aggregates": { "*.acme": { "to": ["b"], "communities": ["1:1"] } },
        "services": {
            "orders.dc1.acme": {
                "protocol": "http:graphql",
                "endpoints": [{ "url": "http://127.0.0.1:4009" }],
                "communities": ["1:1"]
            }
        },
        "prefixes": { "10.8.0.0/16": { "communities": ["1:1"] } },
        "plugins": {
            "envoy": { "peer_listeners": { "beta": "127.0.0.1:8090", "gamma": "127.0.0.1:8091" }, "tcp_ports": "1-2" },
            "graphql": { "hosts": ["graph.acme"] },
            "wireguard": {
                "tunnels": {
                    "beta": {
                        "addresses": ["10.255.0.1/32"], "listen_port": 51820, "endpoint": "127.0.0.1:51820",
                        "second": { "listen_port": 51830 }
                    },
                    "gamma": { "addresses": ["10.255.1.1/32"], "listen_port": 51821, "second": { "listen_port": 51831 } }
                },
                "static": { "old": {
                    "organisation": "beta", "public_key": KEY, "addresses": ["10.255.0.3/32"], "prefixes": ["10.3.0.0/16"]
                } }
            },
            "external": { "hosts": { "protocols": ["tcp"], "families": ["ipv6"] } }
        }
    })
}

/// Every key of `match`, all as lists: the short spelling is a leaf of its own.
fn conditions() -> Value {
    let mut all = json!({
        "name": ["*.one"], "family": ["ipv6"], "protocol": ["tcp"], "community": ["1:*"], "as_path": ["_1_"],
        "origin_organisation": ["one"], "peer": ["c"], "table": ["internal"], "role": ["provider"],
        "neighbour_as": [1], "prefix": ["10.1.0.0/16"]
    });
    all["not"] = all.clone();
    all
}

fn changes() -> Value {
    json!({ "verdict": "accept", "set_local_pref": 5, "remove_communities": ["2:2"], "add_communities": ["1:1"], "prepend": 2 })
}

fn effective(config: &Value, flags: &[Flag]) -> Value {
    let text = config.to_string();
    let config = load_text(Some(("routed.json", &text)), flags).unwrap_or_else(|e| panic!("{flags:?} {text}: {e}"));
    serde_json::to_value(config).unwrap()
}

/// A path and a schema for every leaf, names and elements filled in from the base.
fn leaves(schema: &'static Value, at: &KeyPath, value: Option<&Value>, out: &mut Vec<(KeyPath, &'static Value)>) {
    match kind(schema) {
        Kind::Section => {
            for (key, below) in schema["properties"].as_object().unwrap() {
                leaves(below, &at.field(key), value.and_then(|v| v.get(key)), out);
            }
        }
        Kind::Map => {
            let (key, value) = value
                .and_then(Value::as_object)
                .and_then(|o| o.iter().next())
                .expect("a name in the base");
            leaves(&schema["additionalProperties"], &at.key(key), Some(value), out);
        }
        Kind::List => {
            let value = value.and_then(|v| v.get(0)).expect("an element in the base");
            leaves(&schema["items"], &at.index(0), Some(value), out);
        }
        Kind::Either => {
            out.push((at.clone(), short(schema)));
            leaves(long(schema), at, value, out);
        }
        Kind::String | Kind::Integer | Kind::Bool | Kind::NumberOrString => out.push((at.clone(), schema)),
    }
}

/// A value that differs from the base and from the default, and that the other rules let pass.
fn another(path: &str, schema: &Value) -> Value {
    match path {
        "node.organisation" => json!("delta"),
        "node.state_dir" => json!("/tmp/state"),
        "aggregates[\"*.acme\"].to[0]" => json!("c"),
        "peers[\"b\"].organisation" | "dynamic_peers[\"edge\"].organisation" => json!("gamma"),
        "dynamic_peers[\"edge\"].as" | "dynamic_peers[\"edge\"].as[0]" => json!(65009),
        "dynamic_peers[\"edge\"].prefix" => json!("127.0.2.0/24"),
        "peers[\"b\"].max_routes.restart_after" | "dynamic_peers[\"edge\"].max_routes.restart_after" => json!("300s"),
        "peers[\"b\"].address" => json!("127.0.0.3:1790"),
        "peering.listen" => json!("127.0.0.1:1791"),
        "peering.next_hop" => json!("127.0.0.1:7777"),
        "plugins.envoy.tcp_address" => json!("127.0.0.3"),
        "services[\"orders.dc1.acme\"].protocol" => json!("http:grpc"),
        "services[\"orders.dc1.acme\"].path" => json!("/g"),
        "admin.listen" => json!("unix:/tmp/admin.sock"),
        "metrics.listen" => json!("127.0.0.1:9999"),
        "plugins.envoy.xds" => json!("127.0.0.1:7001"),
        "plugins.envoy.ingress" => json!("127.0.0.1:7002"),
        "plugins.envoy.egress" => json!("127.0.0.1:7003"),
        "plugins.envoy.peer_listener" => json!("127.0.0.1:7004"),
        "plugins.envoy.peer_listeners[\"beta\"]" => json!("127.0.0.1:7005"),
        "plugins.envoy.admin" => json!("127.0.0.1:7006"),
        "plugins.graphql.control" => json!("unix:/tmp/gateway.sock"),
        "plugins.external[\"hosts\"].listen" => json!("unix:/tmp/hosts.sock"),
        "peers[\"b\"].tunnel.addresses[0]" => json!("fd00:255::3/128"),
        "peers[\"b\"].tunnel.endpoint" => json!("127.0.0.9:51820"),
        "plugins.wireguard.tunnels[\"beta\"].addresses[0]" => json!("10.255.0.9/32"),
        "plugins.wireguard.tunnels[\"beta\"].second.listen_port" => json!(51840),
        "plugins.wireguard.tunnels[\"beta\"].second.endpoint" => json!("127.0.0.1:51841"),
        "plugins.wireguard.rotate_every" => json!("86400s"),
        "plugins.wireguard.static[\"old\"].addresses[0]" => json!("10.255.0.4/32"),
        "plugins.wireguard.static[\"old\"].organisation" => json!("gamma"),
        "plugins.graphql.gateway" => json!("127.0.0.1:7007"),
        "policies[\"in\"].statements[0].then.verdict" => json!("next"),
        "policies[\"in\"].statements[0].then.prepend" => json!(7),
        "policies[\"in\"].tests[0].name" => json!("another test"),
        "policies[\"in\"].tests[0].direction" => json!("export"),
        "policies[\"in\"].tests[0].peer" => json!("c"),
        "policies[\"in\"].tests[0].expect.statement" => json!("#2"),
        "policies[\"in\"].tests[0].expect.local_pref" => json!(5),
        "policies[\"in\"].tests[0].expect.med" => json!(6),
        "policies[\"in\"].tests[0].expect.communities[0]" => json!("backbone"),
        "policies[\"in\"].tests[0].expect.prepend" => json!(0),
        "policies[\"in\"].tests[0].expect" => json!("accept"),
        path if path.ends_with(".peer") || path.ends_with(".peer[0]") || path.starts_with("sets.peers") => json!("b"),
        _ => match kind(schema) {
            Kind::Bool => json!(!schema["default"].as_bool().unwrap_or(false)),
            Kind::Integer => json!(schema["minimum"].as_u64().unwrap_or(0).max(77)),
            Kind::Section | Kind::Map | Kind::List | Kind::String | Kind::NumberOrString | Kind::Either => {
                schema["examples"][0].clone()
            }
        },
    }
}

/// The base less what the key at `path` excludes.
fn base_for(path: &str) -> Value {
    let mut base = base();
    match path {
        // The test has to hold before and after.
        path if path.starts_with("policies[\"in\"].tests[0].route") => {
            base["policies"]["in"]["tests"][0]["expect"] = json!({ "verdict": "accept" });
        }
        "peers[\"b\"].families[0]" => drop(base["peers"]["b"].as_object_mut().unwrap().remove("tunnel")),
        "peering.next_hop" => {
            let plugins = base["plugins"].as_object_mut().unwrap();
            plugins.retain(|plugin, _| plugin == "wireguard");
        }
        // Their other ends would not hear of it.
        "plugins.wireguard.rotate_every" => {
            drop(base["plugins"]["wireguard"].as_object_mut().unwrap().remove("static"));
        }
        "node.reflector" => base["node"]["reflector"] = json!(false),
        "dynamic_peers[\"edge\"].next_hop_self" => {
            base["dynamic_peers"]["edge"] = json!({ "prefix": "127.0.1.0/24", "as": [65006] });
        }
        "peers[\"b\"].next_hop_self" => base["peers"]["b"] = json!({ "address": "127.0.0.2:1790", "as": 65002 }),
        _ => {}
    }
    base
}

fn place<'a>(config: &'a mut Value, path: &KeyPath) -> &'a mut Value {
    path.0.iter().fold(config, |value, step| match step {
        Step::Field(key) | Step::Key(key) => {
            if value.is_null() {
                *value = json!({});
            }
            &mut value[key]
        }
        Step::Index(index) => &mut value[index],
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn every_leaf_of_the_schema_means_the_same_in_json_and_by_set() {
    let mut all = Vec::new();
    leaves(schema(), &KeyPath::default(), Some(&base()), &mut all);
    assert!(all.len() >= 125, "the walk found {} leaves only", all.len());
    // With the other verdict the test fails: see `a_test_that_fails_is_refused_in_both_spellings`.
    all.retain(|(path, _)| path.to_string() != "policies[\"in\"].tests[0].expect.verdict");
    for (path, schema) in all {
        let value = another(&path.to_string(), schema);
        let base = base_for(&path.to_string());
        let mut written = base.clone();
        *place(&mut written, &path) = value.clone();
        let flag = Flag::new("set", &format!("{path}={}", plain(&value)));
        let by_flag = effective(&base, &[flag]);
        assert_eq!(effective(&written, &[]), by_flag, "{path}");
        assert_ne!(
            effective(&base, &[]),
            by_flag,
            "{path}: the value in this test changes nothing"
        );
        let mut read_back = by_flag.clone();
        assert_eq!(
            place(&mut read_back, &path),
            &value,
            "{path}: the effective configuration says what was set"
        );
        let by_json = Flag::new("set", &format!("{path}={value}"));
        assert_eq!(effective(&base, &[by_json]), by_flag, "{path} in JSON");
    }
}

#[test]
fn a_test_that_fails_is_refused_in_both_spellings() {
    let path = KeyPath::parse("policies.in.tests[0].expect.verdict").unwrap();
    let refusal = |config: &Value, flags: &[Flag]| {
        let text = config.to_string();
        let error = load_text(Some(("routed.json", &text)), flags).unwrap_err().to_string();
        error.split_once("policies[").unwrap().1.to_owned()
    };
    let mut base = base();
    base["policies"]["in"]["tests"][0]["expect"] = json!({ "verdict": "accept" });
    let mut written = base.clone();
    *place(&mut written, &path) = json!("reject");
    let by_flag = refusal(&base, &[Flag::new("set", &format!("{path}=reject"))]);
    assert_eq!(
        by_flag,
        "\"in\"].tests[0].expect: a test: expected reject, found accept by #2"
    );
    assert_eq!(refusal(&written, &[]), by_flag);
}

#[test]
fn every_inner_value_means_the_same_in_json_and_by_set() {
    for path in [
        "node",
        "peers",
        "peers.b",
        "services",
        "policies",
        "policies.in.statements",
        "policies.in.tests",
        "sets",
        "sets.names",
        "sets.names.n",
        "communities",
        "communities.backbone",
        "plugins",
        "plugins.envoy",
        "plugins.graphql.hosts",
        "node.domains",
    ] {
        let path = KeyPath::parse(path).unwrap();
        let mut full = base();
        let value = place(&mut full, &path).clone();
        let mut without = base();
        let (last, parents) = path.0.split_last().unwrap();
        let parent = place(&mut without, &KeyPath(parents.to_vec()));
        parent.as_object_mut().unwrap().remove(last.key().unwrap()).unwrap();
        let flag = Flag::new("set", &format!("{path}={value}"));
        assert_eq!(effective(&without, &[flag]), effective(&base(), &[]), "{path}");
    }
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    let once = effective(&base(), &[]);
    assert_eq!(effective(&once, &[]), once);
    assert_eq!(
        once["node"]["cluster"], "a",
        "defaults that depend on other keys are written out"
    );
    assert_eq!(once["services"]["orders.dc1.acme"]["path"], "/graphql");
}

fn set(assignments: &[&str]) -> Value {
    let flags: Vec<Flag> = assignments.iter().map(|a| Flag::new("set", a)).collect();
    effective(&base(), &flags)
}

#[test]
fn later_flags_win_objects_replace_and_null_deletes() {
    assert_eq!(set(&["peering.drain=3s", "peering.drain=4s"])["peering"]["drain"], "4s");
    assert_eq!(
        set(&["peering.drain=3s", "peering.drain=null"])["peering"]["drain"],
        "2s"
    );
    assert_eq!(
        set(&["node.domains[1]=two.acme"])["node"]["domains"],
        json!(["one.acme", "two.acme"])
    );
    assert_eq!(
        set(&["node.domains[1]=two.acme", "node.domains[0]=null"])["node"]["domains"],
        json!(["two.acme"])
    );
    let replaced = set(&[r#"peers["b"]={"address":"127.0.0.3:1","as":5}"#]);
    assert_eq!(
        replaced["peers"]["b"]["organisation"], "acme",
        "nothing of the old object is left"
    );
    assert_eq!(
        set(&["policies=null", "aggregates=null", "peers.b=null", "peers.c=null"])["peers"],
        json!({})
    );
    assert_eq!(
        set(&["peers.x.source=null"]),
        effective(&base(), &[]),
        "deleting what is not there changes nothing"
    );
    assert_eq!(set(&["node.name=\"null\""])["node"]["name"], "null");
}

fn invoke(args: &[&str]) -> Invocation {
    let args = std::iter::once("catalyst-routed")
        .chain(args.iter().copied())
        .map(OsString::from);
    Invocation::from_args(args).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn flags_alone_make_a_configuration() {
    let config: Config = invoke(&[
        "--name=a",
        "--as=65001",
        "--org=acme",
        "--listen=127.0.0.1:1799",
        "--hold-time=6s",
        "--reflector",
        "--peer=b=65002@127.0.0.2:1790,source=127.0.0.1,passive=true",
        "--service=products.acme=http:graphql@http://127.0.0.1:1,http://127.0.0.1:2,path=/g,weight=5",
        "--state-dir=/tmp/a",
        "--admin=unix:/tmp/a/r",
        "--xds=unix:/tmp/a/x",
        "--gateway-control=unix:/tmp/a/g",
    ])
    .load()
    .map(|(config, _)| config)
    .unwrap();
    let written = json!({
        "node": { "name": "a", "as": 65001, "organisation": "acme", "state_dir": "/tmp/a", "reflector": true },
        "peering": { "listen": "127.0.0.1:1799", "hold_time": "6s" },
        "peers": { "b": { "address": "127.0.0.2:1790", "as": 65002, "source": "127.0.0.1", "passive": true } },
        "services": { "products.acme": {
            "protocol": "http:graphql", "path": "/g", "weight": 5,
            "endpoints": [{ "url": "http://127.0.0.1:1" }, { "url": "http://127.0.0.1:2" }]
        } },
        "admin": { "listen": "unix:/tmp/a/r" },
        "plugins": { "envoy": { "xds": "unix:/tmp/a/x" }, "graphql": { "control": "unix:/tmp/a/g" } }
    });
    assert_eq!(serde_json::to_value(config).unwrap(), effective(&written, &[]));
}

#[test]
fn flags_of_different_names_keep_their_order() {
    let name = |args: &[&str]| {
        let invocation = invoke(args);
        effective(&base(), &invocation.flags)["node"]["name"].clone()
    };
    assert_eq!(name(&["--name", "x", "--set", "node.name=y"]), "y");
    assert_eq!(name(&["--set", "node.name=y", "--name", "x"]), "x");
    assert_eq!(name(&["--name", "x", "--set", "node.name=y", "--name", "z"]), "z");
}

#[test]
fn the_command_line_says_what_to_do() {
    assert_eq!(invoke(&["-c", "x"]).action, Action::Run);
    assert_eq!(invoke(&["-c", "x", "--check"]).action, Action::Check);
    assert_eq!(invoke(&["--print-config", "--name", "a"]).action, Action::PrintConfig);
    let bootstrap = invoke(&["envoy-bootstrap", "-c", "x", "--set", "node.name=y"]);
    assert_eq!((bootstrap.action, bootstrap.flags.len()), (Action::EnvoyBootstrap, 1));
    let log = invoke(&["--log-format", "json", "--log", "debug"]);
    assert_eq!((log.log_format, log.log.as_str()), (LogFormat::Json, "debug"));
    for bad in [
        &["--log-format", "xml"][..],
        &["--check", "--print-config"],
        &["--nosuch"],
        &["stray"],
    ] {
        let args = std::iter::once("catalyst-routed")
            .chain(bad.iter().copied())
            .map(OsString::from);
        assert_eq!(Invocation::from_args(args).unwrap_err().exit_code(), 2, "{bad:?}");
    }
}
