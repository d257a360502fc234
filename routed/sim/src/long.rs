//! The trials of many seeds, side by side. What is finished is written down: a run that is ended goes on where it was.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, bail};
use catalyst_sim::chaos::{Plan, run};
use catalyst_sim::seeds::caught;

use crate::Args;
use crate::measure::{Cpu, number};
use crate::single::EVENTS;

/// A progress line after so many seeds.
const TOLD_EVERY: usize = 10;

/// What is finished, by seed: the events that it took, and the CPU in ms.
struct Finished {
    seeds: BTreeMap<u64, (u64, u64)>,
    file: File,
    wrong: Vec<String>,
}

/// Runs the trials that are not finished yet.
///
/// # Errors
/// An invariant is broken, or the state cannot be written.
pub(crate) fn long(args: &Args) -> anyhow::Result<()> {
    let events = if args.events == 0 { EVENTS } else { args.events };
    std::fs::create_dir_all(&args.state)?;
    let finished = Mutex::new(open(args, events)?);
    let next = AtomicU64::new(args.seed);
    let end = args.seed + args.seeds;
    thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| work(args, events, &next, end, &finished));
        }
    });
    let finished = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}", line(&finished.seeds));
    if !finished.wrong.is_empty() {
        bail!("{} seeds fail:\n{}", finished.wrong.len(), finished.wrong.join("\n"));
    }
    println!("no invariant was broken");
    Ok(())
}

fn open(args: &Args, events: u64) -> anyhow::Result<Finished> {
    let path = args.state.join(format!("finished-{events}"));
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let parse = |line: &str| -> Option<(u64, (u64, u64))> {
        let mut numbers = line.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some((next()?, (next()?, next()?)))
    };
    let seeds = known.lines().filter_map(parse).collect();
    let file = OpenOptions::new().create(true).append(true).open(&path);
    Ok(Finished {
        seeds,
        file: file.with_context(|| path.display().to_string())?,
        wrong: Vec::new(),
    })
}

fn work(args: &Args, events: u64, next: &AtomicU64, end: u64, finished: &Mutex<Finished>) {
    let lock = || finished.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        if lock().seeds.contains_key(&seed) {
            continue;
        }
        let plan = Plan {
            seed,
            events,
            nodes: None,
            names: None,
            topology: args.topology,
        };
        let cpu = Cpu::now();
        let outcome = caught(|| run(&plan));
        let ms = u64::try_from(cpu.spent().as_millis()).unwrap_or(u64::MAX);
        let mut finished = lock();
        match outcome {
            Ok(outcome) => {
                finished.seeds.insert(seed, (outcome.events, ms));
                if let Err(error) = writeln!(finished.file, "{seed} {} {ms}", outcome.events) {
                    finished
                        .wrong
                        .push(format!("seed {seed} cannot be written down: {error}"));
                }
            }
            Err(wrong) => {
                let again = format!("cargo xtask simulate --chaos --seed {seed} --events {events}");
                eprintln!("seed {seed} FAILS: {wrong}\nagain: {again}");
                finished.wrong.push(again);
            }
        }
        if finished.seeds.len().is_multiple_of(TOLD_EVERY) {
            println!("{}", line(&finished.seeds));
        }
    }
}

fn line(seeds: &BTreeMap<u64, (u64, u64)>) -> String {
    let events: u64 = seeds.values().map(|(events, _)| events).sum();
    let ms: u64 = seeds.values().map(|(_, ms)| ms).sum();
    format!(
        "{} seeds, {} events, {} s of CPU, {} events/s of CPU",
        seeds.len(),
        number(events),
        ms / 1000,
        number(events * 1000 / ms.max(1))
    )
}
