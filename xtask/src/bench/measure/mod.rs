//! The measurements, the same steps for every daemon.

mod changes;
mod fan;
mod table;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

pub(super) use fan::{fan_in, fan_out};
pub(super) use table::{large_table, table};

use super::daemons::{Daemon, Neighbour, Router, Running};
use super::net::{Net, address};
use super::speaker::{Session, Who};

/// Routes of a table.
const ROUTES: u32 = 100_000;
/// Routes of a large one.
const ROUTES_LARGE: u32 = 1_000_000;
/// Bound on every wait.
const LIMIT: Duration = Duration::from_secs(300);
/// Between two questions for what a daemon has; the question itself may cost it something.
const ASK: Duration = Duration::from_secs(2);

/// The speaker that feeds tables.
const FEEDER: u8 = 101;
/// The speaker that listens.
const SINK: u8 = 200;
const FIRST_SPEAKER_ASN: u32 = 65_000;

/// One of our own speakers; host 102 and on differ in their paths.
fn speaker(host: u8) -> Who {
    Who {
        ip: address(host),
        asn: FIRST_SPEAKER_ASN + u32::from(host),
        variant: u32::from(host - FEEDER),
    }
}

/// What one measurement needs.
pub(super) struct Bench<'a, D> {
    pub(super) daemon: &'a D,
    pub(super) net: &'a Net,
    pub(super) work: &'a Path,
}

impl<D: Daemon> Bench<'_, D> {
    fn start_b(&self, neighbours: Vec<Neighbour>) -> anyhow::Result<(Router<'_>, Running)> {
        let router = Router::b(self.net, self.work, D::NAME, neighbours)?;
        let running = self.daemon.start(&router)?;
        Ok((router, running))
    }

    fn session(&self, host: u8) -> anyhow::Result<Session<D::Dialect>> {
        let who = speaker(host);
        Session::establish(self.daemon.dialect(who), self.net, who, D::b())
    }

    /// Waits until a daemon has all routes and nothing left to do. `look` is called before each question, whose answer
    /// may cost the daemon something: what it saw last counts.
    fn wait_received(
        &self,
        router: &Router<'_>,
        running: &mut Running,
        routes: u64,
        mut look: impl FnMut(&mut Running) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            running.process.settle()?;
            look(running)?;
            let received = self.daemon.received(router)?;
            if received >= routes {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                bail!("{} has {received} of {routes} routes after {LIMIT:?}", D::NAME);
            }
            wait(ASK);
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a question asked more often would be measured, not the daemon"
)]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Microseconds for each of `count`.
fn us_each(ns: u64, count: u32) -> f64 {
    ns as f64 / 1000.0 / f64::from(count)
}

/// The middle of some values, and the one that 99 of 100 do not exceed.
fn p50_p99(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| values.get(values.len() * percent / 100).copied();
    Some((at(50)?, at(99)?))
}
