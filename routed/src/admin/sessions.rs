//! Sessions in depth as messages: what `show peer NAME` prints.

use std::collections::HashMap;
use std::time::Duration;

use catalyst_core::event::AtLimit;
use catalyst_core::view::{GracefulView, LimitView, MessageCounts, SessionView};
use catalyst_proto::admin::v1 as proto;

pub(super) fn session(view: &SessionView) -> proto::PeerSession {
    proto::PeerSession {
        sent: view.sent.clone(),
        received: view.received.clone(),
        role: view.role.map(|role| role.as_str().to_owned()).unwrap_or_default(),
        peer_role: view.peer_role.map(|role| role.to_string()).unwrap_or_default(),
        graceful: view.graceful.as_ref().map(graceful),
        hold_timer_ms: view.hold_timer.map(ms),
        disabled: view.disabled.as_deref().map(str::to_owned),
        limit: view.limit.as_ref().map(limit),
        max_update_rate: view.max_update_rate,
        max_frame: view.max_frame,
        pauses: view.pauses,
        messages_received: Some(messages(&view.messages.received)),
        messages_sent: Some(messages(&view.messages.sent)),
        timers_ms: timers(view),
    }
}

fn limit(view: &LimitView) -> proto::RouteLimit {
    let (action, restart_after) = match view.action {
        AtLimit::Warn => ("warn", None),
        AtLimit::Block => ("block", None),
        AtLimit::Reset { restart_after } => ("reset", restart_after),
    };
    proto::RouteLimit {
        limit: view.limit,
        used: view.used,
        warn_from: view.warn_from,
        action: action.to_owned(),
        restart_after_ms: restart_after.map(ms),
        blocked: view.blocked,
    }
}

fn messages(counts: &MessageCounts) -> proto::MessageCounts {
    proto::MessageCounts {
        open: counts.open,
        update: counts.update,
        notification: counts.notification,
        keepalive: counts.keepalive,
        route_refresh: counts.route_refresh,
        end_of_rib: counts.end_of_rib,
    }
}

/// Of two connections that collide, the timer that is sooner.
fn timers(view: &SessionView) -> HashMap<String, u64> {
    let mut timers = HashMap::new();
    for (timer, left) in &view.timers {
        let soonest = timers.entry(timer.as_str().to_owned()).or_insert(u64::MAX);
        *soonest = ms(*left).min(*soonest);
    }
    timers
}

fn graceful(view: &GracefulView) -> proto::GracefulRestart {
    proto::GracefulRestart {
        agreed: view.agreed,
        restart_time_ms: ms(view.restart_time),
        stale_time_ms: ms(view.stale_time),
        stale: view.stale,
        stale_since_ms: view.stale_since.map(ms),
        purge_in_ms: view.purge_in.map(ms),
    }
}

/// In whole milliseconds.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
