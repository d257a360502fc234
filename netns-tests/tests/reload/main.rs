//! See README.md beside this file.

mod traffic;

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Network, Node, Peering, peer, poll, scenario};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const ORDERS: &str = "orders.globex.example";
const STOCK: &str = "stock.globex.example";

fn service() -> Value {
    json!({ "protocol": "http", "endpoints": [{ "url": "http://127.0.0.1:9" }] })
}

/// A of acme and B of globex, which offers two names.
fn pair(network: &mut Network) -> Result<(Node, Node)> {
    let (mut a, mut b) = (network.node("a", 65001, "acme")?, network.node("b", 65002, "globex")?);
    peer(&mut a, &mut b, Peering::Both);
    b.offer(ORDERS, service());
    b.offer(STOCK, service());
    a.start()?;
    b.start()?;
    wait_selected(&a, &[ORDERS, STOCK])?;
    Ok((a, b))
}

fn wait_selected(node: &Node, names: &[&str]) -> Result<()> {
    poll(&format!("{names:?} at {}", node.name), LONG, || {
        names.iter().try_for_each(|name| node.selected(name).map(drop))
    })
}

/// What `reload` says of a peer.
fn of_peer<'a>(told: &'a Value, name: &str) -> Result<&'a Value> {
    let peers = told["peers"].as_array().context("peers is an array")?;
    let found = peers.iter().find(|peer| peer["name"] == name);
    found.with_context(|| format!("nothing of {name} in {told}"))
}

fn established_once(node: &Node, peer: &str) -> Result<()> {
    let shown = node.peer(peer)?;
    ensure!(
        shown["state"] == "Established" && shown["established_count"] == 1,
        "{shown}"
    );
    Ok(())
}

/// Runs catalystctl to a refusal and gives its words.
fn refused(node: &Node, arguments: &[&str]) -> Result<String> {
    let output = node.ctl(arguments)?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(
        output.status.code() == Some(1),
        "{arguments:?}: {:?} {said}",
        output.status
    );
    Ok(said)
}

#[test]
fn an_export_policy_changes_under_its_session() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = pair(network)?;
        b.config["peers"]["a"]["export"] = json!("reject");
        b.write_config()?;
        let told = b.ctl_json(&["reload", "--dry-run"])?;
        ensure!(told["outcome"] == "dry run", "{told}");
        let of_a = of_peer(&told, "a")?;
        ensure!(
            of_a["action"] == "changed" && of_a["keys"] == json!(["export"]),
            "{told}"
        );
        ensure!(of_a["export"]["lost"]["first"] == json!([ORDERS, STOCK]), "{told}");
        wait_selected(&a, &[ORDERS, STOCK])?;

        let applied = b.ctl_json(&["reload"])?;
        ensure!(
            applied["outcome"] == "applied" && applied["peers"] == told["peers"],
            "{applied}"
        );
        a.wait_gone(ORDERS)?;
        a.wait_gone(STOCK)?;
        ensure!(b.ctl_json(&["show", "config"])?["peers"]["a"]["export"] == "reject");

        b.config["peers"]["a"]["export"] = json!("accept");
        b.write_config()?;
        b.ctl_ok(&["reload"])?;
        wait_selected(&a, &[ORDERS, STOCK])?;
        established_once(&a, "b")?;
        established_once(&b, "a")?;
        let again = b.ctl_json(&["reload"])?;
        ensure!(again["outcome"] == "unchanged", "{again}");
        Ok(())
    })
}

#[test]
fn peers_come_and_go_and_move() -> Result<()> {
    scenario(|network| {
        let (mut a, b) = pair(network)?;
        let mut c = network.node("c", 65003, "initech")?;
        c.offer("mail.initech.example", service());
        peer(&mut a, &mut c, Peering::Both);
        c.start()?;
        a.write_config()?;
        let told = a.ctl_json(&["reload"])?;
        ensure!(of_peer(&told, "c")?["action"] == "added", "{told}");
        wait_selected(&a, &["mail.initech.example"])?;
        established_once(&a, "b")?;

        // B is dialled at an address where nobody is, then where it is again.
        let right = a.config["peers"]["b"]["address"].clone();
        a.config["peers"]["b"]["address"] = json!("127.255.0.9:1790");
        a.write_config()?;
        let told = a.ctl_json(&["reload"])?;
        ensure!(of_peer(&told, "b")?["action"] == "reset", "{told}");
        a.wait_gone(ORDERS)?;
        poll("the reason at b", LONG, || {
            let shown = b.peer("a")?;
            let said = shown["last_error"].as_str().unwrap_or_default();
            ensure!(
                said.contains("the configuration of this peer has changed: address")
                    || said.contains("not a configured peer"),
                "{shown}"
            );
            Ok(())
        })?;
        a.config["peers"]["b"]["address"] = right;
        a.write_config()?;
        a.ctl_ok(&["reload"])?;
        wait_selected(&a, &[ORDERS, STOCK])?;
        established_once(&a, "c")?;

        let peers = a.config["peers"].as_object_mut().context("peers is an object")?;
        peers.remove("c");
        a.write_config()?;
        let told = a.ctl_json(&["reload"])?;
        ensure!(of_peer(&told, "c")?["action"] == "removed", "{told}");
        a.wait_gone("mail.initech.example")?;
        ensure!(a.ctl_json(&["show", "peers"])?.as_array().map(Vec::len) == Some(1));
        Ok(())
    })
}

#[test]
fn services_of_the_file_come_and_go_and_those_added_at_run_time_stay() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = pair(network)?;
        let add = [
            "service",
            "add",
            STOCK,
            "--protocol",
            "http",
            "--endpoint",
            "http://127.0.0.1:77",
        ];
        b.ctl_ok(&add)?;
        let services = b.config["services"].as_object_mut().context("services is an object")?;
        services.remove(STOCK);
        services.remove(ORDERS);
        b.offer("new.globex.example", service());
        b.write_config()?;
        let told = b.ctl_json(&["reload"])?;
        let expected = json!([
            { "name": "new.globex.example", "action": "added" },
            { "name": ORDERS, "action": "removed" },
        ]);
        ensure!(told["services"] == expected, "{told}");
        ensure!(of_peer(&told, "a")?["export"]["gained"]["count"] == 1, "{told}");
        a.wait_gone(ORDERS)?;
        wait_selected(&a, &["new.globex.example", STOCK])
    })
}

#[test]
fn a_bad_file_changes_nothing() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = pair(network)?;
        b.config["peers"]["a"]["export"] = json!("reject");
        b.config["peers"]["a"]["imprt"] = json!("reject");
        b.write_config()?;
        let said = refused(&b, &["reload"])?;
        ensure!(said.contains("routed.json:") && said.contains("imprt"), "{said}");
        let log = std::fs::read_to_string(b.folder().join("routed.log"))?;
        ensure!(
            log.contains("WARN") && log.contains("the configuration is not applied"),
            "whoever reads the log hears of it, too: {log}"
        );
        b.routed()?.signal(Signal::SIGHUP)?;
        poll("the mistake in the log", LONG, || {
            let log = std::fs::read_to_string(b.folder().join("routed.log"))?;
            ensure!(
                log.contains("the configuration is not applied") && log.contains("imprt"),
                "{log}"
            );
            Ok(())
        })?;
        wait_selected(&a, &[ORDERS, STOCK])?;
        established_once(&a, "b")
    })
}

#[test]
fn sighup_reads_the_file_again() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = pair(network)?;
        b.config["peers"]["a"]["export"] = json!("reject");
        b.write_config()?;
        b.routed()?.signal(Signal::SIGHUP)?;
        a.wait_gone(ORDERS)?;
        poll("what was reloaded, in the log", LONG, || {
            let log = std::fs::read_to_string(b.folder().join("routed.log"))?;
            ensure!(
                log.contains("configuration reloaded keys=1 peers=1 services=0 prefixes=0"),
                "{log}"
            );
            Ok(())
        })?;
        established_once(&a, "b")
    })
}

#[test]
fn a_key_that_needs_a_restart_is_named() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = pair(network)?;
        b.config["peers"]["a"]["export"] = json!("reject");
        b.config["node"]["state_dir"] = json!("elsewhere");
        b.write_config()?;
        let said = refused(&b, &["reload"])?;
        ensure!(
            said.contains("node.state_dir can only change with a restart; --partial applies the rest"),
            "{said}"
        );
        wait_selected(&a, &[ORDERS, STOCK])?;
        b.ctl_ok(&["reload", "--partial"])?;
        a.wait_gone(ORDERS)?;
        ensure!(b.ctl_json(&["show", "config"])?["node"]["state_dir"] == "state");
        let said = refused(&b, &["reload", "--partial"])?;
        ensure!(
            said.contains("node.state_dir can only change with a restart\n"),
            "{said}"
        );
        Ok(())
    })
}

#[test]
fn what_is_not_confirmed_is_undone() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = pair(network)?;
        b.config["peers"]["a"]["export"] = json!("reject");
        b.write_config()?;
        // The session of this command ends long before the time is over.
        let told = b.ctl_json(&["reload", "--confirm", "2s"])?;
        ensure!(told["undone_in_s"] == 2, "{told}");
        a.wait_gone(ORDERS)?;
        wait_selected(&a, &[ORDERS, STOCK])?;
        established_once(&a, "b")?;
        ensure!(b.ctl_json(&["show", "config"])?["peers"]["a"]["export"] == "accept");
        let said = refused(&b, &["confirm"])?;
        ensure!(said.contains("no reload waits to be confirmed"), "{said}");
        let said = refused(&b, &["reload", "--undo"])?;
        ensure!(said.contains("there is no reload to undo"), "{said}");
        Ok(())
    })
}

#[test]
fn what_is_confirmed_stays() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = pair(network)?;
        b.config["peers"]["a"]["export"] = json!("reject");
        b.write_config()?;
        b.ctl_ok(&["reload", "--confirm", "600s"])?;
        a.wait_gone(ORDERS)?;
        let said = refused(&b, &["reload"])?;
        ensure!(said.contains("unless it is confirmed"), "{said}");
        let output = b.ctl(&["show", "config"])?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(said.contains("the last reload is undone in"), "{said}");
        b.ctl_ok(&["confirm"])?;
        ensure!(b.ctl(&["show", "config"])?.stderr.is_empty());
        let said = refused(&b, &["confirm"])?;
        ensure!(said.contains("no reload waits to be confirmed"), "{said}");
        ensure!(a.selected(ORDERS).is_err(), "it stays");
        Ok(())
    })
}

#[test]
fn a_reload_is_undone_once() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = pair(network)?;
        b.config["peers"]["a"]["export"] = json!("reject");
        b.write_config()?;
        b.ctl_ok(&["reload", "--confirm", "600s"])?;
        a.wait_gone(ORDERS)?;
        let told = b.ctl_json(&["reload", "--undo"])?;
        ensure!(of_peer(&told, "a")?["export"]["gained"]["count"] == 2, "{told}");
        wait_selected(&a, &[ORDERS, STOCK])?;
        refused(&b, &["confirm"])?;
        refused(&b, &["reload", "--undo"])?;
        // And done again.
        b.ctl_ok(&["reload"])?;
        a.wait_gone(ORDERS)?;
        established_once(&a, "b")
    })
}
