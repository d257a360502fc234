//! How a change of our own key goes on: pure, from what is seen of the tunnels. Each phase ends when nobody needs what
//! the next one takes away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::plan::{Phase, Slot};
use crate::stats::{LineStatus, TunnelStatus};

/// A peer that was up by the old key and cannot be reached by the new one for so long is reason to give up.
const BOUND: Duration = Duration::from_secs(600);

/// What is seen of the tunnels.
#[derive(Debug, Clone)]
pub struct RotationSight {
    /// All of them.
    pub tunnels: Vec<TunnelStatus>,
    /// How many peers the first devices have in the kernel, where that was seen.
    pub peers_at_home: Option<usize>,
    /// Whether, since the start, all peers that are to announce themselves have done so.
    pub is_settled: bool,
}

/// A change of our key.
#[derive(Debug, Clone)]
pub struct Rotation {
    phase: Phase,
    /// Peers whose tunnels were up at any time of it. Others are not waited for.
    awaited: BTreeSet<Arc<str>>,
    /// How long nothing may be missing before a phase ends.
    drain: Duration,
    began: Instant,
    /// Since when nothing is missing.
    whole_since: Option<Instant>,
}

impl Rotation {
    /// One that is in this phase: it begins with [`Phase::Moving`], an earlier run may have brought it further, and at
    /// [`Phase::Rest`] it is none.
    #[must_use]
    pub fn new(phase: Phase, drain: Duration, now: Instant) -> Self {
        Self {
            phase,
            awaited: BTreeSet::new(),
            drain,
            began: now,
            whole_since: None,
        }
    }

    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Goes on by what is seen. True: the phase is another one.
    pub fn step(&mut self, sight: &RotationSight, now: Instant) -> bool {
        if !sight.is_settled {
            (self.began, self.whole_since) = (now, None);
            return false;
        }
        let is_up = |tunnel: &&TunnelStatus| !tunnel.is_by_hand && is_up_anywhere(tunnel);
        let awaited = sight.tunnels.iter().filter(is_up).map(|tunnel| tunnel.peer.clone());
        self.awaited.extend(awaited);
        let next = match self.phase {
            Phase::Rest => None,
            Phase::Moving => self.until_all_are_on(Slot::Second, sight, now, Phase::Parting),
            Phase::Parting => (sight.peers_at_home == Some(0)).then_some(Phase::Returning),
            Phase::Returning => self.until_all_are_on(Slot::Home, sight, now, Phase::Rest),
            Phase::Abandoning => self.until_nobody_is_away(sight, now),
        };
        if let Some(next) = next {
            (self.phase, self.began, self.whole_since) = (next, now, None);
        }
        next.is_some()
    }

    /// The peers that the present phase waits for.
    #[must_use]
    pub fn missing<'a>(&self, tunnels: &'a [TunnelStatus]) -> Vec<&'a Arc<str>> {
        let slot = match self.phase {
            Phase::Moving => Slot::Second,
            Phase::Returning => Slot::Home,
            Phase::Rest | Phase::Parting | Phase::Abandoning => return Vec::new(),
        };
        let missing = self.awaited_of(tunnels).filter(|tunnel| !is_on(tunnel, slot));
        missing.map(|tunnel| &tunnel.peer).collect()
    }

    fn awaited_of<'a>(&self, tunnels: &'a [TunnelStatus]) -> impl Iterator<Item = &'a TunnelStatus> {
        tunnels.iter().filter(|tunnel| self.awaited.contains(&tunnel.peer))
    }

    fn until_all_are_on(&mut self, slot: Slot, sight: &RotationSight, now: Instant, next: Phase) -> Option<Phase> {
        let is_late = now.saturating_duration_since(self.began) >= BOUND;
        // Who is not heard on either line has other troubles than the new key.
        let is_missing = |tunnel: &TunnelStatus| !is_on(tunnel, slot) && (!is_late || is_up_anywhere(tunnel));
        let somebody_is_missing = self.awaited_of(&sight.tunnels).any(is_missing);
        if somebody_is_missing {
            self.whole_since = None;
            return (is_late && self.phase == Phase::Moving).then_some(Phase::Abandoning);
        }
        self.is_drained(now).then_some(next)
    }

    fn until_nobody_is_away(&mut self, sight: &RotationSight, now: Instant) -> Option<Phase> {
        let is_late = now.saturating_duration_since(self.began) >= BOUND;
        if !is_late
            && sight
                .tunnels
                .iter()
                .any(|tunnel| tunnel.second.is_some_and(|it| it.is_used))
        {
            self.whole_since = None;
            return None;
        }
        self.is_drained(now).then_some(Phase::Rest)
    }

    fn is_drained(&mut self, now: Instant) -> bool {
        let since = *self.whole_since.get_or_insert(now);
        now.saturating_duration_since(since) >= self.drain
    }
}

fn is_up_anywhere(tunnel: &TunnelStatus) -> bool {
    [tunnel.home, tunnel.second]
        .into_iter()
        .flatten()
        .any(|line| line.is_up)
}

fn is_on(tunnel: &TunnelStatus, slot: Slot) -> bool {
    let line: Option<LineStatus> = match slot {
        Slot::Home => tunnel.home,
        Slot::Second => tunnel.second,
    };
    line.is_some_and(|line| line.is_up && line.is_used)
}
