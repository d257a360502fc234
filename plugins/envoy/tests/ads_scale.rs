//! Many routes: what one change costs, and what a reconnect and a bad one among them cost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use std::time::Instant;

use ads_support::envoy::Envoy;
use ads_support::resources::{bad_scope, cluster, listener, scope};
use ads_support::server::Ads;
use ads_support::{PATIENCE, equal, eventually, http};
use catalyst_envoy::ads::Changes;
use catalyst_envoy::resource::{Resource, ResourceKind};

/// `CATALYST_SCALE` measures with another number.
fn count() -> usize {
    std::env::var("CATALYST_SCALE").map_or(10_000, |text| text.parse().unwrap())
}

fn host(n: usize) -> String {
    format!("service-{n}.dc1.acme")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_among_many_costs_one_resource() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let (service, at) = (http::service("orders").await, http::free_address().await);
    let fixed = [cluster("hop", service), listener("ingress", at)];
    let table: Vec<Resource> = (0..count()).map(|n| scope(&host(n), "hop")).chain(fixed).collect();
    let round = ads.server.update(Changes::table(table.iter().cloned()), true);
    let started = Instant::now();
    let envoy = Envoy::start("a", &ads.address).await;
    ads.wait_for_envoys(1).await;
    ads.server.wait(round, PATIENCE).await;
    http::opens(at).await;
    println!("{} scopes loaded after {:?}", count(), started.elapsed());
    one_more(&ads, at).await;
    a_bad_one(&ads).await;
    reconnects(ads, table, &envoy).await;
}

async fn one_more(ads: &Ads, at: std::net::SocketAddr) {
    let before = ads.report().totals[&ResourceKind::ScopedRoute];
    let mut took = Vec::new();
    for n in 0..100 {
        let name = format!("new-{n}.dc1.acme");
        let started = Instant::now();
        assert!(ads.apply(Changes::upsert([scope(&name, "hop")])).await.is_empty());
        took.push(started.elapsed());
        assert_eq!(http::status(at, &name).await, 200);
    }
    let after = ads.report().totals[&ResourceKind::ScopedRoute];
    assert_eq!(after.resources - before.resources, 100);
    assert_eq!(after.responses - before.responses, 100);
    let bytes = (after.bytes - before.bytes) / 100;
    assert!(bytes <= 1024, "{bytes} bytes per change");
    took.sort();
    println!("one more: {bytes} bytes, p50 {:?}, p99 {:?}", took[50], took[98]);
}

/// It is found by halving its batch; the others are in place.
async fn a_bad_one(ads: &Ads) {
    let batch = (0..1000).map(|n| scope(&format!("batch-{n}.dc1.acme"), "hop"));
    let started = Instant::now();
    let verdicts = ads
        .apply(Changes::upsert(batch.chain([bad_scope("bad.dc1.acme")])))
        .await;
    println!("one bad among 1000 found after {:?}", started.elapsed());
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["bad.dc1.acme"]);
}

async fn reconnects(ads: Ads, mut table: Vec<Resource>, envoy: &Envoy) {
    let more = (0..100).map(|n| format!("new-{n}.dc1.acme"));
    let more = more.chain((0..1000).map(|n| format!("batch-{n}.dc1.acme")));
    table.extend(more.map(|name| scope(&name, "hop")));
    let before = envoy.updates().await;
    let ads = Ads::start_at(&ads.stop()).await;
    ads.wait_for_envoys(1).await;
    let started = Instant::now();
    let verdicts = ads.apply(Changes::table(table)).await;
    assert!(verdicts.is_empty(), "{verdicts:?}");
    println!("in place again {:?} after the table", started.elapsed());
    assert_eq!(ads.report().sent(), 0);
    eventually("nothing was updated", async || {
        equal(envoy.updates().await, before.clone())
    })
    .await;
}
