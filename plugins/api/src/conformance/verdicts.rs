//! A resource that the data plane refuses.

use super::Harness;
use super::probe::Fault;
use super::session::{Run, name, serves};
use crate::plane::PlaneStatus;

/// A refused route is reported in the data plane's words, affects only itself, is not tried again unchanged, and
/// recovers with its content.
pub async fn quarantines_and_recovers_a_rejected_route<H: Harness>(mut harness: H) {
    let (good, bad, later) = (name(0), name(1), name(2));
    let rejected = |run: &Run| {
        let said = run.statuses.get(&name(1));
        run.done == run.version && matches!(said, Some(PlaneStatus::Rejected(reason)) if !reason.is_empty())
    };
    let mut run = Run::start(&mut harness).await;
    run.reset(vec![harness.route(&good, 0), harness.bad_route(&bad)], true);
    run.until("the bad route is rejected, with a reason", rejected).await;
    serves(&mut harness, &[(good.clone(), 0)].into()).await;
    run.until("the good route is programmed", |run| {
        run.statuses
            .get(&name(0))
            .is_none_or(|status| *status == PlaneStatus::Programmed)
    })
    .await;

    let times = run.control.times_applied(&bad);
    let added = harness.route(&later, 0);
    run.delta(vec![(later.clone(), Some(added))]);
    run.until("the next change is done", |run| run.done == run.version)
        .await;
    serves(&mut harness, &[(good.clone(), 0), (later.clone(), 0)].into()).await;
    assert_eq!(
        run.control.times_applied(&bad),
        times,
        "a refused resource was given again, unchanged"
    );

    // Everything is compared again: first because the whole table is sent, then because an apply failed.
    run.reset(
        vec![
            harness.route(&good, 0),
            harness.bad_route(&bad),
            harness.route(&later, 0),
        ],
        true,
    );
    run.until("still rejected after a Reset", rejected).await;
    run.control.script().faults = vec![Fault::After];
    let changed = harness.route(&later, 1);
    run.delta(vec![(later.clone(), Some(changed))]);
    run.until("the change after a failure is done", |run| run.done == run.version)
        .await;
    serves(&mut harness, &[(good.clone(), 0), (later.clone(), 1)].into()).await;
    assert_eq!(
        run.control.times_applied(&bad),
        times,
        "a refused resource was given again by a full comparison"
    );

    let repaired = harness.route(&bad, 1);
    run.delta(vec![(bad.clone(), Some(repaired))]);
    run.converges(
        &mut harness,
        &[(good.clone(), 0), (bad.clone(), 1), (later.clone(), 1)].into(),
    )
    .await;

    // Refused again over content that stands, then gone altogether.
    let refused = harness.bad_route(&bad);
    run.delta(vec![(bad.clone(), Some(refused))]);
    run.until("the changed route is rejected", rejected).await;
    run.delta(vec![(bad, None)]);
    run.converges(&mut harness, &[(good, 0), (later, 1)].into()).await;
    run.stop().await;
}
