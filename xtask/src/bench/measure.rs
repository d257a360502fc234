//! The measurements, the same steps for every daemon.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::daemons::{Daemon, FEEDER_ASN, FEEDER_IP, SINK_ASN, SINK_IP};
use super::process::poll;
use super::speaker::Session;

/// Single routes announced to measure latency.
const LATENCY_SAMPLES: u32 = 1000;
const LIMIT: Duration = Duration::from_secs(60);
/// In this time a daemon has mostly dialled its peer; after it, it is busy until it has the table.
const START: Duration = Duration::from_secs(3);

/// What one run gave. Lower is better throughout.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// CPU to receive and install a route, in microseconds.
    pub(super) receive_us: f64,
    /// Memory that a route takes, in bytes.
    pub(super) memory_bytes: f64,
    /// CPU of the sender of a session pair, in microseconds per route.
    pub(super) pair_sender_us: f64,
    /// CPU of the receiver of a session pair, in microseconds per route.
    pub(super) pair_receiver_us: f64,
    /// Announcement at A to arrival at C through B, in milliseconds.
    pub(super) latency_p50_ms: f64,
    /// The same, 99th percentile.
    pub(super) latency_p99_ms: f64,
    /// CPU to drop a session's routes, in microseconds per route, withdrawals to one neighbour included.
    pub(super) drop_us: f64,
    /// Session closed at A to the last withdrawal at C, in milliseconds.
    pub(super) last_withdraw_ms: f64,
    /// Bytes on the wire for a route.
    pub(super) wire_bytes: f64,
}

impl Figures {
    /// Each figure's median on its own.
    pub(super) fn median(runs: &[Self]) -> Self {
        let of = |get: fn(&Self) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(get).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        Self {
            receive_us: of(|f| f.receive_us),
            memory_bytes: of(|f| f.memory_bytes),
            pair_sender_us: of(|f| f.pair_sender_us),
            pair_receiver_us: of(|f| f.pair_receiver_us),
            latency_p50_ms: of(|f| f.latency_p50_ms),
            latency_p99_ms: of(|f| f.latency_p99_ms),
            drop_us: of(|f| f.drop_us),
            last_withdraw_ms: of(|f| f.last_withdraw_ms),
            wire_bytes: of(|f| f.wire_bytes),
        }
    }
}

/// Feeds `routes` to B, lets C learn them from B, then measures single changes through B and the loss of the feeder.
pub(super) fn measure<D: Daemon>(daemon: &D, routes: u32) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let count = f64::from(routes);
    let b = daemon.start_b()?;
    let mut feeder = Session::establish(daemon.dialect("feeder"), FEEDER_IP, D::B, FEEDER_ASN)?;
    b.settle()?;
    figures.wire_bytes = feeder.wire_bytes(0..routes) as f64 / count;

    // The same program without a table: what C costs before its first route.
    let (idle, memory) = (b.cpu_ns()?, b.rss_bytes()?);
    feeder.announce(0..routes)?;
    b.settle()?;
    figures.receive_us = per_route(b.cpu_ns()? - idle, 0, count);
    figures.memory_bytes = (b.rss_bytes()? as f64 - memory as f64) / count;
    ensure!(
        daemon.installed_at_b()? >= u64::from(routes),
        "B did not install the table"
    );

    let cpu = b.cpu_ns()?;
    let c = daemon.start_c()?;
    // Asking C for its count while it works would be counted as its work (BIRD walks the table for it): it is asked
    // every few seconds, and what counts was read before the question.
    let (started, mut looks) = (Instant::now(), 0);
    poll("C to install the table", LIMIT, || {
        if started.elapsed() < START * (looks + 1) {
            return Ok(false);
        }
        looks += 1;
        c.settle()?;
        b.settle()?;
        figures.pair_sender_us = per_route(b.cpu_ns()? - cpu, 0, count);
        figures.pair_receiver_us = per_route(c.cpu_ns()?, idle, count);
        Ok(daemon.installed_at_c()? >= u64::from(routes))
    })?;
    drop(c);

    let sink = Session::establish(daemon.dialect("sink"), SINK_IP, D::B, SINK_ASN)?;
    sink.wait(LIMIT, |seen| seen.announced >= u64::from(routes))?;
    b.settle()?;
    let mut latencies = latencies(&mut feeder, &sink, routes)?;
    latencies.sort_by(f64::total_cmp);
    figures.latency_p50_ms = latencies[latencies.len() / 2];
    figures.latency_p99_ms = latencies[latencies.len() * 99 / 100];

    b.settle()?;
    sink.forget();
    let (cpu, closed) = (b.cpu_ns()?, Instant::now());
    feeder.close();
    let all = u64::from(routes + LATENCY_SAMPLES);
    let last = sink.wait(LIMIT, |seen| seen.withdrawn >= all)?;
    figures.last_withdraw_ms = (last - closed).as_secs_f64() * 1000.0;
    b.settle()?;
    figures.drop_us = per_route(b.cpu_ns()? - cpu, 0, count);
    Ok(figures)
}

/// Announces one new route after another and waits for each to come out at the far side.
fn latencies<D: super::speaker::Dialect>(
    feeder: &mut Session<D>,
    sink: &Session<D>,
    routes: u32,
) -> anyhow::Result<Vec<f64>> {
    sink.forget();
    let mut out = Vec::new();
    for sample in 0..LATENCY_SAMPLES {
        let route = routes + sample;
        let sent = Instant::now();
        feeder.announce(route..route + 1)?;
        let arrived = sink.wait(LIMIT, |seen| seen.announced > u64::from(route))?;
        out.push((arrived - sent).as_secs_f64() * 1000.0);
    }
    Ok(out)
}

fn per_route(spent_ns: u64, other_ns: u64, count: f64) -> f64 {
    spent_ns.saturating_sub(other_ns) as f64 / 1000.0 / count
}
