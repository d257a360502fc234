//! Prefixes between two daemons of different organisations, and what catalystctl says of them.

use super::support::{Node, until};

/// `a` of acme at .1 and `b` of beta at .2, which originates prefixes and a service.
fn pair(net: &str) -> (Node, Node) {
    let (ip_a, ip_b) = (format!("{net}.1"), format!("{net}.2"));
    let peer = |name: &str, asn: u32, org: &str, far: &str, near: &str| {
        format!(
            "peers[\"{name}\"]={{\"as\": {asn}, \"organisation\": \"{org}\", \"address\": \"{far}:17900\", \
             \"source\": \"{near}\", \"import\": \"accept\", \"export\": \"accept\"}}"
        )
    };
    let b = Node::start(
        &ip_b,
        &[
            ("name", "b"),
            ("as", "65002"),
            ("org", "beta"),
            ("listen", &format!("{ip_b}:17900")),
            ("set", &peer("a", 65001, "acme", &ip_a, &ip_b)),
            (
                "set",
                "prefixes={\"10.2.0.0/16\": {\"med\": 5}, \"10.2.7.0/24\": {}, \"11.0.0.0/8\": {}}",
            ),
            ("set", "prefixes[\"2001:db8::/32\"]={}"),
            ("service", "x.beta=http@http://127.0.0.1:4001"),
        ],
    );
    let a = Node::start(
        &ip_a,
        &[
            ("listen", &format!("{ip_a}:17900")),
            ("set", &peer("b", 65002, "beta", &ip_b, &ip_a)),
            ("set", "peers.b.allowed_prefixes=[\"10.0.0.0/8\", \"2001:db8::/32\"]"),
        ],
    );
    (a, b)
}

fn names(node: &Node, args: &[&str]) -> Vec<String> {
    let routes = node.json(&[&["show", "routes"], args].concat());
    let name = |route: &serde_json::Value| route["name"].as_str().unwrap().to_owned();
    routes.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn prefixes_of_another_organisation_come_as_far_as_they_are_allowed() {
    let (a, b) = pair("127.80.31");
    let all = ["x.beta", "10.2.0.0/16", "10.2.7.0/24", "2001:db8::/32"];
    until("a holds what b may offer", || names(&a, &[]) == all);
    assert_eq!(
        names(&b, &["--family", "ipv4"]),
        ["10.2.0.0/16", "10.2.7.0/24", "11.0.0.0/8"]
    );
    assert_eq!(names(&a, &["--family", "ipv6"]), ["2001:db8::/32"]);
    assert_eq!(names(&a, &["--family", "name"]), ["x.beta"]);
    let peer = a.json(&["show", "peer", "b"]);
    assert_eq!(peer["treated_as_withdraw"], 1);
    let told = a.ctl(&["show", "peer", "b"]).out;
    assert!(
        told.contains("11.0.0.0/8 is not within the peer's allowed_prefixes"),
        "{told}"
    );
    let path = &a.json(&["show", "route", "10.2.0.0/16"])[0];
    assert_eq!(
        (
            &path["family"],
            &path["protocol"],
            &path["weight"],
            &path["med"],
            &path["table"]
        ),
        (&"ipv4".into(), &().into(), &().into(), &5.into(), &"external".into())
    );
    let table = a.ctl(&["show", "routes", "--family", "ipv4"]).out;
    assert!(
        table.contains("10.2.7.0/24") && table.contains("ipv4") && !table.contains("x.beta"),
        "{table}"
    );
}

#[test]
fn an_address_shows_the_longest_prefix_in_use() {
    let (a, mut b) = pair("127.80.32");
    until("a holds the prefixes", || {
        names(&a, &["--family", "ipv6"]) == ["2001:db8::/32"]
    });
    for (address, prefix) in [
        ("10.2.7.9", "10.2.7.0/24"),
        ("10.2.8.9", "10.2.0.0/16"),
        ("2001:db8::5", "2001:db8::/32"),
    ] {
        assert_eq!(a.json(&["show", "route", address])[0]["name"], prefix);
    }
    let why = a.ctl(&["show", "route", "--why", "10.2.7.9"]);
    assert!(why.code == 0 && why.out.contains("10.2.7.0/24"), "{why:?}");
    let why = a.ctl(&["show", "route", "--why", "192.0.2.1"]);
    assert!(
        why.code == 1 && why.err.contains("it is in no prefix in use"),
        "{why:?}"
    );
    let nowhere = a.ctl(&["show", "route", "192.0.2.1"]);
    assert_eq!(
        (nowhere.code, nowhere.err.trim_end()),
        (1, "catalystctl: no route to 192.0.2.1")
    );
    let bad = a.ctl(&["show", "route", "10.2.0.1/16"]);
    assert!(
        bad.code == 1 && bad.err.contains("the network is 10.2.0.0/16"),
        "{bad:?}"
    );
    b.stop();
    until("what b offered is gone", || names(&a, &[]).is_empty());
}
