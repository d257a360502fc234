//! `cargo xtask simulate`: whole networks of Speakers in one process, measured and held to their invariants.

mod grow;
mod long;
mod measure;
mod single;

use std::process::ExitCode;

use catalyst_sim::topology::Topology;
use clap::Parser;

/// Simulates networks of Speakers. Without --chaos or --long: a network comes up, learns every name, goes through single
/// changes, and is checked and measured at each step; then, with --events, everything happens to a network of its size.
#[derive(Debug, Clone, Parser)]
#[command(bin_name = "cargo xtask simulate")]
struct Args {
    /// Speakers.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    nodes: u32,
    /// Names, offered evenly by all Speakers.
    #[arg(long, default_value_t = 500)]
    names: u32,
    /// All that happens follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Events of the trial in which everything happens; 0: none.
    #[arg(long, default_value_t = 0)]
    events: u64,
    /// The shape; a trial without one takes it from the seed.
    #[arg(long, value_enum)]
    topology: Option<Topology>,
    /// Speakers of each organisation, in a full mesh.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    members: u32,
    /// Organisations aggregate their names at their border, and customers that give nobody transit take a default.
    #[arg(long)]
    aggregate: bool,
    /// Single changes to measure.
    #[arg(long, default_value_t = 100)]
    changes: u32,
    /// Only the trial of one seed, as --long runs it: size and shape by the seed.
    #[arg(long)]
    chaos: bool,
    /// The trials of many seeds: 10^8 events over 1,000 seeds, unless --events (of each) and --seeds say otherwise.
    #[arg(long)]
    long: bool,
    /// With --long: how many seeds, from --seed on.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// With --long: seeds at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// With --long: seeds that are finished are written here, and not run again.
    #[arg(long, default_value = "target/simulate-long")]
    state: std::path::PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = if args.long {
        long::long(&args)
    } else if args.chaos {
        single::chaos(&args)
    } else {
        grow::grow(&args).and_then(|()| single::chaos_of_size(&args))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
