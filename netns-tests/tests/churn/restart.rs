//! The daemon dies and returns; its Envoy must not notice.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Node, scenario};
use serde_json::{Value, json};

use super::Churn;

/// What a reconnect may cost in bytes: empty answers to subscriptions, HTTP/2 frames and headers. One service alone takes
/// more than this.
const RECONNECT_BYTES: u64 = 300;

/// Bytes that Envoy has received from catalyst-routed.
fn bytes_from_daemon(node: &Node) -> Result<u64> {
    let bootstrap: Value = serde_json::from_str(&std::fs::read_to_string(node.folder().join("envoy.json"))?)?;
    let cluster = bootstrap["static_resources"]["clusters"][0]["name"]
        .as_str()
        .context("the xDS cluster")?;
    node.envoy_stat(&format!("cluster.{cluster}.upstream_cx_rx_bytes_total"))
}

fn check_restart(churn: &mut Churn) -> Result<()> {
    let (load, _) = churn.load();
    load.wait_for_more(500)?;
    let held = churn.a.envoy_admin("/config_dump")?.len();
    let before = bytes_from_daemon(&churn.a)?;
    ensure!(before > RECONNECT_BYTES, "what Envoy holds took only {before} bytes");
    churn.a.kill_routed()?;
    load.wait_for_more(500)?;
    churn.a.start_routed()?;
    churn.a.wait_established("b")?;
    for number in 0..super::STEADY {
        churn.a.wait_programmed(&format!("steady{number}.acme"))?;
    }
    load.wait_for_more(500)?;
    let resent = bytes_from_daemon(&churn.a)? - before;
    eprintln!("Envoy took {before} bytes before the restart, {resent} for it");
    ensure!(
        resent < RECONNECT_BYTES,
        "the restart sent {resent} bytes to an Envoy that holds {held}"
    );
    load.finish()?.check_all_good(1500)
}

#[test]
fn a_killed_daemon_returns_without_a_failed_request() -> Result<()> {
    scenario(|network| check_restart(&mut Churn::start(network, |_| {})?))
}

#[test]
fn the_same_while_a_configured_peer_is_down() -> Result<()> {
    scenario(|network| {
        let absent = network.node("absent", 65009, "acme")?;
        let mut churn = Churn::start(network, |a| {
            let address = format!("{}:1790", absent.ip);
            a.config["peers"]["absent"] = json!({ "address": address, "as": 65009, "source": a.ip });
        })?;
        check_restart(&mut churn)
    })
}
