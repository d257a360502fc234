//! Why a route is (not) here: the partner of the examples, without data planes.

use serde_json::{Value, json};

use crate::support::{Node, until};

/// The sections of an example that policies are made of, for nodes of a test.
fn example(file: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/two-organisations")
        .join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The node of an example at another address, without data planes. `peer` is what the example calls the other one.
fn node(file: &str, ip: &str, peer: &str, other: &str) -> Node {
    let config = example(file);
    let section = |key: &str| format!("{key}={}", config[key]);
    let mut settings = vec![
        section("communities"),
        section("policies"),
        section("services"),
        format!("node.domains={}", config["node"]["domains"]),
    ];
    let mut there = config["peers"][peer].clone();
    there["address"] = json!(format!("{other}:17900"));
    there["source"] = json!(ip);
    settings.push(format!("peers[\"{peer}\"]={there}"));
    let who = &config["node"];
    let (asn, listen) = (who["as"].to_string(), format!("{ip}:17900"));
    let mut flags = vec![
        ("listen", listen.as_str()),
        ("name", who["name"].as_str().unwrap()),
        ("as", &asn),
        ("org", who["organisation"].as_str().unwrap()),
    ];
    flags.extend(settings.iter().map(|setting| ("set", setting.as_str())));
    Node::start(ip, &flags)
}

#[test]
fn the_statement_that_held_a_service_back_is_named() {
    let acme = node("acme.json", "127.80.16.1", "beta", "127.80.16.2");
    let beta = node("beta.json", "127.80.16.2", "acme", "127.80.16.1");
    until("acme has what is public at beta", || {
        acme.ctl(&["show", "route", "orders.beta"]).code == 0 && acme.ctl(&["show", "route", "clock.beta"]).code == 0
    });
    until("beta has what is public at acme", || {
        beta.ctl(&["show", "route", "shop.acme"]).code == 0
    });
    assert_eq!(acme.ctl(&["show", "route", "ledger.beta"]).code, 1, "it is not public");

    let told = beta.ctl(&["show", "route", "ledger.beta", "--why"]).out;
    assert!(
        told.contains("\nwho is told\n  no              acme: public-services: rejected by default (public does not apply: community is"),
        "{told}"
    );
    let why = beta.json(&["show", "route", "orders.beta", "--why"]);
    let peer = &why["peers"][0];
    assert_eq!((&peer["peer"], &peer["advertised"]), (&json!("acme"), &json!(true)));
    assert_eq!(peer["export"]["decided_by"], "public");
    assert_eq!(peer["told"]["as_path"], json!([65002]));

    let why = acme.json(&["show", "route", "orders.beta", "--why"]);
    let path = &why["paths"][0];
    assert_eq!(
        (&path["name"], &path["learned_from"]),
        (&json!("orders.beta"), &json!("beta"))
    );
    assert_eq!(path["import"]["decided_by"], "their-own");
    assert_eq!(path["community_names"], json!({ "65001:900": "backbone" }));
    assert_eq!(
        why["peers"][0]["why"],
        "split horizon: the selected path came from this peer"
    );

    let nobody = acme.ctl(&["show", "route", "nobody.acme", "--why"]);
    assert_eq!(nobody.code, 1);
    assert!(
        nobody
            .err
            .contains("nobody offers it, and a name below our domain acme is never sent"),
        "{nobody:?}"
    );
}

#[test]
fn a_hijack_is_refused_counted_and_explained() {
    let acme = node("acme.json", "127.80.17.1", "beta", "127.80.17.2");
    let beta = node("beta.json", "127.80.17.2", "acme", "127.80.17.1");
    until("acme has what is public at beta", || {
        acme.ctl(&["show", "route", "orders.beta"]).code == 0
    });
    let established = || acme.json(&["show", "peer", "beta"])["established_count"].clone();
    assert_eq!(established(), 1);
    // A name that acme refuses: it is born at beta, but a name of acme's own.
    let hijack = [
        "service",
        "add",
        "shop2.acme",
        "--protocol",
        "http",
        "--endpoint",
        "http://127.0.0.1:1",
        "--community",
        "public",
    ];
    assert_eq!(beta.ctl(&hijack).code, 0);
    until("the hijack is counted", || {
        acme.json(&["show", "peer", "beta"])["hijacks"] == 1
    });
    let why = acme.ctl(&["show", "route", "shop2.acme", "--why"]).out;
    assert!(why.contains("rejected: the name is under our own domains"), "{why}");
    assert!(acme.ctl(&["show", "peers"]).out.contains("1 hijack"));
    assert_eq!(established(), 1);
}
