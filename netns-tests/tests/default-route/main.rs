//! See README.md beside this file.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Example, LONG, Load, Network, Node, Peering, peer, poll, scenario};
use serde_json::json;

const OWN: &str = "orders.acme";
const SHOP: &str = "shop.net";

fn customer_and_provider(network: &mut Network) -> Result<(Node, Node)> {
    let mut a = network.node("a", 65001, "acme")?.with_envoy();
    let mut p = network.node("p", 65010, "net")?.with_envoy();
    peer(&mut a, &mut p, Peering::Both);
    a.config["node"]["domains"] = json!(["acme"]);
    a.config["peers"]["p"]["role"] = json!("customer");
    p.config["peers"]["a"]["role"] = json!("provider");
    p.config["aggregates"] = json!({ "*": { "always": true, "members": "any", "to": ["a"] } });
    a.run_and_offer(Example::Http, OWN)?;
    p.run_and_offer(Example::Http, SHOP)?;
    a.start()?;
    p.start()?;
    a.wait_programmed("*")?;
    a.wait_programmed(OWN)?;
    Ok((a, p))
}

/// Requests that have come to P from A.
fn requests_at(p: &Node) -> Result<u64> {
    p.envoy_stat("http.peer_acme.downstream_rq_total")
}

fn wait_status(node: &Node, host: &str, status: u16) -> Result<()> {
    poll(&format!("{status} for {host}"), LONG, || {
        let answer = node.get(host, "/")?;
        ensure!(answer.status == status, "{answer:?}");
        Ok(())
    })
}

/// # Errors
/// A does not say why it keeps the name to itself.
fn check_kept(a: &Node, name: &str) -> Result<()> {
    let asked = a.ctl(&["show", "route", name, "--why"])?;
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    let why = "a name below our domain acme is never sent to a shorter wildcard";
    ensure!(asked.status.code() == Some(1) && said.contains(why), "{asked:?}");
    let asked = a.ctl(&["reach", name])?;
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    let why = "*.acme covers is never sent anywhere else";
    ensure!(asked.status.code() == Some(1) && said.contains(why), "{asked:?}");
    Ok(())
}

#[test]
fn what_is_ours_and_gone_does_not_go_to_the_provider() -> Result<()> {
    scenario(|network| {
        let (a, p) = customer_and_provider(network)?;
        // The default works, as far as P knows a way.
        ensure!(
            a.routes()?.len() == 2,
            "P hides its own behind the default: {:?}",
            a.routes()?
        );
        poll("the shop", LONG, || a.check_answered_by(SHOP, "shop.net@p"))?;
        wait_status(&a, "nobody.example", 404)?;
        let seen = requests_at(&p)?;
        ensure!(seen >= 2, "what A does not know goes to P, which saw {seen}");

        a.check_answered_by(OWN, "orders.acme@a")?;
        wait_status(&a, "never.acme", 404)?;
        check_kept(&a, "never.acme")?;
        let service = a.config["services"][OWN].clone();
        let load = Load::start(2, a.egress(), |_| Some(OWN.into()));
        load.wait_for_more(50)?;
        a.remove_service(OWN)?;
        wait_status(&a, OWN, 404)?;
        load.wait_for_more(50)?;
        let tally = load.finish()?;
        let other = tally.words.iter().find(|word| !word.contains("status: 404"));
        ensure!(other.is_none(), "its own endpoint or 404, nothing else: {other:?}");
        ensure!(tally.failed > 0 && tally.failed < tally.sent, "{tally:?}");
        check_kept(&a, OWN)?;
        ensure!(a.selected("*")?["learned_from"] == "p", "the default is still there");
        poll("all that P has seen", LONG, || {
            a.check_answered_by(SHOP, "shop.net@p")?;
            ensure!(requests_at(&p)? > seen, "not yet the last one");
            Ok(())
        })?;
        let since = requests_at(&p)? - seen;
        // `reach` tried two names of ours, the shop was asked for once or more.
        ensure!(
            since < 20,
            "P has seen {since} requests since, of {} for what is ours",
            tally.sent
        );

        a.add_service(OWN, &service)?;
        poll("ours again", LONG, || a.check_answered_by(OWN, "orders.acme@a"))
    })
}

/// The domain alone decides, a session or a data plane does not: an own name that is offered by another node of ours
/// which A cannot reach is not asked of the provider either.
#[test]
fn what_another_node_of_ours_offered_does_not_go_to_the_provider() -> Result<()> {
    scenario(|network| {
        let mut b = network.node("b", 65002, "acme")?.with_envoy();
        let mut a = network.node("a", 65001, "acme")?.with_envoy();
        let mut p = network.node("p", 65010, "net")?.with_envoy();
        peer(&mut a, &mut b, Peering::Both);
        peer(&mut a, &mut p, Peering::Both);
        a.config["node"]["domains"] = json!(["acme"]);
        p.config["aggregates"] = json!({ "*": { "always": true, "members": "any", "to": ["a"] } });
        b.run_and_offer(Example::Http, OWN)?;
        [&mut a, &mut b, &mut p].into_iter().try_for_each(Node::start)?;
        a.wait_programmed("*")?;
        poll("orders of B", LONG, || a.check_answered_by(OWN, "orders.acme@b"))?;
        b.kill_routed()?;
        a.wait_gone(OWN)?;
        wait_status(&a, OWN, 404)?;
        check_kept(&a, OWN)?;
        ensure!(requests_at(&p)? == 0, "P has seen {} requests", requests_at(&p)?);
        a.selected("*").map(drop).context("the default is still there")
    })
}
