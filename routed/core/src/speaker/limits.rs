//! How many routes a peer may bring (`max_routes`; RFC 4486 section 3, RFC 4271 section 6.7).

use std::time::{Duration, Instant};

use super::Speaker;
use super::peer::Peer;
use crate::event::{AtLimit, Effect, MaxRoutes};
use crate::intern::NameId;
use crate::rib::{PeerId, PeerPaths, Rib};
use crate::session::SessionEvent;
use crate::view::LimitView;
use crate::wire::subcode::cease;
use crate::wire::{MAX_FRAME_BYTES, NlriBlock, Notification, WireError};

/// How a peer stands to its limit, as far as its operator is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    #[default]
    Within,
    Near,
    Beyond,
}

/// What was said and done about the limit since the session came up.
#[derive(Debug, Default)]
pub(super) struct LimitState {
    /// What was told last. It is not told again before the number has fallen well below.
    told: Standing,
    /// Routes that were not taken.
    blocked: u64,
    /// Of those, the ones that were not taken since the peer was last asked for everything.
    missing: u64,
}

/// Of `count`, so many percent.
fn percent(count: u64, percent: u8) -> u64 {
    count / 100 * u64::from(percent) + count % 100 * u64::from(percent) / 100
}

impl MaxRoutes {
    fn warn_from(self) -> u64 {
        percent(self.limit, self.warn_at_percent)
    }

    /// Room enough to ask for what was not taken: one route that goes must not bring in a whole table each time.
    fn has_room(self, held: u64) -> bool {
        held <= percent(self.limit, 90)
    }
}

/// What import has to keep to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cap {
    peer: PeerId,
    /// No more paths than this are kept; more are not taken.
    limit: u64,
}

impl Cap {
    /// How many more paths fit.
    fn room(self, rib: &Rib) -> u64 {
        self.limit.saturating_sub(rib.peer(self.peer).held())
    }

    /// Whether all of a block fits for sure.
    pub(super) fn fits_all(self, block: &NlriBlock, rib: &Rib) -> bool {
        self.room(rib) >= block.len_at_most() as u64
    }

    /// Whether a path for this name may be kept: there is room, or it takes the place of one that is held.
    pub(super) fn admits(self, key: &[u8], rib: &Rib) -> bool {
        let holds = |name: NameId| rib.find(name, self.peer).is_some();
        self.room(rib) > 0 || rib.names.lookup(key).is_some_and(holds)
    }
}

impl Peer {
    /// The longest frame in bytes, of this peer and to it.
    pub(super) fn max_frame(&self) -> usize {
        self.config.max_frame.map_or(MAX_FRAME_BYTES, |limit| limit as usize)
    }

    /// # Errors
    /// A frame with this body is longer than a frame of this peer may be.
    pub(super) fn check_frame(&self, body: &[u8]) -> Result<(), WireError> {
        match (self.config.max_frame, u32::try_from(body.len() + 1)) {
            (Some(limit), Ok(field)) if field + 4 > limit => Err(WireError::FrameLimit { field, limit }),
            _ => Ok(()),
        }
    }

    /// What import has to keep to.
    pub(super) fn cap(&self) -> Cap {
        let blocks = self.config.max_routes.filter(|max| max.action == AtLimit::Block);
        Cap {
            peer: self.id,
            limit: blocks.map_or(u64::MAX, |max| max.limit),
        }
    }

    /// Routes were not taken.
    pub(super) fn count_blocked(&mut self, count: u64) {
        self.limits.blocked += count;
        self.limits.missing += count;
    }

    /// The peer tells everything again: what is missing from now on is told by then.
    pub(super) fn forget_missing(&mut self) {
        self.limits.missing = 0;
    }

    /// What `show peer` says of it.
    pub(super) fn show_limit(&self, held: PeerPaths) -> Option<LimitView> {
        let max = self.config.max_routes?;
        Some(LimitView {
            limit: max.limit,
            used: held.held(),
            warn_from: max.warn_from(),
            action: max.action,
            blocked: self.limits.blocked,
        })
    }

    fn standing(&self, max: MaxRoutes, held: u64) -> Standing {
        let beyond = match max.action {
            AtLimit::Block => self.limits.missing > 0,
            AtLimit::Warn | AtLimit::Reset { .. } => held > max.limit,
        };
        match beyond {
            true => Standing::Beyond,
            false if held >= max.warn_from() => Standing::Near,
            false => Standing::Within,
        }
    }
}

impl Speaker {
    /// Looks at the number of routes after it has changed.
    pub(super) fn check_limit(&mut self, index: usize, now: Instant) {
        let Some(max) = self.peers[index].config.max_routes else {
            return;
        };
        let held = self.rib.peer(self.peers[index].id).held();
        if let AtLimit::Reset { restart_after } = max.action
            && held > max.limit
        {
            return self.reset_at_limit(index, max.limit, restart_after, now);
        }
        self.tell_standing(index, max, held);
        let peer = &self.peers[index];
        let idle = peer.up.as_ref().is_some_and(|up| up.refreshed.is_empty());
        if peer.limits.missing > 0 && idle && max.has_room(held) {
            self.ask_again(index, now);
        }
    }

    /// Other limits count from now on.
    pub(super) fn limits_changed(&mut self, index: usize, now: Instant) {
        self.end_pause(index, now);
        let peer = &self.peers[index];
        if peer.limits.missing > 0 && peer.cap().room(&self.rib) > 0 {
            self.ask_again(index, now);
        }
        self.check_limit(index, now);
    }

    fn tell_standing(&mut self, index: usize, max: MaxRoutes, held: u64) {
        let peer = &mut self.peers[index];
        let standing = peer.standing(max, held);
        if held < percent(max.warn_from(), 90) {
            peer.limits.told = standing;
        }
        if standing <= peer.limits.told {
            return;
        }
        peer.limits.told = standing;
        let limit = max.limit;
        self.warn(
            index,
            match (standing, max.action) {
                (Standing::Beyond, AtLimit::Block) => {
                    format!("it has sent more routes than its limit of {limit}: those beyond are not kept")
                }
                (Standing::Beyond, _) => format!("it has sent {held} routes, more than its limit of {limit}"),
                (Standing::Within | Standing::Near, _) => format!("it has sent {held} routes, its limit is {limit}"),
            },
        );
    }

    fn reset_at_limit(&mut self, index: usize, limit: u64, restart_after: Option<Duration>, now: Instant) {
        let text = format!("more than {limit} routes");
        let notification = Notification::cease(cease::MAX_PREFIXES, &text);
        match restart_after {
            Some(idle) => {
                let event = SessionEvent::Reset {
                    notification,
                    hard: true,
                    idle,
                };
                self.session(index, event, now);
            }
            None => {
                self.session(index, SessionEvent::Stop(notification), now);
                self.peers[index].disabled = Some(text.into());
            }
        }
    }

    pub(super) fn notice(&mut self, index: usize, text: String) {
        let peer = self.peers[index].config.name.clone();
        let text = text.into();
        self.effects.push(Effect::Notice { peer, text });
    }

    fn warn(&mut self, index: usize, text: String) {
        let peer = self.peers[index].config.name.clone();
        let text = text.into();
        self.effects.push(Effect::Warning { peer, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_does_not_overflow_and_is_exact() {
        assert_eq!(percent(u64::MAX, 100), u64::MAX);
        assert_eq!((percent(10, 90), percent(1, 90), percent(1000, 75)), (9, 0, 750));
        assert_eq!(percent(12_345_678_901, 33), 4_074_074_037);
    }
}
