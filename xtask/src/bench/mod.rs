//! `cargo xtask bench core`: the routing core over real sockets, beside BIRD in the same run. CPU time, not wall time.

mod bgp;
mod catalyst;
mod daemons;
mod measure;
mod process;
mod report;
mod speaker;

use std::path::Path;

use daemons::{BirdDaemon, CatalystDaemon, Daemon};
use measure::{Figures, measure};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BenchArgs {
    /// Print JSON: {"rows":[{"name","unit","catalyst","bird","target"}]}, lower is better.
    #[arg(long)]
    json: bool,
    /// Routes in the table.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    routes: u32,
    /// Runs of each daemon; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=15))]
    runs: u8,
    /// Leave BIRD out even where it is installed.
    #[arg(long)]
    no_bird: bool,
}

/// Runs the benchmark of the routing core. `binaries` holds `catalyst-routed` and `catalystctl` of a release build;
/// configurations and logs go under `work`.
///
/// # Errors
/// A daemon does not start, or does not do what it is asked.
pub(crate) fn core(args: &BenchArgs, binaries: &Path, work: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let catalyst = median_of(args, || CatalystDaemon::new(binaries, work))?;
    let bird = match (args.no_bird, daemons::find_bird()) {
        (false, Some(program)) => Some(median_of(args, || BirdDaemon::new(&program, work))?),
        (true, _) => None,
        (false, None) => {
            eprintln!("BIRD is not installed, its column stays empty (apt-get install bird2)");
            None
        }
    };
    report::print(args.json, args.routes, &catalyst, bird.as_ref());
    Ok(())
}

fn median_of<D: Daemon>(args: &BenchArgs, make: impl Fn() -> D) -> anyhow::Result<Figures> {
    let mut runs = Vec::new();
    for run in 1..=args.runs {
        eprintln!("{}: run {run} of {}, {} routes", D::NAME, args.runs, args.routes);
        runs.push(measure(&make(), args.routes)?);
    }
    Ok(Figures::median(&runs))
}

/// The AS path of an attribute set, the same for every daemon.
fn as_path(asn: u32, set: u32) -> [u32; 3] {
    [asn, 3000 + set % 5000, 20_000 + (set / 5000) % 40_000]
}

/// The communities of an attribute set, the same for every daemon.
fn communities(set: u32) -> [u32; 2] {
    let group = (65_000 << 16) | if set.is_multiple_of(2) { 101 } else { 100 };
    [((64_000 + (set >> 16)) << 16) | (set & 0xffff), group]
}
