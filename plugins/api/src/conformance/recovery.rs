//! Restarts, crashes and failures of either side.

use super::Harness;
use super::probe::Fault;
use super::session::{Expected, Run, name, serves, table};

/// More steps than any apply of a few resources takes.
const MAX_STEPS: usize = 500;

/// A new run finds everything in place and writes nothing.
pub async fn adopts_what_is_right<H: Harness>(mut harness: H) {
    let expected = table(5, 0);
    let mut first = Run::start(&mut harness).await;
    first.reset_to(&harness, &expected);
    first.converges(&mut harness, &expected).await;
    first.kill().await;
    let writes = harness.writes().await;

    let mut second = Run::start(&mut harness).await;
    second.reset_to(&harness, &expected);
    second.converges(&mut harness, &expected).await;
    assert_eq!(harness.writes().await, writes, "a restart wrote what was right already");
    second.stop().await;
}

/// What a run before left behind and no route asks for is removed.
pub async fn removes_orphans<H: Harness>(mut harness: H) {
    let mut first = Run::start(&mut harness).await;
    first.reset_to(&harness, &table(4, 0));
    first.converges(&mut harness, &table(4, 0)).await;
    first.kill().await;

    let mut second = Run::start(&mut harness).await;
    second.reset_to(&harness, &table(2, 0));
    second.converges(&mut harness, &table(2, 0)).await;
    second.stop().await;
}

/// Failures before and after the work was done are tried again until it is right.
pub async fn converges_after_failures<H: Harness>(mut harness: H) {
    let mut run = Run::start_with(&mut harness, vec![Fault::Before, Fault::After, Fault::Before]).await;
    run.reset_to(&harness, &table(3, 0));
    run.converges(&mut harness, &table(3, 0)).await;
    run.control.script().faults = vec![Fault::After, Fault::Before];
    let changed = harness.route(&name(0), 3);
    run.delta(vec![(name(0), Some(changed)), (name(1), None)]);
    run.converges(&mut harness, &[(name(0), 3), (name(2), 0)].into()).await;
    run.stop().await;
}

/// The daemon dies at each step of an apply in turn; the next one converges from what it finds.
pub async fn converges_after_a_crash_at_every_step<H: Harness>(mut harness: H) {
    for step in 0.. {
        assert!(
            step < MAX_STEPS,
            "an apply of six routes took more than {MAX_STEPS} steps"
        );
        // Adds, changes and removes against the table of the round before.
        let expected: Expected = (0..6)
            .map(|index| (name(index + step % 2), wrap(step + index)))
            .collect();
        let crashed = dies_at(&mut harness, &expected, step).await;
        let mut next = Run::start(&mut harness).await;
        next.reset_to(&harness, &expected);
        next.converges(&mut harness, &expected).await;
        next.stop().await;
        if !crashed {
            assert!(step > 0, "no apply was seen at all");
            return;
        }
    }
}

/// A run towards `expected` that is killed at one step of its apply. False: the apply was over before.
async fn dies_at<H: Harness>(harness: &mut H, expected: &Expected, step: usize) -> bool {
    let mut run = Run::start(harness).await;
    run.control.script().crash_at_poll = Some(step);
    run.reset_to(harness, expected);
    let mut control = run.control.clone();
    let crashed = tokio::select! {
        biased;
        () = control.crashed() => true,
        () = run.until("applied", Run::all_programmed) => false,
    };
    run.kill().await;
    crashed
}

fn wrap(variant: usize) -> u32 {
    [0, 1, 2, 3, 4, 5][variant % 6]
}

/// The data plane dies and comes back empty: it is given everything again, and changes go on.
pub async fn recovers_a_restarted_plane<H: Harness>(mut harness: H) {
    let mut run = Run::start(&mut harness).await;
    run.reset_to(&harness, &table(3, 0));
    run.converges(&mut harness, &table(3, 0)).await;
    harness.restart().await;
    serves(&mut harness, &table(3, 0)).await;
    let added = harness.route(&name(3), 0);
    run.delta(vec![(name(3), Some(added))]);
    run.converges(&mut harness, &table(4, 0)).await;
    run.stop().await;
}
