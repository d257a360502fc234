//! Policies, sets and communities: what is refused, what is warned of, and what comes out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use catalyst_core::policy::{Action, Condition, Policy, Statement, Verdict};
use catalyst_routed::config::{Config, Flag, load_text, load_with_warnings};

const BASE: &str = r#"{
  "node": { "name": "a", "as": 65001, "organisation": "acme" },
  "peers": {
    "b": { "address": "127.0.0.2:1790", "as": 65002, "organisation": "beta", "import": "partners", "export": "out" }
  },
  "services": {
    "s.acme": {
      "protocol": "http", "endpoints": [{ "url": "http://127.0.0.1:4001" }],
      "communities": ["public", "no-export", "1:2:3"]
    }
  },
  "policies": {
    "partners": { "statements": [
      {
        "name": "known",
        "match": { "name": ["@partners", "x.beta"], "community": "public", "not": { "as_path": "_65009_" } },
        "then": { "verdict": "accept", "set_local_pref": 200, "add_communities": ["inside", "1:1:1"], "remove_communities": "65002:*" }
      },
      { "match": { "neighbour_as": ["@all", 65005] }, "then": "reject" }
    ] },
    "out": { "statements": [{ "match": { "community": "public" }, "then": "accept" }] }
  },
  "sets": { "names": { "partners": ["*.beta", "api-*.gamma"] }, "as_numbers": { "all": [65002, 65003] } },
  "communities": { "public": "65001:100", "inside": { "community": "65001:900", "internal": true } }
}"#;

fn set(assignments: &[&str]) -> Result<Config, String> {
    let flags: Vec<Flag> = assignments.iter().map(|a| Flag::new("set", a)).collect();
    load_text(Some(("routed.json", BASE)), &flags).map_err(|e| e.to_string())
}

#[track_caller]
fn refused(assignment: &str, says: &str) {
    let error = set(&[assignment]).unwrap_err();
    assert!(error.contains(says), "{assignment}\n  says: {error}\n  not:  {says}");
}

/// In the policy `partners`, statement 0.
#[track_caller]
fn statement_refused(key: &str, says: &str) {
    refused(&format!("policies.partners.statements[0].{key}"), says);
}

fn import_of_b(config: &Config) -> Arc<Policy> {
    config.speaker().peers[0].import.clone().unwrap()
}

#[test]
fn what_is_written_is_what_the_speaker_gets() {
    let config = set(&[]).unwrap();
    let policy = import_of_b(&config);
    assert_eq!(&**policy.name(), "partners");
    let [known, neighbours] = policy.statements() else {
        panic!("{policy:?}")
    };
    let Statement {
        name,
        conditions,
        actions,
        verdict,
    } = known;
    assert_eq!((&**name, *verdict), ("known", Verdict::Accept));
    assert_eq!(
        format!("{conditions:?}"),
        "[Community([Standard(Some(65001), Some(100))]), Name([*.beta, api-*.gamma, x.beta]), Not([AsPath([_65009_])])]"
    );
    assert_eq!(
        format!("{actions:?}"),
        format!(
            "[SetLocalPref(200), RemoveCommunities([Standard(Some(65002), None)]), AddCommunities([{}]), AddLargeCommunities([(1, 1, 1)])]",
            65001_u32 << 16 | 900
        )
    );
    assert_eq!((&*neighbours.name, neighbours.verdict), ("#2", Verdict::Reject));
    assert_eq!(
        neighbours.conditions,
        [Condition::NeighbourAs(vec![65002, 65003, 65005])]
    );
    let speaker = config.speaker();
    assert_eq!(
        format!("{:?}", speaker.internal_communities),
        "[Standard(Some(65001), Some(900))]"
    );
    let service = &config.local_services()[0];
    assert_eq!(service.communities, [65001 << 16 | 100, 0xffff_ff01]);
    assert_eq!(service.large_communities, [(1, 2, 3)]);
}

#[test]
fn peers_without_policies_have_none() {
    let config = set(&["peers.b.import=null", "peers.b.export=reject"]).unwrap();
    let peer = &config.speaker().peers[0];
    assert_eq!(peer.import, None);
    assert_eq!(peer.export.as_deref(), Some(&Policy::reject()));
    let config = set(&["peers.b.allowed_names=[\"@partners\",\"*.b\"]"]).unwrap();
    let names = config.speaker().peers[0].allowed_names.clone().unwrap();
    assert_eq!(format!("{names:?}"), "[*.beta, api-*.gamma, *.b]");
}

#[test]
fn both_spellings_of_changes_mean_the_same() {
    let verdict_of = |value: &str| {
        let assignment = format!("policies.partners.statements[1].then={value}");
        import_of_b(&set(&[&assignment]).unwrap()).statements()[1].clone()
    };
    assert_eq!(verdict_of("accept"), verdict_of(r#"{"verdict":"accept"}"#));
    let med = |value: &str| verdict_of(value).actions;
    assert_eq!(med(r#"{"verdict":"next","set_med":5}"#), [Action::SetMed(Some(5))]);
    assert_eq!(med(r#"{"verdict":"next","remove_med":true}"#), [Action::SetMed(None)]);
    assert_eq!(med(r#"{"verdict":"accept","prepend":3}"#), [Action::Prepend(3)]);
}

#[test]
fn mistakes_are_shown_where_they_are_with_what_was_meant() {
    let text = BASE.replace("\"import\": \"partners\"", "\"import\": \"partnrs\"");
    let error = load_text(Some(("routed.json", &text)), &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        r#"routed.json:4:78: peers["b"].import: no policy is called "partnrs"; did you mean "partners"?"#
    );
    refused(
        "peers.b.export=acept",
        r#"no policy is called "acept"; did you mean "accept"?"#,
    );
    statement_refused(
        "match.name=@partner",
        r#"match.name: there is no set "partner" in sets.names; did you mean "partners"?"#,
    );
    statement_refused(
        r#"match.name=["a.b", "@all"]"#,
        r#"match.name[1]: there is no set "all" in sets.names; there is partners"#,
    );
    statement_refused("match.origin_organisation=@x", "sets.organisations; there is none");
    statement_refused(
        "match.community=publik",
        r#"match.community: no community is called "publik"; did you mean "public"?"#,
    );
    refused(
        "services[\"s.acme\"].communities[0]=publik",
        r#"services["s.acme"].communities[0]: no community is called "publik"; did you mean"#,
    );
    let text = BASE.replace("\"_65009_\"", "\"(65009\"");
    let error = load_text(Some(("routed.json", &text)), &[]).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "routed.json:16:96: policies[\"partners\"].statements[0].match.not.as_path: expected a regular \
             expression over AS_PATH"
        ),
        "{error}"
    );
    assert!(
        error.contains("found \"(65009\"") && error.contains("unclosed group"),
        "{error}"
    );
}

#[test]
fn patterns_that_cannot_be_are_refused() {
    statement_refused("match.name=a..b", "a name pattern has no empty label");
    statement_refused("match.name=[\"*.b\", \"ä\"]", "match.name[1]: expected a name pattern");
    statement_refused(
        "match.prefix=10.0.0.0/8 longer",
        "after the prefix stands exact, orlonger",
    );
    statement_refused("match.prefix=10.0.0.1/8", "the network is 10.0.0.0/8");
    statement_refused("match.community=65536:*", "expected a community such as");
    statement_refused(
        "match.neighbour_as=0",
        "expected an AS number, or a set of sets.as_numbers",
    );
    statement_refused(
        "match.neighbour_as=x",
        "expected an AS number, or a set of sets.as_numbers",
    );
    statement_refused(
        "match.role=boss",
        "expected provider, route-server, route-server-client",
    );
    statement_refused(
        "match.protocol=ftp",
        "expected tcp, http, http:graphql or http:grpc, found \"ftp\"",
    );
    statement_refused("match.family=true", "expected name, ipv4 or ipv6, found \"true\"");
    statement_refused(
        "match.colour=red",
        "match.colour: unknown key; expected as_path, community",
    );
    statement_refused("match={\"name\":true}", "match.name: expected a name pattern");
    statement_refused("match={\"name\":{}}", "match.name: expected a list, found an object");
    statement_refused("then=maybe", "then: expected accept, reject or next, found \"maybe\"");
    statement_refused("then={}", "missing key \"verdict\"");
    statement_refused(
        "then={\"verdict\":\"accept\",\"set_colour\":1}",
        "then.set_colour: unknown key",
    );
    statement_refused("then.prepend=0", "then.prepend: expected 1 to 32 times, found 0");
    statement_refused("then.prepend=33", "then.prepend: expected 1 to 32 times, found 33");
    statement_refused("then.verdict=reject", "a rejected route goes nowhere");
    statement_refused(
        "then={\"verdict\":\"accept\",\"set_med\":1,\"remove_med\":true}",
        "then.remove_med: set_med sets it",
    );
    statement_refused(
        "then.add_communities=65001:*",
        "then.add_communities: expected a community ASN:VALUE",
    );
    refused(
        "policies.partners.statements[1].then.prepend=1",
        "what stands there so far is a plain value: set the whole list or object",
    );
}

#[test]
fn empty_lists_are_refused_because_they_never_match() {
    for key in ["name", "family", "community", "peer", "neighbour_as", "not.as_path"] {
        statement_refused(
            &format!("match.{key}=[]"),
            &format!("match.{key}: an empty list would never match"),
        );
    }
    statement_refused("match.not={}", "match.not: no condition in it");
    statement_refused("then.add_communities=[]", "add_communities: an empty list");
    refused(
        "policies.partners.statements=[]",
        "statements: a policy without statements decides nothing",
    );
    refused(
        "sets.names.partners=[]",
        "sets.names[\"partners\"]: an empty set would never match",
    );
    refused(
        "peers.b.allowed_names=[]",
        "allowed_names: an empty list would never match",
    );
}

#[test]
fn names_are_labels_and_stand_once() {
    refused(
        "policies.accept={\"statements\":[{\"then\":\"reject\"}]}",
        "accept is built in",
    );
    refused(
        "policies.Big={\"statements\":[{\"then\":\"reject\"}]}",
        "a policy's name is written in lower case: big",
    );
    refused(
        "policies[\"a.b\"]={\"statements\":[{\"then\":\"reject\"}]}",
        "policies[\"a.b\"]: expected one label",
    );
    refused(
        "policies.partners.statements[1].name=known",
        "statements[1].name: statement [0] has this name already",
    );
    refused("sets.names.Big=[\"a\"]", "a set's name is written in lower case: big");
    refused(
        "sets.as_numbers.all=[1,0]",
        "sets.as_numbers[\"all\"][1]: expected an AS number of at least 1",
    );
    refused("communities.no-export=1:1", "no-export is well known as 65535:65281");
    refused(
        "communities.other=public",
        "expected the number of a community, found the name \"public\"",
    );
    refused(
        "communities.other=65001:100",
        "communities[\"other\"] is the same number",
    );
    refused(
        "communities.other=65001:*",
        "communities[\"other\"]: expected a community ASN:VALUE",
    );
}

#[test]
fn keys_of_peers_that_make_no_sense_are_refused() {
    let ours = ["peers.b.organisation=acme", "peers.b.allowed_prefixes=[\"10.0.0.0/8\"]"];
    let error = set(&ours).unwrap_err();
    assert!(error.contains("allowed_prefixes: only outside peers"), "{error}");
}

#[test]
fn sizes_are_bounded() {
    let many = |count: usize, item: &str| vec![item; count].join(",");
    refused(
        &format!("sets.names.partners=[{}]", many(10_001, "\"a\"")),
        "at most 10000 values, found 10001",
    );
    refused(
        &format!(
            "policies.out.statements=[{}]",
            many(1001, r#"{"match":{"name":"a"},"then":"next"}"#)
        ),
        "at most 1000 statements, found 1001",
    );
    let statements = many(21, r#"{"match":{"name":"@big"},"then":"reject"}"#);
    let big = format!("sets.names.big=[{}]", many(10_000, "\"a\""));
    let error = set(&[&big, &format!("policies.out.statements=[{statements}]")]).unwrap_err();
    assert!(
        error.contains("statements[20].match.name: all policies together hold more than 200000 values"),
        "{error}"
    );
    let regexes = format!("policies.out.statements[0].match.as_path=[{}]", many(1001, "\"^1$\""));
    refused(&regexes, "more than 1000 regular expressions");
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routed.json");
    let warnings = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let (_, warnings) = load_with_warnings(Some(Path::new(&file)), &[]).unwrap_or_else(|e| panic!("{e}"));
        let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        lines.join("\n").replace(&dir.path().display().to_string(), "")
    };
    assert_eq!(warnings(BASE), "");
    let always = BASE.replace(
        "{ \"match\": { \"community\": \"public\" }, \"then\": \"accept\" }",
        r#"
      { "then": "accept" }, { "match": { "name": "a" }, "then": "reject" }, { "then": "reject" }"#,
    );
    assert_eq!(
        warnings(&always),
        "/routed.json:22:29: policies[\"out\"].statements[1]: never reached: statement [0] decides whatever would get here"
    );
    let twice = BASE.replace(
        "{ \"match\": { \"community\": \"public\" }, \"then\": \"accept\" }",
        r#"
      { "match": { "name": "a" }, "then": "reject" }, { "match": { "name": "a" }, "then": "next" },
      { "match": { "peer": "c" }, "then": "accept" }"#,
    );
    assert_eq!(
        warnings(&twice),
        "/routed.json:22:55: policies[\"out\"].statements[1]: never reached: statement [0] decides whatever would get here\n\
         /routed.json:22:83: policies[\"out\"].statements[1].then: next without changes: this statement has no effect\n\
         /routed.json:23:20: policies[\"out\"].statements[2].match.peer: no peer is called \"c\"; there is b"
    );
}

const TESTED: &str = r#"{
  "node": { "name": "a", "as": 65001, "organisation": "acme" },
  "peers": {
    "b": { "address": "127.0.0.2:1790", "as": 65002, "organisation": "beta", "role": "peer" },
    "i": { "address": "127.0.0.3:1790", "as": 65001 }
  },
  "policies": { "p": {
    "statements": [
      { "match": { "name": "*.secret" }, "then": "reject" },
      { "name": "tag", "match": { "community": "public" }, "then": { "verdict": "next", "set_local_pref": 200, "add_communities": "1:1:1" } },
      { "name": "known", "match": { "neighbour_as": 65002, "role": "peer", "table": "external" }, "then": { "verdict": "accept", "remove_med": true, "prepend": 2 } },
      { "match": { "prefix": "10.0.0.0/8 orlonger" }, "then": "accept" }
    ],
    "tests": [TEST]
  } },
  "communities": { "public": "65001:100" }
}"#;

fn tested(test: &str) -> Result<(), String> {
    let text = TESTED.replace("TEST", test);
    load_text(Some(("routed.json", &text)), &[])
        .map(drop)
        .map_err(|e| e.to_string())
}

#[test]
fn tests_that_hold_let_the_configuration_pass() {
    for test in [
        r#"{ "route": { "name": "a.secret" }, "expect": "reject" }"#,
        r#"{ "peer": "b", "route": { "name": "a.beta" }, "expect": { "verdict": "accept", "statement": "known", "prepend": 2 } }"#,
        r#"{ "peer": "b", "route": { "name": "a.beta", "communities": ["public", "5:5"], "med": 7 },
             "expect": { "verdict": "accept", "local_pref": 200, "communities": ["1:1:1", "5:5", "65001:100"] } }"#,
        r#"{ "peer": "b", "route": { "name": "a.beta", "as_path": [65003, 65002] }, "expect": "reject" }"#,
        r#"{ "peer": "b", "route": { "name": "a.acme", "origin_organisation": "acme" }, "expect": "reject" }"#,
        r#"{ "direction": "export", "peer": "b", "route": { "name": "a.acme", "as_path": [65002] },
             "expect": { "verdict": "reject", "statement": "default" } }"#,
        r#"{ "peer": "i", "route": { "name": "a.acme" }, "expect": { "verdict": "accept", "statement": "default" } }"#,
        r#"{ "route": { "name": "10.1.0.0/16" }, "expect": { "verdict": "accept", "statement": "\u00234" } }"#,
        r#"{ "route": { "name": "11.0.0.0/8" }, "expect": "reject" }"#,
    ] {
        tested(test).unwrap_or_else(|e| panic!("{test}\n{e}"));
    }
}

#[test]
fn tests_that_fail_refuse_it_with_their_place_and_the_reason() {
    let expect = r#"policies["p"].tests[0].expect: "#;
    for (test, says) in [
        (
            r#"{ "name": "secrets stay", "route": { "name": "a.secret" }, "expect": "accept" }"#,
            format!("routed.json:14:74: {expect}secrets stay: expected accept, found reject by #1"),
        ),
        (
            r#"{ "peer": "b", "route": { "name": "a.acme", "origin_organisation": "acme" }, "expect": "accept" }"#,
            format!(
                "{expect}expected accept, found reject by default (#1 fails on name: a.acme; tag fails on community: none; \
                 known fails on table: internal)"
            ),
        ),
        (
            r#"{ "peer": "b", "route": { "name": "a.beta" }, "expect": { "verdict": "accept", "statement": "tag" } }"#,
            format!("{expect}expected accept by tag, found accept by known"),
        ),
        (
            r#"{ "peer": "b", "route": { "name": "a.beta", "communities": ["public"], "med": 7 },
                 "expect": { "verdict": "accept", "local_pref": 100, "med": 7, "communities": ["public"], "prepend": 1 } }"#,
            format!(
                "{expect}expected local_pref 100, found 200, expected med 7, found none, expected communities [65001:100], \
                 found [65001:100 1:1:1], expected prepend 1, found 2 (accept by known)"
            ),
        ),
        (
            r#"{ "peer": "x", "route": { "name": "a" }, "expect": "accept" }"#,
            r#"tests[0].peer: no peer is called "x"; there is b, i"#.to_owned(),
        ),
        (
            r#"{ "route": { "name": "a", "communities": ["publik"] }, "expect": "accept" }"#,
            r#"tests[0].route.communities[0]: no community is called "publik"; did you mean "public"?"#.to_owned(),
        ),
        (
            r#"{ "route": { "name": "a.secret" }, "expect": { "verdict": "reject", "med": 5 } }"#,
            format!("{expect}a rejected route has no attributes"),
        ),
        (
            r#"{ "route": { "name": "a..b" }, "expect": "accept" }"#,
            "tests[0].route.name: expected a service name or a prefix".to_owned(),
        ),
        (
            r#"{ "route": { "name": "a", "colour": "red" }, "expect": "accept" }"#,
            "tests[0].route.colour: unknown key; expected name, protocol".to_owned(),
        ),
        (
            r#"{ "route": { "name": "a" } }"#,
            "tests[0]: missing key \"expect\"".to_owned(),
        ),
    ] {
        let error = tested(test).unwrap_err();
        assert!(error.contains(&says), "{test}\n  says: {error}\n  not:  {says}");
    }
}
