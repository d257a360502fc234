//! Graceful restart (RFC 4724): routes that outlive their session, and END-OF-RIB of a node that has just started.
//!
//! What differs from RFC 4724 section 4.1: a restarting node does not defer its decisions, only END-OF-RIB. Its data planes
//! hold what they had (`Phase::Starting`), so an early decision moves no traffic here, and peers keep what they hold of it
//! until END-OF-RIB says that this was all.

use std::time::{Duration, Instant};

use super::peer::Peer;
use super::{Phase, Speaker};
use crate::session::{Restart, State};
use crate::wire::{Families, Family, Open};

/// The routes of a peer have outlived its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stale {
    /// When the session was lost.
    pub(super) since: Instant,
    /// When they go unless they are sent again.
    pub(super) until: Instant,
    /// The families of which there may be some.
    pub(super) families: Families,
    /// Nothing has said that the peer restarts: it may be the way to it that is gone.
    pub(super) silent: bool,
}

/// Whether END-OF-RIB is deferred on sessions with graceful restart: it would have peers drop what this node, just
/// started, has not learned again yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deferral {
    /// Until all peers have ended theirs and the data planes are there, or this instant (Selection_Deferral_Timer).
    Until(Instant),
    /// Since this instant it is not.
    Over(Instant),
}

impl Peer {
    /// How long its routes are kept after the loss of its session; `None`: not at all.
    pub(super) fn kept_for(&self) -> Option<Duration> {
        let opens = self.up.as_ref()?.opens.as_ref()?;
        let asked = opens.received.graceful_restart.as_ref()?.restart_time;
        let allowed = self.config.graceful_restart?.stale_time;
        Some(asked.min(allowed)).filter(|time| !time.is_zero())
    }

    /// Whether it has nothing more to say that a starting node should wait for (RFC 4724 section 4.1: END-OF-RIB of a
    /// peer that is itself restarting is not awaited, or two of them would wait for each other).
    fn is_heard(&self) -> bool {
        let restarting = self.up.as_ref().is_some_and(super::peer::Up::is_restarting);
        self.ever_ended_rib || restarting || self.session.state() == State::Idle
    }
}

impl Speaker {
    /// What our next OPEN says. Before the first word of a data plane nothing is known, and what was served before the
    /// restart is most likely served still.
    pub(super) fn restart_state(&self) -> Restart {
        let restarting = matches!(self.deferral, Deferral::Until(_));
        Restart {
            restarting,
            forwarding: if restarting {
                Families::ALL
            } else {
                self.planes.open_families()
            },
        }
    }

    /// When the first of all stale routes go.
    pub(super) fn stale_timeout(&self) -> Option<Instant> {
        let stale = self.peers.iter().filter_map(|peer| peer.stale);
        let deferral = match self.deferral {
            Deferral::Until(until) => Some(until),
            Deferral::Over(_) => None,
        };
        stale.map(|stale| stale.until).chain(deferral).min()
    }

    /// Ends the deferral of END-OF-RIB once there is nothing more to wait for.
    pub(super) fn end_deferral(&mut self, now: Instant) {
        let Deferral::Until(until) = self.deferral else {
            return;
        };
        let open = self.planes.open == Families::ALL;
        let ready = self.phase != Phase::New && open && self.peers.iter().all(Peer::is_heard);
        if ready || now >= until {
            self.deferral = Deferral::Over(now);
        }
    }

    /// The session of a peer is lost, and its routes stay for so long.
    pub(super) fn keep_stale(&mut self, index: usize, time: Duration, silent: bool, now: Instant) {
        let peer = &mut self.peers[index];
        peer.stale = Some(Stale {
            since: now,
            until: now + time,
            families: Families::ALL,
            silent,
        });
        self.rib.mark_stale(peer.id);
    }

    /// Lets go of everything held from a peer.
    pub(super) fn drop_routes(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        peer.stale = None;
        self.rib.drop_peer(peer.id);
    }

    /// The peer is back (RFC 4724 section 4.2): what it has not forwarded meanwhile, or what another node was, is gone at
    /// once; the rest has until END-OF-RIB, or the stale time.
    pub(super) fn meet_again(&mut self, index: usize, sent: &Open, received: &Open, now: Instant) {
        let peer = &self.peers[index];
        let Some(stale) = peer.stale else {
            return;
        };
        let same = received.node == peer.router_id.node && sent.graceful_restart.is_some();
        let graceful = received.graceful_restart.as_ref().filter(|_| same);
        let kept = |family: &Family| graceful.and_then(|graceful| graceful.forwarding(*family)) == Some(true);
        let kept: Families = sent.common_families(received).iter().filter(kept).collect();
        if let Some(graceful) = peer.config.graceful_restart {
            let until = now + graceful.stale_time;
            self.peers[index].stale = Some(Stale { until, ..stale });
        }
        Family::ALL
            .into_iter()
            .filter(|family| !kept.has(*family))
            .for_each(|family| self.purge_stale(index, family, true));
    }

    /// The peer did not come back, or not all of its routes did.
    pub(super) fn purge_if_due(&mut self, index: usize, now: Instant) {
        if self.peers[index].stale.is_some_and(|stale| stale.until <= now) {
            Family::ALL
                .into_iter()
                .for_each(|family| self.purge_stale(index, family, true));
            self.check_limit(index, now);
        }
    }

    /// Lets go of what is still stale of a family. `hard`: at once in the data planes, too.
    pub(super) fn purge_stale(&mut self, index: usize, family: Family, hard: bool) {
        let peer = &mut self.peers[index];
        let Some(stale) = &mut peer.stale else {
            return;
        };
        stale.families.remove(family);
        if stale.families.is_empty() {
            peer.stale = None;
        }
        let count = self.rib.drop_stale(peer.id, Families::from_iter([family]), hard);
        if count > 0 {
            self.notice(index, format!("{count} stale routes are gone"));
        }
    }
}
