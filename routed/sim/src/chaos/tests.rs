//! The slice of `cargo xtask simulate --long` that runs with the other tests.

use super::{Plan, run};
use crate::seeds::caught;

const SEEDS: u64 = 24;
const EVENTS: u64 = 6_000;
/// Seeds that have found something once.
const FOUND: [u64; 0] = [];

#[test]
fn a_slice_of_the_long_run() {
    for seed in (0..SEEDS).chain(FOUND) {
        let plan = Plan {
            seed,
            events: EVENTS,
            nodes: None,
            names: None,
            topology: None,
        };
        let outcome = caught(|| run(&plan));
        let outcome = outcome.unwrap_or_else(|wrong| {
            panic!("seed {seed}: {wrong}\nagain: cargo xtask simulate --chaos --seed {seed} --events {EVENTS}")
        });
        assert!(outcome.events >= EVENTS && outcome.rests > 0 && outcome.updates > 0);
    }
}
