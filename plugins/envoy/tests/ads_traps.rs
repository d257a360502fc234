//! The traps of delta xDS, each on a real Envoy. Those of refused resources are in `ads_quarantine.rs`, those of
//! reconnects in `ads_reconnect.rs`, those of order under load in `ads_order.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use ads_support::envoy::Envoy;
use ads_support::resources::{
    cluster, eds_cluster, endpoints, extension, header_filter, late_failing_cluster, listener, listener_with,
    listener_with_extension, scope,
};
use ads_support::server::Ads;
use ads_support::{equal, eventually, http};
use catalyst_envoy::ads::Changes;
use catalyst_plugin::Verdict;

/// Trap 1: without an answer to its empty subscription CDS holds up LDS until it times out.
#[tokio::test(flavor = "multi_thread")]
async fn no_cluster_at_all_does_not_hold_up_the_listeners() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let at = http::free_address().await;
    let resources = [listener("ingress", at)];
    ads.apply(Changes::table(resources.clone())).await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&resources).await;
    http::opens(at).await;
    eventually("the listener opens", async || {
        equal(http::status(at, "any.acme").await, 404)
    })
    .await;
    for kind in [
        "cluster_manager.cds",
        "listener_manager.lds",
        "http.ingress.scoped_rds.scopes",
    ] {
        assert_eq!(envoy.stat(&format!("{kind}.init_fetch_timeout")).await, 0, "{kind}");
    }
}

/// Trap 1 for a daemon that is slower than Envoy: nothing is answered before the first table, then all of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_is_early_waits_for_the_first_table() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.wait_for_envoys(1).await;
    assert_eq!(ads.report().totals.values().map(|kind| kind.responses).sum::<u64>(), 0);
    let resources = [cluster("orders", http::service("orders").await)];
    assert!(ads.apply(Changes::table(resources)).await.is_empty());
    assert_eq!(envoy.clusters().await, ["orders"]);
}

/// Trap 2: an EDS cluster that is sent again warms until its endpoints come again, and Envoy does not ask for them.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_follow_their_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let at = http::free_address().await;
    let service = http::service("orders").await;
    let resources = [
        eds_cluster("orders", 1),
        endpoints("orders", &[service]),
        scope("orders.acme", "orders"),
        listener("ingress", at),
    ];
    ads.apply(Changes::table(resources.clone())).await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&resources).await;
    http::opens(at).await;
    assert_eq!(http::status(at, "orders.acme").await, 200);
    for timeout_s in 2..5 {
        let verdicts = ads.apply(Changes::upsert([eds_cluster("orders", timeout_s)])).await;
        assert!(verdicts.is_empty(), "{verdicts:?}");
        assert_eq!(http::status(at, "orders.acme").await, 200);
    }
    assert_eq!(envoy.warming_clusters().await, Vec::<String>::new());
    assert_eq!(envoy.stat("cluster.orders.init_fetch_timeout").await, 0);
}

/// Trap 2 over a reconnect: Envoy says that it has the endpoints, but the cluster changed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_follow_a_cluster_that_changed_during_a_reconnect() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let at = http::free_address().await;
    let service = http::service("orders").await;
    let table = |timeout_s| {
        [
            eds_cluster("orders", timeout_s),
            endpoints("orders", &[service]),
            scope("orders.acme", "orders"),
            listener("ingress", at),
        ]
    };
    ads.apply(Changes::table(table(1))).await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&table(1)).await;
    http::opens(at).await;
    let ads = Ads::start_at(&ads.stop()).await;
    ads.apply(Changes::table(table(2))).await;
    ads.programmed(&table(2)).await;
    assert_eq!(http::status(at, "orders.acme").await, 200);
    assert_eq!(envoy.warming_clusters().await, Vec::<String>::new());
    assert_eq!(envoy.stat("cluster.orders.init_fetch_timeout").await, 0);
}

/// Trap 3 from the start: a fresh Envoy is given a cluster that fails late.
#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_envoy_starts_in_spite_of_a_cluster_that_fails_late() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let at = http::free_address().await;
    let service = http::service("orders").await;
    let good = [
        cluster("orders", service),
        scope("orders.acme", "orders"),
        listener("ingress", at),
    ];
    let bad = late_failing_cluster("bad", service);
    ads.apply(Changes::table(good.iter().cloned().chain([bad.clone()])))
        .await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&good).await;
    http::opens(at).await;
    assert_eq!(http::status(at, "orders.acme").await, 200);
    let why = eventually("the refusal", async || {
        match ads.verdicts(std::slice::from_ref(&bad.key)).remove("bad") {
            Some(Verdict::Rejected(reason)) => Ok(reason),
            other => Err(format!("{other:?}")),
        }
    });
    let why = why.await;
    assert!(why.contains("ring"), "{why}");
    assert_eq!(envoy.clusters().await, ["orders"]);
}

/// Trap 3: a cluster that warms for a reason (nobody answers its health check) withholds its confirmation, but holds up
/// nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_warms_holds_up_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let at = http::free_address().await;
    let service = http::service("orders").await;
    let resources = [
        cluster("orders", service),
        scope("orders.acme", "orders"),
        listener("ingress", at),
    ];
    ads.apply_settled(Changes::table(resources.clone()), false).await;
    let _envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&resources).await;
    http::opens(at).await;
    // Not settled: its endpoints may still come, so it is not told that there are none, and warms.
    ads.server.update(Changes::upsert([eds_cluster("slow", 1)]), false);
    let verdicts = ads
        .apply_settled(Changes::upsert([scope("more.acme", "orders")]), false)
        .await;
    assert!(verdicts.is_empty(), "{verdicts:?}");
    assert_eq!(http::status(at, "more.acme").await, 200);
}

/// Trap 5: endpoints that do not exist are said not to exist, rather than waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_endpoints_does_not_warm_in_vain() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let at = http::free_address().await;
    let resources = [
        eds_cluster("orders", 1),
        scope("orders.acme", "orders"),
        listener("ingress", at),
    ];
    ads.apply(Changes::table(resources.clone())).await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&resources).await;
    http::opens(at).await;
    assert_eq!(envoy.stat("cluster.orders.init_fetch_timeout").await, 0);
    let late = endpoints("orders", &[http::service("orders").await]);
    let verdicts = ads.apply(Changes::upsert([late])).await;
    assert!(verdicts.is_empty(), "{verdicts:?}");
    assert_eq!(http::status(at, "orders.acme").await, 200);
}

/// Trap 5: a new cluster has its endpoints before any route leads to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_never_answers_503() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let at = http::free_address().await;
    let service = http::service("orders").await;
    let base = [listener("ingress", at)];
    ads.apply(Changes::table(base.clone())).await;
    let _envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&base).await;
    http::opens(at).await;
    for n in 0..30 {
        let (host, name) = (format!("s{n}.acme"), format!("c{n}"));
        let round = [scope(&host, &name), eds_cluster(&name, 1), endpoints(&name, &[service])];
        let keys: Vec<_> = round.iter().map(|resource| resource.key.clone()).collect();
        ads.server.update(Changes::upsert(round), true);
        let seen = eventually("the new route", async || match http::status(at, &host).await {
            404 => Err("404".to_owned()),
            status => Ok(status),
        });
        assert_eq!(seen.await, 200, "{host}");
        eventually("its verdicts", async || equal(ads.verdicts(&keys).len(), 0)).await;
    }
}

/// Trap 8: Envoy takes a listener without HTTP filters, and then never answers a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_without_filters_is_refused_before_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let service = http::service("orders").await;
    let at = http::free_address().await;
    let resources = [
        cluster("orders", service),
        scope("orders.acme", "orders"),
        listener("ingress", at),
    ];
    ads.apply(Changes::table(resources.clone())).await;
    let _envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&resources).await;
    http::opens(at).await;
    let sent = ads.report().sent();
    let verdicts = ads
        .apply(Changes::upsert([listener_with("ingress", at, Vec::new())]))
        .await;
    let Some(Verdict::Rejected(why)) = verdicts.get("ingress") else {
        panic!("{verdicts:?}")
    };
    assert!(why.contains("http_filters"), "{why}");
    assert_eq!(ads.report().sent(), sent);
    assert_eq!(http::status(at, "orders.acme").await, 200);
}

/// An extension changes without its listener being replaced, and comes with a listener that asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_extension_changes_under_its_listener() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let at = http::free_address().await;
    let filter = |value| extension("mark", &header_filter("x-mark", value));
    let resources = [
        cluster("orders", http::service("orders").await),
        scope("orders.acme", "orders"),
        filter("one"),
        listener_with_extension("ingress", at, "mark"),
    ];
    ads.apply(Changes::table(resources.clone())).await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&resources).await;
    http::opens(at).await;
    eventually("the listener", async || {
        equal(http::status(at, "orders.acme").await, 200)
    })
    .await;
    let verdicts = ads.apply(Changes::upsert([filter("two")])).await;
    assert!(verdicts.is_empty(), "{verdicts:?}");
    let answer = http::get(at, "orders.acme", "/").await.unwrap();
    assert!(answer.head.contains("x-mark: two"), "{answer:?}");
    assert_eq!(envoy.stat("listener_manager.listener_modified").await, 0);
}

/// A listener that comes later finds the scopes that are there already (Envoy does not ask for them again).
#[tokio::test(flavor = "multi_thread")]
async fn a_later_listener_knows_the_scopes() {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    let (first, second) = (http::free_address().await, http::free_address().await);
    let service = http::service("orders").await;
    let resources = [
        cluster("orders", service),
        scope("orders.acme", "orders"),
        listener("first", first),
    ];
    ads.apply(Changes::table(resources.clone())).await;
    let _envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(&resources).await;
    http::opens(first).await;
    assert!(
        ads.apply(Changes::upsert([listener("second", second)]))
            .await
            .is_empty()
    );
    eventually("the second listener", async || {
        equal(http::status(second, "orders.acme").await, 200)
    })
    .await;
    // All of them go, and come again: Envoy has dropped the subscription in between.
    let keys = ["first", "second"].map(|name| listener(name, first).key);
    ads.apply(Changes::remove(keys)).await;
    eventually("no listener is left", async || {
        equal(http::status(second, "orders.acme").await, 0)
    })
    .await;
    let third = http::free_address().await;
    assert!(ads.apply(Changes::upsert([listener("third", third)])).await.is_empty());
    eventually("the third listener", async || {
        equal(http::status(third, "orders.acme").await, 200)
    })
    .await;
}
