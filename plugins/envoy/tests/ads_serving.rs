//! The ADS server and a real Envoy: from nothing to a request that is answered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use ads_support::setup::Setup;
use ads_support::{equal, eventually, http};

#[tokio::test(flavor = "multi_thread")]
async fn a_static_set_is_accepted_and_serves() {
    let setup = Setup::new().await;
    let envoy = setup.serve(&setup.orders()).await;
    let answer = http::get(setup.ingress, "orders.acme", "/").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "orders"));
    assert_eq!(setup.status("other.acme").await, 404);
    assert_eq!(envoy.scopes().await, ["orders.acme"]);
    eventually("the report", async || {
        equal(&*setup.ads.report().envoys[0].version, "1.40.0")
    })
    .await;
}
