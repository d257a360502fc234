//! What happens to a table: exported to a neighbour that counts, changed route by route, lost with its session.

use std::time::{Duration, Instant};

use super::table::Filled;
use super::{Bench, LIMIT, ROUTES, SINK, p50_p99, us_each};
use crate::bench::daemons::Daemon;
use crate::bench::rows::{Figures, Row};
use crate::bench::speaker::{Dialect, Session};

/// Single routes announced to measure latency, and how long at most.
const SAMPLES: u32 = 1000;
const SAMPLING: Duration = Duration::from_secs(6);

pub(super) fn changes<D: Daemon>(
    bench: &Bench<'_, D>,
    mut filled: Filled<'_, D>,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut sink = bench.session(SINK)?;
    let exported = sink.wait(LIMIT, |seen| seen.held >= u64::from(ROUTES))?;
    figures.set(Row::UpdatesToExport, exported.updates as f64);
    figures.set(Row::Wire, exported.bytes as f64 / f64::from(ROUTES));
    filled.b.process.settle()?;
    let latencies = latencies(&mut filled.feeder, &mut sink)?;
    if let Some((p50, p99)) = p50_p99(latencies) {
        figures.set(Row::LatencyP50, p50);
        figures.set(Row::LatencyP99, p99);
    }
    filled.b.process.settle()?;
    lose(filled, &mut sink, figures)
}

/// Announces one new route after another and waits for each to come out at the far side.
fn latencies<T: Dialect>(feeder: &mut Session<T>, sink: &mut Session<T>) -> anyhow::Result<Vec<f64>> {
    let (mut out, started) = (Vec::new(), Instant::now());
    for route in ROUTES..ROUTES + SAMPLES {
        let update = feeder.updates(route..route + 1);
        let sent = Instant::now();
        feeder.send(&update)?;
        let arrived = sink.wait(LIMIT, |seen| seen.reached > route)?;
        out.push((arrived.at - sent).as_secs_f64() * 1000.0);
        if started.elapsed() > SAMPLING {
            break;
        }
    }
    Ok(out)
}

fn lose<D: Daemon>(
    mut filled: Filled<'_, D>,
    sink: &mut Session<D::Dialect>,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let process = &mut filled.b.process;
    let before = sink.totals();
    let (cpu, closed) = (process.cpu_ns()?, Instant::now());
    filled.feeder.close();
    let last = sink.wait(LIMIT, |seen| seen.held == 0)?;
    let took = (last.at - closed).as_secs_f64() * 1000.0;
    figures.set(Row::LastWithdraw, took);
    figures.set(Row::UpdatesToWithdraw, (last.updates - before.updates) as f64);
    process.settle()?;
    figures.set(Row::Drop, us_each(process.cpu_ns()? - cpu, ROUTES));
    Ok(())
}
