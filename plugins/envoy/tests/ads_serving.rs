//! The ADS server and a real Envoy: from nothing to a request that is answered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use ads_support::envoy::Envoy;
use ads_support::resources::{cluster, listener, scope};
use ads_support::server::Ads;
use ads_support::{equal, eventually, http};
use catalyst_envoy::ads::Changes;

#[tokio::test(flavor = "multi_thread")]
async fn a_static_set_is_accepted_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let service = http::service("orders").await;
    let ingress = http::free_address().await;
    let resources = [
        cluster("orders", service),
        scope("orders.acme", "orders"),
        listener("ingress", ingress),
    ];
    ads.apply(Changes::table(resources.clone())).await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&resources).await;
    http::opens(ingress).await;
    let answer = http::get(ingress, "orders.acme", "/").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "orders"));
    assert_eq!(http::status(ingress, "other.acme").await, 404);
    assert_eq!(envoy.scopes().await, ["orders.acme"]);
    eventually("the report", async || equal(&*ads.report().envoys[0].version, "1.40.0")).await;
}
