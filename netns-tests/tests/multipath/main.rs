//! See README.md beside this file.

use anyhow::{Result, ensure};
use catalyst_netns_tests::{Example, LONG, Load, Network, Node, Peering, peer, poll, scenario};
use serde_json::{Value, json};

const NAME: &str = "shared.acme";
const REQUESTS: usize = 200;

struct Two {
    a: Node,
    b: Node,
    c: Node,
}

impl Two {
    /// B and C offer the name with these weights.
    fn start(network: &mut Network, weights: [u64; 2]) -> Result<Self> {
        let mut a = network.node("a", 65001, "acme")?.with_envoy();
        let mut b = network.node("b", 65002, "acme")?.with_envoy();
        let mut c = network.node("c", 65003, "acme")?.with_envoy();
        for (node, weight) in [(&mut b, weights[0]), (&mut c, weights[1])] {
            peer(&mut a, node, Peering::Both);
            node.run_and_offer(Example::Http, NAME)?;
            node.config["services"][NAME]["weight"] = json!(weight);
        }
        [&mut a, &mut b, &mut c].into_iter().try_for_each(Node::start)?;
        let two = Self { a, b, c };
        two.wait_paths(2)?;
        Ok(two)
    }

    fn paths(&self) -> Result<Vec<Value>> {
        let mut routes = self.a.routes()?;
        routes.retain(|route| route["name"] == NAME && route["selected"] == true);
        Ok(routes)
    }

    fn wait_paths(&self, count: usize) -> Result<()> {
        poll(&format!("{count} paths in use"), LONG, || {
            let paths = self.paths()?;
            ensure!(paths.len() == count, "{paths:?}");
            self.a.check_programmed(NAME)
        })
    }

    /// How many of a number of requests B answers; the others are C's.
    fn answered_by_b(&self) -> Result<usize> {
        let mut by_b = 0;
        for _ in 0..REQUESTS {
            let answer = self.a.get(NAME, "/")?;
            let by = answer.json()?["name"].clone();
            ensure!(by == "shared.acme@b" || by == "shared.acme@c", "{answer:?}");
            by_b += usize::from(by == "shared.acme@b");
        }
        Ok(by_b)
    }

    /// Waits until Envoy goes by weights of which B has so many in a hundred.
    fn wait_share(&self, percent: usize) -> Result<()> {
        // Envoy throws dice: within six standard deviations, which a run leaves once in 500 million.
        let (expected, variance) = (REQUESTS * percent / 100, REQUESTS * percent * (100 - percent) / 10_000);
        poll(&format!("{expected} of {REQUESTS} answered by B"), LONG, || {
            let by_b = self.answered_by_b()?;
            let off = by_b.abs_diff(expected);
            ensure!(off * off <= 36 * variance, "{by_b} answered by B");
            Ok(())
        })
    }
}

#[test]
fn requests_go_to_both_next_hops_by_weight() -> Result<()> {
    scenario(|network| {
        let two = Two::start(network, [1, 1])?;
        let reasons: Vec<Value> = two.paths()?.iter().map(|path| path["reason"].clone()).collect();
        ensure!(reasons.contains(&json!("multipath")), "{reasons:?}");
        two.wait_share(50)?;
        let mut service = two.c.config["services"][NAME].clone();
        service["weight"] = json!(9);
        two.c.add_service(NAME, &service)?;
        two.wait_share(10)?;
        service["weight"] = json!(0);
        two.c.add_service(NAME, &service)?;
        two.wait_share(100)
    })
}

#[test]
fn one_of_two_paths_goes_and_comes_without_a_failed_request() -> Result<()> {
    scenario(|network| {
        let two = Two::start(network, [1, 1])?;
        let service = two.b.config["services"][NAME].clone();
        two.wait_share(50)?;
        let load = Load::start(2, two.a.egress(), |_| Some(NAME.into()));
        load.wait_for_more(200)?;
        two.b.remove_service(NAME)?;
        two.wait_paths(1)?;
        two.wait_share(0)?;
        two.b.add_service(NAME, &service)?;
        two.wait_paths(2)?;
        two.wait_share(50)?;
        load.wait_for_more(200)?;
        load.finish()?.check_all_good(400)
    })
}

#[test]
fn an_unequal_path_takes_no_share() -> Result<()> {
    scenario(|network| {
        let two = Two::start(network, [1, 1])?;
        let grpc = Example::Grpc.service((two.c.ip, 4100).into());
        two.c.add_service(NAME, &grpc)?;
        two.wait_paths(1)?;
        // B has the lower router id.
        two.wait_share(100)?;
        two.c.add_service(NAME, &two.c.config["services"][NAME])?;
        two.wait_paths(2)?;
        two.wait_share(50)
    })
}
