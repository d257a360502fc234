use std::collections::HashMap;

use super::*;
use crate::text::{WIDTH, width};

fn local() -> Route {
    Route {
        name: "products.acme".to_owned(),
        protocol: "http:graphql".to_owned(),
        table: "internal".to_owned(),
        best: true,
        selected: true,
        origin_org: "acme".to_owned(),
        origin_as: 65001,
        origin_node: "a".to_owned(),
        local_pref: 100,
        weight: 100,
        age_s: 75,
        path: "/graphql".to_owned(),
        endpoints: vec![
            "http://127.0.0.1:4101 1".to_owned(),
            "http://127.0.0.1:4102 3".to_owned(),
        ],
        data_planes: planes_of(&[("envoy", "programmed"), ("graphql", "programmed")]),
        ..Route::default()
    }
}

fn learned() -> Route {
    Route {
        name: "reviews.acme".to_owned(),
        learned_from: "b".to_owned(),
        next_hop: "127.0.0.2:8082".to_owned(),
        as_path: vec![65002],
        endpoints: Vec::new(),
        ..local()
    }
}

fn planes_of(planes: &[(&str, &str)]) -> HashMap<String, String> {
    planes
        .iter()
        .map(|(plane, status)| ((*plane).to_owned(), (*status).to_owned()))
        .collect()
}

#[test]
fn a_small_table_reads_well() {
    let loser = Route {
        selected: false,
        best: false,
        as_path: vec![65003, 65002],
        learned_from: "c".to_owned(),
        next_hop: "127.0.0.3:8082".to_owned(),
        data_planes: HashMap::new(),
        reason: "longer AS path".to_owned(),
        ..learned()
    };
    let table = render(&[local(), learned(), loser]).join("\n");
    let expected = "    NAME           PROTOCOL      FROM   NEXT HOP        AS PATH      STATUS
>*  products.acme  http:graphql  local  -               -            programmed
>*  reviews.acme   http:graphql  b      127.0.0.2:8082  65002        programmed
    reviews.acme   http:graphql  c      127.0.0.3:8082  65003 65002  longer AS path
> in use   * best of its table";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn the_worst_case_fits_100_columns_and_keeps_the_ends_of_names() {
    let long = Route {
        name: format!("orders.{}.acme", "x".repeat(63).as_str().to_owned() + &".y".repeat(80)),
        learned_from: "p".repeat(63),
        next_hop: "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".to_owned(),
        as_path: vec![4_294_967_295; 30],
        data_planes: planes_of(&[
            ("envoy", &format!("rejected: {}", "why ".repeat(100))),
            ("graphql", "pending"),
        ]),
        reason: "a\nb".repeat(100),
        draining: true,
        stale: true,
        ..learned()
    };
    let lines = render(&[long, local()]);
    for line in &lines {
        assert!(width(line) <= WIDTH, "{} columns: {line}", width(line));
    }
    assert!(
        lines[1].starts_with(">*  orders.") && lines[1].contains(".acme  http:graphql"),
        "{}",
        lines[1]
    );
    assert_eq!(
        lines.len(),
        1 + 3 + 1 + 1,
        "headings, a row that goes on twice, a row, the legend"
    );
}

#[test]
fn a_next_hop_without_a_port_shows_none() {
    for (given, shown) in [
        ("127.0.0.32:0", "127.0.0.32"),
        ("[2001:db8::1]:0", "2001:db8::1"),
        ("127.0.0.3:80", "127.0.0.3:80"),
        ("", ""),
    ] {
        let route = Route {
            next_hop: given.to_owned(),
            ..learned()
        };
        assert_eq!(next_hop(&route), shown);
    }
}

#[test]
fn draining_is_said_once() {
    let route = Route {
        draining: true,
        reason: "withdrawn, draining".to_owned(),
        ..local()
    };
    assert_eq!(status(&route), "programmed; withdrawn, draining");
}

#[test]
fn trouble_comes_first_in_the_status() {
    let planes = [
        ("envoy", "programmed"),
        ("graphql", "rejected: field Product.upc conflicts"),
    ];
    let route = Route {
        data_planes: planes_of(&planes),
        ..local()
    };
    assert_eq!(
        status(&route),
        "graphql rejected: field Product.upc conflicts; envoy programmed"
    );
    let refused = Route {
        data_planes: planes_of(&[("envoy", "rejected: no such cluster: x")]),
        reason: "not advertised: rejected by envoy: no such cluster: x".to_owned(),
        ..local()
    };
    assert_eq!(
        status(&refused),
        "envoy rejected: no such cluster: x; not advertised: rejected by envoy",
        "each thing once"
    );
    let waiting = Route {
        reason: "waits for envoy".to_owned(),
        data_planes: planes_of(&[("envoy", "pending")]),
        ..local()
    };
    assert_eq!(status(&waiting), "envoy pending; waits for envoy");
}

#[test]
fn one_name_is_told_in_full() {
    let second = Route {
        selected: false,
        best: false,
        reason: "longer AS path ".repeat(20),
        med: Some(5),
        ..learned()
    };
    let text = describe(&[
        local(),
        Route {
            communities: vec!["65001:100".to_owned()],
            ..second
        },
    ]);
    assert!(text.iter().all(|line| width(line) <= WIDTH), "{text:#?}");
    let text = text.join("\n");
    for part in [
        "products.acme: 2 paths\n\n>* from this node: in use\n",
        "  status          envoy programmed; graphql programmed\n",
        "  endpoints       http://127.0.0.1:4101, http://127.0.0.1:4102 (weight 3)\n",
        "  origin          65001/a of acme\n",
        "  age             1m15s\n\nfrom b: not in use\n",
        "  MED             5\n",
        "  communities     65001:100\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}
