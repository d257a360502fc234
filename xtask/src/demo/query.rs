//! The query that travels through both nodes.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::fleet::Fleet;

const QUERY: &str = "{ topProducts { name price reviews { body author } } }";
const LIMIT: Duration = Duration::from_secs(60);

/// Sends the query until it is answered in full; returns the answer for people.
pub(crate) fn wait_for_answer(fleet: &mut Fleet<'_>, url: &str) -> anyhow::Result<String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false);
    let agent = config.build().new_agent();
    fleet.wait("an answer with products and reviews", LIMIT, || {
        let answer = ask(&agent, url)?;
        complete(&answer)?;
        Ok(serde_json::to_string_pretty(&answer)?)
    })
}

/// The same query for a terminal.
pub(crate) fn as_curl(url: &str) -> String {
    format!(
        "curl -s {url} -H 'content-type: application/json' -d '{}'",
        json!({ "query": QUERY })
    )
}

fn ask(agent: &ureq::Agent, url: &str) -> anyhow::Result<Value> {
    let body = json!({ "query": QUERY }).to_string();
    let mut response = agent
        .post(url)
        .header("content-type", "application/json")
        .send(body)
        .with_context(|| url.to_owned())?;
    let text = response
        .body_mut()
        .read_to_string()
        .context("the answer of the graph")?;
    serde_json::from_str(&text).with_context(|| format!("{} with the body {text:?}", response.status()))
}

/// # Errors
/// Says what the answer lacks: products come from node a, reviews from node b.
fn complete(answer: &Value) -> anyhow::Result<()> {
    if let Some(errors) = answer.get("errors") {
        bail!("the graph answers with errors: {errors}");
    }
    let products = answer["data"]["topProducts"]
        .as_array()
        .filter(|products| !products.is_empty());
    let products = products.with_context(|| format!("no products in {answer}"))?;
    let reviewed = products.iter().any(|product| product["reviews"][0]["body"].is_string());
    if !reviewed {
        bail!("no reviews in {answer}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_products_with_reviews_are_complete() {
        let of = |answer: Value| complete(&answer);
        let product = |reviews: Value| json!({ "data": { "topProducts": [{ "name": "Table", "reviews": reviews }] } });
        assert!(of(product(json!([{ "body": "Good" }]))).is_ok());
        assert!(of(product(json!([]))).is_err());
        assert!(of(product(Value::Null)).is_err());
        assert!(of(json!({ "data": { "topProducts": [] } })).is_err());
        assert!(of(json!({ "data": null, "errors": [{ "message": "no" }] })).is_err());
    }
}
