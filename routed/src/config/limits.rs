//! How many routes a peer may bring, as it is written.

use std::ops::RangeInclusive;
use std::time::Duration;

use catalyst_core::event::{self, AtLimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Problems;
use super::path::KeyPath;
use super::text::{Spelled, Text};

/// The bounds of `restart_after`.
const RESTART_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// How many routes a peer may bring, and what becomes of more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaxRoutes {
    /// So many.
    #[schemars(range(min = 1))]
    pub limit: u64,
    /// What is done with more: `warn` only says so in the log; `block` reads them and does not keep them, and asks the peer
    /// for them once there is room; `reset` ends the session, with everything that the peer has brought.
    #[serde(default = "block")]
    pub action: Spelled<Action>,
    /// With `reset`: how long the peer is kept away, 1s to 86400s. Default: until `catalystctl peer enable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_after: Option<Spelled<Duration>>,
    /// The log warns from so many percent of the limit on.
    #[serde(default = "most")]
    #[schemars(range(min = 1, max = 100))]
    pub warn_at_percent: u8,
}

/// What is done with routes beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A warning.
    Warn,
    /// They are not kept.
    Block,
    /// The session ends.
    Reset,
}

fn block() -> Spelled<Action> {
    Spelled(Action::Block)
}

fn most() -> u8 {
    75
}

impl MaxRoutes {
    /// What the core runs on.
    pub(super) fn limits(&self) -> event::MaxRoutes {
        event::MaxRoutes {
            limit: self.limit,
            warn_at_percent: self.warn_at_percent,
            action: match *self.action {
                Action::Warn => AtLimit::Warn,
                Action::Block => AtLimit::Block,
                Action::Reset => AtLimit::Reset {
                    restart_after: self.restart_after.as_deref().copied(),
                },
            },
        }
    }

    pub(super) fn check(&self, path: &KeyPath, problems: &mut Problems) {
        problems.unless(self.limit > 0, path.field("limit"), || {
            "expected at least 1 route, found 0; to take none, set import to \"reject\"".to_owned()
        });
        let percent = self.warn_at_percent;
        problems.unless((1..=100).contains(&percent), path.field("warn_at_percent"), || {
            format!("expected 1 to 100, found {percent}")
        });
        let Some(time) = &self.restart_after else { return };
        problems.unless(*self.action == Action::Reset, path.field("restart_after"), || {
            format!(
                "only a session that is reset starts again; set {} to \"reset\"",
                path.field("action")
            )
        });
        problems.unless(RESTART_AFTER.contains(&**time), path.field("restart_after"), || {
            format!("expected 1s to 86400s, found {time}")
        });
    }
}

impl Text for Action {
    const EXPECTED: &'static str = "warn, block or reset";
    const EXAMPLE: &'static str = "block";
    const CHOICES: &'static [&'static str] = &["warn", "block", "reset"];

    fn parse(text: &str) -> Result<Self, Option<String>> {
        match text {
            "warn" => Ok(Self::Warn),
            "block" => Ok(Self::Block),
            "reset" => Ok(Self::Reset),
            _ => Err(None),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Warn => "warn",
            Self::Block => "block",
            Self::Reset => "reset",
        }
        .to_owned()
    }
}
