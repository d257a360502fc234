//! See README.md beside this file.

mod crowd;

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Example, LONG, Network, Node, Peering, peer, poll, scenario, stays};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

use crowd::Crowd;

/// Where the crowd calls from; no network of a test lies in it.
const CROWD: &str = "127.192.0.0/16";
/// Waiting callers, and inputs on their way to them; see docs/operate.md.
const MOST_DESCRIPTORS: usize = 2200;
const MIB: u64 = 1024 * 1024;

/// A with B configured and the prefix of C; B and C do not run yet.
fn trio(network: &mut Network) -> Result<[Node; 3]> {
    let mut a = network.node("a", 65001, "acme")?.hold_time("3s");
    let mut b = network.node("b", 65001, "acme")?;
    let mut c = network.node("c", 65001, "acme")?;
    peer(&mut a, &mut b, Peering::Both);
    peer(&mut c, &mut a, Peering::FirstDials);
    a.config["peers"].as_object_mut().context("peers")?.remove("c");
    a.config["dynamic_peers"]["edge"] = json!({ "prefix": format!("{}/32", c.ip), "as": 65001 });
    for (node, name) in [(&mut b, "b.acme"), (&mut c, "c.acme")] {
        node.offer(name, Example::Http.service(([127, 0, 0, 1], 1).into()));
    }
    Ok([a, b, c])
}

fn edge(c: &Node) -> String {
    format!("edge-{}", c.ip)
}

fn names(a: &Node) -> Result<Vec<String>> {
    let peers = a.ctl_json(&["show", "peers"])?;
    let peers = peers.as_array().context("an array")?;
    Ok(peers
        .iter()
        .filter_map(|peer| peer["name"].as_str())
        .map(str::to_owned)
        .collect())
}

fn up_once(node: &Node, peer: &str) -> Result<Value> {
    let shown = node.peer(peer)?;
    ensure!(
        shown["state"] == "Established" && shown["established_count"] == 1,
        "{shown}"
    );
    Ok(shown)
}

#[test]
fn who_calls_from_the_prefix_is_a_peer_as_long_as_its_session_lasts() -> Result<()> {
    scenario(|network| {
        let [mut a, mut b, mut c] = trio(network)?;
        [&mut a, &mut b, &mut c].into_iter().try_for_each(Node::start)?;
        let log = fs::read_to_string(a.folder().join("routed.log"))?;
        ensure!(log.contains("ready: peers and catalystctl are served"), "{log}");
        let edge = edge(&c);
        a.wait_established("b")?;
        c.wait_established("a")?;
        let shown = up_once(&a, &edge)?;
        ensure!(
            shown["dynamic"] == "edge" && shown["address"] == c.ip.to_string(),
            "{shown}"
        );
        ensure!(shown["node"] == "c", "{shown}");
        poll("the route of c", LONG, || {
            let route = a.selected("c.acme")?;
            ensure!(route["learned_from"] == *edge, "{route}");
            Ok(())
        })?;

        // What changes of the group changes under its sessions, and touches no other.
        a.config["dynamic_peers"]["edge"]["import"] = json!("reject");
        a.write_config()?;
        let told = a.ctl_json(&["reload"])?;
        let touched = told["peers"].as_array().context("peers")?;
        ensure!(touched.len() == 1 && touched[0]["name"] == *edge, "{told}");
        poll("the route of c rejected", LONG, || {
            ensure!(a.selected("c.acme").is_err());
            Ok(())
        })?;
        up_once(&a, &edge)?;
        // A group that goes takes its own sessions with it.
        a.config["dynamic_peers"] = json!({});
        a.write_config()?;
        a.ctl_ok(&["reload"])?;
        ensure!(names(&a)? == ["b"], "{:?}", names(&a)?);
        poll("why c has no session", LONG, || {
            let shown = c.peer("a")?;
            let said = shown["last_error"].as_str().unwrap_or_default();
            ensure!(
                said.contains("no longer configured") || said.contains("not a configured peer"),
                "{shown}"
            );
            Ok(())
        })?;
        // It comes back with its group, and goes with its session.
        a.config["dynamic_peers"]["edge"] = json!({ "prefix": format!("{}/32", c.ip), "as": "65000-65009" });
        a.write_config()?;
        a.ctl_ok(&["reload"])?;
        a.wait_established(&edge)?;
        a.selected("b.acme")?;
        c.kill_routed()?;
        poll("c gone", LONG, || {
            ensure!(names(&a)? == ["b"], "{:?}", names(&a)?);
            Ok(())
        })?;
        a.wait_gone("c.acme")?;
        up_once(&a, "b").map(drop)
    })
}

/// What the kernel says of a process.
fn rss(node: &Node) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", node.routed()?.pid()?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).context("VmRSS")?;
    Ok(kib.parse::<u64>()? * 1024)
}

fn descriptors(node: &Node) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", node.routed()?.pid()?))?.count())
}

fn open_to_crowd(a: &mut Node) {
    a.config["dynamic_peers"]["crowd"] = json!({ "prefix": CROWD, "as": 65001 });
}

#[test]
fn a_crowd_that_says_nothing_keeps_nobody_out() -> Result<()> {
    let size = std::env::var("CATALYST_FLOOD").map_or(Ok(1000), |size| size.parse())?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    scenario(|network| {
        let [mut a, mut b, mut c] = trio(network)?;
        open_to_crowd(&mut a);
        a.start()?;
        let (memory, files) = (rss(&a)?, descriptors(&a)?);
        let crowd = Crowd::gather(a.peering(), size)?;
        poll("the whole crowd", LONG, || crowd.all_came())?;
        [&mut b, &mut c].into_iter().try_for_each(Node::start)?;
        a.wait_established("b")?;
        a.wait_established(&edge(&c))?;
        let (mut most_memory, mut most_files) = (0, 0);
        // Three hold times: a session that is not heard of would be gone.
        stays(Duration::from_secs(10), || {
            most_memory = most_memory.max(rss(&a)?.saturating_sub(memory));
            most_files = most_files.max(descriptors(&a)?);
            ensure!(most_memory <= 64 * MIB, "{} MiB more", most_memory / MIB);
            ensure!(most_files <= MOST_DESCRIPTORS, "{most_files} descriptors");
            up_once(&a, "b")?;
            up_once(&a, &edge(&c)).map(drop)
        })?;
        println!(
            "a crowd of {size}, {} calls: at most {} MiB more than before, {most_files} descriptors (before: {files})",
            crowd.calls(),
            most_memory.div_ceil(MIB)
        );
        ensure!(names(&a)? == ["b".to_owned(), edge(&c)], "{:?}", names(&a)?);
        drop(crowd);
        poll("the end of the last call", LONG, || {
            let now = descriptors(&a)?;
            ensure!(now <= files + 8, "{now} descriptors, {files} before");
            Ok(())
        })
    })
}

#[test]
fn with_few_descriptors_the_daemon_keeps_some_for_itself() -> Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, 256, 256)?;
    scenario(|network| {
        let [mut a, mut b, mut c] = trio(network)?;
        open_to_crowd(&mut a);
        [&mut a, &mut b].into_iter().try_for_each(Node::start)?;
        a.wait_established("b")?;
        let crowd = Crowd::gather(a.peering(), 210)?;
        poll("the whole crowd", LONG, || crowd.all_came())?;
        stays(Duration::from_secs(4), || {
            ensure!(descriptors(&a)? < 256);
            up_once(&a, "b").map(drop)
        })?;
        drop(crowd);
        c.start()?;
        a.wait_established(&edge(&c))?;
        up_once(&a, "b")?;
        let log = fs::read_to_string(a.folder().join("routed.log"))?;
        ensure!(!log.contains("accepting a connection failed"), "it did not keep enough");
        Ok(())
    })
}
