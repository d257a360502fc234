//! See README.md beside this file.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Example, LONG, Load, Names, Network, Node, Peering, peer, poll, scenario};
use serde_json::{Value, json};

const REQUESTS: u64 = 20_000;
const WORKERS: usize = 4;
const SERVICES: usize = 20;
/// What a reconnect may cost in bytes: empty answers to subscriptions, HTTP/2 frames and headers.
const RECONNECT_BYTES: u64 = 300;

fn service_name(number: usize) -> String {
    format!("steady{number}.acme")
}

struct Pair {
    a: Node,
    b: Node,
    names: Names,
}

/// A and B with graceful restart between them, and services at B.
fn pair(network: &mut Network, restart_time: &str, further: impl FnOnce(&mut Node, &mut Node)) -> Result<Pair> {
    let mut a = network.node("a", 65001, "acme")?.with_envoy();
    let mut b = network.node("b", 65002, "acme")?.with_envoy();
    peer(&mut a, &mut b, Peering::Both);
    for (node, other) in [(&mut a, "b"), (&mut b, "a")] {
        node.config["peers"][other]["graceful_restart"] = json!({ "restart_time": restart_time });
    }
    let http = b.run(Example::Http, "http")?;
    let names = Names::default();
    for number in 0..SERVICES {
        b.offer(&service_name(number), Example::Http.service(http));
        names.open(&service_name(number));
    }
    further(&mut a, &mut b);
    a.start()?;
    b.start()?;
    (0..SERVICES).try_for_each(|number| a.wait_programmed(&service_name(number)))?;
    Ok(Pair { a, b, names })
}

impl Pair {
    fn load(&self) -> Load {
        let names = self.names.clone();
        Load::start(WORKERS, self.a.egress(), move |turn| names.pick(turn))
    }

    /// The paths that A has from B, stale or not.
    fn held(&self, stale: bool) -> Result<usize> {
        let from_b = |route: &Value| route["learned_from"] == "b" && route["stale"] == stale;
        Ok(self.a.routes()?.iter().filter(|route| from_b(route)).count())
    }

    fn wait_held(&self, stale: bool) -> Result<()> {
        let what = if stale {
            "B's routes stale at A"
        } else {
            "B's routes fresh at A"
        };
        poll(what, LONG, || {
            let held = self.held(stale)?;
            ensure!(held == SERVICES, "{held} of {SERVICES}");
            Ok(())
        })
    }

    /// B's daemon is ended by `end` and returns, under load.
    fn check_restart(mut self, end: impl FnOnce(&mut Node) -> Result<()>) -> Result<()> {
        let load = self.load();
        load.wait_for_more(500)?;
        let before = (self.a.bytes_from_daemon()?, self.b.bytes_from_daemon()?);
        ensure!(
            before.0.min(before.1) > RECONNECT_BYTES,
            "what the Envoys hold took only {before:?} bytes"
        );
        end(&mut self.b)?;
        self.wait_held(true)?;
        load.wait_for_more(2000)?;
        self.wait_held(true)?;
        self.b.start_routed()?;
        self.wait_held(false)?;
        poll("END-OF-RIB of B", LONG, || {
            let shown = self.a.peer("b")?;
            ensure!(shown["end_of_rib"] == true, "{shown}");
            Ok(())
        })?;
        // B's Envoy has connected anew, and its daemon has done with it.
        (0..SERVICES).try_for_each(|number| self.b.wait_programmed(&service_name(number)))?;
        while load.sent() < REQUESTS {
            load.wait_for_more(1)?;
        }
        let resent = (
            self.a.bytes_from_daemon()? - before.0,
            self.b.bytes_from_daemon()? - before.1,
        );
        eprintln!("the Envoys took {before:?} bytes before the restart, {resent:?} for it");
        ensure!(
            resent.0.max(resent.1) < RECONNECT_BYTES,
            "the restart sent {resent:?} bytes"
        );
        load.finish()?.check_all_good(REQUESTS)
    }
}

#[test]
fn a_killed_daemon_of_the_other_side_costs_no_request() -> Result<()> {
    scenario(|network| pair(network, "60s", |_, _| {})?.check_restart(Node::kill_routed))
}

#[test]
fn a_stopped_daemon_of_the_other_side_costs_no_request() -> Result<()> {
    scenario(|network| {
        pair(network, "60s", |_, _| {})?.check_restart(|b| {
            let routed = b.routed.take().context("catalyst-routed does not run")?;
            let status = routed.terminate(LONG)?;
            ensure!(status.success(), "{status}");
            Ok(())
        })
    })
}

/// A claim about time: the restart time is what is asked for, so its end may not come before.
#[test]
fn without_a_return_the_routes_are_gone_after_the_restart_time() -> Result<()> {
    const RESTART: Duration = Duration::from_secs(6);
    scenario(|network| {
        let mut pair = pair(network, &format!("{}s", RESTART.as_secs()), |_, _| {})?;
        let lost_at = Instant::now();
        pair.b.kill_routed()?;
        pair.wait_held(true)?;
        let name = service_name(0);
        poll("the end of B's routes", LONG, || {
            let held = pair.held(true)?;
            ensure!(held == 0 || held == SERVICES, "all or none, not {held}");
            ensure!(held == 0, "{held} are held");
            Ok(())
        })?;
        ensure!(lost_at.elapsed() >= RESTART, "they went after {:?}", lost_at.elapsed());
        pair.a.wait_gone(&name)?;
        poll("404 at A", LONG, || {
            let answer = pair.a.get(&name, "/")?;
            ensure!(answer.status == 404, "{answer:?}");
            Ok(())
        })
    })
}

#[test]
fn a_fresh_alternative_is_used_at_once_and_no_longer_than_needed() -> Result<()> {
    const NAME: &str = "shared.acme";
    scenario(|network| {
        let mut c = network.node("c", 65002, "acme")?.with_envoy();
        let (mut at_b, mut at_c) = (None, None);
        let mut ran = Ok(());
        let mut pair = pair(network, "60s", |a, b| {
            peer(a, &mut c, Peering::Both);
            // Of two routes from one AS the lower MED is the better one.
            let offer = |node: &mut Node, med: u64| -> Result<()> {
                node.run_and_offer(Example::Http, NAME)?;
                node.config["services"][NAME]["med"] = json!(med);
                Ok(())
            };
            ran = offer(b, 10).and_then(|()| offer(&mut c, 20));
            (at_b, at_c) = (Some(format!("{NAME}@b")), Some(format!("{NAME}@c")));
        })?;
        ran?;
        let (at_b, at_c) = (at_b.context("b")?, at_c.context("c")?);
        c.start()?;
        let answered_by =
            |a: &Node, by: &str| poll(&format!("answers of {by}"), LONG, || a.check_answered_by(NAME, by));
        poll("C's route at A", LONG, || {
            let held = pair.a.routes()?;
            let from_c = |route: &&Value| route["name"] == NAME && route["learned_from"] == "c";
            held.iter().find(from_c).map(drop).context("none")
        })?;
        answered_by(&pair.a, &at_b)?;
        let load = Load::start(WORKERS, pair.a.egress(), |_| Some(NAME.into()));
        load.wait_for_more(200)?;
        pair.b.kill_routed()?;
        answered_by(&pair.a, &at_c)?;
        let selected = pair.a.selected(NAME)?;
        ensure!(
            selected["learned_from"] == "c" && selected["stale"] == false,
            "{selected}"
        );
        load.wait_for_more(200)?;
        pair.b.start_routed()?;
        answered_by(&pair.a, &at_b)?;
        load.wait_for_more(200)?;
        load.finish()?.check_all_good(600)
    })
}
