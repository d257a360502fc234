//! See README.md beside this file.

use anyhow::{Result, ensure};
use catalyst_netns_tests::{Example, LONG, Network, Node, Peering, echo, peer, poll, scenario};
use serde_json::{Value, json};

fn partners(network: &mut Network) -> Result<(Node, Node)> {
    let mut a = network.node("a", 65001, "acme")?.with_envoy();
    let mut beta = network.node("beta", 65002, "beta")?.with_envoy();
    peer(&mut a, &mut beta, Peering::Both);
    a.config["communities"] = json!({ "public": "65001:100" });
    a.config["aggregates"] = json!({ "*.acme": { "communities": ["public"] } });
    a.config["policies"] =
        json!({ "public": { "statements": [{ "match": { "community": "public" }, "then": "accept" }] } });
    a.config["peers"]["beta"]["export"] = json!("public");
    for (example, name, public) in [
        (Example::Http, "shop.acme", true),
        (Example::Http, "api.dc1.acme", true),
        (Example::Http, "ledger.acme", false),
        (Example::Tcp, "clock.acme", true),
    ] {
        a.run_and_offer(example, name)?;
        if public {
            a.config["services"][name]["communities"] = json!(["public"]);
        }
    }
    beta.config["aggregates"] = json!({ "*": { "always": true, "members": "any" } });
    a.start()?;
    beta.start()?;
    Ok((a, beta))
}

/// What `node` has from its peer.
fn told(node: &Node, by: &str) -> Result<Vec<String>> {
    let routes = node.routes()?;
    let from = routes
        .iter()
        .filter(|route| route["learned_from"] == by && route["draining"] == false);
    let mut names: Vec<String> = from
        .filter_map(|route| Some(route["name"].as_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn wait_told(node: &Node, by: &str, names: &[&str]) -> Result<()> {
    poll(&format!("{names:?} at {}", node.name), LONG, || {
        let told = told(node, by)?;
        ensure!(told == names, "{told:?}");
        Ok(())
    })
}

fn wait_status(node: &Node, host: &str, status: u16) -> Result<()> {
    poll(&format!("{status} for {host} at {}", node.name), LONG, || {
        let answer = node.get(host, "/")?;
        ensure!(answer.status == status, "{answer:?}");
        Ok(())
    })
}

#[test]
fn a_wildcard_goes_out_and_opens_what_policy_accepts() -> Result<()> {
    scenario(|network| {
        let (a, beta) = partners(network)?;
        wait_told(&beta, "a", &["*.acme", "clock.acme"])?;
        beta.wait_programmed("*.acme")?;
        beta.wait_programmed("clock.acme")?;
        for name in ["shop.acme", "api.dc1.acme"] {
            let by = format!("{name}@a");
            poll(&format!("{name} at beta"), LONG, || beta.check_answered_by(name, &by))?;
        }
        let said = echo(beta.tcp_address("clock.acme")?, "now")?;
        ensure!(said == "clock.acme@a: now", "{said}");
        let before = a.envoy_stat("http.peer_beta.downstream_rq_total")?;
        for name in ["ledger.acme", "nobody.acme"] {
            wait_status(&beta, name, 404)?;
        }
        let asked = a.envoy_stat("http.peer_beta.downstream_rq_total")? - before;
        ensure!(asked >= 2, "it is A that says 404: {asked} requests came");

        // Beta's default takes what A does not know, and nothing below the aggregate.
        wait_told(&a, "beta", &["*"])?;
        a.wait_programmed("*")?;
        a.check_answered_by("ledger.acme", "ledger.acme@a")?;
        wait_status(&a, "elsewhere.example", 404)?;
        let sent = beta.envoy_stat("http.peer_acme.downstream_rq_total")?;
        ensure!(sent >= 1, "the default works");
        wait_status(&a, "nobody.acme", 404)?;
        wait_status(&a, "elsewhere.example", 404)?;
        let since = beta.envoy_stat("http.peer_acme.downstream_rq_total")? - sent;
        ensure!(
            since == 1,
            "{since} requests came to beta, one was for elsewhere.example"
        );
        let reach = a.ctl(&["reach", "nobody.acme"])?;
        let said = String::from_utf8_lossy(&reach.stdout).into_owned();
        ensure!(said.contains("*.acme covers is never sent anywhere else"), "{said}");
        Ok(())
    })
}

#[test]
fn an_aggregate_stands_as_long_as_a_member_does() -> Result<()> {
    scenario(|network| {
        let (mut a, beta) = partners(network)?;
        wait_told(&beta, "a", &["*.acme", "clock.acme"])?;
        for name in ["shop.acme", "api.dc1.acme", "ledger.acme"] {
            a.remove_service(name)?;
        }
        wait_told(&beta, "a", &["clock.acme"])?;
        let shop: Value = a.config["services"]["shop.acme"].clone();
        a.add_service("shop.acme", &shop)?;
        wait_told(&beta, "a", &["*.acme", "clock.acme"])?;
        poll("the shop at beta", LONG, || {
            beta.check_answered_by("shop.acme", "shop.acme@a")
        })?;

        a.config["aggregates"] = json!({});
        a.write_config()?;
        let foreseen = a.ctl_json(&["reload", "--dry-run"])?;
        ensure!(
            foreseen.to_string().contains("*.acme"),
            "what goes is foreseen: {foreseen}"
        );
        a.ctl_ok(&["reload"])?;
        wait_told(&beta, "a", &["api.dc1.acme", "clock.acme", "shop.acme"])?;
        ensure!(beta.peer("a")?["established_count"] == 1, "no session is reset");
        poll("the shop at beta", LONG, || {
            beta.check_answered_by("shop.acme", "shop.acme@a")
        })
    })
}
