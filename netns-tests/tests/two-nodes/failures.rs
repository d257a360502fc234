//! B fails in three ways and comes back; A keeps running throughout.
//!
//! When A is done with B is the promise, so these tests look at the clock. What a busy machine adds is no part of it: the
//! hold timer is read from A itself, a look counts from when it began, and what a thread of the test that had only to wake
//! up was late by is forgiven ([`Lateness`]).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Lateness, Node, poll, scenario};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{HOLD_TIME, check_federated, check_products_alone, pair, wait_federated};

/// How long A may take once it can know that B is gone.
const AT_ONCE: Duration = Duration::from_secs(1);
/// `peering.drain`: how long traffic goes on to what was taken back in good order.
const DRAIN: Duration = Duration::from_secs(2);
/// In which `catalyst-routed` has ended after SIGTERM.
const GOODBYE: Duration = Duration::from_secs(2);

/// A place where a client of A finds what B offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Tables,
    Envoy,
    Graph,
}

impl Place {
    const ALL: [Self; 3] = [Self::Tables, Self::Envoy, Self::Graph];

    /// # Errors
    /// What B offers is there.
    fn check_without_b(self, a: &Node) -> Result<()> {
        match self {
            Self::Tables => {
                let held = a.routes()?;
                // What was taken back in good order shows for as long as traffic goes on to it.
                let of_b = |route: &&Value| route["learned_from"] == "b" && route["draining"] == false;
                let of_b = held.iter().filter(of_b).count();
                ensure!(of_b == 0, "{of_b} routes of b are held");
            }
            Self::Envoy => {
                let answer = a.get("reviews.acme", "/")?;
                ensure!(answer.body.contains("no route to reviews.acme"), "{answer:?}");
            }
            Self::Graph => check_products_alone(a)?,
        }
        Ok(())
    }
}

/// Looks until B is gone from everywhere, and checks that no look saw it in a place that began after the place's bound.
fn check_gone_by(a: &Node, bound: impl Fn(Place) -> Instant) -> Result<()> {
    let late = Lateness::watch();
    let mut last_seen = Place::ALL.map(|place| (place, None));
    poll("B gone from A", LONG, || {
        let mut gone = Ok(());
        for (place, seen) in &mut last_seen {
            let began = Instant::now();
            if let Err(there) = place.check_without_b(a) {
                *seen = Some(began);
                gone = Err(there);
            }
        }
        gone
    })?;
    let late = late.finish()?;
    for (place, seen) in last_seen {
        let Some(seen) = seen else { continue };
        let bound = bound(place);
        let (before, after) = (
            bound.saturating_duration_since(seen),
            seen.saturating_duration_since(bound),
        );
        eprintln!("{place:?} had B until {before:?} before its bound; the machine was late by {late:?} at most");
        ensure!(
            after <= late,
            "{place:?} had B still {after:?} after its bound, though the machine was never late by more than {late:?}"
        );
    }
    Ok(())
}

/// When A gives the session with B up: the hold time after the last message that it has read. Waits until that is half
/// over, when nothing can be under way any more.
fn hold_expiry(a: &Node) -> Result<Instant> {
    poll("half of the hold timer over", LONG, || {
        let shown = a.peer("b")?;
        let left = shown["session"]["hold_timer_ms"].as_u64();
        let left = Duration::from_millis(left.with_context(|| format!("no hold timer: {shown}"))?);
        ensure!(left < HOLD_TIME / 2, "{left:?} are left");
        Ok(Instant::now() + left)
    })
}

fn wait_with_both(a: &Node, b: &Node) -> Result<()> {
    wait_federated(a)?;
    wait_federated(b)
}

#[test]
fn a_silent_daemon_is_dropped_within_the_hold_time_and_a_second_and_returns() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        wait_with_both(&a, &b)?;
        b.routed.as_mut().context("catalyst-routed does not run")?.freeze()?;
        let silent_at = Instant::now();
        let expiry = hold_expiry(&a)?;
        // The last message came before, so that this is only for a hold timer that runs too long.
        ensure!(expiry < silent_at + HOLD_TIME + AT_ONCE, "{:?}", expiry - silent_at);
        check_federated(&a)?;
        check_gone_by(&a, |_| expiry + AT_ONCE)?;
        b.routed()?.signal(Signal::SIGCONT)?;
        wait_with_both(&a, &b)?;
        a.check_alive()
    })
}

#[test]
fn a_killed_daemon_is_dropped_at_once_and_returns() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        wait_with_both(&a, &b)?;
        b.kill_routed()?;
        let killed_at = Instant::now();
        check_gone_by(&a, |_| killed_at + AT_ONCE)?;
        b.start_routed()?;
        wait_with_both(&a, &b)?;
        a.check_alive()
    })
}

/// B itself waits for its Envoy to come back, and then takes its names back in good order.
#[test]
fn a_killed_envoy_withdraws_its_node_within_the_hold_time_and_returns() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        wait_with_both(&a, &b)?;
        b.kill_envoy()?;
        let withdrawn_by = Instant::now() + HOLD_TIME + AT_ONCE;
        check_gone_by(&a, |place| match place {
            Place::Tables => withdrawn_by,
            Place::Envoy | Place::Graph => withdrawn_by + DRAIN,
        })?;
        ensure!(a.peer("b")?["state"] == "Established", "the session outlives the Envoy");
        b.start_envoy()?;
        wait_with_both(&a, &b)?;
        a.check_alive()
    })
}

#[test]
fn a_stopped_daemon_says_goodbye_and_leaves_the_data_plane_serving() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = pair(network)?;
        wait_with_both(&a, &b)?;
        let established = a.peer("b")?["established_count"].clone();
        let Some(routed) = b.routed.take() else {
            anyhow::bail!("catalyst-routed does not run")
        };
        let status = routed.terminate(GOODBYE)?;
        ensure!(status.success(), "{status}");
        let answer = b.graphql(super::PRODUCTS)?;
        ensure!(
            answer["data"]["topProducts"].is_array(),
            "Envoy and gateway of B serve on: {answer}"
        );
        poll("the reason at A", LONG, || {
            let shown = a.peer("b")?;
            ensure!(shown["established_count"] == established, "no new session: {shown}");
            let said = shown["last_error"].as_str().unwrap_or_default().to_lowercase();
            ensure!(said.contains("cease"), "{shown}");
            Ok(())
        })
    })
}
