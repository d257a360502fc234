//! Policies as catalystctl shows and tries them, against the real admin server and routing thread.

mod why;

use serde_json::{Value, json};

use super::service;
use super::support::{Node, until};

#[test]
fn policies_and_named_communities_are_shown_as_they_are_configured() {
    let node = Node::start(
        "127.80.11.1",
        &[
            ("set", r#"communities={"public":"65001:100"}"#),
            ("service", &format!("a.acme={}", service(1))),
            ("set", r#"services["a.acme"].communities=["public","1:2"]"#),
            (
                "set",
                r#"policies={"out":{"statements":[{"name":"open","match":{"community":"public"},"then":"accept"}]}}"#,
            ),
            ("peer", "b=65002@127.80.11.2:1790,organisation=beta,export=out"),
            ("peer", "c=65003@127.80.11.3:1790,import=accept"),
        ],
    );
    let policies = node.json(&["show", "policies"]);
    let row = |name: &str, built_in: bool, peer: &str, direction: &str| {
        json!({
            "name": name, "built_in": built_in, "statements": 1, "tests": 0,
            "used_by": [{ "peer": peer, "direction": direction }]
        })
    };
    assert_eq!(
        policies,
        json!([row("accept", true, "c", "import"), row("out", false, "b", "export")])
    );
    let told = node.ctl(&["show", "policy", "out"]).out;
    let expected = "out: 1 statement, 0 tests\n  import of       (no peer)\n  export to       b\n\nopen\n  if              community public\n  then            accept\n\notherwise\n";
    assert!(told.starts_with(expected), "{told}");
    let whole = node.json(&["show", "policy", "out"]);
    assert_eq!(whole["statements"][0]["match"], json!({ "community": "public" }));
    let unknown = node.ctl(&["show", "policy", "ont"]);
    assert_eq!(
        (unknown.code, unknown.err.as_str()),
        (1, "catalystctl: no policy is called \"ont\"; did you mean \"out\"?\n")
    );
    let route = node.json(&["show", "route", "a.acme"]);
    assert_eq!(route[0]["communities"], json!(["1:2", "65001:100"]));
    assert_eq!(route[0]["community_names"], json!({ "65001:100": "public" }));
    let told = node.ctl(&["show", "route", "a.acme"]).out;
    assert!(told.contains("communities     1:2 65001:100 (public)\n"), "{told}");
    let add = [
        "service",
        "add",
        "b.acme",
        "--protocol",
        "http",
        "--endpoint",
        "http://127.0.0.1:1",
        "--community",
    ];
    assert_eq!(node.ctl(&[&add[..], &["public"]].concat()).code, 0);
    assert_eq!(
        node.json(&["show", "route", "b.acme"])[0]["communities"],
        json!(["65001:100"])
    );
    let unknown = node.ctl(&[&add[..], &["publik"]].concat());
    assert_eq!(unknown.code, 1);
    assert!(
        unknown
            .err
            .contains("services[\"b.acme\"].communities[0]: no community is called \"publik\"; did you mean"),
        "{unknown:?}"
    );
    let peers = node.json(&["show", "peers"]);
    assert_eq!(
        (&peers[0]["import"], &peers[0]["export"]),
        (&Value::Null, &json!("out"))
    );
    let told = node.ctl(&["show", "peer", "b"]).out;
    assert!(
        told.contains("\n  import          none: everything is rejected (RFC 8212)\n  export          out\n"),
        "{told}"
    );
}

/// A node with a policy for what a partner sends.
fn with_partner(ip: &str) -> Node {
    let policy = json!({ "from-beta": { "statements": [
        { "name": "test-names", "match": { "name": "*.test.beta" }, "then": "reject" },
        {
            "name": "known",
            "match": { "name": "*.beta", "neighbour_as": 65002, "not": { "community": "65002:666" } },
            "then": { "verdict": "accept", "set_local_pref": 200, "add_communities": "public" }
        }
    ] } });
    Node::start(
        ip,
        &[
            ("set", r#"communities={"public":"65001:100"}"#),
            ("set", &format!("policies={policy}")),
            ("peer", "b=65002@127.80.12.2:1790,organisation=beta,import=from-beta"),
        ],
    )
}

#[test]
fn policies_are_tried_on_recorded_routes() {
    let node = with_partner("127.80.12.1");
    let file = tempfile::NamedTempFile::new().unwrap();
    let try_on = |routes: Value, more: &[&str]| {
        std::fs::write(file.path(), routes.to_string()).unwrap();
        let path = file.path().to_str().unwrap();
        node.ctl(&[&["policy", "test", "from-beta", "--from-file", path], more].concat())
    };
    let answer = try_on(
        json!({ "name": "orders.beta", "communities": ["public"] }),
        &["--peer", "b"],
    );
    let expected = "\
orders.beta, peer b: accepted by known
  statement       test-names: does not apply
    no            name is orders.beta, wanted *.test.beta
  statement       known: applies
    yes           neighbour AS is 65002, wanted 65002
    yes           name is orders.beta, wanted *.beta
    yes           not: (community is 65001:100, wanted 65002:666 does not hold)
    then          local_pref 200, add communities 65001:100, accept
  result          local pref none becomes 200
";
    assert_eq!((answer.code, answer.out.as_str()), (0, expected), "{answer:?}");
    // As `show routes --output json` prints it: the peer is the one that it was learned from.
    let shown = json!([
        { "name": "a.test.beta", "family": "name", "learned_from": "b", "as_path": [65002], "origin_org": "beta", "med": null,
          "data_planes": {}, "reason": "", "next_hop": "127.0.0.1:1" },
        { "name": "x.gamma", "learned_from": "nobody", "as_path": [65003], "origin_org": "gamma" }
    ]);
    let answer = try_on(shown.clone(), &["--output", "json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let traces: Value = serde_json::from_str(&answer.out).unwrap();
    let summary = |index: usize| {
        let trace = &traces[index];
        (
            trace["peer"].clone(),
            trace["verdict"].clone(),
            trace["decided_by"].clone(),
        )
    };
    assert_eq!(summary(0), (json!("b"), json!("reject"), json!("test-names")));
    assert_eq!(summary(1), (Value::Null, json!("reject"), Value::Null));
    assert_eq!(traces[0]["statements"][1]["reached"], false);
    assert_eq!(traces[1]["before"]["origin_org"], "gamma");
    assert_eq!(try_on(shown.clone(), &["--expect", "reject"]).code, 0);
    let answer = try_on(shown, &["--expect", "accept"]);
    assert_eq!(
        (answer.code, answer.err.as_str()),
        (1, "catalystctl: not accepted: a.test.beta, x.gamma\n")
    );
    // Whatever `show route` says of a route, a service of this node among them.
    let endpoint = ["--protocol", "http", "--endpoint", "http://127.0.0.1:9"];
    node.ctl(&[&["service", "add", "own.acme", "--community", "public"][..], &endpoint].concat());
    let answer = try_on(node.json(&["show", "route", "own.acme"]), &["--direction", "export"]);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{answer:?}");
}

#[test]
fn routes_and_names_that_make_no_sense_are_refused_in_one_line() {
    let node = with_partner("127.80.13.1");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    for (routes, more, says) in [
        ("{", &["--peer", "b"][..], "the routes are not JSON: EOF"),
        ("[5]", &[], "route [0]: expected an object"),
        (
            r#"[{"name":"a"},{"name":"a","colour":"red"}]"#,
            &[],
            "route [1]: unknown field `colour`",
        ),
        (
            r#"{"name":"a..b"}"#,
            &[],
            "route [0]: expected a service name or a prefix, found \"a..b\"",
        ),
        (
            r#"{"name":"a","communities":["publik"]}"#,
            &[],
            "route [0]: no community is called \"publik\"",
        ),
        (
            r#"{"name":"a"}"#,
            &["--peer", "c"],
            "no peer is called \"c\"; there is b",
        ),
    ] {
        std::fs::write(&path, routes).unwrap();
        let answer = node.ctl(&[&["policy", "test", "from-beta", "--from-file", &path], more].concat());
        assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{routes}: {answer:?}");
        assert!(
            answer.err.contains(says) && answer.err.lines().count() == 1,
            "{routes}: {answer:?}"
        );
    }
    let answer = node.ctl(&["policy", "test", "from-bet", "--from-file", &path]);
    assert_eq!(
        (answer.code, answer.err.as_str()),
        (
            1,
            "catalystctl: no policy is called \"from-bet\"; did you mean \"from-beta\"?\n"
        )
    );
    assert_eq!(
        node.ctl(&["policy", "test", "from-beta"]).code,
        2,
        "nothing to try it on"
    );
    assert_eq!(
        node.ctl(&["policy", "test", "from-beta", "--from-file", "/nonexistent"])
            .code,
        1
    );
}

#[test]
fn what_show_routes_prints_can_be_tried() {
    let node = Node::start(
        "127.80.14.1",
        &[
            ("service", &format!("a.acme={},med=3", service(1))),
            ("service", "b.acme=tcp@tcp://127.0.0.1:2"),
            (
                "set",
                r#"policies={"p":{"statements":[{"match":{"protocol":"tcp","table":"internal"},"then":"accept"}]}}"#,
            ),
        ],
    );
    let routes = node.ctl(&["show", "routes", "--output", "json"]).out;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), routes).unwrap();
    let path = file.path().to_str().unwrap();
    let traces = node.json(&["policy", "test", "p", "--from-file", path]);
    let of = |index: usize| {
        (
            &traces[index]["route"],
            &traces[index]["verdict"],
            &traces[index]["before"]["med"],
        )
    };
    assert_eq!(of(0), (&json!("a.acme"), &json!("reject"), &json!(3)));
    assert_eq!(of(1), (&json!("b.acme"), &json!("accept"), &Value::Null));
}

#[test]
fn policies_are_tried_on_live_routes() {
    let a = Node::start(
        "127.80.15.1",
        &[
            ("listen", "127.80.15.1:17900"),
            (
                "peer",
                "b=65002@127.80.15.2:17900,source=127.80.15.1,organisation=beta,import=from-beta",
            ),
            ("service", &format!("a.acme={}", service(1))),
            (
                "set",
                r#"policies={"from-beta":{"statements":[{"match":{"community":"65002:1"},"then":{"verdict":"accept","set_local_pref":7}}]}}"#,
            ),
        ],
    );
    let _b = Node::start(
        "127.80.15.2",
        &[
            ("listen", "127.80.15.2:17900"),
            ("name", "b"),
            ("as", "65002"),
            ("org", "beta"),
            (
                "peer",
                "a=65001@127.80.15.1:17900,source=127.80.15.2,organisation=acme,export=accept",
            ),
            ("service", &format!("b.beta={}", service(1))),
            ("service", &format!("c.beta={}", service(1))),
            ("set", r#"services["b.beta"].communities=["65002:1"]"#),
        ],
    );
    until("a has both", || a.json(&["show", "peer", "b"])["rejected"] == 1);
    let test = |name: &str, more: &[&str]| a.json(&[&["policy", "test", "from-beta", "--route", name], more].concat());
    let accepted = &test("b.beta", &[])[0];
    assert_eq!(
        (&accepted["peer"], &accepted["verdict"]),
        (&json!("b"), &json!("accept"))
    );
    // As the peer sent it, not as import has made it.
    assert_eq!(
        (&accepted["before"]["local_pref"], &accepted["after"]["local_pref"]),
        (&Value::Null, &json!(7))
    );
    assert_eq!(test("c.beta", &[])[0]["verdict"], "reject");
    let export = &test("b.beta", &["--direction", "export", "--peer", "b"])[0];
    assert_eq!(
        (&export["verdict"], &export["before"]["local_pref"]),
        (&json!("accept"), &json!(7))
    );
    for (name, more, says) in [
        ("x.beta", &[][..], "no peer has sent x.beta"),
        ("a.acme", &[], "no peer has sent a.acme"),
        ("x.beta", &["--direction", "export"], "no route is in use for x.beta"),
        ("a..b", &[], "a service name has no empty label"),
    ] {
        let answer = a.ctl(&[&["policy", "test", "from-beta", "--route", name], more].concat());
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.err.contains(says), "{answer:?}");
    }
}
