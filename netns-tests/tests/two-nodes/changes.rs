//! Changes at run time reach the other node, and never cost a request.

use anyhow::{Result, ensure};
use catalyst_netns_tests::{Example, LONG, Load, Network, Node, Peering, peer, poll, scenario};
use serde_json::json;

const ROUNDS: usize = 200;

/// Two nodes with Envoys, no gateway, no service yet.
fn plain_pair(network: &mut Network) -> Result<(Node, Node)> {
    let mut a = network.node("a", 65001, "acme")?.with_envoy();
    let mut b = network.node("b", 65002, "acme")?.with_envoy();
    peer(&mut a, &mut b, Peering::Both);
    a.start()?;
    b.start()?;
    a.wait_established("b")?;
    b.wait_established("a")?;
    Ok((a, b))
}

fn names(node: &Node) -> Result<Vec<String>> {
    let mut names: Vec<_> = node
        .routes()?
        .iter()
        .filter_map(|route| Some(route["name"].as_str()?.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

#[test]
fn services_added_on_both_sides_at_once_converge() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = plain_pair(network)?;
        let (at_a, at_b) = (a.run(Example::Http, "a")?, b.run(Example::Http, "b")?);
        std::thread::scope(|scope| {
            let add = |node: &Node, address| -> Result<()> {
                (0..ROUNDS).try_for_each(|n| {
                    node.add_service(&format!("s{n}.{}.acme", node.name), &Example::Http.service(address))
                })
            };
            let (a, b) = (&a, &b);
            let other = scope.spawn(move || add(b, at_b));
            add(a, at_a)?;
            other.join().map_err(|_| anyhow::anyhow!("the adder of b panicked"))?
        })?;
        let mut expected: Vec<_> = (0..ROUNDS)
            .flat_map(|n| [format!("s{n}.a.acme"), format!("s{n}.b.acme")])
            .collect();
        expected.sort();
        for node in [&a, &b] {
            poll("both tables complete", LONG, || {
                let held = names(node)?;
                ensure!(held == expected, "{} holds {} names", node.name, held.len());
                Ok(())
            })?;
        }
        a.wait_programmed("s199.b.acme")?;
        a.check_answered_by("s199.b.acme", "b")?;
        b.wait_programmed("s199.a.acme")?;
        b.check_answered_by("s199.a.acme", "a")
    })
}

#[test]
fn attributes_that_change_arrive_at_the_peer() -> Result<()> {
    scenario(|network| {
        let (a, mut b) = plain_pair(network)?;
        let address = b.run(Example::Products, "b")?;
        let mut service = Example::Products.service(address);
        b.add_service("products.acme", &service)?;
        a.wait_programmed("products.acme")?;
        let changes = [
            ("path", json!("/other")),
            ("weight", json!(7)),
            ("communities", json!(["65002:9"])),
            ("med", json!(42)),
        ];
        for (key, value) in changes {
            service[key] = value.clone();
            b.add_service("products.acme", &service)?;
            poll(&format!("{key} at A"), LONG, || {
                let route = a.selected("products.acme")?;
                ensure!(route[key] == value, "{route}");
                Ok(())
            })?;
        }
        Ok(())
    })
}

#[test]
fn an_endpoint_moves_without_a_failed_request() -> Result<()> {
    scenario(|network| {
        let (mut a, _b) = plain_pair(network)?;
        let (old, new) = (a.run(Example::Http, "old")?, a.run(Example::Http, "new")?);
        a.add_service("moving.acme", &Example::Http.service(old))?;
        a.wait_programmed("moving.acme")?;
        let load = Load::start(4, a.egress(), |_| Some("moving.acme".into()));
        load.wait_for_more(200)?;
        a.add_service("moving.acme", &Example::Http.service(new))?;
        poll("answers of the new endpoint", LONG, || {
            a.check_answered_by("moving.acme", "new")
        })?;
        load.wait_for_more(200)?;
        load.finish()?.check_all_good(400)
    })
}

#[test]
fn endpoints_share_by_weight() -> Result<()> {
    scenario(|network| {
        let (mut a, _b) = plain_pair(network)?;
        let (light, heavy) = (a.run(Example::Http, "light")?, a.run(Example::Http, "heavy")?);
        let endpoints = json!([
            { "url": format!("http://{light}"), "weight": 1 },
            { "url": format!("http://{heavy}"), "weight": 4 },
        ]);
        a.add_service("shared.acme", &json!({ "protocol": "http", "endpoints": endpoints }))?;
        a.wait_programmed("shared.acme")?;
        let mut heavy_answers = 0;
        for _ in 0..100 {
            let answer = a.get("shared.acme", "/")?.json()?;
            heavy_answers += usize::from(answer["name"] == "heavy");
        }
        // Envoy's weighted round robin is exact but for where it starts.
        ensure!(
            (75..=85).contains(&heavy_answers),
            "{heavy_answers} of 100 went to weight 4 of 5"
        );
        Ok(())
    })
}
