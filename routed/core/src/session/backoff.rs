//! How long to wait before dialling again.

use std::time::Duration;

/// The longest wait.
const MAX: Duration = Duration::from_secs(60);

/// The wait before attempt `attempt` to dial again, counted from 0: 1, 2, 4 .. 60 s, of which jitter takes off up to a
/// quarter (RFC 4271 section 10). A pure function, so that a run can be repeated; nodes that differ in seed spread.
#[must_use]
pub fn connect_backoff(seed: u64, attempt: u32) -> Duration {
    let full = Duration::from_secs(1 << attempt.min(6)).min(MAX);
    let quarter_ms = full.as_millis() / 4;
    let spread = mix(seed ^ (u64::from(attempt) << 32));
    let off_ms = (u128::from(spread) * quarter_ms) >> 64;
    full - Duration::from_millis(u64::try_from(off_ms).unwrap_or_default())
}

/// Spreads the bits of `x` evenly (the finaliser of SplitMix64).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_minute_less_at_most_a_quarter() {
        for (attempt, full_s) in [
            (0, 1),
            (1, 2),
            (2, 4),
            (3, 8),
            (4, 16),
            (5, 32),
            (6, 60),
            (7, 60),
            (u32::MAX, 60),
        ] {
            let full = Duration::from_secs(full_s);
            for seed in 0..100 {
                let wait = connect_backoff(seed, attempt);
                assert!(wait <= full && wait >= full * 3 / 4, "{attempt}: {wait:?}");
            }
        }
    }

    #[test]
    fn seeds_spread() {
        let mut waits: Vec<Duration> = (0..100).map(|seed| connect_backoff(seed, 6)).collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 90 && waits[waits.len() - 1] - waits[0] > Duration::from_secs(12));
    }
}
