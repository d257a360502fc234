//! B fails in three ways and comes back; A keeps running throughout.

use std::time::Duration;

use anyhow::{Result, ensure};
use catalyst_netns_tests::{LONG, Node, poll, scenario};
use nix::sys::signal::Signal;

use super::{check_products_alone, pair, wait_federated};

/// The hold time of the nodes and a second, and what a busy machine with two cores may add.
const HOLD: Duration = Duration::from_secs(3 + 1 + 6);

/// B's service is gone from A's tables, Envoy and graph.
fn wait_without_b(a: &Node, limit: Duration) -> Result<()> {
    poll("B's routes gone from A's tables", limit, || {
        let held = a
            .routes()?
            .into_iter()
            .filter(|route| route["learned_from"] == "b")
            .count();
        ensure!(held == 0, "{held} routes of b are held");
        Ok(())
    })?;
    poll("B's service gone from A's Envoy", LONG, || {
        let answer = a.get("reviews.acme", "/")?;
        ensure!(answer.status == 404, "{answer:?}");
        Ok(())
    })?;
    poll("B's service gone from A's graph", LONG, || check_products_alone(a))
}

fn wait_with_both(a: &Node, b: &Node) -> Result<()> {
    wait_federated(a)?;
    wait_federated(b)
}

#[test]
fn a_silent_daemon_is_dropped_and_returns() -> Result<()> {
    scenario(|network| {
        let (mut a, b) = pair(network)?;
        wait_with_both(&a, &b)?;
        b.routed()?.signal(Signal::SIGSTOP)?;
        wait_without_b(&a, HOLD)?;
        b.routed()?.signal(Signal::SIGCONT)?;
        wait_with_both(&a, &b)?;
        a.check_alive()
    })
}

#[test]
fn a_killed_daemon_is_dropped_and_returns() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        wait_with_both(&a, &b)?;
        b.kill_routed()?;
        wait_without_b(&a, HOLD)?;
        b.start_routed()?;
        wait_with_both(&a, &b)?;
        a.check_alive()
    })
}

#[test]
fn a_killed_envoy_withdraws_its_node_and_returns() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        wait_with_both(&a, &b)?;
        b.kill_envoy()?;
        wait_without_b(&a, HOLD)?;
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
        let status = routed.terminate(HOLD)?;
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
