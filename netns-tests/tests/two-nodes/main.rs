//! See README.md beside this file.

mod changes;
mod failures;

use std::time::Duration;

use anyhow::{Result, ensure};
use catalyst_netns_tests::{Example, LONG, Network, Node, Peering, peer, poll, scenario};
use serde_json::Value;

const HOLD_TIME: Duration = Duration::from_secs(3);
const PRODUCTS: &str = "{ topProducts { name price } }";
const FEDERATED: &str = "{ topProducts { name price reviews { body author } } }";

/// Both nodes, running and peered, each with its subgraph.
fn pair(network: &mut Network) -> Result<(Node, Node)> {
    let hold_time = format!("{}s", HOLD_TIME.as_secs());
    let mut a = network
        .node("a", 65001, "acme")?
        .with_envoy()
        .with_gateway()
        .hold_time(&hold_time);
    let mut b = network
        .node("b", 65002, "acme")?
        .with_envoy()
        .with_gateway()
        .hold_time(&hold_time);
    peer(&mut a, &mut b, Peering::Both);
    a.run_and_offer(Example::Products, "products.acme")?;
    b.run_and_offer(Example::Reviews, "reviews.acme")?;
    a.start()?;
    b.start()?;
    Ok((a, b))
}

/// # Errors
/// The federated query is not answered in full.
fn check_federated(node: &Node) -> Result<()> {
    let answer = node.graphql(FEDERATED)?;
    let first = &answer["data"]["topProducts"][0];
    let complete = first["name"] == "Table" && first["reviews"][0]["body"].is_string();
    ensure!(complete && answer.get("errors").is_none(), "at {}: {answer}", node.name);
    Ok(())
}

fn wait_federated(node: &Node) -> Result<()> {
    poll(&format!("products and reviews at {}", node.name), LONG, || {
        check_federated(node)
    })
}

/// # Errors
/// Products alone are not answered, or reviews still are.
fn check_products_alone(node: &Node) -> Result<()> {
    let products = node.graphql(PRODUCTS)?;
    ensure!(
        products["data"]["topProducts"][0]["name"] == "Table" && products.get("errors").is_none(),
        "{products}"
    );
    let refused = node.graphql(FEDERATED)?;
    ensure!(know_no_reviews(&refused["errors"]), "{refused}");
    Ok(())
}

/// Not only that they are not to be had.
fn know_no_reviews(errors: &Value) -> bool {
    let messages = errors
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["message"].as_str());
    messages
        .into_iter()
        .any(|message| message.contains("Cannot query field \"reviews\""))
}

#[test]
fn one_query_returns_data_of_both_services() -> Result<()> {
    scenario(|network| {
        let (a, b) = pair(network)?;
        wait_federated(&a)?;
        wait_federated(&b)?;
        let route = a.selected("reviews.acme")?;
        assert_eq!(route["as_path"], serde_json::json!([65002]));
        assert_eq!(route["learned_from"], "b");
        assert_eq!(route["table"], "internal");
        assert_eq!(route["protocol"], "http:graphql");
        Ok(())
    })
}

#[test]
fn a_service_goes_and_comes_without_a_restart() -> Result<()> {
    scenario(|network| {
        let (mut a, mut b) = pair(network)?;
        wait_federated(&a)?;
        let reviews = b.config["services"]["reviews.acme"].clone();
        b.remove_service("reviews.acme")?;
        poll("the field that fails at A", LONG, || check_products_alone(&a))?;
        a.wait_gone("reviews.acme")?;
        b.add_service("reviews.acme", &reviews)?;
        wait_federated(&a)?;
        wait_federated(&b)?;
        for node in [&mut a, &mut b] {
            node.check_alive()?;
        }
        Ok(())
    })
}
