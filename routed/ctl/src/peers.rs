//! `show peers` and `show peer`.

use catalyst_proto::admin::v1::{Peer, Refusal};

use crate::answer::Answer;
use crate::client::Client;
use crate::failure::Outcome;
use crate::model;
use crate::output::{Format, Output};
use crate::routes::or;
use crate::sessions;
use crate::table::{Fit, Table};
use crate::text::{count, duration};

pub(crate) async fn show_all(client: &mut Client, out: &mut Output) -> Outcome {
    let peers = client.peers().await?;
    if out.format == Format::Json {
        return out.json(&peers.into_iter().map(model::Peer::from).collect::<Vec<_>>());
    }
    if peers.is_empty() {
        return out.line("no peers");
    }
    render(&peers).iter().try_for_each(|line| out.line(line))
}

pub(crate) async fn show_one(name: String, client: &mut Client, out: &mut Output) -> Outcome {
    let peer = client.peer(name).await?;
    if out.format == Format::Json {
        return out.json(&model::Peer::from(peer));
    }
    describe(&peer).iter().try_for_each(|line| out.line(line))
}

fn render(peers: &[Peer]) -> Vec<String> {
    let mut table = Table::new(&[
        ("NAME", Fit::Middle(10)),
        ("ADDRESS", Fit::Middle(15)),
        ("AS", Fit::Whole),
        ("ORG", Fit::Middle(8)),
        ("STATE", Fit::Whole),
        ("SINCE", Fit::Whole),
        ("RCVD", Fit::Whole),
        ("SENT", Fit::Whole),
        ("NOTE", Fit::Wrap(8)),
    ]);
    for peer in peers {
        table.row([
            peer.name.clone(),
            peer.address.clone(),
            peer.asn.to_string(),
            peer.organisation.clone(),
            peer.state.clone(),
            duration(peer.since_s),
            peer.received.to_string(),
            peer.advertised.to_string(),
            note(peer),
        ]);
    }
    table.lines()
}

/// What deserves a look: the error of a session that is not up first.
fn note(peer: &Peer) -> String {
    let up = is_up(peer);
    let mut parts = Vec::new();
    if let Some(words) = peer.session.as_ref().and_then(|session| session.disabled.as_ref()) {
        parts.push(format!("disabled: {words}"));
    } else if !up && !peer.last_error.is_empty() {
        parts.push(peer.last_error.clone());
    }
    if up && !peer.end_of_rib {
        parts.push("table incomplete".to_owned());
    }
    if let Some(graceful) = peer.session.as_ref().and_then(|session| session.graceful.as_ref())
        && graceful.stale > 0
    {
        parts.push(format!("{} stale", graceful.stale));
    }
    if let Some(limit) = peer.session.as_ref().and_then(|session| session.limit.as_ref())
        && limit.used >= limit.warn_from
    {
        parts.push(format!("{} of {} routes", limit.used, limit.limit));
    }
    if peer.hijacks > 0 {
        parts.push(count(peer.hijacks, "hijack"));
    }
    if peer.leaks > 0 {
        parts.push(count(peer.leaks, "route leak"));
    }
    if peer.rejected > 0 {
        parts.push(format!("{} rejected", peer.rejected));
    }
    if !peer.listener_closed.is_empty() {
        parts.push("listener closed".to_owned());
    }
    parts.extend(missing_policies(peer).map(str::to_owned));
    if peer.insecure {
        parts.push("insecure".to_owned());
    }
    parts.join("; ")
}

/// RFC 8212: without a policy nothing passes, which is rarely what somebody wants who configures a peer.
fn missing_policies(peer: &Peer) -> Option<&'static str> {
    match (peer.outside, peer.import.is_empty(), peer.export.is_empty()) {
        (true, true, true) => Some("no policies"),
        (true, true, false) => Some("no import policy"),
        (true, false, true) => Some("no export policy"),
        (true, false, false) | (false, _, _) => None,
    }
}

fn describe(peer: &Peer) -> Vec<String> {
    let mut answer = Answer::default();
    answer.heading(&heading(peer));
    answer.property("last error", &last_error(peer));
    answer.property("address", &peer.address);
    answer.property("dynamic", &dynamic(&peer.dynamic));
    answer.property("node", &format!("{}/{}", peer.asn, or(&peer.node, "(unknown)")));
    answer.property("organisation", &organisation(peer));
    answer.property(
        "session",
        if peer.internal {
            "internal (same AS)"
        } else {
            "external"
        },
    );
    answer.property("hold time", &hold_time(peer));
    answer.property("received", &received(peer));
    answer.property("bad updates", &bad_updates(peer));
    answer.property(
        "hijacks",
        &refused_paths(peer.hijacks, "to our own domains, prefixes or tunnel addresses"),
    );
    answer.property("route leaks", &refused_paths(peer.leaks, "against ONLY_TO_CUSTOMER"));
    for refusal in &peer.refusals {
        answer.property("refused", &refused(refusal));
    }
    answer.property("advertised", &advertised(peer));
    answer.property("listener", &listener(peer));
    answer.property("import", &policy(peer, &peer.import));
    answer.property("export", &policy(peer, &peer.export));
    answer.property("updates", &format!("{} in, {} out", peer.updates_in, peer.updates_out));
    sessions::describe(peer.session.as_ref(), &mut answer);
    answer.property("established", &count(peer.established_count, "time"));
    if peer.insecure {
        answer.property("insecure", "this session is neither encrypted nor authenticated");
    }
    answer.lines
}

/// The state, and how long the session has been up or down: attempts to set it up come and go meanwhile.
fn heading(peer: &Peer) -> String {
    let down = if is_up(peer) { "" } else { ", down" };
    format!("{}: {}{down} for {}", peer.name, peer.state, duration(peer.since_s))
}

fn is_up(peer: &Peer) -> bool {
    peer.state == "Established"
}

fn dynamic(key: &str) -> String {
    match key {
        "" => String::new(),
        key => format!("by dynamic_peers.{key}: a peer as long as its session lasts"),
    }
}

/// With its age: an error of long ago explains nothing of now.
fn last_error(peer: &Peer) -> String {
    match peer.last_error_age_s {
        Some(age) if is_up(peer) && age >= peer.since_s => {
            format!("{}, {} ago (before this session)", peer.last_error, duration(age))
        }
        Some(age) => format!("{}, {} ago", peer.last_error, duration(age)),
        None => peer.last_error.clone(),
    }
}

fn organisation(peer: &Peer) -> String {
    format!(
        "{} ({})",
        peer.organisation,
        if peer.outside { "outside" } else { "ours" }
    )
}

/// With what is left of it: a session on which nothing comes shows before it is given up.
fn hold_time(peer: &Peer) -> String {
    let left = peer.session.as_ref().and_then(|session| session.hold_timer_ms);
    match (peer.hold_time_ms, left) {
        (0, _) => String::new(),
        (agreed, None) => sessions::time(agreed),
        (agreed, Some(left)) => format!("{}, expires in {left}ms", sessions::time(agreed)),
    }
}

fn received(peer: &Peer) -> String {
    let mut text = count(peer.received, "path");
    if peer.rejected > 0 {
        text.push_str(&format!(", {} rejected", peer.rejected));
    }
    if is_up(peer) && !peer.end_of_rib {
        text.push_str(", END-OF-RIB outstanding");
    }
    text
}

/// Paths that are never used, whatever the policy says.
fn refused_paths(number: u64, what: &str) -> String {
    match number {
        0 => String::new(),
        number => format!("{} {what}, refused", count(number, "path")),
    }
}

/// For each kind of reason, its newest case in full.
fn refused(refusal: &Refusal) -> String {
    let Refusal {
        kind,
        count,
        newest,
        reason,
    } = refusal;
    if reason.contains(newest) {
        format!("{count} × {kind}, the newest: {reason}")
    } else {
        format!("{count} × {kind}, the newest: {newest}, {reason}")
    }
}

/// What RFC 7606 calls treat-as-withdraw.
fn bad_updates(peer: &Peer) -> String {
    if peer.treated_as_withdraw == 0 {
        return String::new();
    }
    let names = count(peer.treated_as_withdraw, "name");
    format!(
        "{names} treated as withdrawn, the last one: {}",
        peer.treated_as_withdraw_reason
    )
}

/// Where it would come in.
fn listener(peer: &Peer) -> String {
    match &*peer.listener_closed {
        "" => String::new(),
        why => format!("closed, and no names are advertised: {why}"),
    }
}

/// What decides in a direction, said plainly where nothing was configured.
fn policy(peer: &Peer, name: &str) -> String {
    match (name, peer.outside) {
        ("", true) => "none: everything is rejected (RFC 8212)".to_owned(),
        ("", false) => "none: everything is accepted (inside our organisation)".to_owned(),
        (name, _) => name.to_owned(),
    }
}

fn advertised(peer: &Peer) -> String {
    let pending = if peer.pending > 0 {
        format!(", {} waiting", peer.pending)
    } else {
        String::new()
    };
    format!("{}{pending}", count(peer.advertised, "name"))
}

#[cfg(test)]
mod tests {
    use catalyst_proto::admin::v1::{GracefulRestart, PeerSession};

    use super::*;
    use crate::text::{WIDTH, width};

    fn up() -> Peer {
        Peer {
            name: "b".to_owned(),
            address: "127.0.0.2:1790".to_owned(),
            asn: 65002,
            node: "b".to_owned(),
            organisation: "acme".to_owned(),
            state: "Established".to_owned(),
            since_s: 61,
            hold_time_ms: 6000,
            received: 12,
            advertised: 3,
            end_of_rib: true,
            import: "accept".to_owned(),
            export: "accept".to_owned(),
            established_count: 1,
            ..Peer::default()
        }
    }

    fn refusal(kind: &str, count: u64, newest: &str, reason: &str) -> Refusal {
        Refusal {
            kind: kind.to_owned(),
            count,
            newest: newest.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn refused_session() -> Peer {
        Peer {
            name: "c".to_owned(),
            state: "Active".to_owned(),
            end_of_rib: false,
            last_error: "peer said: OPEN Message Error, Bad Peer AS: expected AS 65001, got AS 65009".to_owned(),
            last_error_age_s: Some(75),
            ..up()
        }
    }

    #[test]
    fn an_error_of_before_the_session_is_said_to_be_one() {
        let peer = |age| Peer {
            last_error: "reset".to_owned(),
            last_error_age_s: Some(age),
            ..up()
        };
        assert_eq!(last_error(&peer(75)), "reset, 1m15s ago (before this session)");
        assert_eq!(last_error(&peer(5)), "reset, 5s ago");
        let down = Peer {
            state: "Active".to_owned(),
            ..peer(75)
        };
        assert_eq!(last_error(&down), "reset, 1m15s ago");
    }

    #[test]
    fn a_small_table_reads_well() {
        let table = render(&[up(), refused_session()]).join("\n");
        let expected = "\
NAME  ADDRESS         AS     ORG   STATE        SINCE  RCVD  SENT  NOTE
b     127.0.0.2:1790  65002  acme  Established  1m01s  12    3
c     127.0.0.2:1790  65002  acme  Active       1m01s  12    3     peer said: OPEN Message Error,
                                                                   Bad Peer AS: expected AS 65001,
                                                                   got AS 65009";
        assert_eq!(table, expected, "\n{table}");
    }

    #[test]
    fn the_worst_case_fits_100_columns() {
        let worst = Peer {
            name: "n".repeat(63),
            address: "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".to_owned(),
            asn: u32::MAX,
            organisation: "o".repeat(63),
            state: "OpenConfirm".to_owned(),
            since_s: 86_400 * 999,
            received: 1_000_000,
            advertised: 1_000_000,
            insecure: true,
            last_error: "e".repeat(500),
            ..refused_session()
        };
        for line in render(&[worst.clone(), up()]).iter().chain(&describe(&worst)) {
            assert!(width(line) <= WIDTH, "{} columns: {line}", width(line));
        }
    }

    #[test]
    fn an_outside_peer_without_policies_is_said_plainly() {
        let outside = Peer {
            outside: true,
            organisation: "beta".to_owned(),
            import: String::new(),
            treated_as_withdraw: 2,
            treated_as_withdraw_reason: "next hop 1.2.3.4 is not allowed".to_owned(),
            hijacks: 1,
            leaks: 3,
            refusals: vec![
                refusal("next hop not allowed", 2, "x.beta", "next hop 1.2.3.4 is not allowed"),
                refusal("own prefix", 1, "10.1.0.0/24", "10.1.0.0/24 is within our own prefixes"),
            ],
            ..up()
        };
        let text = describe(&outside).join("\n");
        for part in [
            "\n  import          none: everything is rejected (RFC 8212)\n  export          accept\n",
            "\n  bad updates     2 names treated as withdrawn, the last one: next hop 1.2.3.4 is not allowed\n",
            "\n  hijacks         1 path to our own domains, prefixes or tunnel addresses, refused\n",
            "\n  route leaks     3 paths against ONLY_TO_CUSTOMER, refused\n",
            "\n  refused         2 × next hop not allowed, the newest: x.beta, next hop 1.2.3.4 is not allowed\n",
            "\n  refused         1 × own prefix, the newest: 10.1.0.0/24 is within our own prefixes\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert_eq!(note(&outside), "1 hijack; 3 route leaks; no import policy");
        let outside = Peer {
            hijacks: 0,
            leaks: 0,
            ..outside
        };
        let neither = Peer {
            export: String::new(),
            ..outside
        };
        assert_eq!(note(&neither), "no policies");
        let closed = Peer {
            listener_closed: "Address already in use".to_owned(),
            ..neither.clone()
        };
        assert_eq!(note(&closed), "listener closed; no policies");
        let text = describe(&closed).join("\n");
        let said = "\n  listener        closed, and no names are advertised: Address already in use\n";
        assert!(text.contains(said), "{text}");
        let inside = Peer {
            outside: false,
            ..neither
        };
        assert_eq!(note(&inside), "");
        let text = describe(&inside).join("\n");
        assert!(
            text.contains("import          none: everything is accepted (inside our organisation)"),
            "{text}"
        );
    }

    #[test]
    fn one_peer_is_told_in_full() {
        let session = PeerSession {
            sent: vec!["families name".to_owned(), "role customer".to_owned()],
            graceful: Some(GracefulRestart {
                restart_time_ms: 120_000,
                stale: 1,
                purge_in_ms: Some(4200),
                ..GracefulRestart::default()
            }),
            role: "customer".to_owned(),
            peer_role: "provider".to_owned(),
            hold_timer_ms: Some(4200),
            ..PeerSession::default()
        };
        let text = describe(&Peer {
            pending: 4,
            rejected: 2,
            session: Some(session),
            ..refused_session()
        })
        .join("\n");
        for part in [
            "c: Active, down for 1m01s\n  last error      peer said: OPEN Message Error, Bad Peer AS: expected AS 65001, got AS 65009, 1m15s\n                  ago\n",
            "  node            65002/b\n  organisation    acme (ours)\n  session         external\n  hold time       6s, expires in 4200ms\n",
            "  received        12 paths, 2 rejected\n  advertised      3 names, 4 waiting\n",
            "  role            customer, the peer is provider\n  restart         graceful if the peer agrees, 120s to come back, 1 stale route kept for 5s more\n  we offer        families name; role customer\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn end_of_rib_is_awaited_only_of_a_session_that_is_up() {
        let late = Peer {
            end_of_rib: false,
            ..up()
        };
        let text = describe(&late).join("\n");
        assert!(text.starts_with("b: Established for 1m01s\n"), "{text}");
        assert!(
            text.contains("  received        12 paths, END-OF-RIB outstanding\n"),
            "{text}"
        );
        assert_eq!(note(&late), "table incomplete");
        assert!(!describe(&refused_session()).join("\n").contains("END-OF-RIB"));
    }

    #[test]
    fn a_dynamic_peer_says_what_it_is_a_peer_by() {
        let peer = Peer {
            name: "edge-127.0.1.7".to_owned(),
            address: "127.0.1.7".to_owned(),
            dynamic: "edge".to_owned(),
            ..up()
        };
        let text = describe(&peer).join("\n");
        let expected = "  address         127.0.1.7\n  dynamic         by dynamic_peers.edge: a peer as long as its session lasts\n";
        assert!(text.contains(expected), "{text}");
        assert!(!describe(&up()).join("\n").contains("dynamic"));
    }
}
