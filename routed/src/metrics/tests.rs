//! Every metric has its row in docs/operate.md, and the text can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use catalyst_core::event::AtLimit;
use catalyst_core::speaker::Speaker;
use catalyst_core::view::{GracefulView, LimitView, PeerView, PlaneCounts, RefusalView};
use catalyst_wireguard::{KeyNews, TunnelState, TunnelStatus};
use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderValue};

use super::exposition::{Format, expose};
use super::snapshot::{NodeIdentity, Snapshot, Tunnels};
use crate::config::{Config, Flag, load};
use crate::tunnels::RotationShown;

/// A line with a value.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// What a metric is, and the labels that its lines have.
#[derive(Debug, Default)]
struct Told {
    kind: String,
    help: String,
    labels: Vec<String>,
    lines: usize,
}

fn config() -> Config {
    let peers = ["b=65002@127.0.0.2:1790,organisation=beta", "c=65001@127.0.0.3:1790"];
    let node = [("name", "a"), ("as", "65001"), ("org", "acme")].map(|(name, value)| Flag::new(name, value));
    let flags = [node.to_vec(), peers.map(|peer| Flag::new("peer", peer)).to_vec()].concat();
    load(None, &flags).unwrap()
}

/// With everything in it that may be left out.
fn snapshot() -> Snapshot {
    let now = Instant::now();
    let speaker = Speaker::new(config().speaker(), now);
    let mut peers = speaker.peers(now);
    fill(&mut peers[0]);
    let plane = |name: &str, connected, rejected| PlaneCounts {
        name: name.into(),
        connected,
        version: 7,
        latest: 9,
        programmed: 3,
        pending: 2,
        rejected,
    };
    Snapshot {
        node: NodeIdentity {
            name: "a".to_owned(),
            asn: 65001,
            organisation: "acme".to_owned(),
        },
        started: UNIX_EPOCH + Duration::from_millis(1_700_000_000_700),
        now: UNIX_EPOCH + Duration::from_secs(1_700_000_100),
        peers,
        rib: speaker.sizes(),
        planes: vec![
            plane("envoy", true, 0),
            plane("wireguard", true, 0),
            plane("hosts", false, 1),
        ],
        envoy_refused: Some(1),
        tunnels: Some(Tunnels {
            rows: vec![tunnel()],
            drift_repairs: 5,
            writes: 70,
            rotation: RotationShown::default(),
        }),
    }
}

fn fill(peer: &mut PeerView) {
    peer.state = "Established";
    peer.since = Duration::from_secs(40);
    peer.established_count = 2;
    peer.refusals = vec![RefusalView {
        kind: "leftmost AS",
        count: 4,
        newest: "x.acme".to_owned(),
        reason: "why".into(),
    }];
    peer.session.graceful = Some(GracefulView {
        agreed: true,
        restart_time: Duration::from_secs(1),
        stale_time: Duration::from_secs(1),
        stale: 6,
        stale_since: None,
        purge_in: None,
    });
    peer.session.limit = Some(LimitView {
        limit: 1000,
        used: 1,
        warn_from: 750,
        action: AtLimit::Block,
        blocked: 8,
    });
    peer.session.max_update_rate = Some(50);
    peer.session.pauses = 3;
    peer.session.messages.received.keepalive = 11;
    peer.session.messages.sent.route_refresh = 12;
}

fn tunnel() -> TunnelStatus {
    TunnelStatus {
        peer: "b".into(),
        organisation: "beta".into(),
        device: "wg-b".into(),
        state: TunnelState::WrongKey,
        key_change: Some(KeyNews::Theirs),
        home: None,
        second: None,
        is_by_hand: false,
        authenticated: true,
        public_key: None,
        endpoint: Some("[2001:db8::1]:51820".parse().unwrap()),
        handshake_age: Some(Duration::from_secs(3)),
        last_handshake: Some(UNIX_EPOCH + Duration::from_secs(1_700_000_097)),
        received: 1 << 60,
        sent: 22,
        addresses: Vec::new(),
        allowed_prefixes: Vec::new(),
    }
}

fn text() -> String {
    expose(snapshot(), Format::Text).unwrap()
}

/// Reads a line with a value, strictly: `NAME{LABEL="VALUE",...} NUMBER`.
fn read_sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, read_labels(labels.strip_suffix('}').unwrap())),
        None => (series, BTreeMap::new()),
    };
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(name.starts_with("catalyst_") && name.chars().all(is_word), "{line:?}");
    Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().unwrap_or_else(|e| panic!("{e}: {line:?}")),
    }
}

fn read_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{text:?}"));
        let mut value = String::new();
        let mut chars = after.chars();
        loop {
            match chars.next().unwrap_or_else(|| panic!("{text:?} has no end")) {
                '"' => break,
                '\\' => value.push(match chars.next() {
                    Some('n') => '\n',
                    Some(c @ ('"' | '\\')) => c,
                    other => panic!("\\{other:?} in {text:?}"),
                }),
                c => value.push(c),
            }
        }
        rest = chars.as_str();
        if let Some(more) = rest.strip_prefix(',') {
            rest = more;
        } else {
            assert!(rest.is_empty(), "{text:?}");
        }
        assert!(
            labels.insert(name.to_owned(), value).is_none(),
            "{name} twice: {text:?}"
        );
    }
    labels
}

fn samples(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(read_sample).collect()
}

/// The value of one series.
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |sample: &Sample| {
        let given = |(label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|found| found == value);
        sample.name == name && labels.iter().all(given)
    };
    let mut found = samples.iter().filter(|sample| has(sample));
    let one = found
        .next()
        .unwrap_or_else(|| panic!("no {name} {labels:?}: {samples:#?}"));
    assert!(found.next().is_none(), "more than one {name} {labels:?}");
    one.value
}

/// What is told, in order.
fn told(text: &str) -> Vec<(String, Told)> {
    let mut all: Vec<(String, Told)> = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            let told = Told {
                help: help.to_owned(),
                ..Told::default()
            };
            all.push((name.to_owned(), told));
            continue;
        }
        let (last, told) = all.last_mut().expect("HELP comes first");
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, last);
            told.kind = kind.to_owned();
        } else {
            let Sample { name, .. } = read_sample(line);
            assert_eq!(&name, last);
            told.lines += 1;
            let labels = line.split_once('{').map_or("", |(_, labels)| labels);
            let names = labels.split("\",").filter_map(|label| label.split_once("=\""));
            told.labels = names.map(|(name, _)| name.to_owned()).collect();
        }
    }
    all
}

#[test]
fn the_table_of_the_documentation_is_what_is_told() {
    const HEAD: &str = "| Metric | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n";
    let mut table = String::from(HEAD);
    for (name, told) in told(&text()) {
        let Told { kind, help, labels, .. } = told;
        let labels = labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect::<Vec<_>>()
            .join(", ");
        table.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operate.md");
    let document = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = document.split_once(HEAD).expect("docs/operate.md has the table");
    let rows: usize = rest
        .split_inclusive('\n')
        .take_while(|line| line.starts_with('|'))
        .map(str::len)
        .sum();
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(&file, format!("{before}{table}{}", &rest[rows..])).unwrap();
    }
    assert!(
        format!("{HEAD}{}", &rest[..rows]) == table,
        "the table of metrics in docs/operate.md is out of date; write it anew by: BLESS=1 cargo test -p catalyst-routed --lib metrics"
    );
}

#[test]
fn every_metric_of_the_catalogue_is_told_once_and_has_values() {
    let told = told(&text());
    let names: BTreeSet<&String> = told.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), told.len(), "a name is told twice");
    assert_eq!(
        told.len(),
        super::catalogue::all().len(),
        "one has no values in this test"
    );
    for (name, told) in &told {
        assert!(told.help.ends_with('.'), "{name}: {}", told.help);
        assert_eq!(
            name.ends_with("_total"),
            told.kind == "counter",
            "{name} is a {}",
            told.kind
        );
        assert!(told.lines > 0, "{name}");
    }
    let series: Vec<_> = samples(&text()).into_iter().map(|it| (it.name, it.labels)).collect();
    let different: BTreeSet<_> = series.iter().collect();
    assert_eq!(different.len(), series.len(), "a series is told twice");
}

#[test]
fn values_are_those_of_the_snapshot() {
    let all = samples(&text());
    let b = ("peer", "b");
    let is = |name: &str, labels: &[(&str, &str)]| value(&all, name, labels);
    assert_eq!(is("catalyst_node_info", &[("node", "a"), ("as", "65001")]), 1.0);
    assert_eq!(is("catalyst_process_start_time_seconds", &[]), 1_700_000_001.0);
    assert_eq!(is("catalyst_peer_up", &[b, ("organisation", "beta")]), 1.0);
    assert_eq!(is("catalyst_peer_up", &[("peer", "c"), ("organisation", "acme")]), 0.0);
    let described = [
        b,
        ("state", "Established"),
        ("address", "127.0.0.2:1790"),
        ("as", "65002"),
    ];
    assert_eq!(is("catalyst_peer_info", &described), 1.0);
    assert_eq!(
        is("catalyst_peer_session_changed_timestamp_seconds", &[b]),
        1_700_000_060.0
    );
    assert_eq!(is("catalyst_peer_established_total", &[b]), 2.0);
    assert_eq!(
        is("catalyst_peer_messages_received_total", &[b, ("type", "keepalive")]),
        11.0
    );
    assert_eq!(
        is("catalyst_peer_messages_sent_total", &[b, ("type", "route_refresh")]),
        12.0
    );
    assert_eq!(is("catalyst_peer_refusals_total", &[b, ("kind", "leftmost AS")]), 4.0);
    assert_eq!(is("catalyst_peer_stale_routes", &[b]), 6.0);
    assert_eq!(is("catalyst_peer_blocked_routes_total", &[b]), 8.0);
    assert_eq!(
        is("catalyst_plane_routes", &[("plane", "envoy"), ("state", "pending")]),
        2.0
    );
    for (plane, failing) in [("envoy", 1.0), ("wireguard", 0.0), ("hosts", 1.0)] {
        assert_eq!(is("catalyst_plane_failing", &[("plane", plane)]), failing, "{plane}");
    }
    assert_eq!(is("catalyst_plane_drift_repairs_total", &[("plane", "wireguard")]), 5.0);
    let tunnel = [b, ("organisation", "beta"), ("device", "wg-b")];
    assert_eq!(is("catalyst_tunnel_up", &tunnel), 0.0);
    assert_eq!(
        is("catalyst_tunnel_last_handshake_timestamp_seconds", &tunnel),
        1_700_000_097.0
    );
    assert_eq!(
        is("catalyst_tunnel_received_bytes_total", &tunnel),
        (1_u64 << 60) as f64
    );
    let info = [
        b,
        ("state", "wrong key"),
        ("endpoint", "[2001:db8::1]:51820"),
        ("key_change", "theirs"),
        ("pinned", "yes"),
    ];
    assert_eq!(is("catalyst_tunnel_info", &info), 1.0);
}

#[test]
fn what_is_off_is_not_told_of() {
    let without = Snapshot {
        peers: Vec::new(),
        planes: Vec::new(),
        envoy_refused: None,
        tunnels: None,
        ..snapshot()
    };
    let text = expose(without, Format::Text).unwrap();
    assert!(text.contains("catalyst_build_info{version=\""), "{text}");
    assert!(
        !["_peer_", "_plane_", "_tunnel_"].iter().any(|part| text.contains(part)),
        "{text}"
    );
}

#[test]
fn open_metrics_has_units_and_an_end() {
    let text = expose(snapshot(), Format::OpenMetrics).unwrap();
    for line in [
        "# TYPE catalyst_peer info",
        "# TYPE catalyst_peer_established counter",
        "# TYPE catalyst_tunnel_received_bytes counter",
        "# UNIT catalyst_tunnel_received_bytes bytes",
        "catalyst_tunnel_sent_bytes_total{peer=\"b\",organisation=\"beta\",device=\"wg-b\"} 22",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line:?} in {text}");
    }
    assert!(
        text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1,
        "{text}"
    );
}

#[test]
fn values_of_labels_are_escaped() {
    let mut strange = snapshot();
    let name = "a\"b\\c\nd";
    strange.node.name = name.to_owned();
    let all = samples(&expose(strange, Format::Text).unwrap());
    assert_eq!(value(&all, "catalyst_node_info", &[("node", name)]), 1.0);
}

#[test]
fn open_metrics_is_for_those_who_ask() {
    let wanted = |accept: &'static str| {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        Format::wanted(&headers)
    };
    assert_eq!(Format::wanted(&HeaderMap::new()), Format::Text);
    assert_eq!(wanted("text/html, */*"), Format::Text);
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
    assert_eq!(wanted(prometheus), Format::OpenMetrics);
}

#[test]
fn a_clock_before_1970_is_no_panic() {
    let early = Snapshot {
        now: UNIX_EPOCH,
        ..snapshot()
    };
    assert_eq!(early.time_of(Duration::from_secs(9)), 0);
    assert_eq!(
        super::snapshot::unix_seconds(SystemTime::UNIX_EPOCH - Duration::from_secs(1)),
        0
    );
}
