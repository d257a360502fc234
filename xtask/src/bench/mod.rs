//! `cargo xtask bench core`: the routing core over real sockets, beside the routing daemons that are installed, in the
//! same run. CPU time, not wall time.

mod bgp;
mod daemons;
mod measure;
mod names;
mod net;
mod process;
mod report;
mod rows;
mod speaker;

use std::path::Path;
use std::time::Instant;

use daemons::{Bird, CatalystDaemon, Daemon, Frr, GoBgp, OpenBgpd};
use measure::Bench;
use net::Net;
pub(crate) use net::privileged;
use report::Column;
use rows::{Figures, Row};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BenchArgs {
    /// Print JSON: {"rows":[{"name","unit","catalyst","bird",...}]}, lower is better, null where not measured.
    #[arg(long)]
    json: bool,
    /// Runs of each measurement; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=15))]
    runs: u8,
    /// The daemons to measure [default: all that are installed].
    #[arg(long, value_enum, value_delimiter = ',')]
    daemons: Vec<Name>,
    /// The measurements to make [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

/// A daemon that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    Catalyst,
    Bird,
    Gobgp,
    Openbgpd,
    Frr,
}

/// Rows that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// 100,000 routes: received, handed on, changed, lost.
    Table,
    /// 1,000,000 routes: received, handed on, asked about.
    Large,
    /// 10 peers with 100,000 routes each.
    FanIn,
    /// 100,000 routes to 10 and to 50 peers.
    FanOut,
}

impl Part {
    const ALL: [Self; 4] = [Self::Table, Self::Large, Self::FanIn, Self::FanOut];

    fn measure<D: Daemon>(self, bench: &Bench<'_, D>) -> anyhow::Result<Figures> {
        match self {
            Self::Table => measure::table(bench),
            Self::Large => measure::large_table(bench),
            Self::FanIn => measure::fan_in(bench),
            Self::FanOut => {
                let mut figures = measure::fan_out(bench, 10, Row::FanOut10)?;
                figures.extend(measure::fan_out(bench, 50, Row::FanOut50)?);
                Ok(figures)
            }
        }
    }
}

/// Runs the benchmark of the routing core. `binaries` holds `catalyst-routed` and `catalystctl` of a release build;
/// configurations and logs go under `work`.
///
/// # Errors
/// Catalyst, or the network that it is measured in, does not do what it is asked. Other daemons that fail are left out.
pub(crate) fn core(args: &BenchArgs, binaries: &Path, work: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let run = Run {
        args,
        net: &Net::build()?,
        work,
        started: Instant::now(),
    };
    let catalyst = match args.has(Name::Catalyst) {
        true => Some(run.figures(&CatalystDaemon::new(binaries))?),
        false => None,
    };
    let columns = [
        (CatalystDaemon::NAME, catalyst),
        run.column(Name::Bird, Bird::find),
        run.column(Name::Gobgp, GoBgp::find),
        run.column(Name::Openbgpd, OpenBgpd::find),
        run.column(Name::Frr, Frr::find),
    ];
    if args.json {
        println!("{:#}", report::json(&columns));
    } else {
        print!("{}", report::table(&columns));
    }
    Ok(())
}

impl BenchArgs {
    fn has(&self, name: Name) -> bool {
        self.daemons.is_empty() || self.daemons.contains(&name)
    }

    fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        Part::ALL
            .into_iter()
            .filter(|part| self.only.is_empty() || self.only.contains(part))
    }
}

/// One call of the command.
struct Run<'a> {
    args: &'a BenchArgs,
    net: &'a Net,
    work: &'a Path,
    started: Instant,
}

impl Run<'_> {
    /// The column of a daemon that may not be installed, or not work here.
    fn column<D: Daemon>(&self, name: Name, find: impl FnOnce() -> Option<D>) -> Column {
        if !self.args.has(name) {
            return (D::NAME, None);
        }
        let Some(daemon) = find() else {
            eprintln!("{} is not installed: its column stays empty", D::NAME);
            return (D::NAME, None);
        };
        let figures = self.figures(&daemon);
        if let Err(error) = &figures {
            eprintln!("{} cannot be measured: {error:#}", D::NAME);
        }
        (D::NAME, figures.ok())
    }

    fn figures<D: Daemon>(&self, daemon: &D) -> anyhow::Result<Figures> {
        let bench = Bench {
            daemon,
            net: self.net,
            work: self.work,
        };
        let mut all = Figures::default();
        for part in self.args.parts().filter(|part| !D::LEAVES_OUT.contains(part)) {
            let mut runs = Vec::new();
            for run in 1..=self.args.runs {
                let (at, of) = (self.started.elapsed().as_secs(), self.args.runs);
                eprintln!("{at:>4} s  {}: {part:?}, run {run} of {of}", D::NAME);
                runs.push(part.measure(&bench)?);
            }
            all.extend(Figures::median(&runs));
        }
        all.add_growth();
        Ok(all)
    }
}
