//! Waiting for a condition.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Far longer than anything takes on a machine that works, also a busy one with two cores.
pub const LONG: Duration = Duration::from_secs(60);

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// Looks until `look` returns a value; its error says what is missing yet.
///
/// # Errors
/// `limit` is over; carries `what` and the last thing that was missing.
pub fn poll<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(missing) if Instant::now() > deadline => {
                return Err(missing).with_context(|| format!("{what}: not within {limit:?}"));
            }
            Err(_) => pause(),
        }
    }
}

/// Looks for as long as `period` and returns the first error of `look`. For what must *not* happen, where there is no
/// event to wait for; passing sooner would be no proof.
///
/// # Errors
/// What `look` found.
pub fn stays(period: Duration, mut look: impl FnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + period;
    while Instant::now() < end {
        look()?;
        pause();
    }
    Ok(())
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place where tests wait between two looks at a condition"
)]
fn pause() {
    std::thread::sleep(LOOK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn poll_returns_what_was_found() {
        let mut looks = 0;
        let found = poll("the third look", LONG, || {
            looks += 1;
            if looks < 3 { bail!("look {looks}") } else { Ok(looks) }
        });
        assert_eq!(found.expect("found"), 3);
    }

    #[test]
    fn a_timeout_says_what_was_missing() {
        let error = poll("a peer", Duration::ZERO, || -> Result<()> { bail!("state is Idle") }).expect_err("never");
        assert_eq!(format!("{error:#}"), "a peer: not within 0ns: state is Idle");
    }
}
