//! Many sessions: ten that offer the same routes, and many that are to get them.

use std::thread;

use super::{Bench, FEEDER, LIMIT, ROUTES, SINK, speaker, us_each};
use crate::bench::daemons::{Daemon, Neighbour};
use crate::bench::rows::{Figures, Row};
use crate::bench::speaker::{Dialect, Session};

/// Sessions that offer the same routes.
const FEEDERS: u8 = 10;

/// Ten paths to each of 100,000 routes.
pub(in crate::bench) fn fan_in<D: Daemon>(bench: &Bench<'_, D>) -> anyhow::Result<Figures> {
    let hosts: Vec<u8> = (FEEDER..FEEDER + FEEDERS).collect();
    let neighbours = hosts
        .iter()
        .map(|host| Neighbour::speaker(&format!("feeder{host}"), speaker(*host), false));
    let (router, mut b) = bench.start_b(neighbours.collect())?;
    let mut feeders = hosts
        .iter()
        .map(|host| bench.session(*host))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let tables: Vec<Vec<u8>> = feeders.iter().map(|feeder| feeder.updates(0..ROUTES)).collect();
    b.process.settle()?;
    let (cpu, memory) = (b.process.cpu_ns()?, b.process.rss_bytes()?);
    send_all(&mut feeders, &tables)?;
    let paths = ROUTES * u32::from(FEEDERS);
    let mut figures = Figures::default();
    bench.wait_received(&router, &mut b, u64::from(paths), |b| {
        figures.set(Row::FanInCpu, us_each(b.process.cpu_ns()? - cpu, paths));
        let grown = b.process.rss_bytes()?.saturating_sub(memory);
        figures.set(Row::FanInMemory, grown as f64 / f64::from(paths));
        Ok(())
    })?;
    Ok(figures)
}

/// All at once.
fn send_all<T: Dialect>(feeders: &mut [Session<T>], tables: &[Vec<u8>]) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let sending: Vec<_> = feeders
            .iter_mut()
            .zip(tables)
            .map(|(feeder, table)| scope.spawn(move || feeder.send(table)))
            .collect();
        sending.into_iter().try_for_each(|thread| {
            let sent = thread.join();
            sent.unwrap_or_else(|_| Err(anyhow::anyhow!("a feeder panicked")))
        })
    })
}

/// 100,000 routes that come in from one session and go out to `peers` that are up. Receiving is part of the figure.
pub(in crate::bench) fn fan_out<D: Daemon>(bench: &Bench<'_, D>, peers: u8, row: Row) -> anyhow::Result<Figures> {
    let hosts: Vec<u8> = (SINK..SINK + peers).collect();
    let mut neighbours = vec![Neighbour::speaker("feeder", speaker(FEEDER), false)];
    neighbours.extend(
        hosts
            .iter()
            .map(|host| Neighbour::speaker(&format!("sink{host}"), speaker(*host), true)),
    );
    let (_router, mut b) = bench.start_b(neighbours)?;
    let mut feeder = bench.session(FEEDER)?;
    let mut sinks = hosts
        .iter()
        .map(|host| bench.session(*host))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let updates = feeder.updates(0..ROUTES);
    b.process.settle()?;
    let cpu = b.process.cpu_ns()?;
    feeder.send(&updates)?;
    for sink in &mut sinks {
        sink.wait(LIMIT, |seen| seen.held >= u64::from(ROUTES))?;
    }
    b.process.settle()?;
    let mut figures = Figures::default();
    figures.set(row, us_each(b.process.cpu_ns()? - cpu, ROUTES * u32::from(peers)));
    Ok(figures)
}
