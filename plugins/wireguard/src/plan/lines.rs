//! The one or two lines of a tunnel: pure. A change of a key at either end goes over a second pair of devices, so that
//! both ends receive by the old key and by the new one for as long as either may still send by the old.
//!
//! Both ends make the same two moves, each on its own: from the home pair to the second pair once that has shaken hands,
//! and back from there to the home pair, which has the new key by then. In between nothing is taken down that anybody
//! may still send to: a device hands a packet to one of its peers alone, and a peer sends to one device alone, so no move
//! from one device to the other could share either of its ends without losing what is on its way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::keys::PublicKey;

/// One of our two devices for an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The one that is always there.
    Home,
    /// The one that is there in a change of keys.
    Second,
}

/// How far a change of our own key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is none. The second device, where a peer needs one, has the same key.
    Rest,
    /// The home device has the old key, the second one the new key.
    Moving,
    /// The home device is taken down, and with it what it knew by the old key.
    Parting,
    /// Both have the new key.
    Returning,
    /// Given up: the home device has the old key and is to be used again, the second one still has the new key.
    Abandoning,
}

/// What our side brings into a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    pub(crate) phase: Phase,
    /// The other side can call us: in a change of our own we then wait for its call, which shows that it knows the new key.
    pub(crate) is_called: bool,
    /// How long a line still receives after the other one is used.
    pub(crate) drain: Duration,
}

/// The other end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its key.
    pub key: PublicKey,
    /// Where it is called; `None`: it calls.
    pub endpoint: Option<SocketAddr>,
}

/// What is held of a tunnel on our two devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    home: Option<End>,
    second: Option<End>,
    /// The one that is sent by.
    active: Slot,
    /// The one that is to be sent by once it is up.
    target: Slot,
    /// Since when the active one is the target, for the drain of the other.
    there_since: Option<Instant>,
}

impl Lines {
    /// For a peer of which nothing was held.
    pub(crate) fn new(announced: End, own: Own) -> Self {
        let mut lines = Self::held([Some(announced), None], Slot::Home);
        match own.phase {
            Phase::Rest | Phase::Abandoning | Phase::Returning => {}
            Phase::Moving => lines.set(Slot::Second, Some(own.waiting(announced))),
            Phase::Parting => lines = Self::held([None, Some(own.waiting(announced))], Slot::Second),
        }
        lines
    }

    /// As an earlier run left them: at home, on the second device.
    pub(crate) fn held([home, second]: [Option<End>; 2], active: Slot) -> Self {
        Self {
            home,
            second,
            active,
            target: active,
            there_since: None,
        }
    }

    /// The line on a device.
    #[must_use]
    pub fn on(&self, slot: Slot) -> Option<&End> {
        match slot {
            Slot::Home => self.home.as_ref(),
            Slot::Second => self.second.as_ref(),
        }
    }

    /// Which one is sent by.
    #[must_use]
    pub fn active(&self) -> Slot {
        self.active
    }

    /// The other end of the one that is sent by.
    pub(crate) fn in_use(&self) -> Option<&End> {
        self.on(self.active)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Slot, &End)> {
        [Slot::Home, Slot::Second]
            .into_iter()
            .filter_map(|slot| Some((slot, self.on(slot)?)))
    }

    /// Whether there is more, or something else, than the line at home.
    pub(crate) fn are_changing(&self) -> bool {
        self.second.is_some() || self.active == Slot::Second
    }

    fn set(&mut self, slot: Slot, end: Option<End>) {
        match slot {
            Slot::Home => self.home = end,
            Slot::Second => self.second = end,
        }
    }

    fn has_key(&self, slot: Slot, key: PublicKey) -> bool {
        self.on(slot).is_some_and(|end| end.key == key)
    }

    /// Takes in what the peer announces, and how far our own change is.
    pub(crate) fn aim(&mut self, announced: End, own: Own) {
        let before = self.target;
        match own.phase {
            Phase::Rest | Phase::Abandoning => self.follow(announced),
            Phase::Moving => self.move_out(announced, own),
            Phase::Parting => self.part(announced, own),
            Phase::Returning => self.return_home(announced, own),
        }
        if self.target != before {
            self.there_since = None;
        }
    }

    /// Only the other end may change.
    fn follow(&mut self, announced: End) {
        let Some(used) = self.in_use().copied() else {
            *self = Self::held([Some(announced), None], Slot::Home);
            return;
        };
        if self.active == Slot::Home {
            // A new key at the same place: the old one is gone. A new place for the same key: as good as roaming.
            if used.key == announced.key || used.endpoint == announced.endpoint || announced.endpoint.is_none() {
                self.home = Some(announced);
                self.target = Slot::Home;
            } else {
                self.second = Some(announced);
                self.target = Slot::Second;
            }
        } else if used == announced {
            self.target = Slot::Second;
        } else {
            self.home = Some(announced);
            self.target = Slot::Home;
        }
    }

    fn move_out(&mut self, announced: End, own: Own) {
        self.target = Slot::Second;
        if self.active == Slot::Home && !self.has_key(Slot::Second, announced.key) {
            let changes_too = self
                .home
                .is_some_and(|home| home.key != announced.key && home.endpoint != announced.endpoint);
            self.second = Some(if changes_too { announced } else { own.waiting(announced) });
        }
    }

    fn part(&mut self, announced: End, own: Own) {
        self.second.get_or_insert_with(|| own.waiting(announced));
        (self.home, self.active, self.target) = (None, Slot::Second, Slot::Second);
    }

    fn return_home(&mut self, announced: End, own: Own) {
        self.target = Slot::Home;
        if self.active == Slot::Second {
            // One that changes its key too says with another endpoint that its home device can be called.
            let went_on = self
                .second
                .is_some_and(|second| second.endpoint.is_some() && second.endpoint != announced.endpoint);
            self.home = Some(if went_on { announced } else { own.waiting(announced) });
        }
    }

    /// Goes by what is heard on the lines; whether anything changed.
    pub(crate) fn step(&mut self, own: Own, is_up: impl Fn(Slot, &End) -> bool, now: Instant) -> bool {
        if self.active != self.target {
            let up = self.on(self.target).is_some_and(|end| is_up(self.target, end));
            if up {
                self.active = self.target;
                self.there_since = Some(now);
            }
            return up;
        }
        let ends = matches!(own.phase, Phase::Rest | Phase::Abandoning);
        if !ends || self.active == Slot::Second || self.second.is_none() {
            return false;
        }
        let since = *self.there_since.get_or_insert(now);
        let drained = now.saturating_duration_since(since) >= own.drain;
        if drained {
            self.second = None;
        }
        drained
    }
}

impl Own {
    fn waiting(self, end: End) -> End {
        End {
            endpoint: end.endpoint.filter(|_| !self.is_called),
            ..end
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(3);

    fn end(key: u8, port: u16) -> End {
        End {
            key: PublicKey([key; 32]),
            endpoint: (port > 0).then(|| ([192, 0, 2, 1], port).into()),
        }
    }

    fn own(phase: Phase) -> Own {
        Own {
            phase,
            is_called: true,
            drain: DRAIN,
        }
    }

    /// After one look at which the lines on these devices are up.
    fn looked(lines: &mut Lines, phase: Phase, up: &[Slot], now: Instant) -> (Slot, Vec<(Slot, End)>) {
        lines.step(own(phase), |slot, _| up.contains(&slot), now);
        (lines.active(), lines.all().map(|(slot, end)| (slot, *end)).collect())
    }

    #[test]
    fn a_peer_that_changes_its_key_is_followed_there_and_back() {
        use Slot::{Home, Second};
        let (rest, now) = (Phase::Rest, Instant::now());
        let mut lines = Lines::new(end(1, 1), own(rest));
        lines.aim(end(2, 2), own(rest));
        let both = vec![(Home, end(1, 1)), (Second, end(2, 2))];
        assert_eq!(looked(&mut lines, rest, &[Home], now), (Home, both.clone()));
        assert_eq!(looked(&mut lines, rest, &[Home, Second], now), (Second, both.clone()));
        // For as long as it takes it still receives by the old key.
        assert_eq!(looked(&mut lines, rest, &[], now + DRAIN * 9), (Second, both));
        lines.aim(end(2, 1), own(rest));
        let back = vec![(Home, end(2, 1)), (Second, end(2, 2))];
        assert_eq!(looked(&mut lines, rest, &[Second], now), (Second, back.clone()));
        assert_eq!(looked(&mut lines, rest, &[Home, Second], now), (Home, back.clone()));
        assert_eq!(looked(&mut lines, rest, &[Home], now + DRAIN / 2), (Home, back));
        let home = vec![(Home, end(2, 1))];
        assert_eq!(looked(&mut lines, rest, &[Home], now + DRAIN), (Home, home));
        assert!(!lines.are_changing());
    }

    #[test]
    fn what_cannot_be_a_second_device_takes_the_place_of_the_first() {
        for (before, after) in [
            // Another key where the first was.
            (end(1, 1), end(2, 1)),
            // It cannot be called.
            (end(1, 1), end(2, 0)),
            (end(1, 0), end(2, 0)),
            // The same key has moved.
            (end(1, 1), end(1, 2)),
        ] {
            let mut lines = Lines::new(before, own(Phase::Rest));
            lines.aim(after, own(Phase::Rest));
            let expected = (Slot::Home, vec![(Slot::Home, after)]);
            assert_eq!(looked(&mut lines, Phase::Rest, &[], Instant::now()), expected);
        }
    }

    #[test]
    fn one_that_gives_up_is_followed_back_at_once() {
        let now = Instant::now();
        for up in [&[Slot::Home][..], &[Slot::Home, Slot::Second]] {
            let mut lines = Lines::new(end(1, 1), own(Phase::Rest));
            lines.aim(end(2, 2), own(Phase::Rest));
            looked(&mut lines, Phase::Rest, up, now);
            lines.aim(end(1, 1), own(Phase::Rest));
            assert_eq!(looked(&mut lines, Phase::Rest, up, now).0, Slot::Home);
            looked(&mut lines, Phase::Rest, up, now);
            looked(&mut lines, Phase::Rest, up, now + DRAIN);
            assert!(!lines.are_changing());
        }
    }

    #[test]
    fn who_changes_the_key_waits_to_be_called_unless_it_cannot_be() {
        for (is_called, calls) in [(true, None), (false, end(1, 1).endpoint)] {
            let own = |phase| Own {
                is_called,
                ..own(phase)
            };
            let mut lines = Lines::new(end(1, 1), own(Phase::Rest));
            lines.aim(end(1, 1), own(Phase::Moving));
            assert_eq!(lines.on(Slot::Second).and_then(|end| end.endpoint), calls);
            assert!(lines.step(own(Phase::Moving), |slot, _| slot == Slot::Second, Instant::now()));
            lines.aim(end(1, 1), own(Phase::Parting));
            assert_eq!((lines.on(Slot::Home), lines.active()), (None, Slot::Second));
            lines.aim(end(1, 1), own(Phase::Returning));
            assert_eq!(lines.on(Slot::Home).and_then(|end| end.endpoint), calls);
        }
    }
}
