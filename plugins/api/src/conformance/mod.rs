//! What every data plane must show: a suite over a [`Harness`] that the plugin implements for its own tests.
//!
//! ```text
//! catalyst_plugin::conformance_suite!(MyHarness::start);
//! ```
//! makes one test of each scenario, each on a fresh, empty data plane. Scenarios wait on conditions with a deadline.

pub mod memory;
mod plan;
mod probe;
mod recovery;
mod session;
mod verdicts;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::plane::{DataPlane, Route, ServiceName};
use crate::run::{Handle, Report};

pub use plan::incremental_plan_equals_full_plan;
pub use recovery::{
    adopts_what_is_right, converges_after_a_crash_at_every_step, converges_after_failures, recovers_a_restarted_plane,
    removes_orphans,
};
pub use session::{
    asks_for_a_reset_after_a_gap, coalesces_for_a_slow_plane, holds_until_settled, stops_without_a_trace,
};
pub use verdicts::quarantines_and_recovers_a_rejected_route;

/// The longest wait for a condition.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A real data plane and the means to look into it.
pub trait Harness: Send {
    /// The plugin.
    type Plane: DataPlane<Route = Route>;

    /// A new instance of the plugin on the same data plane, as after a restart of the daemon.
    fn plane(&mut self) -> impl Future<Output = Self::Plane> + Send;

    /// Starts the reconcile loop of an instance; for planes whose loop runs elsewhere.
    fn spawn<P: DataPlane>(&mut self, plane: P, reports: mpsc::Sender<Report>) -> Handle {
        crate::run::spawn(plane, reports)
    }

    /// A route of this name that the plane serves. Each `variant` (0 to 5) has content of its own; some should share
    /// resources between names, where the data plane knows such.
    fn route(&self, name: &ServiceName, variant: u32) -> Arc<Route>;

    /// A route of this name that the data plane itself refuses.
    fn bad_route(&self, name: &ServiceName) -> Arc<Route>;

    /// What the data plane really serves now: the variant of each name. Nothing when it cannot be asked just now.
    fn serves(&mut self) -> impl Future<Output = BTreeMap<ServiceName, u32>> + Send;

    /// How many resources were written to or removed from the data plane since it started, counted at the data plane.
    fn writes(&mut self) -> impl Future<Output = u64> + Send;

    /// Kills the data plane and starts it again; it comes back empty (or as empty as it gets).
    fn restart(&mut self) -> impl Future<Output = ()> + Send;
}

/// Makes a test of each scenario. The argument is an `async fn() -> impl Harness`.
#[macro_export]
macro_rules! conformance_suite {
    ($start:expr) => {
        $crate::conformance_suite!(@ $start,
            adopts_what_is_right, removes_orphans, converges_after_failures, converges_after_a_crash_at_every_step,
            recovers_a_restarted_plane, coalesces_for_a_slow_plane, asks_for_a_reset_after_a_gap, holds_until_settled,
            stops_without_a_trace, quarantines_and_recovers_a_rejected_route, incremental_plan_equals_full_plan
        );
    };
    (@ $start:expr, $($scenario:ident),+) => {
        $(
            #[tokio::test]
            async fn $scenario() {
                $crate::conformance::$scenario($start().await).await;
            }
        )+
    };
}
