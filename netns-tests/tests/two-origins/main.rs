//! See README.md beside this file.

use anyhow::{Context, Result};
use catalyst_netns_tests::{Example, LONG, Load, Network, Node, Peering, peer, poll, scenario};
use nix::sys::signal::Signal;

const NAME: &str = "shared.test";

struct Origins {
    a: Node,
    b: Node,
    _t: Node,
    _c: Node,
}

impl Origins {
    fn start(network: &mut Network) -> Result<Self> {
        let mut make =
            |name, asn| -> Result<Node> { Ok(network.node(name, asn, "acme")?.with_envoy().hold_time("3s")) };
        let (mut a, mut b, mut t, mut c) = (
            make("a", 65001)?,
            make("b", 65002)?,
            make("t", 65003)?,
            make("c", 65004)?,
        );
        peer(&mut a, &mut b, Peering::Both);
        peer(&mut a, &mut t, Peering::Both);
        peer(&mut t, &mut c, Peering::Both);
        b.run_and_offer(Example::Http, NAME)?;
        c.run_and_offer(Example::Http, NAME)?;
        [&mut a, &mut b, &mut t, &mut c].into_iter().try_for_each(Node::start)?;
        let origins = Self { a, b, _t: t, _c: c };
        origins.wait_answered_by("b")?;
        poll("the path over T at A", LONG, || origins.path_from("t").map(drop))?;
        Ok(origins)
    }

    fn path_from(&self, peer: &str) -> Result<serde_json::Value> {
        let mut routes = self.a.routes()?.into_iter();
        routes
            .find(|route| route["name"] == NAME && route["learned_from"] == peer)
            .context("no such path")
    }

    fn wait_answered_by(&self, node: &str) -> Result<()> {
        let by = format!("{NAME}@{node}");
        poll(&format!("answers of {by}"), LONG, || {
            self.a.check_answered_by(NAME, &by)
        })
    }

    fn load(&self) -> Load {
        Load::start(4, self.a.egress(), |_| Some(NAME.into()))
    }
}

#[test]
fn the_best_one_withdrawn_costs_no_request() -> Result<()> {
    scenario(|network| {
        let origins = Origins::start(network)?;
        let reason = origins.path_from("t")?["reason"].clone();
        anyhow::ensure!(
            reason.as_str().is_some_and(|reason| reason.contains("AS path")),
            "{reason}"
        );
        let service = origins.b.config["services"][NAME].clone();
        let load = origins.load();
        load.wait_for_more(200)?;
        origins.b.remove_service(NAME)?;
        origins.wait_answered_by("c")?;
        load.wait_for_more(200)?;
        origins.b.add_service(NAME, &service)?;
        origins.wait_answered_by("b")?;
        load.wait_for_more(200)?;
        load.finish()?.check_all_good(600)
    })
}

#[test]
fn the_best_one_silent_is_replaced_within_its_hold_time() -> Result<()> {
    scenario(|network| {
        let origins = Origins::start(network)?;
        for part in [&origins.b.routed, &origins.b.envoy] {
            part.as_ref().context("it runs")?.signal(Signal::SIGSTOP)?;
        }
        poll("B's path gone from A", LONG, || {
            anyhow::ensure!(origins.path_from("b").is_err(), "A holds it");
            Ok(())
        })?;
        origins.wait_answered_by("c")?;
        let load = origins.load();
        load.wait_for_more(200)?;
        load.finish()?.check_all_good(200)
    })
}

#[test]
fn the_best_one_killed_is_replaced() -> Result<()> {
    scenario(|network| {
        let mut origins = Origins::start(network)?;
        origins.b.kill_envoy()?;
        origins.b.kill_routed()?;
        origins.wait_answered_by("c")?;
        let load = origins.load();
        load.wait_for_more(200)?;
        load.finish()?.check_all_good(200)
    })
}
