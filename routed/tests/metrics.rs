//! Metrics of real daemons, scraped by plain HTTP.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use catalyst_proto::admin::v1::reload_event::Event;
use catalyst_proto::admin::v1::reload_result::Outcome;
use catalyst_proto::admin::v1::{MessageCounts, Peer};
use serde_json::{Value, json};
use support::{DEADLINE, Daemon, until};

/// Below it everything has the same place: each test has a network of loopback addresses to itself.
fn at(ip: &str) -> SocketAddr {
    format!("{ip}:9179").parse().unwrap()
}

/// Node `name` at `ip`, with metrics.
fn config(name: &str, asn: u32, ip: &str) -> Value {
    json!({
        "node": { "name": name, "as": asn, "organisation": "acme", "state_dir": "state" },
        "peering": { "listen": format!("{ip}:1790") },
        "admin": { "listen": format!("{ip}:9000") },
        "metrics": { "listen": at(ip).to_string() }
    })
}

fn peer_of(config: &mut Value, name: &str, asn: u32, ip: &str) {
    let source = config["peering"]["listen"]
        .as_str()
        .unwrap()
        .split(':')
        .next()
        .unwrap()
        .to_owned();
    config["peers"][name] = json!({ "address": format!("{ip}:1790"), "as": asn, "source": source });
}

fn offer(config: &mut Value, names: &[&str]) {
    for name in names {
        config["services"][name] = json!({ "protocol": "http", "endpoints": [{ "url": "http://127.0.0.1:1" }] });
    }
}

/// What is said to a request, whole: the connection is closed after it.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // It may be answered, and closed, before all of it is sent.
    drop(stream.write_all(request.as_bytes()));
    let mut said = Vec::new();
    let end = stream.read_to_end(&mut said);
    assert!(!said.is_empty(), "{end:?}");
    String::from_utf8(said).unwrap()
}

fn get(address: SocketAddr, path: &str, more: &str) -> String {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n"),
    )
}

/// Every series and its value.
fn scrape(address: SocketAddr) -> BTreeMap<String, u64> {
    let said = get(address, "/metrics", "");
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    };
    lines.map(read).collect()
}

fn of_peer(metric: &str, peer: &str, more: &str) -> String {
    format!("catalyst_peer_{metric}{{peer=\"{peer}\",organisation=\"acme\"{more}}}")
}

fn messages(counts: Option<&MessageCounts>) -> [(&'static str, u64); 6] {
    let counts = counts.unwrap();
    [
        ("open", counts.open),
        ("update", counts.update),
        ("notification", counts.notification),
        ("keepalive", counts.keepalive),
        ("route_refresh", counts.route_refresh),
        ("end_of_rib", counts.end_of_rib),
    ]
}

/// What metrics are to say of a peer, by what catalystctl is told.
fn expected(peer: &Peer) -> BTreeMap<String, u64> {
    let session = peer.session.as_ref().unwrap();
    let mut all = vec![
        (of_peer("up", &peer.name, ""), u64::from(peer.state == "Established")),
        (
            of_peer("disabled", &peer.name, ""),
            u64::from(session.disabled.is_some()),
        ),
        (of_peer("established_total", &peer.name, ""), peer.established_count),
        (
            of_peer("received_routes", &peer.name, ",import=\"accepted\""),
            peer.received,
        ),
        (
            of_peer("received_routes", &peer.name, ",import=\"rejected\""),
            peer.rejected,
        ),
        (of_peer("advertised_routes", &peer.name, ""), peer.advertised),
        (of_peer("pending_routes", &peer.name, ""), peer.pending),
        (
            of_peer("treated_as_withdraw_total", &peer.name, ""),
            peer.treated_as_withdraw,
        ),
        (of_peer("hijacks_total", &peer.name, ""), peer.hijacks),
        (of_peer("leaks_total", &peer.name, ""), peer.leaks),
    ];
    for (metric, counts) in [
        ("messages_received_total", messages(session.messages_received.as_ref())),
        ("messages_sent_total", messages(session.messages_sent.as_ref())),
    ] {
        all.extend(counts.map(|(kind, count)| (of_peer(metric, &peer.name, &format!(",type=\"{kind}\"")), count)));
    }
    let description = format!(
        ",node=\"{}\",as=\"{}\",address=\"{}\",dynamic=\"{}\",state=\"{}\"",
        peer.node, peer.asn, peer.address, peer.dynamic, peer.state
    );
    all.push((of_peer("info", &peer.name, &description), 1));
    all.into_iter().collect()
}

/// Whether a scrape says of the peer what the admin API says before and after.
fn agrees(daemon: &Daemon, address: SocketAddr, name: &str) -> Result<Peer, String> {
    let before = daemon.peer(name).ok_or("no such peer")?;
    let found = scrape(address);
    let after = daemon.peer(name).ok_or("no such peer any more")?;
    if expected(&before) != expected(&after) {
        return Err("it changed meanwhile".to_owned());
    }
    for (series, value) in expected(&before) {
        assert_eq!(found.get(&series), Some(&value), "{series}: {found:#?}");
    }
    Ok(before)
}

#[test]
fn a_scrape_says_of_a_peer_what_the_admin_api_says() {
    let (ip_a, ip_b) = ("127.81.1.1", "127.81.1.2");
    let (mut a, mut b) = (config("a", 65001, ip_a), config("b", 65002, ip_b));
    peer_of(&mut a, "b", 65002, ip_b);
    peer_of(&mut b, "a", 65001, ip_a);
    offer(&mut a, &["one.acme"]);
    offer(&mut b, &["two.acme", "three.acme"]);
    let a = Daemon::start(&a);
    let b = Daemon::start(&b);
    let is_told = |peer: &Peer| (peer.received, peer.advertised) == (2, 1);
    until("both tables, and a scrape that agrees", || {
        agrees(&a, at(ip_a), "b").is_ok_and(|peer| is_told(&peer))
    });
    let found = scrape(at(ip_a));
    for (series, value) in [
        ("catalyst_node_info{node=\"a\",as=\"65001\",organisation=\"acme\"}", 1),
        ("catalyst_rib_routes{family=\"name\"}", 3),
        ("catalyst_rib_routes{family=\"ipv4\"}", 0),
        ("catalyst_rib_paths{import=\"accepted\"}", 3),
    ] {
        assert_eq!(found.get(series), Some(&value), "{series}: {found:#?}");
    }
    let since = of_peer("session_changed_timestamp_seconds", "b", "");
    let start = "catalyst_process_start_time_seconds";
    assert!(found[&since] >= found[start], "{found:#?}");
    drop(b);
    until("a session that is down, and a scrape that agrees", || {
        agrees(&a, at(ip_a), "b").is_ok_and(|peer| peer.state != "Established" && peer.received == 0)
    });
    let found = scrape(at(ip_a));
    assert_eq!(found["catalyst_rib_routes{family=\"name\"}"], 1, "{found:#?}");
    assert_eq!(found[&of_peer("established_total", "b", "")], 1, "{found:#?}");
}

#[test]
fn a_dynamic_peer_is_gone_from_metrics_with_its_session() {
    let (ip_a, ip_b) = ("127.81.2.1", "127.81.2.2");
    let (mut a, mut b) = (config("a", 65001, ip_a), config("b", 65002, ip_b));
    a["dynamic_peers"] = json!({ "edge": { "prefix": "127.81.2.0/24", "as": 65002, "max_peers": 2 } });
    peer_of(&mut b, "a", 65001, ip_a);
    let a = Daemon::start(&a);
    let b = Daemon::start(&b);
    let name = "edge-127.81.2.2";
    until("the peer", || {
        agrees(&a, at(ip_a), name).is_ok_and(|peer| peer.dynamic == "edge" && peer.state == "Established")
    });
    drop(b);
    let of_peers = |series: &&String| series.starts_with("catalyst_peer_");
    until("metrics without it", || {
        scrape(at(ip_a)).keys().find(of_peers).is_none()
    });
    assert!(a.peer(name).is_none());
}

#[test]
fn requests_are_answered_or_refused() {
    let ip = "127.81.3.1";
    let _daemon = Daemon::start(&config("a", 65001, ip));
    let open_metrics = get(
        at(ip),
        "/metrics",
        "Accept: application/openmetrics-text;version=1.0.0\r\n",
    );
    assert!(open_metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{open_metrics}");
    assert!(
        open_metrics.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{open_metrics}"
    );
    assert!(open_metrics.ends_with("\n# EOF\n"), "{open_metrics}");
    let head = ask(at(ip), &format!("HEAD /metrics HTTP/1.1\r\nHost: {ip}\r\n\r\n"));
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(
        head.contains("content-length: ") && head.contains("connection: close"),
        "{head}"
    );
    for path in ["/", "/metrics/", "/Metrics", "//metrics"] {
        assert!(get(at(ip), path, "").starts_with("HTTP/1.1 404 "), "{path}");
    }
    assert!(get(at(ip), "/metrics?name[]=catalyst_peer_up", "").starts_with("HTTP/1.1 200 "));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let said = ask(
            at(ip),
            &format!("{method} /metrics HTTP/1.1\r\nHost: {ip}\r\nContent-Length: 0\r\n\r\n"),
        );
        assert!(
            said.starts_with("HTTP/1.1 405 ") && said.contains("allow: GET, HEAD\r\n"),
            "{said}"
        );
    }
    for malformed in [
        "\r\n\r\n\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nno colon\r\n\r\n",
    ] {
        let said = ask(at(ip), malformed);
        assert!(said.starts_with("HTTP/1.1 400 "), "{malformed:?}: {said}");
    }
    for long in [format!("X: {}\r\n", "x".repeat(20_000)), "X: x\r\n".repeat(100)] {
        let said = get(at(ip), "/metrics", &long);
        assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    }
    assert!(get(at(ip), "/metrics", "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn who_says_nothing_keeps_nobody_out() {
    let ip = "127.81.4.1";
    let _daemon = Daemon::start(&config("a", 65001, ip));
    let silent: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(at(ip)).unwrap();
            stream.write_all(b"GET /metr").unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream
        })
        .collect();
    assert!(get(at(ip), "/metrics", "").starts_with("HTTP/1.1 200 "));
    // The first ones for being too many, the last ones for being too slow.
    for (number, mut stream) in silent.into_iter().enumerate() {
        let mut said = Vec::new();
        match stream.read_to_end(&mut said) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{number}"),
        }
    }
    assert!(get(at(ip), "/metrics", "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let ip = "127.81.5.1";
    let _taken = TcpListener::bind(at(ip)).unwrap();
    let (status, said) = Daemon::fail(&config("a", 65001, ip));
    assert_eq!(status.code(), Some(1), "{said}");
    let place = "catalyst-routed: metrics.listen: cannot listen on 127.81.5.1:9179: Address already in use";
    assert!(said.contains(place), "{said}");
}

#[test]
fn without_the_section_nothing_listens_and_a_reload_cannot_bring_it() {
    let ip = "127.81.6.1";
    let mut config = config("a", 65001, ip);
    let metrics = config.as_object_mut().unwrap().remove("metrics").unwrap();
    let daemon = Daemon::start(&config);
    assert!(TcpStream::connect(at(ip)).is_err());
    config["metrics"] = metrics;
    daemon.write(&config);
    let result = daemon.reload();
    let Some(Event::Result(result)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(result.outcome(), Outcome::Refused);
    assert!(
        result.reason.contains("metrics can only change with a restart"),
        "{}",
        result.reason
    );
    assert!(TcpStream::connect(at(ip)).is_err());
}

#[test]
fn a_unix_socket_is_for_its_owner() {
    let ip = "127.81.7.1";
    let mut config = config("a", 65001, ip);
    config["metrics"]["listen"] = json!("unix:metrics.sock");
    let daemon = Daemon::start(&config);
    let path = daemon.folder().join("metrics.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.contains("catalyst_build_info{version=\""), "{said}");
}
