//! One bad resource concerns itself alone, on a real Envoy.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use std::net::SocketAddr;

use ads_support::envoy::Envoy;
use ads_support::resources::{
    bad_cluster, bad_listener, bad_scope, cluster, late_failing_cluster, listener, scope, scope_for,
};
use ads_support::server::Ads;
use ads_support::{equal, eventually, http};
use catalyst_envoy::ads::Changes;
use catalyst_envoy::resource::{Resource, ResourceKind};
use catalyst_plugin::Verdict;

struct Running {
    ads: Ads,
    envoy: Envoy,
    ingress: SocketAddr,
    service: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Running {
    /// One service that works: `good.acme` to the cluster `good`.
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ads = Ads::start(dir.path()).await;
        let service = http::service("good").await;
        let ingress = http::free_address().await;
        let resources = [
            cluster("good", service),
            scope("good.acme", "good"),
            listener("ingress", ingress),
        ];
        ads.apply(Changes::table(resources.clone())).await;
        let envoy = Envoy::start("a", &ads.address).await;
        ads.programmed(&resources).await;
        http::opens(ingress).await;
        Self {
            ads,
            envoy,
            ingress,
            service,
            _dir: dir,
        }
    }

    async fn serves_on(&self) {
        assert_eq!(http::status(self.ingress, "good.acme").await, 200);
    }

    /// A further change still gets its acknowledgement.
    async fn takes_more(&self) {
        let verdicts = self
            .ads
            .apply(Changes::upsert([
                cluster("more", self.service),
                scope("more.acme", "more"),
            ]))
            .await;
        assert!(verdicts.is_empty(), "{verdicts:?}");
        assert_eq!(http::status(self.ingress, "more.acme").await, 200);
    }
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
    let run = Running::start().await;
    let changes = batch_around(bad_scope("bad.acme"), |n| scope(&format!("s{n}.acme"), "good"));
    let verdicts = run.ads.apply(changes).await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["bad.acme"]);
    let why = reason(verdicts.get("bad.acme"));
    assert!(why.contains("Domains"), "{why}");
    assert_eq!(run.envoy.scopes().await.len(), 21);
    assert_eq!(run.ads.report().rejected.len(), 1);
    run.serves_on().await;
    run.takes_more().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_scope_recovers() {
    let run = Running::start().await;
    run.ads.apply(Changes::upsert([bad_scope("bad.acme")])).await;
    assert_eq!(run.ads.report().rejected.len(), 1);
    let verdicts = run.ads.apply(Changes::upsert([scope("bad.acme", "good")])).await;
    assert!(verdicts.is_empty(), "{verdicts:?}");
    assert_eq!(http::status(run.ingress, "bad.acme").await, 200);
    assert!(run.ads.report().rejected.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_turns_bad_serves_on_as_it_was() {
    let run = Running::start().await;
    let verdicts = run.ads.apply(Changes::upsert([bad_scope("good.acme")])).await;
    reason(verdicts.get("good.acme"));
    run.serves_on().await;
    // The same content again is not sent again.
    let sent = run.ads.report().sent();
    let verdicts = run.ads.apply(Changes::upsert([bad_scope("good.acme")])).await;
    reason(verdicts.get("good.acme"));
    assert_eq!(run.ads.report().sent(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_scope_for_the_same_key_is_refused_alone() {
    let run = Running::start().await;
    let changes = batch_around(scope_for("double", "good.acme", "good"), |n| {
        scope(&format!("s{n}.acme"), "good")
    });
    let verdicts = run.ads.apply(changes).await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["double"]);
    let why = reason(verdicts.get("double"));
    assert!(why.contains("scope key conflict"), "{why}");
    run.serves_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_cluster_is_refused_alone() {
    let run = Running::start().await;
    let changes = batch_around(bad_cluster("bad"), |n| cluster(&format!("c{n}"), run.service));
    let verdicts = run.ads.apply(changes).await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["bad"]);
    let why = reason(verdicts.get("bad"));
    assert!(why.contains("not-an-ip"), "{why}");
    assert_eq!(run.envoy.clusters().await.len(), 21);
    run.takes_more().await;
}

/// Trap 3: it is refused but stays, warming, and withholds every later acknowledgement.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_fails_late_is_refused_alone_and_taken_away() {
    let run = Running::start().await;
    let changes = batch_around(late_failing_cluster("bad", run.service), |n| {
        cluster(&format!("c{n}"), run.service)
    });
    let verdicts = run.ads.apply(changes).await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["bad"]);
    let why = reason(verdicts.get("bad"));
    assert!(why.contains("ring"), "{why}");
    run.takes_more().await;
    eventually("no cluster warms", async || {
        equal(run.envoy.warming_clusters().await, Vec::new())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_turns_bad_late_serves_on_as_it_was() {
    let run = Running::start().await;
    let verdicts = run
        .ads
        .apply(Changes::upsert([late_failing_cluster("good", run.service)]))
        .await;
    reason(verdicts.get("good"));
    run.serves_on().await;
    run.takes_more().await;
    eventually("no cluster warms", async || {
        equal(run.envoy.warming_clusters().await, Vec::new())
    })
    .await;
    run.serves_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_listener_is_refused_alone() {
    let run = Running::start().await;
    let other = http::free_address().await;
    let verdicts = run
        .ads
        .apply(Changes::upsert([bad_listener("bad"), listener("other", other)]))
        .await;
    assert_eq!(verdicts.keys().collect::<Vec<_>>(), ["bad"]);
    reason(verdicts.get("bad"));
    eventually("the other listener", async || {
        equal(http::status(other, "good.acme").await, 200)
    })
    .await;
    run.takes_more().await;
}

/// A fresh Envoy gets another try of what an earlier one refused: its reason may be gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_tried_again_by_the_next_envoy() {
    let run = Running::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let other = listener("other", at);
    let verdicts = run.ads.apply(Changes::upsert([other.clone()])).await;
    let why = reason(verdicts.get("other"));
    assert!(why.contains("in use"), "{why}");
    drop(taken);
    let Running { ads, envoy, .. } = run;
    drop(envoy);
    ads.wait_for_envoys(0).await;
    let _envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&[other]).await;
    http::opens(at).await;
    assert_eq!(http::status(at, "good.acme").await, 200);
    assert!(ads.report().rejected.is_empty());
}

/// The good ones of a refused response are known to Envoy by version: a reconnect resends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_refusal_a_reconnect_resends_only_what_was_refused() {
    let run = Running::start().await;
    let good: Vec<_> = (0..20).map(|n| cluster(&format!("c{n}"), run.service)).collect();
    let bad = bad_cluster("bad");
    run.ads
        .apply(Changes::upsert(good.iter().cloned().chain([bad.clone()])))
        .await;
    let table = [
        cluster("good", run.service),
        scope("good.acme", "good"),
        listener("ingress", run.ingress),
        bad,
    ];
    let Running { ads, envoy: _envoy, .. } = run;
    let ads = Ads::start_at(&ads.stop()).await;
    let verdicts = ads.apply(Changes::table(table.into_iter().chain(good.clone()))).await;
    drop(verdicts);
    ads.programmed(&good).await;
    eventually("the refused one comes again", async || {
        equal(ads.sent(ResourceKind::Cluster), 1)
    })
    .await;
    assert_eq!(
        ads.sent(ResourceKind::ScopedRoute) + ads.sent(ResourceKind::Listener),
        0
    );
}
