//! See README.md beside this file.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Client, Example, LONG, Network, Node, Peering, peer, poll, scenario};
use serde_json::{Value, json};

/// What the example of an organisation says of its policies, for a node of the test.
fn like_the_example(node: &mut Node, other: &str) -> Result<()> {
    let file = format!("../examples/two-organisations/{}.json", node.organisation);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let example: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    for section in ["policies", "communities"] {
        node.config[section] = example[section].clone();
    }
    node.config["node"]["domains"] = example["node"]["domains"].clone();
    let peer = example["peers"][other]
        .as_object()
        .context("the example has the peer")?;
    for (key, value) in peer {
        if !["address", "as", "organisation", "source"].contains(&key.as_str()) {
            node.config["peers"][other][key] = value.clone();
        }
    }
    for (name, service) in example["services"].as_object().context("services")? {
        let example = if service["protocol"] == "tcp" {
            Example::Tcp
        } else {
            Example::Http
        };
        node.run_and_offer(example, name)?;
        if let Some(communities) = service.get("communities") {
            node.config["services"][name]["communities"] = communities.clone();
        }
    }
    Ok(())
}

fn partners(network: &mut Network) -> Result<(Node, Node)> {
    let mut acme = network.node("acme", 65001, "acme")?.with_envoy().hold_time("3s");
    let mut beta = network.node("beta", 65002, "beta")?.with_envoy().hold_time("3s");
    peer(&mut acme, &mut beta, Peering::Both);
    like_the_example(&mut acme, "beta")?;
    like_the_example(&mut beta, "acme")?;
    acme.start()?;
    beta.start()?;
    for name in ["orders.beta", "clock.beta"] {
        acme.wait_programmed(name)?;
    }
    beta.wait_programmed("shop.acme")?;
    Ok((acme, beta))
}

/// What `reach` says, whichever way it ends.
fn reach(node: &Node, arguments: &[&str]) -> Result<Value> {
    let output = node.ctl(&[&["--output", "json", "reach"], arguments].concat())?;
    let text = String::from_utf8(output.stdout)?;
    let told: Value = serde_json::from_str(&text).with_context(|| format!("reach {arguments:?} printed {text:?}"))?;
    let code = output.status.code();
    let expected = if told["reachable"] == true { 0 } else { 1 };
    ensure!(
        code == Some(expected),
        "reach {arguments:?} ended with {code:?}: {told}"
    );
    Ok(told)
}

/// # Errors
/// It is not reachable within the time of a test.
fn check_reachable(node: &Node, arguments: &[&str]) -> Result<()> {
    poll(&format!("reach {arguments:?} at {}", node.name), LONG, || {
        let told = reach(node, arguments)?;
        ensure!(told["reachable"] == true, "{told:#}");
        Ok(())
    })
}

/// # Errors
/// `reach` does not name this step as the first that fails, with these words.
fn check_fails_at(node: &Node, arguments: &[&str], step: &str, says: &str) -> Result<Value> {
    let mut told = Value::Null;
    poll(
        &format!("reach {arguments:?} at {} fails at {step}", node.name),
        LONG,
        || {
            told = reach(node, arguments)?;
            let steps = told["steps"].as_array().context("steps")?;
            let failed = steps
                .iter()
                .find(|step| step["state"] == "failed")
                .context("nothing fails")?;
            let text = format!("{} {}", failed["detail"], failed["fix"]);
            ensure!(told["failed"] == step && text.contains(says), "{told:#}");
            Ok(())
        },
    )?;
    Ok(told)
}

/// The step of an answer.
fn step<'a>(told: &'a Value, name: &str) -> &'a Value {
    let steps = told["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().find(|step| step["step"] == name).unwrap_or(&Value::Null)
}

/// Where acme's Envoy comes in at beta.
fn listener(beta: &Node) -> Result<SocketAddr> {
    let listener = beta.config["plugins"]["envoy"]["peer_listeners"]["acme"].as_str();
    Ok(listener.context("beta has a listener for acme")?.parse()?)
}

#[test]
fn exactly_what_is_public_is_seen_and_reached() -> Result<()> {
    scenario(|network| {
        let (acme, beta) = partners(network)?;
        let mut seen: Vec<String> = acme.routes()?.iter().map(|route| route["name"].to_string()).collect();
        seen.sort();
        assert_eq!(seen, ["\"clock.beta\"", "\"orders.beta\"", "\"shop.acme\""]);
        for name in ["orders.beta", "clock.beta"] {
            check_reachable(&acme, &[name])?;
            check_reachable(&beta, &[name])?;
            check_reachable(&beta, &[name, "--from", "acme"])?;
        }
        check_reachable(&beta, &["shop.acme"])?;
        check_reachable(&acme, &["shop.acme", "--from", "beta"])?;

        let held = check_fails_at(&beta, &["ledger.beta", "--from", "acme"], "export", "public-services")?;
        assert!(
            step(&held, "request")["detail"]
                .to_string()
                .contains("404: no route to ledger.beta"),
            "{held:#}"
        );
        check_reachable(&beta, &["ledger.beta"])?;
        let client = Client::default();
        assert_eq!(client.get(listener(&beta)?, "orders.beta", "/")?.status, 200);
        assert_eq!(client.get(listener(&beta)?, "ledger.beta", "/")?.status, 404);
        let why = beta.ctl_ok(&["show", "route", "ledger.beta", "--why"])?;
        assert!(
            why.contains("acme: public-services: rejected by default (public does not apply: community"),
            "{why}"
        );

        check_fails_at(&acme, &["ledger.beta"], "route", "no peer has announced it")?;
        check_fails_at(
            &acme,
            &["nobody.acme"],
            "route",
            "*.acme covers is never sent anywhere else",
        )?;
        let told = acme.ctl(&["reach", "*.beta"])?;
        assert_eq!(told.status.code(), Some(1));
        Ok(())
    })
}

#[test]
fn a_change_of_policy_moves_routes_without_a_reset() -> Result<()> {
    scenario(|network| {
        let (acme, beta) = partners(network)?;
        let public = beta.config.clone();
        let mut open = public.clone();
        open["policies"]["public-services"] =
            json!({ "statements": [{ "match": { "table": "internal" }, "then": "accept" }] });
        let reload = |config: &Value| -> Result<String> {
            fs::write(beta.folder().join("routed.json"), serde_json::to_string_pretty(config)?)?;
            beta.ctl_ok(&["reload"])
        };
        reload(&open)?;
        acme.wait_programmed("ledger.beta")?;
        check_reachable(&acme, &["ledger.beta"])?;
        reload(&public)?;
        acme.wait_gone("ledger.beta")?;
        check_fails_at(&beta, &["ledger.beta", "--from", "acme"], "export", "public-services")?;
        assert_eq!(acme.peer("beta")?["established_count"], 1);
        check_reachable(&acme, &["orders.beta"])
    })
}

#[test]
fn what_is_broken_is_named() -> Result<()> {
    scenario(|network| {
        let (acme, mut beta) = partners(network)?;
        let gone = json!({ "protocol": "http", "endpoints": [{ "url": format!("http://{}:9", beta.ip) }], "communities": ["public"] });
        beta.add_service("gone.beta", &gone)?;
        acme.wait_programmed("gone.beta")?;
        check_fails_at(&beta, &["gone.beta"], "request", "Envoy answers 503")?;
        check_fails_at(&acme, &["gone.beta"], "request", "Envoy answers 503")?;
        beta.kill_envoy()?;
        check_fails_at(&beta, &["orders.beta"], "programmed", "no Envoy is connected")?;
        check_fails_at(
            &beta,
            &["orders.beta", "--from", "acme"],
            "export",
            "no data plane is connected",
        )?;
        check_fails_at(&acme, &["orders.beta"], "route", "no peer has announced it")?;
        Ok(())
    })
}
