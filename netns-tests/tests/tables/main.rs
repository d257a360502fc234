//! See README.md beside this file.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, Network, Node, Peering, check_none_returned, peer, poll, scenario};
use serde_json::{Value, json};

/// Nodes with one service each and no data plane; `distance` says how far apart two of them are.
struct Tables {
    nodes: Vec<Node>,
    distance: fn(usize, usize) -> usize,
}

fn service(node: &Node) -> Value {
    json!({ "protocol": "http", "endpoints": [{ "url": format!("http://{}:4100", node.ip) }] })
}

impl Tables {
    fn start(network: &mut Network, count: usize, distance: fn(usize, usize) -> usize) -> Result<Self> {
        let mut nodes = Vec::new();
        for (name, number) in ('a'..).take(count).zip(65001..) {
            let mut node = network.node(&name.to_string(), number, &format!("org-{name}"))?;
            let service = service(&node);
            node.offer(&format!("s.{name}.test"), service);
            nodes.push(node);
        }
        for right in 1..count {
            for left in (0..right).filter(|left| distance(*left, right) == 1) {
                let (head, tail) = nodes.split_at_mut(right);
                peer(&mut head[left], &mut tail[0], Peering::Both);
            }
        }
        nodes.iter_mut().try_for_each(Node::start)?;
        Ok(Self { nodes, distance })
    }

    fn wait_converged(&self) -> Result<()> {
        for (at, node) in self.nodes.iter().enumerate() {
            poll(&format!("the whole table at {}", node.name), LONG, || {
                self.check_table(at)
            })?;
        }
        self.nodes.iter().try_for_each(check_none_returned)
    }

    fn check_table(&self, at: usize) -> Result<()> {
        let routes = self.nodes[at].routes()?;
        for (to, origin) in self.nodes.iter().enumerate() {
            let name = format!("s.{}.test", origin.name);
            let paths: Vec<_> = routes.iter().filter(|route| route["name"] == *name).collect();
            let selected: Vec<_> = paths.iter().filter(|path| path["selected"] == true).collect();
            ensure!(!selected.is_empty(), "nothing selected for {name}: {paths:?}");
            for path in &selected {
                let hops = path["as_path"].as_array().context("as_path")?.len();
                ensure!(
                    hops == (self.distance)(at, to),
                    "{name} is selected by a detour: {path}"
                );
            }
            let silent = paths
                .iter()
                .find(|path| path["selected"] == false && path["reason"] == "");
            ensure!(silent.is_none(), "a loser without a reason: {silent:?}");
        }
        Ok(())
    }

    fn check_withdrawal(&self) -> Result<()> {
        let origin = &self.nodes[0];
        origin.remove_service("s.a.test")?;
        self.nodes.iter().try_for_each(|node| node.wait_gone("s.a.test"))?;
        origin.add_service("s.a.test", &service(origin))?;
        self.wait_converged()
    }
}

#[test]
fn a_full_mesh_of_four() -> Result<()> {
    scenario(|network| {
        let tables = Tables::start(network, 4, |a, b| usize::from(a != b))?;
        tables.wait_converged()?;
        tables.check_withdrawal()
    })
}

#[test]
fn a_ring_of_six() -> Result<()> {
    scenario(|network| {
        let tables = Tables::start(network, 6, |a, b| a.abs_diff(b).min(6 - a.abs_diff(b)))?;
        tables.wait_converged()?;
        tables.check_withdrawal()
    })
}
