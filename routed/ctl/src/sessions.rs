//! A session in depth, as `show peer` prints it.

use catalyst_proto::admin::v1::{GracefulRestart, PeerSession};

use crate::answer::Answer;
use crate::text::{count, duration};

pub(crate) fn describe(session: Option<&PeerSession>, answer: &mut Answer) {
    let Some(session) = session else { return };
    if let Some(words) = &session.disabled {
        answer.property("disabled", &disabled(words));
    }
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
