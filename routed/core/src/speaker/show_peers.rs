//! What `show peers` prints.

use std::sync::Arc;
use std::time::Instant;

use super::Speaker;
use super::peer::{Peer, Up};
use crate::policy::Policy;
use crate::rib::PeerPaths;
use crate::session::Timer;
use crate::view::{GracefulView, PeerView, PolicyView, SessionView};

impl Speaker {
    pub(super) fn show_peers(&self, now: Instant) -> Vec<PeerView> {
        self.peers.iter().map(|peer| self.show_peer(peer, now)).collect()
    }

    fn show_peer(&self, peer: &Peer, now: Instant) -> PeerView {
        let held = self.rib.peer(peer.id);
        let config = &peer.config;
        let up = peer.up.as_ref();
        PeerView {
            name: config.name.clone(),
            dynamic: config.dynamic.clone(),
            address: config.address,
            asn: config.asn,
            node: Some(peer.router_id.node.clone()).filter(|node| !node.is_empty()),
            organisation: config.organisation.clone(),
            state: peer.session.state().as_str(),
            since: now.saturating_duration_since(peer.session.since()),
            internal: peer.internal,
            outside: peer.outside,
            families: up.map_or(config.families, |up| up.families),
            hold_time: peer.session.hold_time(),
            received: held.accepted,
            rejected: held.rejected,
            advertised: peer.out.advertised,
            pending: peer.out.pending() as u64,
            end_of_rib: up.is_some_and(|up| up.awaits_end_of_rib.is_empty()),
            updates_in: up.map_or(0, |up| up.updates_in),
            updates_out: up.map_or(0, |up| up.updates_out),
            treated_as_withdraw: peer.treated_as_withdraw,
            treated_as_withdraw_reason: peer.treated_reason.to_string(),
            refusals: peer.refusals.show(),
            hijacks: peer.hijacks,
            leaks: peer.leaks,
            listener_closed: self.closed.to(peer).map(|(_, why)| why.clone()),
            import: policy_view(config.import.as_ref(), peer.outside),
            export: policy_view(config.export.as_ref(), peer.outside),
            session: show_session(peer, held, now),
            established_count: peer.established_count,
            last_error: peer.session.last_error().to_owned(),
            last_error_age: Some(now.saturating_duration_since(peer.session.last_error_at()))
                .filter(|_| !peer.session.last_error().is_empty()),
        }
    }
}

fn show_session(peer: &Peer, held: PeerPaths, now: Instant) -> SessionView {
    let left = |(timer, at): (Timer, Instant)| (timer, at.saturating_duration_since(now));
    let opens = peer.up.as_ref().and_then(|up| up.opens.as_deref());
    SessionView {
        sent: opens.map(|opens| opens.sent.capabilities()).unwrap_or_default(),
        received: opens.map(|opens| opens.received.capabilities()).unwrap_or_default(),
        role: peer.config.role,
        peer_role: opens.and_then(|opens| opens.received.role),
        hold_timer: (peer.session.hold_expiry()).map(|at| at.saturating_duration_since(now)),
        graceful: show_graceful(peer, held.stale, now),
        limit: peer.show_limit(held),
        max_update_rate: peer.config.max_update_rate,
        max_frame: peer.config.max_frame,
        pauses: peer.pace.pauses,
        messages: peer.messages,
        timers: peer.session.timers().map(left).collect(),
        disabled: peer.disabled.clone(),
    }
}

fn policy_view(policy: Option<&Arc<Policy>>, outside: bool) -> PolicyView {
    match policy {
        Some(policy) => PolicyView::Named(policy.name().clone()),
        None if outside => PolicyView::RejectAll,
        None => PolicyView::AcceptAll,
    }
}

fn show_graceful(peer: &Peer, stale: u64, now: Instant) -> Option<GracefulView> {
    let config = peer.config.graceful_restart?;
    Some(GracefulView {
        agreed: peer.up.as_ref().is_some_and(Up::is_graceful),
        restart_time: config.restart_time,
        stale_time: config.stale_time,
        stale,
        stale_since: peer.stale.map(|stale| now.saturating_duration_since(stale.since)),
        purge_in: peer.stale.map(|stale| stale.until.saturating_duration_since(now)),
    })
}
