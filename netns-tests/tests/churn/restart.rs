//! The daemon dies and returns; its Envoy must not notice.

use anyhow::{Result, ensure};
use catalyst_netns_tests::scenario;
use serde_json::json;

use super::Churn;

fn check_restart(churn: &mut Churn) -> Result<()> {
    let (load, _) = churn.load();
    load.wait_for_more(500)?;
    let before = churn.a.resources_sent()?;
    ensure!(
        before > super::STEADY as u64,
        "what Envoy holds are only {before} resources"
    );
    churn.a.kill_routed()?;
    load.wait_for_more(500)?;
    churn.a.start_routed()?;
    churn.a.wait_established("b")?;
    for number in 0..super::STEADY {
        churn.a.wait_programmed(&format!("steady{number}.acme"))?;
    }
    load.wait_for_more(500)?;
    let sent = churn.a.resources_sent()?;
    ensure!(
        sent == before,
        "{sent} resources were sent, {before} before the restart"
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
