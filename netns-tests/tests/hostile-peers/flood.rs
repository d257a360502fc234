//! More routes than anybody wants.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Network, Node, RawPeer, scenario};
use serde_json::json;

use super::{check_honest, meet, start, wait_for, wait_for_log};

/// How many routes of each kind, where `CATALYST_FLOOD` says nothing else.
const FLOOD: u64 = 300_000;
/// The limit of the issue that asked for this.
const LIMIT: u64 = 1000;
/// By how much the daemon may grow.
const MAX_GROWTH_BYTES: u64 = 20 << 20;
/// Names told at once: fewer than fit, so that those that come and go are taken in.
const BATCH: u64 = 500;

fn flood_size() -> Result<u64> {
    match std::env::var("CATALYST_FLOOD") {
        Ok(number) => number.parse().context("CATALYST_FLOOD is a number"),
        Err(_) => Ok(FLOOD),
    }
}

/// Where each batch of so many names begins.
fn batches(size: u64) -> impl Iterator<Item = u64> {
    (0..size / BATCH).map(|nth| nth * BATCH)
}

fn names(kind: &str, from: u64) -> Vec<String> {
    (from..from + BATCH)
        .map(|n| format!("{kind}-{n:08}.flood.gamma"))
        .collect()
}

fn text(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Resident memory and CPU time used so far, as the kernel counts them.
fn usage(node: &Node) -> Result<(u64, f64)> {
    let pid = node.routed()?.pid()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("VmRSS")?
        .parse()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // `PID (NAME) STATE ...`: utime and stime are the 14th and 15th of all.
    let after_name = stat.rsplit_once(") ").context("a name in parentheses")?.1;
    let ticks: Vec<u64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok((kib << 10, ticks.iter().sum::<u64>() as f64 / 100.0))
}

/// # Errors
/// It has grown too far. Tells how far it has.
fn check_growth(b: &Node, (before, cpu_before): (u64, f64), what: &str) -> Result<()> {
    let (after, cpu) = usage(b)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{what}: {:.1} MiB before, {:.1} MiB after, {:.1} s of CPU time",
        mib(before),
        mib(after),
        cpu - cpu_before
    );
    ensure!(after <= before + MAX_GROWTH_BYTES, "{} has grown", b.name);
    Ok(())
}

#[test]
fn a_flood_beyond_the_limit_takes_no_memory_and_nobody_elses_keepalives() -> Result<()> {
    scenario(|network: &mut Network| {
        let size = flood_size()?.next_multiple_of(BATCH);
        let (mut b, mut d, gamma, _) = meet(network)?;
        b.config["peers"]["gamma"]["max_routes"] = json!({ "limit": LIMIT });
        start(&mut b, &mut d)?;
        let mut hostile = RawPeer::accept(&gamma, None)?;
        b.wait_established("gamma")?;
        let attrs = hostile.attrs();
        let before = usage(&b)?;

        let mut updates = 0;
        for from in batches(size) {
            hostile.announce(&text(&names("in", from)), &attrs)?;
            updates += 1;
        }
        let shown = wait_for(&b, "gamma", "all are read", |shown| {
            shown["session"]["messages"]["received"]["update"] == updates
        })?;
        let limit = &shown["session"]["limits"]["routes"];
        ensure!(limit["used"] == LIMIT && limit["blocked"] == size - LIMIT, "{shown:#}");
        ensure!(b.routes()?.len() as u64 == LIMIT, "what is shown is what is held");
        check_growth(&b, before, &format!("{size} routes beyond a limit of {LIMIT}"))?;
        check_honest(&b, &d)?;

        for from in batches(LIMIT) {
            hostile.withdraw(&text(&names("in", from)))?;
        }
        wait_for(&b, "gamma", "the refresh that room leads to", |shown| {
            shown["session"]["limits"]["routes"]["used"] == 0
                && shown["session"]["messages"]["sent"]["route_refresh"] == 3
        })?;
        let before = usage(&b)?;
        for from in batches(size) {
            let names = names("on-and-off", from);
            hostile.announce(&text(&names), &attrs)?;
            hostile.withdraw(&text(&names))?;
            updates += 2;
        }
        updates += LIMIT / BATCH;
        let shown = wait_for(&b, "gamma", "all are read", |shown| {
            shown["session"]["messages"]["received"]["update"] == updates
        })?;
        let limit = &shown["session"]["limits"]["routes"];
        ensure!(limit["used"] == 0 && limit["blocked"] == size - LIMIT, "{shown:#}");
        check_growth(&b, before, &format!("{size} routes announced and withdrawn"))?;
        check_honest(&b, &d)?;
        ensure!(shown["established_count"] == 1, "{shown:#}");
        Ok(())
    })
}

#[test]
fn a_limit_is_told_and_changed_without_a_reset() -> Result<()> {
    scenario(|network: &mut Network| {
        let (mut b, mut d, gamma, _) = meet(network)?;
        d.offer(
            "one.beta",
            json!({ "protocol": "http", "endpoints": [{ "url": "http://127.0.0.1:1" }] }),
        );
        d.offer(
            "two.beta",
            json!({ "protocol": "http", "endpoints": [{ "url": "http://127.0.0.1:1" }] }),
        );
        b.config["peers"]["d"]["max_routes"] = json!({ "limit": 1 });
        b.config["peers"]["gamma"]["max_update_rate"] = json!(100);
        start(&mut b, &mut d)?;
        wait_for(&b, "d", "one route of two", |shown| {
            let limit = &shown["session"]["limits"]["routes"];
            limit["used"] == 1 && limit["blocked"] == 1
        })?;
        let text_of = |peer: &str| b.ctl_ok(&["show", "peer", peer]);
        let told = text_of("d")?;
        let line = "max routes      1 of 1 (100%), warning from 0; more are not kept, 1 so far";
        ensure!(told.contains(line), "{told}");
        ensure!(
            told.contains("messages in     1 UPDATE") && told.contains("timers          "),
            "{told}"
        );
        wait_for_log(
            &b,
            "it has sent more routes than its limit of 1: those beyond are not kept",
        )?;

        b.config["peers"]["d"]["max_routes"]["limit"] = json!(5);
        b.write_config()?;
        b.ctl_ok(&["reload"])?;
        wait_for(&b, "d", "both routes", |shown| {
            shown["session"]["limits"]["routes"]["used"] == 2
        })?;
        check_honest(&b, &d)?;

        // Faster than it may be: read until it has to wait, which costs it nothing but time.
        let mut fast = RawPeer::accept(&gamma, None)?;
        b.wait_established("gamma")?;
        fast.announce(&text(&names("fast", 0)), &fast.attrs())?;
        wait_for(&b, "gamma", "the first update, and a pause", |shown| {
            shown["received"] == BATCH && shown["session"]["limits"]["pauses"] == 1
        })?;
        // Not before: what was read together with the first is handed in with it.
        fast.announce(&text(&names("fast", BATCH)), &fast.attrs())?;
        b.config["peers"]["gamma"]["max_update_rate"] = json!(1_000_000);
        b.write_config()?;
        b.ctl_ok(&["reload"])?;
        wait_for(&b, "gamma", "the rest", |shown| shown["received"] == 2 * BATCH)?;
        ensure!(b.peer("gamma")?["established_count"] == 1, "no reset");
        Ok(())
    })
}
