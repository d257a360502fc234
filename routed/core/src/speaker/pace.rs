//! How fast a peer may change routes (`max_update_rate`). What comes faster waits where it is: reading from the peer pauses,
//! and TCP holds it back.

use std::time::{Duration, Instant};

use super::Speaker;
use crate::event::Effect;
use crate::wire::UpdateFrame;

/// How far ahead of its rate a peer may be before it has to wait.
const BURST: Duration = Duration::from_secs(1);

/// A peer's debt of time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all that has come would have come at the permitted rate.
    due: Option<Instant>,
    /// How often reading has paused in this session.
    pub(super) pauses: u64,
    /// Whether the peer has to wait until this instant.
    paused_until: Option<Instant>,
}

impl Pace {
    /// So many routes have come. Until when nothing more is to be read, if they came too fast.
    fn take(&mut self, routes: u64, per_second: u32, now: Instant) -> Option<Instant> {
        let cost = Duration::from_nanos(routes.saturating_mul(1_000_000_000) / u64::from(per_second.max(1)));
        let due = self.due.map_or(now, |due| due.max(now)) + cost;
        self.due = Some(due);
        let until = due.checked_sub(BURST).filter(|until| *until > now)?;
        // What was read before the pause prolongs it.
        self.pauses += u64::from(self.paused_until.is_none_or(|before| before <= now));
        self.paused_until = Some(until);
        Some(until)
    }
}

impl Speaker {
    /// Has a peer wait that is faster than it may be.
    pub(super) fn keep_pace(&mut self, index: usize, update: &UpdateFrame, now: Instant) {
        let peer = &mut self.peers[index];
        let Some(per_second) = peer.config.max_update_rate else {
            return;
        };
        let routes = update.steps().map(|step| step.withdrawn.len() + step.announced.len());
        if let Some(until) = peer.pace.take(routes.sum::<usize>() as u64, per_second, now) {
            self.pause(index, until, now);
        }
    }

    /// Another rate counts from now on.
    pub(super) fn end_pause(&mut self, index: usize, now: Instant) {
        let pace = &mut self.peers[index].pace;
        pace.due = None;
        if pace.paused_until.take().is_some_and(|until| until > now) {
            self.pause(index, now, now);
        }
    }

    fn pause(&mut self, index: usize, until: Instant, now: Instant) {
        let peer = &mut self.peers[index];
        if let Some(conn) = peer.up.as_ref().map(|up| up.conn) {
            peer.session.pause(conn, until, now);
            self.effects.push(Effect::Pause { conn, until });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_faster_than_the_rate_waits_once_it_is_a_second_ahead() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.take(100, 100, now), None, "a second's worth at once is fine");
        assert_eq!(pace.take(50, 100, now), Some(now + Duration::from_millis(500)));
        assert_eq!(pace.take(50, 100, now), Some(now + Duration::from_secs(1)));
        assert_eq!(pace.pauses, 1, "the pause is prolonged");
        let later = now + Duration::from_secs(2);
        assert_eq!(pace.take(100, 100, later), None);
        assert_eq!(pace.take(1, 100, later), Some(later + Duration::from_millis(10)));
        assert_eq!(pace.pauses, 2);
    }

    #[test]
    fn the_rate_holds_over_time() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(100) {
            taken += 7;
            now = pace.take(7, 10, now).unwrap_or(now);
        }
        assert!((1000..=1017).contains(&taken), "{taken}");
    }
}
