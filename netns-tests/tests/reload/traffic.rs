//! The same with Envoys: what a reload opens and closes is what requests find.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Example, LONG, Peering, peer, poll, scenario};
use serde_json::json;

const ORDERS: &str = "orders.acme.example";

#[test]
fn a_new_organisation_gets_its_listener_and_its_routes_without_a_restart() -> Result<()> {
    scenario(|network| {
        let mut a = network.node("a", 65001, "acme")?.with_envoy();
        let mut b = network.node("b", 65002, "globex")?.with_envoy();
        a.run_and_offer(Example::Http, ORDERS)?;
        a.start()?;
        a.wait_programmed(ORDERS)?;
        peer(&mut a, &mut b, Peering::Both);
        b.start()?;

        a.write_config()?;
        let told = a.ctl_json(&["reload"])?;
        let keys: Vec<_> = told["keys"]
            .as_array()
            .context("keys is an array")?
            .iter()
            .map(|it| &it["key"])
            .collect();
        ensure!(keys == ["peers[\"b\"]", "plugins.envoy.peer_listeners"], "{told}");
        b.wait_programmed(ORDERS)?;
        // What is announced answers: the listener was there before B heard of it.
        b.check_answered_by(ORDERS, &format!("{ORDERS}@a"))?;

        a.config["peers"]["b"]["export"] = json!("reject");
        a.write_config()?;
        a.ctl_ok(&["reload"])?;
        b.wait_gone(ORDERS)?;
        poll("404 at b", LONG, || {
            let status = b.get(ORDERS, "/")?.status;
            ensure!(status == 404, "{status}");
            Ok(())
        })?;
        a.config["peers"]["b"]["export"] = json!("accept");
        a.write_config()?;
        a.ctl_ok(&["reload"])?;
        b.wait_programmed(ORDERS)?;
        b.check_answered_by(ORDERS, &format!("{ORDERS}@a"))?;
        ensure!(b.peer("a")?["established_count"] == 1);

        a.ctl_ok(&["reload", "--undo"])?;
        b.wait_gone(ORDERS)
    })
}
