//! How much the log hears of a data plane that fails: what changes, and of one that is still to come not that it is late.

use std::time::{Duration, Instant};

use crate::plane::PlaneError;

/// A data plane that has never worked is waited for, quietly, for so long: parts start in any order.
const PATIENCE: Duration = Duration::from_secs(15);

/// What to say of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say {
    /// It is not there yet.
    Waiting,
    /// It was there, or ought to be by now.
    Failed,
    /// As before.
    Nothing,
}

/// The failures of one data plane.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    has_worked: bool,
    /// When it began to fail, if it does.
    since: Option<Instant>,
    /// The failure that the log was warned of.
    warned: Option<PlaneError>,
}

impl Failures {
    pub(crate) fn failed(&mut self, error: &PlaneError, now: Instant) -> Say {
        let first = self.since.is_none();
        let since = *self.since.get_or_insert(now);
        if !self.has_worked && now.saturating_duration_since(since) < PATIENCE {
            return if first { Say::Waiting } else { Say::Nothing };
        }
        if self.warned.as_ref() == Some(error) {
            return Say::Nothing;
        }
        self.warned = Some(error.clone());
        Say::Failed
    }

    /// Whether it failed before.
    pub(crate) fn works(&mut self) -> bool {
        self.has_worked = true;
        self.warned = None;
        self.since.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_still_to_come_is_waited_for_and_then_missed() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let (none, refused) = (PlaneError("no such file".into()), PlaneError("refused".into()));
        let mut say = |error: &PlaneError, after: u64| failures.failed(error, start + Duration::from_secs(after));
        assert_eq!(
            [say(&none, 0), say(&none, 1), say(&refused, 2)],
            [Say::Waiting, Say::Nothing, Say::Nothing]
        );
        assert_eq!(
            [say(&refused, 15), say(&refused, 20), say(&none, 30)],
            [Say::Failed, Say::Nothing, Say::Failed]
        );
    }

    #[test]
    fn one_that_was_there_is_missed_at_once() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let error = PlaneError("refused".into());
        assert!(!failures.works());
        assert_eq!(
            [failures.failed(&error, now), failures.failed(&error, now)],
            [Say::Failed, Say::Nothing]
        );
        assert!(failures.works() && !failures.works());
        assert_eq!(failures.failed(&error, now), Say::Failed);
    }
}
