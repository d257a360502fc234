//! See README.md beside this file.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Example, LONG, Load, Network, Node, Peering, Probe, Probes, peer, poll, scenario};
use nix::sys::signal::Signal;

const NAME: &str = "shared.test";
const HOLD_TIME: Duration = Duration::from_secs(6);
/// The hold time is what A may take, counted from the last message of B, which B sent before its death: no KEEPALIVE has
/// to be added to that (the last one makes it shorter, by up to a third). One KEEPALIVE interval comes on top, as it is
/// the finest that the protocol tells late from dead: it bears a KEEPALIVE, and so any thread on the way, that is late by
/// that much. It covers a message read late, a timer that fires late, and the time that Envoy takes to be told.
const KEEPALIVE: Duration = HOLD_TIME.checked_div(3).expect("not by 0");

struct Origins {
    a: Node,
    b: Node,
    _t: Node,
    _c: Node,
}

impl Origins {
    fn start(network: &mut Network) -> Result<Self> {
        let mut make = |name, asn| -> Result<Node> {
            Ok(network
                .node(name, asn, "acme")?
                .with_envoy()
                .hold_time(&format!("{}s", HOLD_TIME.as_secs())))
        };
        let (mut a, mut b, mut t, mut c) = (
            make("a", 65001)?,
            make("b", 65002)?,
            make("t", 65003)?,
            make("c", 65004)?,
        );
        peer(&mut a, &mut b, Peering::Both);
        peer(&mut a, &mut t, Peering::Both);
        peer(&mut t, &mut c, Peering::Both);
        b.run_and_offer(Example::Http, NAME)?;
        c.run_and_offer(Example::Http, NAME)?;
        [&mut a, &mut b, &mut t, &mut c].into_iter().try_for_each(Node::start)?;
        let origins = Self { a, b, _t: t, _c: c };
        origins.wait_answered_by("b")?;
        poll("the path over T at A", LONG, || origins.path_from("t").map(drop))?;
        Ok(origins)
    }

    fn path_from(&self, peer: &str) -> Result<serde_json::Value> {
        let mut routes = self.a.routes()?.into_iter();
        routes
            .find(|route| route["name"] == NAME && route["learned_from"] == peer)
            .context("no such path")
    }

    fn wait_answered_by(&self, node: &str) -> Result<()> {
        let by = format!("{NAME}@{node}");
        poll(&format!("answers of {by}"), LONG, || {
            self.a.check_answered_by(NAME, &by)
        })
    }

    fn load(&self) -> Load {
        Load::start(4, self.a.egress(), |_| Some(NAME.into()))
    }
}

#[test]
fn the_best_one_withdrawn_costs_no_request() -> Result<()> {
    scenario(|network| {
        let origins = Origins::start(network)?;
        let reason = origins.path_from("t")?["reason"].clone();
        ensure!(
            reason.as_str().is_some_and(|reason| reason.contains("AS path")),
            "{reason}"
        );
        let service = origins.b.config["services"][NAME].clone();
        let load = origins.load();
        load.wait_for_more(200)?;
        origins.b.remove_service(NAME)?;
        origins.wait_answered_by("c")?;
        load.wait_for_more(200)?;
        origins.b.add_service(NAME, &service)?;
        origins.wait_answered_by("b")?;
        load.wait_for_more(200)?;
        load.finish()?.check_all_good(600)
    })
}

/// Ends the node that answers, and checks when requests ceased to fail.
fn check_failover(network: &mut Network, end: impl FnOnce(&mut Node) -> Result<()>) -> Result<Vec<Probe>> {
    let mut origins = Origins::start(network)?;
    let probes = Probes::start(origins.a.egress(), NAME);
    probes.wait_for_more(10)?;
    let dead_at = Instant::now();
    end(&mut origins.b)?;
    poll("the time after the hold time", LONG, || {
        ensure!(dead_at.elapsed() > HOLD_TIME + KEEPALIVE, "not yet");
        Ok(())
    })?;
    origins.wait_answered_by("c")?;
    probes.wait_for_more(20)?;
    let mut after = probes.finish()?;
    after.retain(|probe| probe.began >= dead_at);
    check_failures_end(dead_at, &after)?;
    Ok(after)
}

fn check_failures_end(dead_at: Instant, probes: &[Probe]) -> Result<()> {
    for probe in probes {
        let (began, ended) = (probe.began - dead_at, probe.ended - dead_at);
        let late = began > HOLD_TIME + KEEPALIVE;
        ensure!(
            !late || probe.answered(),
            "a request that began {began:?} after the death of b ended at {ended:?} with {:?}",
            probe.outcome
        );
    }
    Ok(())
}

/// The socket stays open, and the kernel goes on to accept and to acknowledge: all that A has is that nothing comes.
#[test]
fn the_best_one_silent_is_replaced_within_its_hold_time() -> Result<()> {
    scenario(|network| {
        let probes = check_failover(network, |b| {
            b.routed()?.signal(Signal::SIGSTOP)?;
            b.envoy.as_ref().context("Envoy does not run")?.signal(Signal::SIGSTOP)
        })?;
        let failed: Vec<_> = probes.iter().filter(|probe| !probe.answered()).collect();
        ensure!(!failed.is_empty(), "b was missed by nobody");
        // A's Envoy has PINGs of its own: what waits for an answer of b is told, and does not wait for ever.
        let untold = failed.iter().find(|probe| probe.outcome.is_err());
        ensure!(untold.is_none(), "{untold:?}");
        Ok(())
    })
}

#[test]
fn the_best_one_killed_is_replaced_within_its_hold_time() -> Result<()> {
    scenario(|network| {
        check_failover(network, |b| {
            b.kill_envoy()?;
            b.kill_routed()
        })
        .map(drop)
    })
}
