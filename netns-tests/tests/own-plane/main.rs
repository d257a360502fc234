//! See README.md beside this file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Network, Node, Peering, Process, peer, poll, scenario, stays};
use serde_json::{Value, json};

const PLANE: &str = "file";
const FILE: &str = "routes";

fn service(node: &Node) -> Value {
    json!({ "protocol": "http", "endpoints": [{ "url": format!("http://{}:4100", node.ip) }] })
}

/// Two nodes, the first with a data plane of its own that gates; no instance runs.
fn start(network: &mut Network) -> Result<(Node, Node)> {
    let mut a = network.node("a", 65001, "acme")?;
    let mut b = network.node("b", 65001, "acme")?;
    a.config["plugins"]["external"] = json!({ PLANE: { "listen": "unix:plane.sock", "gates": true } });
    a.offer("web.acme", service(&a));
    peer(&mut a, &mut b, Peering::Both);
    a.start()?;
    b.start()?;
    a.wait_established("b")?;
    Ok((a, b))
}

fn wait_file(node: &Node, wanted: &str) -> Result<()> {
    poll(&format!("the file of {}", node.name), LONG, || {
        let text = fs::read_to_string(node.folder().join(FILE))?;
        ensure!(text == wanted, "it holds {text:?}, expected {wanted:?}");
        Ok(())
    })
}

fn plane(node: &Node) -> Result<Value> {
    let planes = node.ctl_json(&["show", "plugins"])?;
    let plane = planes.as_array().and_then(|planes| planes.first());
    plane.cloned().context("no plugin is shown")
}

fn wait_connected(node: &Node, connected: bool) -> Result<()> {
    poll(&format!("connected: {connected}"), LONG, || {
        let plane = plane(node)?;
        ensure!(plane["connected"] == connected, "{plane}");
        Ok(())
    })
}

fn status(node: &Node, name: &str) -> Result<Value> {
    Ok(node.selected(name)?["data_planes"][PLANE].clone())
}

fn run_plane(node: &Node, log: &str) -> Result<Process> {
    node.run_program("routes-file", log, &["unix:plane.sock", PLANE, FILE])
}

#[test]
fn a_file_follows_the_table_and_gates_what_is_announced() -> Result<()> {
    scenario(|network| {
        let (a, b) = start(network)?;
        let mode = fs::metadata(a.folder().join("plane.sock"))?.mode();
        ensure!(mode & 0o7777 == 0o600, "the socket has mode {mode:o}");
        ensure!(status(&a, "web.acme")? == "pending: not connected");
        stays(Duration::from_millis(1500), || {
            ensure!(b.selected("web.acme").is_err(), "announced without a data plane");
            Ok(())
        })?;

        let instance = run_plane(&a, "one")?;
        a.wait_programmed("web.acme")?;
        poll("web.acme at b", LONG, || b.selected("web.acme"))?;
        b.add_service("api.acme", &service(&b))?;
        a.wait_programmed("api.acme")?;
        let both = format!("api.acme {}\nweb.acme {}:4100\n", b.ip, a.ip);
        wait_file(&a, &both)?;
        b.remove_service("api.acme")?;
        wait_file(&a, &format!("web.acme {}:4100\n", a.ip))?;

        instance.kill()?;
        wait_connected(&a, false)?;
        ensure!(status(&a, "web.acme")? == "pending: not connected");
        let _instance = run_plane(&a, "two")?;
        a.wait_programmed("web.acme")
    })
}

#[test]
fn what_nobody_is_to_be_sent_for_is_told_as_a_discard() -> Result<()> {
    scenario(|network| {
        let mut a = network.node("a", 65001, "acme")?;
        a.config["node"]["domains"] = json!(["acme"]);
        a.config["plugins"]["external"] = json!({ PLANE: { "listen": "unix:plane.sock" } });
        a.offer("web.acme", service(&a));
        a.start()?;
        let _instance = run_plane(&a, "one")?;
        a.wait_programmed("web.acme")?;
        wait_file(&a, &format!("*.acme discard\nweb.acme {}:4100\n", a.ip))
    })
}

#[test]
fn all_instances_count() -> Result<()> {
    scenario(|network| {
        let (a, _b) = start(network)?;
        let one = run_plane(&a, "one")?;
        a.wait_programmed("web.acme")?;
        // It reads nothing from now on, and is not given up before it fails to answer a ping.
        let two = run_plane(&a, "two")?;
        // The name is programmed by the first one alone: only the log says when the second one is there, too.
        poll("two instances", LONG, || {
            let log = fs::read_to_string(a.folder().join("routed.log"))?;
            ensure!(log.matches("a data plane connected").count() == 2, "{log}");
            Ok(())
        })?;
        a.wait_programmed("web.acme")?;
        two.signal(nix::sys::signal::Signal::SIGSTOP)?;
        a.add_service("late.acme", &service(&a))?;
        poll("late.acme waits for the stopped instance", LONG, || {
            let status = status(&a, "late.acme")?;
            ensure!(status == "pending", "{status}");
            Ok(())
        })?;
        // The other one goes on, and in the end it alone counts.
        wait_file(&a, &format!("late.acme {0}:4100\nweb.acme {0}:4100\n", a.ip))?;
        a.wait_programmed("late.acme")?;
        drop(two);
        one.kill()?;
        wait_connected(&a, false)
    })
}

#[test]
fn a_restart_of_the_daemon_writes_nothing_anew() -> Result<()> {
    scenario(|network| {
        let (mut a, _b) = start(network)?;
        let _instance = run_plane(&a, "one")?;
        a.wait_programmed("web.acme")?;
        let file = a.folder().join(FILE);
        let before = fs::metadata(&file)?.ino();
        a.kill_routed()?;
        a.start_routed()?;
        a.wait_programmed("web.acme")?;
        ensure!(fs::metadata(&file)?.ino() == before, "the file was written again");
        Ok(())
    })
}

#[test]
fn a_data_plane_of_another_name_is_refused_in_plain_words() -> Result<()> {
    scenario(|network| {
        let (a, _b) = start(network)?;
        let wrong = a.run_program("routes-file", "wrong", &["unix:plane.sock", "other", FILE])?;
        let log = a.folder().join("wrong.log");
        poll("the words of the daemon", LONG, || {
            let text = fs::read_to_string(&log)?;
            let says = "catalyst-routed refuses this data plane: the data plane \"file\" is served here, not \"other\"";
            ensure!(text.contains(says), "{text}");
            Ok(())
        })?;
        drop(wrong);
        wait_connected(&a, false)
    })
}
