//! Two organisations claim one prefix.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, poll, scenario};
use serde_json::{Value, json};

use crate::lab::{Lab, tunnel, wait_state};

const PREFIX: &str = "10.2.0.0/16";

#[test]
fn wg_edges_the_best_of_two_claims_counts() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::new(network)?;
        let mut gamma = lab.rival(network)?;
        lab.start()?;
        gamma.start()?;
        wait_state(&lab.a, "gamma", "up")?;
        wait_state(&gamma, "acme", "up")?;
        poll("the loser", LONG, || {
            let loser = tunnel(&lab.a, "gamma")?;
            ensure!(
                names(&loser["shadowed"], PREFIX) && !names(&loser["prefixes"], PREFIX),
                "{loser}"
            );
            let winner = tunnel(&lab.a, "beta")?;
            ensure!(
                names(&winner["prefixes"], PREFIX) && !names(&winner["shadowed"], PREFIX),
                "{winner}"
            );
            Ok(())
        })?;
        lab.call()?;
        ensure!(device(&lab)? == "wg-beta", "{}", device(&lab)?);

        lab.b.config["prefixes"] = json!({});
        Lab::reload(&lab.b)?;
        poll("the other one", LONG, || {
            ensure!(device(&lab)? == "wg-gamma", "{}", device(&lab)?);
            let allowed = lab.edge_a()?.run("wg show wg-gamma allowed-ips")?;
            ensure!(allowed.contains(PREFIX), "{allowed}");
            Ok(())
        })?;
        let allowed = lab.edge_a()?.run("wg show wg-beta allowed-ips")?;
        ensure!(!allowed.contains(PREFIX), "{allowed}");
        lab.check_sealed()
    })
}

fn names(list: &Value, prefix: &str) -> bool {
    list.as_array()
        .is_some_and(|list| list.iter().any(|item| item == prefix))
}

/// Where packets to the prefix leave edge A.
fn device(lab: &Lab) -> Result<String> {
    let routes = lab.edge_a()?.run("ip route show table 1790 10.2.0.0/16")?;
    let line = routes.lines().find(|line| line.contains(" dev wg-"));
    let line = line.with_context(|| format!("no route: {routes}"))?;
    let device = line.split_whitespace().skip_while(|word| *word != "dev").nth(1);
    Ok(device.context("dev")?.to_owned())
}
