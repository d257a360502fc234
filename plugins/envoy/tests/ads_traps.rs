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
use ads_support::setup::Setup;
use ads_support::{equal, eventually, http};
use catalyst_envoy::ads::Changes;
use catalyst_envoy::resource::Resource;
use catalyst_plugin::Verdict;

/// `orders.acme` by way of a cluster whose endpoints are a resource of their own.
fn orders_by_eds(setup: &Setup, timeout_s: i64) -> [Resource; 4] {
    [
        eds_cluster("orders", timeout_s),
        endpoints("orders", &[setup.service]),
        scope("orders.acme", "orders"),
        setup.listener(),
    ]
}

/// # Panics
/// Envoy warms a cluster, or has given up waiting for the endpoints of `orders`.
async fn check_nothing_warmed_in_vain(envoy: &Envoy) {
    assert_eq!(envoy.warming_clusters().await, Vec::<String>::new());
    assert_eq!(envoy.stat("cluster.orders.init_fetch_timeout").await, 0);
}

/// Trap 1: without an answer to its empty subscription CDS holds up LDS until it times out.
#[tokio::test(flavor = "multi_thread")]
async fn no_cluster_at_all_does_not_hold_up_the_listeners() {
    let setup = Setup::new().await;
    let envoy = setup.serve(&[setup.listener()]).await;
    eventually("the listener opens", async || {
        equal(setup.status("any.acme").await, 404)
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
    let setup = Setup::new().await;
    let envoy = Envoy::start("a", &setup.ads.address).await;
    setup.ads.wait_for_envoys(1).await;
    let totals = setup.ads.report().totals;
    assert_eq!(totals.values().map(|kind| kind.responses).sum::<u64>(), 0);
    setup.takes(Changes::table([cluster("orders", setup.service)])).await;
    assert_eq!(envoy.clusters().await, ["orders"]);
}

/// Trap 2: an EDS cluster that is sent again warms until its endpoints come again, and Envoy does not ask for them.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_follow_their_cluster() {
    let setup = Setup::new().await;
    let envoy = setup.serve(&orders_by_eds(&setup, 1)).await;
    assert_eq!(setup.status("orders.acme").await, 200);
    for timeout_s in 2..5 {
        setup.takes(Changes::upsert([eds_cluster("orders", timeout_s)])).await;
        assert_eq!(setup.status("orders.acme").await, 200);
    }
    check_nothing_warmed_in_vain(&envoy).await;
}

/// Trap 2 over a reconnect: Envoy says that it has the endpoints, but the cluster changed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_follow_a_cluster_that_changed_during_a_reconnect() {
    let mut setup = Setup::new().await;
    let envoy = setup.serve(&orders_by_eds(&setup, 1)).await;
    setup.ads = Ads::start_at(&setup.ads.stop()).await;
    let changed = orders_by_eds(&setup, 2);
    setup.ads.apply(Changes::table(changed.clone())).await;
    setup.ads.programmed(&changed).await;
    assert_eq!(setup.status("orders.acme").await, 200);
    check_nothing_warmed_in_vain(&envoy).await;
}

/// Trap 3 from the start: a fresh Envoy is given a cluster that fails late.
#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_envoy_starts_in_spite_of_a_cluster_that_fails_late() {
    let setup = Setup::new().await;
    let good = setup.orders();
    let bad = late_failing_cluster("bad", setup.service);
    let all = good.iter().cloned().chain([bad.clone()]);
    setup.ads.apply(Changes::table(all)).await;
    let envoy = setup.start_envoy(&good).await;
    assert_eq!(setup.status("orders.acme").await, 200);
    let why = eventually("the refusal", async || {
        match setup.ads.verdicts(std::slice::from_ref(&bad.key)).remove("bad") {
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
    let setup = Setup::new().await;
    let orders = setup.orders();
    setup.ads.apply_settled(Changes::table(orders.clone()), false).await;
    let _envoy = setup.start_envoy(&orders).await;
    // Not settled: its endpoints may still come, so it is not told that there are none, and warms.
    let slow = Changes::upsert([eds_cluster("slow", 1)]);
    setup.ads.server.update(slow, false);
    let more = Changes::upsert([scope("more.acme", "orders")]);
    let verdicts = setup.ads.apply_settled(more, false).await;
    assert!(verdicts.is_empty(), "{verdicts:?}");
    assert_eq!(setup.status("more.acme").await, 200);
}

/// Trap 5: endpoints that do not exist are said not to exist, rather than waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_endpoints_does_not_warm_in_vain() {
    let setup = Setup::new().await;
    let [cluster, endpoints, scope, listener] = orders_by_eds(&setup, 1);
    let envoy = setup.serve(&[cluster, scope, listener]).await;
    check_nothing_warmed_in_vain(&envoy).await;
    setup.takes(Changes::upsert([endpoints])).await;
    assert_eq!(setup.status("orders.acme").await, 200);
}

/// Trap 5: a new cluster has its endpoints before any route leads to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_never_answers_503() {
    let setup = Setup::new().await;
    let _envoy = setup.serve(&[setup.listener()]).await;
    for n in 0..30 {
        let (host, name) = (format!("s{n}.acme"), format!("c{n}"));
        let round = [
            scope(&host, &name),
            eds_cluster(&name, 1),
            endpoints(&name, &[setup.service]),
        ];
        let keys: Vec<_> = round.iter().map(|resource| resource.key.clone()).collect();
        setup.ads.server.update(Changes::upsert(round), true);
        let seen = eventually("the new route", async || match setup.status(&host).await {
            404 => Err("404".to_owned()),
            status => Ok(status),
        });
        assert_eq!(seen.await, 200, "{host}");
        eventually("its verdicts", async || equal(setup.ads.verdicts(&keys).len(), 0)).await;
    }
}

/// Trap 8: Envoy takes a listener without HTTP filters, and then never answers a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_without_filters_is_refused_before_it_is_sent() {
    let setup = Setup::new().await;
    let _envoy = setup.serve(&setup.orders()).await;
    let sent = setup.ads.report().sent();
    let empty = listener_with("ingress", setup.ingress, Vec::new());
    let verdicts = setup.ads.apply(Changes::upsert([empty])).await;
    let Some(Verdict::Rejected(why)) = verdicts.get("ingress") else {
        panic!("{verdicts:?}")
    };
    assert!(why.contains("http_filters"), "{why}");
    assert_eq!(setup.ads.report().sent(), sent);
    assert_eq!(setup.status("orders.acme").await, 200);
}

/// An extension changes without its listener being replaced, and comes with a listener that asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_extension_changes_under_its_listener() {
    let setup = Setup::new().await;
    let filter = |value| extension("mark", &header_filter("x-mark", value));
    let [cluster, scope, _] = setup.orders();
    let listener = listener_with_extension("ingress", setup.ingress, "mark");
    let envoy = setup.serve(&[cluster, scope, filter("one"), listener]).await;
    eventually("the listener", async || equal(setup.status("orders.acme").await, 200)).await;
    setup.takes(Changes::upsert([filter("two")])).await;
    let answer = http::get(setup.ingress, "orders.acme", "/").await.unwrap();
    assert!(answer.head.contains("x-mark: two"), "{answer:?}");
    assert_eq!(envoy.stat("listener_manager.listener_modified").await, 0);
}

/// A listener that comes later finds the scopes that are there already (Envoy does not ask for them again).
#[tokio::test(flavor = "multi_thread")]
async fn a_later_listener_knows_the_scopes() {
    let setup = Setup::new().await;
    let second = http::free_address().await;
    let _envoy = setup.serve(&setup.orders()).await;
    setup.takes(Changes::upsert([listener("second", second)])).await;
    eventually("the second listener", async || {
        equal(http::status(second, "orders.acme").await, 200)
    })
    .await;
    // All of them go, and come again: Envoy has dropped the subscription in between.
    let keys = ["ingress", "second"].map(|name| listener(name, second).key);
    setup.ads.apply(Changes::remove(keys)).await;
    eventually("no listener is left", async || {
        equal(http::status(second, "orders.acme").await, 0)
    })
    .await;
    let third = http::free_address().await;
    setup.takes(Changes::upsert([listener("third", third)])).await;
    eventually("the third listener", async || {
        equal(http::status(third, "orders.acme").await, 200)
    })
    .await;
}
