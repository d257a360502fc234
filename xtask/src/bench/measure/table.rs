//! One table: B takes it in, hands it to C. The small one is then changed, the large one asked about.

use std::time::Instant;

use super::changes::changes;
use super::{Bench, FEEDER, ROUTES, ROUTES_LARGE, SINK, p50_p99, speaker, us_each};
use crate::bench::daemons::{Daemon, Neighbour, Router, Running};
use crate::bench::rows::{Figures, Row};
use crate::bench::speaker::Session;

/// Questions that are asked for one figure.
const QUESTIONS: u32 = 20;

/// B with a table, and the session that it came from.
pub(super) struct Filled<'a, D: Daemon> {
    pub(super) router: Router<'a>,
    pub(super) b: Running,
    pub(super) feeder: Session<D::Dialect>,
    idle_ns: u64,
}

/// Rows of one size.
struct Rows {
    receive: Row,
    memory: Row,
    sender: Row,
    receiver: Row,
}

/// The rows of 100,000 routes.
pub(in crate::bench) fn table<D: Daemon>(bench: &Bench<'_, D>) -> anyhow::Result<Figures> {
    let rows = Rows {
        receive: Row::Receive,
        memory: Row::Memory,
        sender: Row::PairSender,
        receiver: Row::PairReceiver,
    };
    let mut figures = Figures::default();
    let mut filled = fill(bench, ROUTES, &rows, &mut figures)?;
    pair(bench, &mut filled, ROUTES, &rows, &mut figures)?;
    changes(bench, filled, &mut figures)?;
    Ok(figures)
}

/// The rows of 1,000,000 routes.
pub(in crate::bench) fn large_table<D: Daemon>(bench: &Bench<'_, D>) -> anyhow::Result<Figures> {
    let rows = Rows {
        receive: Row::ReceiveLarge,
        memory: Row::MemoryLarge,
        sender: Row::PairSenderLarge,
        receiver: Row::PairReceiverLarge,
    };
    let mut figures = Figures::default();
    let mut filled = fill(bench, ROUTES_LARGE, &rows, &mut figures)?;
    ask(bench, &mut filled, &mut figures)?;
    pair(bench, &mut filled, ROUTES_LARGE, &rows, &mut figures)?;
    Ok(figures)
}

fn fill<'a, D: Daemon>(
    bench: &'a Bench<'_, D>,
    routes: u32,
    rows: &Rows,
    figures: &mut Figures,
) -> anyhow::Result<Filled<'a, D>> {
    let neighbours = vec![
        Neighbour::speaker("feeder", speaker(FEEDER), false),
        Neighbour::speaker("sink", speaker(SINK), true),
    ];
    let (router, mut b) = bench.start_b(neighbours)?;
    let mut feeder = bench.session(FEEDER)?;
    b.process.settle()?;
    let updates = feeder.updates(0..routes);
    // The same program without a table: what C costs before its first route.
    let (idle_ns, idle_bytes) = (b.process.cpu_ns()?, b.process.rss_bytes()?);
    feeder.send(&updates)?;
    bench.wait_received(&router, &mut b, u64::from(routes), |b| {
        figures.set(rows.receive, us_each(b.process.cpu_ns()? - idle_ns, routes));
        let grown = b.process.rss_bytes()?.saturating_sub(idle_bytes);
        figures.set(rows.memory, grown as f64 / f64::from(routes));
        Ok(())
    })?;
    Ok(Filled {
        router,
        b,
        feeder,
        idle_ns,
    })
}

fn pair<D: Daemon>(
    bench: &Bench<'_, D>,
    filled: &mut Filled<'_, D>,
    routes: u32,
    rows: &Rows,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let (b, idle_ns) = (&mut filled.b, filled.idle_ns);
    b.process.settle()?;
    let before = b.process.cpu_ns()?;
    let router = Router::c(bench.net, bench.work, D::NAME)?;
    let mut c = bench.daemon.start(&router)?;
    bench.wait_received(&router, &mut c, u64::from(routes), |c| {
        b.process.settle()?;
        figures.set(rows.sender, us_each(b.process.cpu_ns()? - before, routes));
        let own = c.process.cpu_ns()?.saturating_sub(idle_ns);
        figures.set(rows.receiver, us_each(own, routes));
        Ok(())
    })?;
    drop(c);
    b.process.settle()
}

/// `show peers`, over and over.
fn ask<D: Daemon>(bench: &Bench<'_, D>, filled: &mut Filled<'_, D>, figures: &mut Figures) -> anyhow::Result<()> {
    let process = &mut filled.b.process;
    process.settle()?;
    let before = process.cpu_ns()?;
    let mut answers = Vec::new();
    for _ in 0..QUESTIONS {
        let asked = Instant::now();
        bench.daemon.show_peers(&filled.router)?;
        answers.push(asked.elapsed().as_secs_f64() * 1000.0);
    }
    process.settle()?;
    let spent_us = us_each(process.cpu_ns()? - before, QUESTIONS);
    figures.set(Row::ShowPeersCpu, spent_us / 1000.0);
    if let Some((p50, _)) = p50_p99(answers) {
        figures.set(Row::ShowPeersLatency, p50);
    }
    Ok(())
}
