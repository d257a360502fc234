//! What `catalystctl show` prints is what metrics say.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::support::{Node, until};

const IP: &str = "127.80.40.1";
const IP_B: &str = "127.80.40.2";

fn scrape() -> String {
    let mut stream = TcpStream::connect((IP, 9179)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

/// The value of a series of peer b.
fn of_b(scraped: &str, metric: &str, more: &str) -> Value {
    let series = format!("catalyst_peer_{metric}{{peer=\"b\",organisation=\"acme\"{more}}} ");
    let found = scraped.lines().find_map(|line| line.strip_prefix(&series));
    let value = found.unwrap_or_else(|| panic!("no {series}in {scraped}"));
    value.parse::<u64>().unwrap().into()
}

fn compare(scraped: &str, shown: &Value) {
    for (metric, more, key) in [
        ("received_routes", ",import=\"accepted\"", "/received"),
        ("received_routes", ",import=\"rejected\"", "/rejected"),
        ("advertised_routes", "", "/advertised"),
        ("pending_routes", "", "/pending"),
        ("established_total", "", "/established_count"),
        ("treated_as_withdraw_total", "", "/treated_as_withdraw"),
        ("messages_sent_total", ",type=\"open\"", "/session/messages/sent/open"),
        (
            "messages_received_total",
            ",type=\"update\"",
            "/session/messages/received/update",
        ),
        ("max_routes", "", "/session/limits/routes/limit"),
        ("blocked_routes_total", "", "/session/limits/routes/blocked"),
    ] {
        let value = of_b(scraped, metric, more);
        assert_eq!(Some(&value), shown.pointer(key), "{metric}{more}: {shown:#}");
    }
    let state = format!("state=\"{}\"}} 1\n", shown["state"].as_str().unwrap());
    let info = scraped.lines().find(|line| line.starts_with("catalyst_peer_info{"));
    assert!(
        info.is_some_and(|line| format!("{line}\n").ends_with(&state)),
        "{info:?}"
    );
}

#[test]
fn a_scrape_agrees_with_show_peer() {
    let listen = |ip: &str| format!("{ip}:17900");
    let a = Node::start(
        IP,
        &[
            ("listen", &listen(IP)),
            ("peer", &format!("b=65002@{IP_B}:17900,source={IP}")),
            ("set", "peers[\"b\"].max_routes={\"limit\": 2}"),
            ("set", &format!("metrics.listen={IP}:9179")),
            ("service", "a.acme=http@http://127.0.0.1:1"),
        ],
    );
    let _b = Node::start(
        IP_B,
        &[
            ("listen", &listen(IP_B)),
            ("name", "b"),
            ("as", "65002"),
            ("peer", &format!("a=65001@{IP}:17900,source={IP_B}")),
            ("service", "x.acme=http@http://127.0.0.1:1"),
            ("service", "y.acme=http@http://127.0.0.1:1"),
            ("service", "z.acme=http@http://127.0.0.1:1"),
        ],
    );
    let show = || a.json(&["show", "peer", "b"]);
    until("a limit that is reached", || {
        let shown = show();
        shown["advertised"] == 1 && shown["session"]["limits"]["routes"]["blocked"] == 1
    });
    until("a scrape between two equal words of catalystctl", || {
        let (before, scraped, after) = (show(), scrape(), show());
        // What is compared may change meanwhile; ages and timers do.
        let messages = |shown: &Value| shown["session"]["messages"].as_object().unwrap().clone();
        let still = messages(&before) == messages(&after) && before["state"] == after["state"];
        if still {
            compare(&scraped, &before);
        }
        still
    });
}
