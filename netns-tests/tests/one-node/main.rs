//! See README.md beside this file.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Example, LONG, Network, Node, echo, greet, poll, scenario};
use serde_json::Value;

const EXAMPLE: &str = include_str!("../../../examples/one-node/routed.json");

/// The example at the address and in the folder of a node of this test.
fn example(node: &Node) -> Result<Value> {
    let text = EXAMPLE
        .replace("unix:target/one-node/", "unix:")
        .replace("target/one-node", "state");
    Ok(serde_json::from_str(&text.replace("127.0.0.1", &node.ip.to_string()))?)
}

fn start(network: &mut Network) -> Result<Node> {
    let mut node = network.node("solo", 65001, "acme")?;
    node.config = example(&node)?;
    let services = [
        Example::Products,
        Example::Reviews,
        Example::Http,
        Example::Grpc,
        Example::Tcp,
    ];
    for (service, port) in services.into_iter().zip(4101..) {
        node.run_at(service, "one", port)?;
    }
    node.start()?;
    Ok(node)
}

/// `reach` asks each kind of service what it knows an answer to, and takes hosts of the graph for the graph.
fn check_reached(node: &Node) -> Result<()> {
    for (name, says) in [
        ("hello.acme", "GET / at "),
        ("greeter.acme", "GET / at "),
        ("echo.acme", "the tunnel stands"),
        ("products.acme", "POST /graphql { __typename } at "),
        ("localhost", "the graph answers 200"),
        ("127.0.0.1", "the graph answers 200"),
    ] {
        let told = node.ctl_ok(&["reach", name])?;
        ensure!(
            told.replace("\n                  ", " ").contains(says),
            "{says:?} is not in {told}"
        );
    }
    Ok(())
}

#[test]
fn every_example_service_answers_through_one_node() -> Result<()> {
    scenario(|network| {
        let node = start(network)?;
        poll("the federated graph", LONG, || {
            let answer = node.graphql("{ latestReviews { body product { name } } }")?;
            let name = &answer["data"]["latestReviews"][0]["product"]["name"];
            ensure!(name.is_string() && answer.get("errors").is_none(), "{answer}");
            Ok(())
        })?;
        for name in ["hello.acme", "greeter.acme", "echo.acme"] {
            node.wait_programmed(name)?;
        }
        let hello = node.get_ingress("hello.acme", "/path")?.json()?;
        ensure!(
            hello["name"] == "one" && hello["path"] == "/path" && hello["host"] == "hello.acme",
            "{hello}"
        );
        assert_eq!(greet(node.ingress(), "greeter.acme")?, "one");
        let shown = node.ctl_json(&["show", "route", "echo.acme"])?[0]["local_address"].clone();
        assert_eq!(shown, node.tcp_address("echo.acme")?.to_string());
        let why = node.ctl_ok(&["show", "route", "echo.acme", "--why"])?;
        let dial = format!("dial here       {}\n", node.tcp_address("echo.acme")?);
        ensure!(why.contains(&dial), "{dial} is not in {why}");
        assert_eq!(echo(node.tcp_address("echo.acme")?, "hello")?, "one: hello");
        check_reached(&node)
    })
}

#[test]
fn the_examples_pass_the_check_and_print_themselves() -> Result<()> {
    scenario(|network| {
        let node = network.node("a", 65001, "acme")?;
        let two_nodes = [
            include_str!("../../../examples/two-nodes/a.json"),
            include_str!("../../../examples/two-nodes/b.json"),
        ];
        for text in two_nodes.into_iter().chain([EXAMPLE]) {
            std::fs::write(node.folder().join("routed.json"), text)?;
            node.routed_ok(&["--check", "-c", "routed.json"])?;
            let printed: Value = serde_json::from_str(&node.routed_ok(&["--print-config", "-c", "routed.json"])?)?;
            let written: Value = serde_json::from_str(text)?;
            let services = written["services"].as_object().context("services")?;
            ensure!(
                services.keys().all(|name| printed["services"][name].is_object()),
                "{printed}"
            );
        }
        Ok(())
    })
}
