//! The slice of `cargo xtask simulate --long` that runs with the other tests.

use super::{Plan, run};
use crate::seeds::caught;

const SEEDS: u64 = 24;
const EVENTS: u64 = 6_000;
/// Seeds that have found something once, and the events that it took.
const FOUND: [(u64, u64); 1] = [
    // Stale routes of three upstreams that took each other's for fresh ones.
    (319, 20_000),
];

#[test]
fn a_slice_of_the_long_run() {
    for (seed, events) in (0..SEEDS).map(|seed| (seed, EVENTS)).chain(FOUND) {
        let plan = Plan {
            seed,
            events,
            nodes: None,
            names: None,
            topology: None,
        };
        let outcome = caught(|| run(&plan));
        let outcome = outcome.unwrap_or_else(|wrong| {
            panic!("seed {seed}: {wrong}\nagain: cargo xtask simulate --chaos --seed {seed} --events {events}")
        });
        assert!(outcome.events >= events && outcome.rests > 0 && outcome.updates > 0);
    }
}
