//! One trial.

use anyhow::anyhow;
use catalyst_sim::chaos::{Outcome, Plan, run};
use catalyst_sim::seeds::caught;

use crate::Args;
use crate::measure::{Cpu, number};

/// Events of a trial of `--long`, and of one seed of it run again.
pub(crate) const EVENTS: u64 = 100_000;

/// A trial as `--long` runs it.
///
/// # Errors
/// An invariant is broken.
pub(crate) fn chaos(args: &Args) -> anyhow::Result<()> {
    let events = if args.events == 0 { EVENTS } else { args.events };
    report(&Plan {
        seed: args.seed,
        events,
        nodes: None,
        names: None,
        topology: args.topology,
    })
}

/// A trial of a network of the size asked for.
///
/// # Errors
/// An invariant is broken.
pub(crate) fn chaos_of_size(args: &Args) -> anyhow::Result<()> {
    if args.events == 0 {
        return Ok(());
    }
    report(&Plan {
        seed: args.seed,
        events: args.events,
        nodes: Some(args.nodes as usize),
        names: Some(u64::from(args.names)),
        topology: args.topology,
    })
}

fn report(plan: &Plan) -> anyhow::Result<()> {
    let cpu = Cpu::now();
    let Outcome {
        events,
        updates,
        rests,
        acts,
    } = caught(|| run(plan)).map_err(|wrong| anyhow!("seed {}: {wrong}", plan.seed))?;
    let spent = cpu.spent();
    println!(
        "trial of seed {}: {} events, {} UPDATEs, {acts} acts, {rests} rests, all invariants held; {:.1} s of CPU, {} events/s",
        plan.seed,
        number(events),
        number(updates),
        spent.as_secs_f64(),
        number(per_second(events, spent))
    );
    Ok(())
}

fn per_second(events: u64, spent: std::time::Duration) -> u64 {
    let us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
    events.saturating_mul(1_000_000) / us.max(1)
}
