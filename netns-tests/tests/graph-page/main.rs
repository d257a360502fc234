//! See README.md beside this file.

use anyhow::{Result, ensure};
use catalyst_netns_tests::{Browser, Example, LONG, poll, scenario};

#[test]
fn a_person_asks_the_graph_in_a_browser() -> Result<()> {
    scenario(|network| {
        let mut a = network.node("a", 65001, "acme")?.with_envoy().with_gateway();
        a.run_and_offer(Example::Products, "products.acme")?;
        a.start()?;
        poll("products in the graph", LONG, || {
            let answer = a.graphql("{ topProducts { name } }")?;
            ensure!(answer["data"]["topProducts"][0]["name"] == "Table", "{answer}");
            Ok(())
        })?;

        let browser = Browser::start(a.folder())?;
        let page = format!("http://{}/graphql", a.ingress());
        browser.open(&page)?;
        browser.wait_for_text("#schema", "topProducts(first: Int! = 3)")?;

        browser.fill("#query", "{ topProducts { name price } }")?;
        browser.click("#run")?;
        browser.wait_for_text("#answer", "\"name\": \"Table\"")?;
        browser.wait_for_text("#status", "200 in")?;

        browser.fill("#query", "{ topProducts { nmae } }")?;
        browser.click("#run")?;
        browser.wait_for_text("#answer", "nmae")?;
        browser.wait_for_text("#status", "200, 1 error in")?;

        // A click on a field writes a query for it.
        browser.click("#schema button")?;
        browser.click("#run")?;
        browser.wait_for_text("#answer", "\"upc\"")?;

        let requests = browser.requests()?;
        ensure!(
            requests.len() >= 5,
            "the page itself, its schema, three queries: {requests:?}"
        );
        let elsewhere: Vec<_> = requests.iter().filter(|address| **address != page).collect();
        ensure!(elsewhere.is_empty(), "requests to {elsewhere:?}");
        Ok(())
    })
}
