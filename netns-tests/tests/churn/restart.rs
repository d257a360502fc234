//! The daemon dies and returns; its Envoy must not notice.

use anyhow::{Result, ensure};
use catalyst_netns_tests::scenario;
use serde_json::json;

use super::Churn;

/// What a reconnect may cost in bytes: empty answers to subscriptions, HTTP/2 frames and headers. One service alone takes
/// more than this.
const RECONNECT_BYTES: u64 = 300;

fn check_restart(churn: &mut Churn) -> Result<()> {
    let (load, _) = churn.load();
    load.wait_for_more(500)?;
    let held = churn.a.envoy_admin("/config_dump")?.len();
    let before = churn.a.bytes_from_daemon()?;
    ensure!(before > RECONNECT_BYTES, "what Envoy holds took only {before} bytes");
    churn.a.kill_routed()?;
    load.wait_for_more(500)?;
    churn.a.start_routed()?;
    churn.a.wait_established("b")?;
    for number in 0..super::STEADY {
        churn.a.wait_programmed(&format!("steady{number}.acme"))?;
    }
    load.wait_for_more(500)?;
    let resent = churn.a.bytes_from_daemon()? - before;
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
