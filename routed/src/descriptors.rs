//! File descriptors: how many this process may have, and how many of them peers may take.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What is kept at least, and at most, for everything but connections that come in from peers: dialled sessions, the
/// administration API, data planes, files.
const KEPT: std::ops::RangeInclusive<u64> = 64..=1024;
/// More connections than this are no peers.
const MOST: u64 = 100_000;

/// Raises the soft limit to the hard one, as servers do: 1,024, the usual soft limit, is there for programs that call
/// select(2).
///
/// # Errors
/// The limits cannot be read or set.
pub(crate) fn raise_limit() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// How many connections may be let in at a time.
pub(crate) fn for_incoming() -> usize {
    // No limit can be read: the usual one.
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    share(limit)
}

fn share(limit: u64) -> usize {
    let kept = (limit / 4).clamp(*KEPT.start(), *KEPT.end());
    let share = limit.saturating_sub(kept).clamp(1, MOST);
    usize::try_from(share).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept_whatever_the_limit() {
        for (limit, expected) in [
            (0, 1),
            (64, 1),
            (256, 192),
            (1024, 768),
            (65_536, 64_512),
            (u64::MAX, 100_000),
        ] {
            assert_eq!(share(limit), expected, "{limit}");
        }
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = raise_limit().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((hard, hard)));
    }
}
