//! Which tunnels are up: pure, from what the kernel counts. WireGuard itself never says that a peer is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::keys::PublicKey;

/// WireGuard takes no packet by a handshake that is older (REJECT_AFTER_TIME).
const HANDSHAKE_LIFE: Duration = Duration::from_secs(180);
/// Of a handshake initiation. They count as received as soon as they are authentic, also where the handshake then fails
/// at its other end, for want of the pre-shared key, say. All else comes in multiples of 16 bytes, or after a handshake.
const INITIATION_BYTES: u64 = 148;
/// A peer begins a handshake anew after 5 s (REKEY_TIMEOUT): in the time between two looks no more often than this.
const INITIATIONS: u64 = 3;
/// So many keepalives without a byte received are too many.
const SILENT_KEEPALIVES: u32 = 3;
/// The longest wait before a tunnel that came back is used.
const MAX_HOLD_DOWN: Duration = Duration::from_secs(60);
/// A tunnel that was up for so long before it went down is not flapping.
const STEADY: Duration = Duration::from_secs(300);

/// A peer of a device.
pub(crate) type PeerId = (Arc<str>, PublicKey);

/// What the kernel counts for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerCounters {
    /// How long ago the last handshake was completed; `None`: there was none.
    pub handshake_age: Option<Duration>,
    /// Bytes received, of authenticated packets.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

/// What is known of one peer.
#[derive(Debug)]
struct Track {
    received: u64,
    /// When `received` last grew by more than attempts to shake hands; the first sight counts.
    heard_at: Instant,
    up: bool,
    /// When it went up or down.
    since: Instant,
    /// Was it ever up: only what went down is held down.
    fell: bool,
    /// Since when it has been heard again.
    heard_again: Option<Instant>,
    flaps: u32,
}

/// Follows all peers.
#[derive(Debug)]
pub(crate) struct Liveness {
    keepalive: Duration,
    tracks: BTreeMap<PeerId, Track>,
}

impl Liveness {
    pub(crate) fn new(keepalive: Duration) -> Self {
        Self {
            keepalive,
            tracks: BTreeMap::new(),
        }
    }

    pub(crate) fn set_keepalive(&mut self, keepalive: Duration) {
        self.keepalive = keepalive;
    }

    /// Takes in what the kernel counts now. Peers that are not in it are forgotten.
    pub(crate) fn take(&mut self, counters: &BTreeMap<PeerId, PeerCounters>, now: Instant) {
        self.tracks.retain(|id, _| counters.contains_key(id));
        for (id, counted) in counters {
            let track = self
                .tracks
                .entry(id.clone())
                .or_insert_with(|| Track::new(counted, now));
            track.take(counted, now, self.keepalive);
        }
    }

    pub(crate) fn is_up(&self, id: &PeerId) -> bool {
        self.tracks.get(id).is_some_and(|track| track.up)
    }

    /// How long nothing was heard of it.
    pub(crate) fn silence(&self, id: &PeerId, now: Instant) -> Option<Duration> {
        self.tracks
            .get(id)
            .map(|track| now.saturating_duration_since(track.heard_at))
    }
}

impl Track {
    fn new(counted: &PeerCounters, now: Instant) -> Self {
        Self {
            received: counted.received,
            heard_at: now,
            up: false,
            since: now,
            fell: false,
            heard_again: None,
            flaps: 0,
        }
    }

    fn take(&mut self, counted: &PeerCounters, now: Instant, keepalive: Duration) {
        // Less than before: the kernel has made the peer anew.
        let heard = counted.received != self.received && !is_only_called(self.received, counted.received);
        self.received = counted.received;
        if heard {
            self.heard_at = now;
        }
        let silent = now.saturating_duration_since(self.heard_at) > keepalive * SILENT_KEEPALIVES;
        let alive = !silent && counted.handshake_age.is_some_and(|age| age < HANDSHAKE_LIFE);
        if self.up && !alive {
            self.fall(now);
        } else if !self.up && alive {
            self.rise(now, heard, keepalive);
        } else if !alive {
            self.heard_again = None;
        }
    }

    fn fall(&mut self, now: Instant) {
        let steady = now.saturating_duration_since(self.since) >= STEADY;
        self.flaps = if steady { 0 } else { self.flaps.saturating_add(1) };
        (self.up, self.fell, self.since, self.heard_again) = (false, true, now, None);
    }

    /// The first time at once: a restart is not a fault. Later only once it was heard for the time of the hold-down.
    fn rise(&mut self, now: Instant, heard: bool, keepalive: Duration) {
        if heard {
            self.heard_again.get_or_insert(now);
        }
        let hold_down = keepalive
            .saturating_mul(1 << self.flaps.saturating_sub(1).min(10))
            .min(MAX_HOLD_DOWN);
        let held = |since: Instant| now.saturating_duration_since(since) >= hold_down;
        if !self.fell || self.heard_again.is_some_and(held) {
            (self.up, self.since, self.heard_again) = (true, now, None);
        }
    }
}

/// Whether all that came was attempts to shake hands.
fn is_only_called(before: u64, received: u64) -> bool {
    let more = received.checked_sub(before);
    more.is_some_and(|more| {
        more.is_multiple_of(INITIATION_BYTES) && (1..=INITIATIONS).contains(&(more / INITIATION_BYTES))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPALIVE: Duration = Duration::from_secs(5);

    struct World {
        liveness: Liveness,
        now: Instant,
        received: u64,
        handshake: Option<Instant>,
    }

    fn id() -> PeerId {
        ("wg0".into(), PublicKey([1; 32]))
    }

    impl World {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                liveness: Liveness::new(KEEPALIVE),
                now,
                received: 0,
                handshake: None,
            }
        }

        /// Looks every half keepalive for so many seconds; whether it is up at the end.
        fn seconds(&mut self, seconds: u64, heard: bool) -> bool {
            self.receiving(seconds, u64::from(heard) * 32)
        }

        /// The same, with so many bytes received between two looks.
        fn receiving(&mut self, seconds: u64, bytes: u64) -> bool {
            let end = self.now + Duration::from_secs(seconds);
            while self.now < end {
                self.now += KEEPALIVE / 2;
                self.received += bytes;
                let counters = PeerCounters {
                    handshake_age: self.handshake.map(|at| self.now - at),
                    received: self.received,
                    sent: 0,
                };
                self.liveness.take(&[(id(), counters)].into(), self.now);
            }
            self.liveness.is_up(&id())
        }

        fn handshake(&mut self) {
            self.handshake = Some(self.now);
        }
    }

    #[test]
    fn a_tunnel_is_up_with_its_first_handshake() {
        let mut world = World::new();
        assert!(!world.seconds(60, false));
        world.handshake();
        assert!(world.seconds(3, true));
    }

    #[test]
    fn a_silent_tunnel_is_down_within_three_keepalives_and_a_look() {
        let mut world = World::new();
        world.handshake();
        assert!(world.seconds(60, true));
        assert!(world.seconds(15, false), "three keepalives are not over");
        assert!(!world.seconds(3, false));
    }

    #[test]
    fn a_peer_that_only_tries_to_shake_hands_is_down() {
        for initiations in 1..=INITIATIONS {
            let mut world = World::new();
            world.handshake();
            assert!(world.seconds(60, true));
            assert!(!world.receiving(18, initiations * INITIATION_BYTES));
            // With a keepalive among them it is heard.
            assert!(world.receiving(30, INITIATION_BYTES + 32));
        }
    }

    #[test]
    fn a_tunnel_that_is_heard_by_an_old_handshake_alone_is_down() {
        let mut world = World::new();
        world.handshake();
        assert!(world.seconds(170, true));
        assert!(!world.seconds(15, true));
    }

    #[test]
    fn a_tunnel_that_fell_is_held_down_longer_each_time() {
        let mut world = World::new();
        world.handshake();
        assert!(world.seconds(10, true));
        for hold_down in [5, 10, 20, 40, 60, 60] {
            assert!(!world.seconds(20, false));
            world.handshake();
            assert!(!world.seconds(hold_down, true), "held for {hold_down} s");
            assert!(world.seconds(5, true), "no longer than {hold_down} s");
        }
        // Steady for five minutes, it has a clean sheet.
        for _ in 0..4 {
            world.handshake();
            assert!(world.seconds(100, true));
        }
        assert!(!world.seconds(20, false));
        world.handshake();
        assert!(world.seconds(8, true));
    }

    #[test]
    fn a_peer_that_is_gone_is_forgotten() {
        let mut world = World::new();
        world.handshake();
        assert!(world.seconds(10, true));
        world.liveness.take(&BTreeMap::new(), world.now);
        assert!(!world.liveness.is_up(&id()));
        assert_eq!(world.liveness.silence(&id(), world.now), None);
    }
}
