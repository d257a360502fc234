//! catalystctl against the real admin server and routing thread of catalyst-routed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "daemon/completion.rs"]
mod completion;
#[path = "daemon/metrics.rs"]
mod metrics;
#[path = "daemon/operate.rs"]
mod operate;
mod policies;
#[path = "daemon/prefixes.rs"]
mod prefixes;
mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::{Value, json};
use support::{Node, ctl, flags, until};

fn service(port: u16) -> String {
    format!("http@http://127.0.0.1:{port}")
}

#[test]
fn no_daemon_is_one_line_and_exit_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let missing = format!("unix:{}", dir.path().join("routed.sock").display());
    let stale = dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (addr, says) in [
        (missing, "No such file"),
        (format!("unix:{}", stale.display()), "refused"),
        (closed.to_string(), "refused"),
    ] {
        for command in [
            &["show", "routes"][..],
            &["watch", "routes"],
            &["service", "remove", "a"],
        ] {
            let answer = ctl(&addr, command);
            assert_eq!(answer.code, 3, "{answer:?}");
            assert!(
                answer.err.starts_with(&format!("catalystctl: no daemon at {addr}: ")),
                "{answer:?}"
            );
            assert_eq!(answer.err.lines().count(), 1, "{answer:?}");
            assert!(
                answer.err.contains(says) && answer.err.contains("--addr") && answer.out.is_empty(),
                "{answer:?}"
            );
        }
    }
}

#[test]
fn a_wrong_command_is_exit_code_2() {
    for (addr, command) in [
        ("nowhere", &["show", "routes"][..]),
        ("unix:", &["show", "routes"]),
        ("unix:/x", &["show", "everything"]),
        ("unix:/x", &["show", "route"]),
        ("unix:/x", &["reload", "--confirm", "0s"]),
        ("unix:/x", &["reload", "--confirm", "25h"]),
        ("unix:/x", &["--output", "yaml", "show", "routes"]),
        ("unix:/x", &["service", "add", "a", "--protocol", "http"]),
        (
            "unix:/x",
            &[
                "service",
                "add",
                "a",
                "--protocol",
                "http",
                "--endpoint",
                "http://h:1=x",
            ],
        ),
    ] {
        let answer = ctl(addr, command);
        assert_eq!((answer.code, answer.out.as_str()), (2, ""), "{command:?}: {answer:?}");
        assert!(!answer.err.is_empty());
    }
    let answer = ctl("unix:/x", &["policy", "test", "p"]);
    assert!(answer.err.contains("<--route <NAME>|--from-file <FILE>>"), "{answer:?}");
    let answer = ctl("nowhere", &["show", "routes"]);
    assert_eq!(
        answer.err,
        "catalystctl: --addr: expected unix:PATH or IP:PORT, found \"nowhere\"\n"
    );
}

#[test]
fn empty_tables_are_one_line_and_no_error() {
    let node = Node::start("127.80.1.1", &[]);
    for (command, says) in [
        ("routes", "no routes\n"),
        ("peers", "no peers\n"),
        ("plugins", "no plugins\n"),
        ("policies", "no policies\n"),
    ] {
        let answer = node.ctl(&["show", command]);
        assert_eq!((answer.code, answer.out.as_str(), answer.err.as_str()), (0, says, ""));
        let answer = node.ctl(&["show", command, "--output", "json"]);
        assert_eq!((answer.code, answer.out.as_str(), answer.err.as_str()), (0, "[]\n", ""));
    }
}

#[test]
fn unknown_names_are_one_line_and_exit_code_1() {
    let node = Node::start("127.80.2.1", &[]);
    for (command, says) in [
        (&["show", "route", "nosuch.acme"][..], "no route to nosuch.acme"),
        (
            &["show", "route", "a..b"],
            "\"a..b\": a service name has no empty label (a dot at the start or end, or two in a row)",
        ),
        (&["show", "peer", "b"], "no peer \"b\" is configured"),
        (
            &["service", "remove", "nosuch.acme"],
            "this node does not offer nosuch.acme",
        ),
        (
            &[
                "service",
                "add",
                "a",
                "--protocol",
                "http",
                "--endpoint",
                "tcp://127.0.0.1:1",
            ],
            "services[\"a\"].endpoints[0].url: a service of protocol http has endpoints http://HOST:PORT, found tcp://127.0.0.1:1",
        ),
        (
            &[
                "service",
                "add",
                "a",
                "--protocol",
                "smtp",
                "--endpoint",
                "http://127.0.0.1:1",
            ],
            "expected tcp, http, http:graphql or http:grpc, found \"smtp\"",
        ),
        (
            &[
                "service",
                "add",
                "10.0.0.1",
                "--protocol",
                "http",
                "--endpoint",
                "http://127.0.0.1:1",
            ],
            "services[\"10.0.0.1\"]: a service cannot be called 10.0.0.1: whoever asks for an IP address",
        ),
    ] {
        let answer = node.ctl(command);
        assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{command:?}: {answer:?}");
        assert_eq!(answer.err.lines().count(), 1, "{answer:?}");
        assert!(
            answer.err.starts_with("catalystctl: ") && answer.err.contains(says),
            "{says}\n{}",
            answer.err
        );
    }
}

#[test]
fn services_come_are_replaced_and_go() {
    let node = Node::start("127.80.3.1", &[]);
    let add = [
        "service",
        "add",
        "Orders.acme",
        "--protocol",
        "http:graphql",
        "--endpoint",
        "http://127.0.0.1:1",
    ];
    assert_eq!(node.ctl(&add).out, "added Orders.acme\n");
    let again = [
        &add[..],
        &[
            "--endpoint",
            "http://127.0.0.1:2=5",
            "--path",
            "/g",
            "--weight",
            "7",
            "--community",
            "1:2",
        ],
    ];
    assert_eq!(node.ctl(&again.concat()).out, "replaced Orders.acme\n");
    let routes = node.json(&["show", "routes"]);
    assert_eq!(routes.as_array().unwrap().len(), 1);
    let route = &routes[0];
    assert_eq!(route["name"], "orders.acme");
    assert_eq!(
        route["endpoints"],
        json!([
            { "url": "http://127.0.0.1:1", "weight": 1 }, { "url": "http://127.0.0.1:2", "weight": 5 }
        ])
    );
    assert_eq!(
        (&route["path"], &route["weight"], &route["communities"]),
        (&json!("/g"), &json!(7), &json!(["1:2"]))
    );
    assert_eq!(
        node.ctl(&["service", "remove", "ORDERS.acme"]).out,
        "removed ORDERS.acme\n"
    );
    until("the route is gone", || {
        node.ctl(&["show", "routes"]).out == "no routes\n"
    });
}

#[test]
fn json_has_every_promised_field() {
    let node = Node::start("127.80.4.1", &[("service", &format!("a.acme={}", service(1)))]);
    let routes = node.json(&["show", "routes"]);
    let expected = json!({
        "name": "a.acme", "family": "name", "protocol": "http", "table": "internal", "best": true, "selected": true,
        "origin_org": "acme", "origin_as": 65001, "origin_node": "a", "as_path": [], "next_hop": null,
        "local_pref": 100, "med": null, "communities": [], "learned_from": null, "age_s": routes[0]["age_s"],
        "stale": false, "data_planes": {}, "reason": "no data plane", "path": null, "weight": 100, "draining": false,
        "endpoints": [{ "url": "http://127.0.0.1:1", "weight": 1 }],
    });
    assert_eq!(routes[0], expected);
    assert!(routes[0]["age_s"].is_u64());
    assert_eq!(node.json(&["show", "route", "a.acme"])[0]["name"], "a.acme");
    let config = node.json(&["show", "config"]);
    assert_eq!(
        config["services"]["a.acme"]["endpoints"][0]["url"],
        "http://127.0.0.1:1"
    );
    assert_eq!(config["peering"]["drain"], "2s", "defaults are written out");
}

#[test]
fn a_long_table_comes_whole_and_a_reader_may_leave_early() {
    let services: Vec<(&str, String)> = (0..2500)
        .map(|i| ("service", format!("s{i:04}.acme={}", service(1))))
        .collect();
    let services: Vec<(&str, &str)> = services.iter().map(|(flag, value)| (*flag, value.as_str())).collect();
    let node = Node::start("127.80.5.1", &services);
    let routes = node.json(&["show", "routes"]);
    let names: Vec<&str> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 2500);
    assert!(names.is_sorted());
    assert_eq!(node.ctl(&["show", "routes"]).out.lines().count(), 2502);
    for format in ["json", "table"] {
        let mut child = node
            .command(&["show", "routes", "--output", format])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 10];
        let mut reader = child.stdout.take().unwrap();
        reader.read_exact(&mut first).unwrap();
        drop(reader);
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.status.success(), "{:?}", output.status);
    }
}

#[test]
fn watch_prints_the_table_then_every_change() {
    let node = Node::start("127.80.6.1", &[("service", &format!("a.acme={}", service(1)))]);
    let watch = node
        .command(&["watch", "routes", "--output", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut watch = support::Killed(watch);
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert_eq!((&first["event"], &first["name"]), (&json!("upsert"), &json!("a.acme")));
    assert_eq!(next(), json!({ "event": "synced" }));
    node.ctl(&[
        "service",
        "add",
        "b.acme",
        "--protocol",
        "http",
        "--endpoint",
        "http://127.0.0.1:2",
    ]);
    let added = next();
    assert_eq!((&added["event"], &added["name"]), (&json!("upsert"), &json!("b.acme")));
    assert_eq!(added["paths"][0]["selected"], true);
    node.ctl(&["service", "remove", "b.acme"]);
    let mut last = next();
    while last["event"] == "upsert" {
        // It drains first.
        assert_eq!(last["name"], "b.acme");
        last = next();
    }
    assert_eq!(last, json!({ "event": "remove", "name": "b.acme" }));
}

#[test]
fn services_added_at_run_time_survive_a_restart() {
    let mut node = Node::start("127.80.7.1", &[("service", &format!("a.acme={}", service(1)))]);
    for (name, endpoint) in [
        ("a.acme", "http://127.0.0.1:8"),
        ("b.acme", "http://127.0.0.1:9"),
        ("c.acme", "http://h:1"),
    ] {
        node.ctl(&["service", "add", name, "--protocol", "http", "--endpoint", endpoint]);
    }
    node.ctl(&["service", "remove", "c.acme"]);
    node.restart();
    let endpoints = |name| node.json(&["show", "route", name])[0]["endpoints"][0]["url"].clone();
    assert_eq!(
        endpoints("a.acme"),
        "http://127.0.0.1:8",
        "in place of the configured one"
    );
    assert_eq!(endpoints("b.acme"), "http://127.0.0.1:9");
    assert_eq!(node.ctl(&["show", "route", "c.acme"]).code, 1);
}

/// What `service add` offers in place of the configuration is marked wherever it shows.
#[test]
fn services_of_run_time_are_told_from_those_of_the_configuration() {
    let configured = ["a.acme", "b.acme"].map(|name| format!("{name}={}", service(1)));
    let flags = configured.each_ref().map(|value| ("service", value.as_str()));
    let node = Node::start("127.80.12.1", &flags);
    let add = |name: &str| {
        let endpoint = ["--endpoint", "http://127.0.0.1:9"];
        node.ctl(&[&["service", "add", name, "--protocol", "http"][..], &endpoint].concat())
            .out
    };
    assert_eq!(
        add("A.acme"),
        "replaced A.acme, in place of the configuration's, over reloads and restarts too\n"
    );
    assert_eq!(add("c.acme"), "added c.acme\n");
    assert_eq!(
        node.ctl(&["service", "remove", "b.acme"]).out,
        "removed b.acme; the configuration's is back with the next reload or restart\n"
    );
    for (name, by) in [
        ("a.acme", "service add, in place of the configuration"),
        ("c.acme", "service add"),
    ] {
        assert_eq!(node.json(&["show", "route", name])[0]["offered_by"], by);
        for more in [&[][..], &["--why"]] {
            let told = node.ctl(&[&["show", "route", name], more].concat()).out;
            assert!(
                told.contains(&format!("\n  offered by      {by}\n")),
                "{more:?}: {told}"
            );
        }
    }
    let shown = node.ctl(&["show", "config"]);
    let config: Value = serde_json::from_str(&shown.out).unwrap();
    let endpoint = |name: &str| config["services"][name]["endpoints"][0]["url"].clone();
    assert_eq!(
        ["a.acme", "b.acme", "c.acme"].map(endpoint),
        [json!("http://127.0.0.1:9"), Value::Null, json!("http://127.0.0.1:9")]
    );
    assert_eq!(
        shown.err,
        "catalystctl: `service add` offers 1 service: c.acme\n\
         catalystctl: `service add` offers 1 service in place of the configuration's: a.acme\n\
         catalystctl: `service remove` has taken out 1 service until the next reload or restart: b.acme\n"
    );
    assert_eq!(node.ctl(&["service", "remove", "a.acme"]).code, 0);
    assert_eq!(
        add("a.acme"),
        "added a.acme, in place of the configuration's, over reloads and restarts too\n"
    );
}

/// A reload that only brought a service back has no other configuration to go back to: nothing waits after its undoing.
#[test]
fn an_undoing_without_a_difference_ends_the_wait() {
    let node = Node::start("127.80.14.1", &[("service", &format!("a.acme={}", service(1)))]);
    assert_eq!(node.ctl(&["service", "remove", "a.acme"]).code, 0);
    let applied = node.ctl(&["reload", "--confirm", "1h"]);
    assert!(applied.out.contains("applied; undone in"), "{applied:?}");
    assert!(node.ctl(&["show", "config"]).err.contains("is undone in"));
    let dry = node.ctl(&["reload", "--undo", "--dry-run"]);
    assert_eq!((dry.code, dry.out.as_str()), (0, "nothing differs\n"), "{dry:?}");
    assert!(node.ctl(&["show", "config"]).err.contains("is undone in"));
    let undone = node.ctl(&["reload", "--undo"]);
    assert_eq!(
        (undone.code, undone.out.as_str()),
        (0, "nothing differs\n"),
        "{undone:?}"
    );
    let confirm = node.ctl(&["confirm"]);
    assert_eq!(
        (confirm.code, confirm.err.as_str()),
        (1, "catalystctl: no reload waits to be confirmed\n")
    );
}

/// The start goes on without a damaged file; what was in it is kept, and new services are kept again.
#[test]
fn a_damaged_file_of_services_holds_up_no_start() {
    let mut node = Node::start("127.80.13.1", &[("service", &format!("a.acme={}", service(1)))]);
    let add = |node: &Node, name: &str| {
        let added = [
            "service",
            "add",
            name,
            "--protocol",
            "http",
            "--endpoint",
            "http://127.0.0.1:9",
        ];
        assert_eq!(node.ctl(&added).code, 0);
    };
    add(&node, "a.acme");
    add(&node, "b.acme");
    node.stop();
    let file = node.state().join("services.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    node.restart();
    let routes = node.json(&["show", "routes"]);
    assert_eq!(routes.as_array().unwrap().len(), 1, "{routes}");
    assert_eq!(
        routes[0]["endpoints"][0]["url"], "http://127.0.0.1:1",
        "the configuration's"
    );
    let aside = node.state().join("services.json.corrupt");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), text[..text.len() / 2]);
    add(&node, "b.acme");
    node.restart();
    assert_eq!(node.json(&["show", "routes"]).as_array().unwrap().len(), 2);
}

/// A pipe has no width: `| grep` and `| awk` see whole rows.
#[test]
fn nothing_is_cut_or_broken_where_the_output_is_no_terminal() {
    let name = format!("{0}.{0}.{0}.acme", "x".repeat(60));
    let closed = std::net::TcpListener::bind("127.80.14.2:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let node = Node::start(
        "127.80.14.1",
        &[
            ("service", &format!("{name}={}", service(1))),
            ("peer", &format!("{}=65002@{closed}", "p".repeat(60))),
        ],
    );
    let routes = node.ctl(&["show", "routes"]).out;
    let row = routes.lines().nth(1).unwrap();
    assert!(row.contains(&name) && row.ends_with("  no data plane"), "{routes}");
    let told = format!("cannot connect: {closed}: Connection refused (os error 111)");
    until("the peer is tried", || {
        let peers = node.ctl(&["show", "peers"]).out;
        peers.lines().count() == 2 && peers.ends_with(&format!("  {told}\n"))
    });
    let peer = node.ctl(&["show", "peer", &"p".repeat(60)]).out;
    assert!(peer.contains(&format!("  last error      {told}, ")), "{peer}");
}

#[test]
fn peers_and_what_they_sent_are_shown() {
    let peer = |name: &str, asn: u32, ip: &str, source: &str| format!("{name}={asn}@{ip}:17900,source={source}");
    let a = Node::start(
        "127.80.8.1",
        &[
            ("listen", "127.80.8.1:17900"),
            ("peer", &peer("b", 65002, "127.80.8.2", "127.80.8.1")),
            ("peer", &peer("c", 65003, "127.80.8.3", "127.80.8.1")),
        ],
    );
    let _b = Node::start(
        "127.80.8.2",
        &[
            ("listen", "127.80.8.2:17900"),
            ("name", "b"),
            ("as", "65002"),
            ("peer", &peer("a", 65001, "127.80.8.1", "127.80.8.2")),
            ("service", &format!("b.acme={}", service(1))),
        ],
    );
    until("a has b's route", || a.ctl(&["show", "route", "b.acme"]).code == 0);
    let route = &a.json(&["show", "routes"])[0];
    assert_eq!(
        (&route["learned_from"], &route["as_path"]),
        (&json!("b"), &json!([65002]))
    );
    assert!(
        route["next_hop"].as_str().unwrap().starts_with("127.80.8.2:"),
        "{route}"
    );
    let peers = a.json(&["show", "peers"]);
    assert_eq!(
        (&peers[0]["name"], &peers[0]["state"], &peers[0]["received"]),
        (&json!("b"), &json!("Established"), &json!(1))
    );
    assert_ne!(peers[1]["state"], "Established");
    assert_eq!(a.json(&["show", "peer", "b"])["organisation"], "acme");
    let table = a.ctl(&["show", "peers"]).out;
    assert!(
        table.starts_with("NAME  ADDRESS           AS     ORG   STATE"),
        "{table}"
    );
    let told = a.ctl(&["show", "peer", "b"]).out;
    assert!(
        told.starts_with("b: Established for ") && told.contains("\n  node            65002/b\n"),
        "{told}"
    );
    let path = a.ctl(&["show", "route", "b.acme"]).out;
    assert!(path.starts_with("b.acme: 1 path\n\n>* from b: in use\n"), "{path}");
}

#[test]
fn the_daemons_end_is_said_to_watchers() {
    let mut node = Node::start("127.80.9.1", &[]);
    let mut command = node.command(&["watch", "routes", "--output", "json"]);
    let watch = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut watch = support::Killed(watch.unwrap());
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), r#"{"event":"synced"}"#);
    node.stop();
    assert_eq!(watch.0.wait().unwrap().code(), Some(3));
    let mut said = String::new();
    watch.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(
        said.starts_with("catalystctl: the daemon has stopped or was restarted") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn a_second_daemon_on_the_socket_is_refused() {
    let node = Node::start("127.80.10.1", &[]);
    let error = Node::try_start("127.80.10.2", &flags(&[("admin", &node.addr)]), None)
        .map(drop)
        .unwrap_err();
    let error = format!("{error:#}");
    assert_eq!(
        error,
        format!(
            "admin.listen: cannot listen on {}: another process listens there",
            node.addr
        )
    );
    assert_eq!(node.ctl(&["show", "routes"]).code, 0);
}
