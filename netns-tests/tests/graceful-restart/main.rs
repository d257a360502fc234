//! See README.md beside this file.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Example, LONG, Load, Names, Network, Node, Peering, peer, poll, scenario};
use serde_json::{Value, json};

const REQUESTS: u64 = 20_000;
const WORKERS: usize = 4;
const SERVICES: usize = 20;

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

    /// Resources that A's and B's Envoys were sent since the start.
    fn resources_sent(&self) -> Result<(u64, u64)> {
        Ok((self.a.resources_sent()?, self.b.resources_sent()?))
    }

    /// B's daemon is ended by `end` and returns, under load.
    fn check_restart(mut self, end: impl FnOnce(&mut Node) -> Result<()>) -> Result<()> {
        let load = self.load();
        load.wait_for_more(500)?;
        let before = self.resources_sent()?;
        ensure!(
            before.0.min(before.1) > SERVICES as u64,
            "what the Envoys hold are only {before:?} resources"
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
        let sent = self.resources_sent()?;
        ensure!(
            sent == before,
            "{sent:?} resources were sent, {before:?} before the restart"
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

/// C offers what B offers as well, as the second best.
struct WithAlternative {
    pair: Pair,
    _c: Node,
}

impl WithAlternative {
    const NAME: &str = "shared.acme";
    const AT_B: &str = "shared.acme@b";
    const AT_C: &str = "shared.acme@c";

    fn start(network: &mut Network, restart_time: &str) -> Result<Self> {
        let mut c = network.node("c", 65002, "acme")?.with_envoy();
        let mut ran = Ok(());
        let pair = pair(network, restart_time, |a, b| {
            peer(a, &mut c, Peering::Both);
            // Of two routes from one AS the lower MED is the better one.
            let offer = |node: &mut Node, med: u64| -> Result<()> {
                node.run_and_offer(Example::Http, Self::NAME)?;
                node.config["services"][Self::NAME]["med"] = json!(med);
                Ok(())
            };
            ran = offer(b, 10).and_then(|()| offer(&mut c, 20));
        })?;
        ran?;
        c.start()?;
        let it = Self { pair, _c: c };
        poll("C's route at A", LONG, || {
            let held = it.pair.a.routes()?;
            let from_c = |route: &&Value| route["name"] == Self::NAME && route["learned_from"] == "c";
            held.iter().find(from_c).map(drop).context("none")
        })?;
        it.wait_answered_by(Self::AT_B)?;
        Ok(it)
    }

    fn wait_answered_by(&self, by: &str) -> Result<()> {
        poll(&format!("answers of {by}"), LONG, || {
            self.pair.a.check_answered_by(Self::NAME, by)
        })
    }

    fn load(&self) -> Load {
        Load::start(WORKERS, self.pair.a.egress(), |_| Some(Self::NAME.into()))
    }

    /// # Errors
    /// A uses another route than C's, or not as a fresh one.
    fn check_selected_from_c(&self) -> Result<()> {
        let selected = self.pair.a.selected(Self::NAME)?;
        ensure!(
            selected["learned_from"] == "c" && selected["stale"] == false,
            "{selected}"
        );
        Ok(())
    }
}

#[test]
fn a_fresh_alternative_is_used_at_once_and_no_longer_than_needed() -> Result<()> {
    scenario(|network| {
        let mut with = WithAlternative::start(network, "60s")?;
        let load = with.load();
        load.wait_for_more(200)?;
        with.pair.b.kill_routed()?;
        with.wait_answered_by(WithAlternative::AT_C)?;
        with.check_selected_from_c()?;
        load.wait_for_more(200)?;
        with.pair.b.start_routed()?;
        with.wait_answered_by(WithAlternative::AT_B)?;
        load.wait_for_more(200)?;
        load.finish()?.check_all_good(600)
    })
}

/// What B alone offers stays while it may come back, and goes then; what C offers too is C's all along.
#[test]
fn where_nobody_returns_the_alternative_stays_when_the_rest_is_purged() -> Result<()> {
    scenario(|network| {
        let mut with = WithAlternative::start(network, "5s")?;
        let load = with.load();
        load.wait_for_more(200)?;
        with.pair.b.kill_routed()?;
        with.wait_answered_by(WithAlternative::AT_C)?;
        with.check_selected_from_c()?;
        let alone = service_name(0);
        ensure!(with.pair.a.selected(&alone)?["stale"] == true, "nobody else offers it");
        ensure!(with.pair.a.get(&alone, "/")?.status == 200, "B's Envoy serves on");
        with.pair.a.wait_gone(&alone)?;
        with.check_selected_from_c()?;
        let left = with.pair.a.routes()?;
        let of_b = left.iter().find(|route| route["learned_from"] == "b");
        ensure!(of_b.is_none(), "all that B said is purged together: {of_b:?}");
        load.wait_for_more(200)?;
        load.finish()?.check_all_good(600)
    })
}

/// D learns of B's services by A. It has graceful restart with nobody, and nothing to notice.
#[test]
fn a_restart_is_invisible_to_the_peers_of_peers() -> Result<()> {
    scenario(|network| {
        let mut d = network.node("d", 65003, "acme")?.with_envoy();
        let mut pair = pair(network, "60s", |a, _| peer(a, &mut d, Peering::Both))?;
        d.start()?;
        (0..SERVICES).try_for_each(|number| d.wait_programmed(&service_name(number)))?;
        let names = pair.names.clone();
        let load = Load::start(WORKERS, d.egress(), move |turn| names.pick(turn));
        load.wait_for_more(200)?;
        let before = d.peer("a")?;
        pair.b.kill_routed()?;
        pair.wait_held(true)?;
        load.wait_for_more(200)?;
        pair.b.start_routed()?;
        pair.wait_held(false)?;
        poll("END-OF-RIB of B", LONG, || {
            let shown = pair.a.peer("b")?;
            ensure!(shown["end_of_rib"] == true, "{shown}");
            Ok(())
        })?;
        load.wait_for_more(200)?;
        // Whatever A has told D by now came before this.
        let service = pair.b.config["services"][service_name(0)].clone();
        pair.a.add_service("marker.acme", &service)?;
        d.wait_programmed("marker.acme")?;
        let after = d.peer("a")?;
        let updates = |shown: &Value| shown["updates_in"].as_u64().context("updates_in");
        ensure!(
            updates(&after)? == updates(&before)? + 1,
            "before {before}, after {after}"
        );
        ensure!(after["established_count"] == 1, "{after}");
        load.finish()?.check_all_good(600)
    })
}
