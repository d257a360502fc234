//! One bad resource concerns itself alone, on a real Envoy.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use ads_support::envoy::Envoy;
use ads_support::resources::{
    bad_cluster, bad_listener, bad_scope, cluster, late_failing_cluster, listener, scope, scope_for,
};
use ads_support::server::Ads;
use ads_support::setup::Setup;
use ads_support::{equal, eventually, http};
use catalyst_envoy::ads::Changes;
use catalyst_envoy::resource::{Resource, ResourceKind};
use catalyst_plugin::Verdict;

/// One service that works: `good.acme` to the cluster `good`.
fn good(setup: &Setup) -> [Resource; 3] {
    [
        cluster("good", setup.service),
        scope("good.acme", "good"),
        setup.listener(),
    ]
}

async fn start() -> (Setup, Envoy) {
    let setup = Setup::new().await;
    let envoy = setup.serve(&good(&setup)).await;
    (setup, envoy)
}

async fn serves_on(setup: &Setup) {
    assert_eq!(setup.status("good.acme").await, 200);
}

/// A further change still gets its acknowledgement.
async fn takes_more(setup: &Setup) {
    let more = [cluster("more", setup.service), scope("more.acme", "more")];
    setup.takes(Changes::upsert(more)).await;
    assert_eq!(setup.status("more.acme").await, 200);
}

fn reason(verdict: Option<&Verdict>) -> String {
    match verdict {
        Some(Verdict::Rejected(reason)) => reason.to_string(),
        other => panic!("not rejected: {other:?}"),
    }
}

fn batch_around(bad: Resource, good: impl Fn(usize) -> Resource) -> Changes {
    Changes::upsert((0..20).map(good).chain([bad]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_scope_is_refused_alone() {
    let (setup, envoy) = start().await;
    let changes = batch_around(bad_scope("bad.acme"), |n| scope(&format!("s{n}.acme"), "good"));
    let verdicts = setup.ads.apply(changes).await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["bad.acme"]);
    let why = reason(verdicts.get("bad.acme"));
    assert!(why.contains("Domains"), "{why}");
    assert_eq!(envoy.scopes().await.len(), 21);
    assert_eq!(setup.ads.report().rejected.len(), 1);
    serves_on(&setup).await;
    takes_more(&setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_scope_recovers() {
    let (setup, _envoy) = start().await;
    setup.ads.apply(Changes::upsert([bad_scope("bad.acme")])).await;
    assert_eq!(setup.ads.report().rejected.len(), 1);
    let verdicts = setup.ads.apply(Changes::upsert([scope("bad.acme", "good")])).await;
    assert!(verdicts.is_empty(), "{verdicts:?}");
    assert_eq!(http::status(setup.ingress, "bad.acme").await, 200);
    assert!(setup.ads.report().rejected.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_turns_bad_serves_on_as_it_was() {
    let (setup, _envoy) = start().await;
    let verdicts = setup.ads.apply(Changes::upsert([bad_scope("good.acme")])).await;
    reason(verdicts.get("good.acme"));
    serves_on(&setup).await;
    // The same content again is not sent again.
    let sent = setup.ads.report().sent();
    let verdicts = setup.ads.apply(Changes::upsert([bad_scope("good.acme")])).await;
    reason(verdicts.get("good.acme"));
    assert_eq!(setup.ads.report().sent(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_scope_for_the_same_key_is_refused_alone() {
    let (setup, _envoy) = start().await;
    let changes = batch_around(scope_for("double", "good.acme", "good"), |n| {
        scope(&format!("s{n}.acme"), "good")
    });
    let verdicts = setup.ads.apply(changes).await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["double"]);
    let why = reason(verdicts.get("double"));
    assert!(why.contains("scope key conflict"), "{why}");
    serves_on(&setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_cluster_is_refused_alone() {
    let (setup, envoy) = start().await;
    let changes = batch_around(bad_cluster("bad"), |n| cluster(&format!("c{n}"), setup.service));
    let verdicts = setup.ads.apply(changes).await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["bad"]);
    let why = reason(verdicts.get("bad"));
    assert!(why.contains("not-an-ip"), "{why}");
    assert_eq!(envoy.clusters().await.len(), 21);
    takes_more(&setup).await;
}

/// Trap 3: it is refused but stays, warming, and withholds every later acknowledgement.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_fails_late_is_refused_alone_and_taken_away() {
    let (setup, envoy) = start().await;
    let changes = batch_around(late_failing_cluster("bad", setup.service), |n| {
        cluster(&format!("c{n}"), setup.service)
    });
    let verdicts = setup.ads.apply(changes).await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["bad"]);
    let why = reason(verdicts.get("bad"));
    assert!(why.contains("ring"), "{why}");
    takes_more(&setup).await;
    eventually("no cluster warms", async || {
        equal(envoy.warming_clusters().await, Vec::new())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_turns_bad_late_serves_on_as_it_was() {
    let (setup, envoy) = start().await;
    let verdicts = setup
        .ads
        .apply(Changes::upsert([late_failing_cluster("good", setup.service)]))
        .await;
    reason(verdicts.get("good"));
    serves_on(&setup).await;
    takes_more(&setup).await;
    eventually("no cluster warms", async || {
        equal(envoy.warming_clusters().await, Vec::new())
    })
    .await;
    serves_on(&setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_listener_is_refused_alone() {
    let (setup, _envoy) = start().await;
    let other = http::free_address().await;
    let verdicts = setup
        .ads
        .apply(Changes::upsert([bad_listener("bad"), listener("other", other)]))
        .await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["bad"]);
    reason(verdicts.get("bad"));
    eventually("the other listener", async || {
        equal(http::status(other, "good.acme").await, 200)
    })
    .await;
    takes_more(&setup).await;
}

/// A fresh Envoy gets another try of what an earlier one refused: its reason may be gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_tried_again_by_the_next_envoy() {
    let (setup, envoy) = start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let other = listener("other", at);
    let verdicts = setup.ads.apply(Changes::upsert([other.clone()])).await;
    let why = reason(verdicts.get("other"));
    assert!(why.contains("in use"), "{why}");
    drop(taken);
    drop(envoy);
    setup.ads.wait_for_envoys(0).await;
    let _envoy = setup.start_envoy(&[other]).await;
    http::opens(at).await;
    assert_eq!(http::status(at, "good.acme").await, 200);
    assert!(setup.ads.report().rejected.is_empty());
}

/// The good ones of a refused response are known to Envoy by version: a reconnect resends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_refusal_a_reconnect_resends_only_what_was_refused() {
    let (mut setup, _envoy) = start().await;
    let more: Vec<_> = (0..20).map(|n| cluster(&format!("c{n}"), setup.service)).collect();
    let with_bad: Vec<_> = more.iter().cloned().chain([bad_cluster("bad")]).collect();
    setup.ads.apply(Changes::upsert(with_bad.clone())).await;
    setup.ads = Ads::start_at(&setup.ads.stop()).await;
    let table = good(&setup).into_iter().chain(with_bad);
    setup.ads.apply(Changes::table(table)).await;
    setup.ads.programmed(&more).await;
    eventually("the refused one comes again", async || {
        equal(setup.ads.sent(ResourceKind::Cluster), 1)
    })
    .await;
    let others = [ResourceKind::ScopedRoute, ResourceKind::Listener].map(|kind| setup.ads.sent(kind));
    assert_eq!(others, [0, 0]);
}
