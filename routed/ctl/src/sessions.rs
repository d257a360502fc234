//! A session in depth, as `show peer` prints it.

use catalyst_proto::admin::v1::{GracefulRestart, MessageCounts, PeerSession, RouteLimit};

use crate::answer::Answer;
use crate::text::{count, duration};

pub(crate) fn describe(session: Option<&PeerSession>, answer: &mut Answer) {
    let Some(session) = session else { return };
    if let Some(words) = &session.disabled {
        answer.property("disabled", &disabled(words));
    }
    answer.property("max routes", &limit(session.limit.as_ref()));
    answer.property("max rate", &rate(session));
    let frame = session.max_frame.map(|bytes| format!("{bytes} bytes"));
    answer.property("max frame", &frame.unwrap_or_default());
    answer.property("messages in", &messages(session.messages_received.as_ref()));
    answer.property("messages out", &messages(session.messages_sent.as_ref()));
    answer.property("timers", &timers(session));
    answer.property("role", &roles(session));
    answer.property("restart", &graceful(session.graceful.as_ref()));
    answer.property("we offer", &session.sent.join("; "));
    answer.property("it offers", &session.received.join("; "));
}

fn roles(session: &PeerSession) -> String {
    match (session.role.as_str(), session.peer_role.as_str()) {
        ("", "") => String::new(),
        ("", theirs) => format!("none, the peer claims {theirs}"),
        (ours, "") => ours.to_owned(),
        (ours, theirs) => format!("{ours}, the peer is {theirs}"),
    }
}

fn limit(limit: Option<&RouteLimit>) -> String {
    let Some(limit) = limit else {
        return String::new();
    };
    let action = match (limit.action.as_str(), limit.restart_after_ms) {
        ("warn", _) => "a warning beyond".to_owned(),
        ("block", _) => format!("more are not kept, {} so far", limit.blocked),
        (_, Some(after)) => format!("more end the session for {}", time(after)),
        (_, None) => "more end the session until it is enabled".to_owned(),
    };
    format!(
        "{} of {} ({}%), warning from {}; {action}",
        limit.used,
        limit.limit,
        limit.used.saturating_mul(100) / limit.limit.max(1),
        limit.warn_from
    )
}

fn rate(session: &PeerSession) -> String {
    let Some(rate) = session.max_update_rate else {
        return String::new();
    };
    let pauses = match session.pauses {
        0 => String::new(),
        pauses => format!(", waited {}", count(pauses, "time")),
    };
    format!("{} per second{pauses}", count(rate.into(), "route"))
}

/// Types that never came are left out.
fn messages(counts: Option<&MessageCounts>) -> String {
    let Some(counts) = counts else {
        return String::new();
    };
    let all = [
        ("UPDATE", counts.update),
        ("KEEPALIVE", counts.keepalive),
        ("OPEN", counts.open),
        ("NOTIFICATION", counts.notification),
        ("ROUTE-REFRESH", counts.route_refresh),
        ("END-OF-RIB", counts.end_of_rib),
    ];
    let came = all.into_iter().filter(|(_, number)| *number > 0);
    let words: Vec<String> = came.map(|(kind, number)| format!("{number} {kind}")).collect();
    words.join(", ")
}

/// The soonest first. The hold timer of a session that is up is told with the hold time.
fn timers(session: &PeerSession) -> String {
    let told = |name: &str| name == "hold" && session.hold_timer_ms.is_some();
    let timers = session.timers_ms.iter().filter(|(name, _)| !told(name));
    let mut timers: Vec<(u64, &str)> = timers.map(|(name, ms)| (*ms, name.as_str())).collect();
    timers.sort_unstable();
    let words = timers
        .into_iter()
        .map(|(ms, name)| format!("{name} in {}", duration(ms.div_ceil(1000))));
    words.collect::<Vec<String>>().join(", ")
}

/// Until when, too: nobody remembers that it does not outlive the daemon.
pub(crate) fn disabled(words: &str) -> String {
    format!("until it is enabled or the daemon starts again: {words}")
}

fn graceful(graceful: Option<&GracefulRestart>) -> String {
    let Some(graceful) = graceful else {
        return String::new();
    };
    let agreed = if graceful.agreed {
        "graceful"
    } else {
        "graceful if the peer agrees"
    };
    let mut text = format!("{agreed}, {} to come back", time(graceful.restart_time_ms));
    if let Some(purge_in_ms) = graceful.purge_in_ms {
        let stale = count(graceful.stale, "stale route");
        text.push_str(&format!(
            ", {stale} kept for {} more",
            duration(purge_in_ms.div_ceil(1000))
        ));
    }
    text
}

pub(crate) fn time(ms: u64) -> String {
    match ms {
        ms if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_what_is_used_and_what_becomes_of_more() {
        let told = |action: &str, restart_after_ms| {
            limit(Some(&RouteLimit {
                limit: 200,
                used: 150,
                warn_from: 150,
                action: action.to_owned(),
                restart_after_ms,
                blocked: 7,
            }))
        };
        let used = "150 of 200 (75%), warning from 150; ";
        for (action, restart_after_ms, words) in [
            ("warn", None, "a warning beyond"),
            ("block", None, "more are not kept, 7 so far"),
            ("reset", Some(60_000), "more end the session for 60s"),
            ("reset", None, "more end the session until it is enabled"),
        ] {
            assert_eq!(told(action, restart_after_ms), format!("{used}{words}"));
        }
        assert_eq!(limit(None), "");
    }

    #[test]
    fn rates_messages_and_timers_say_only_what_there_is() {
        let mut session = PeerSession::default();
        assert_eq!([rate(&session), messages(None), timers(&session)], ["", "", ""]);
        session.max_update_rate = Some(500);
        assert_eq!(rate(&session), "500 routes per second");
        session.pauses = 1;
        assert_eq!(rate(&session), "500 routes per second, waited 1 time");
        let counts = MessageCounts {
            update: 3,
            keepalive: 1,
            ..MessageCounts::default()
        };
        assert_eq!(messages(Some(&counts)), "3 UPDATE, 1 KEEPALIVE");
        let armed = [("hold", 2000), ("keepalive", 900), ("send-hold", 480_000)];
        session.timers_ms = armed.map(|(name, ms)| (name.to_owned(), ms)).into();
        assert_eq!(timers(&session), "keepalive in 1s, hold in 2s, send-hold in 8m00s");
        session.hold_timer_ms = Some(2000);
        assert_eq!(timers(&session), "keepalive in 1s, send-hold in 8m00s");
    }
}
