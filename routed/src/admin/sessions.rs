//! Sessions in depth as messages: what `show peer NAME` prints.

use std::time::Duration;

use catalyst_core::view::{GracefulView, SessionView};
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
    }
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
