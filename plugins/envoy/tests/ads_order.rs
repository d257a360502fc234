//! Make before break under load (trap 6), on a real Envoy: no request fails while what it needs comes, moves and goes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ads_support::envoy::Envoy;
use ads_support::resources::{cluster, listener, scope};
use ads_support::server::Ads;
use ads_support::{eventually, http};
use catalyst_envoy::ads::Changes;
use catalyst_envoy::resource::{Resource, ResourceKind};
use tokio::task::JoinHandle;

/// Asks for one host without a pause.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    task: JoinHandle<Vec<u16>>,
}

impl Load {
    /// `allowed` are the statuses that are no failure.
    fn start(at: SocketAddr, host: &'static str, allowed: &'static [u16]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let (stopped, count) = (stop.clone(), answered.clone());
        let task = tokio::spawn(async move {
            let mut failures = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let status = http::status(at, host).await;
                failures.extend((!allowed.contains(&status)).then_some(status));
                count.fetch_add(1, Ordering::Relaxed);
            }
            failures
        });
        Self { stop, answered, task }
    }

    /// Waits for some more answers.
    async fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("answers", async || match self.answered.load(Ordering::Relaxed) {
            now if now >= before + 5 => Ok(()),
            now => Err(format!("{now}")),
        })
        .await;
    }

    async fn failures(self) -> Vec<u16> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn start(resources: &[Resource]) -> (Ads, Envoy, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start(dir.path()).await;
    ads.apply(Changes::table(resources.iter().cloned())).await;
    let envoy = Envoy::start("a", &ads.address).await;
    ads.programmed(resources).await;
    (ads, envoy, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_comes_and_goes_with_its_cluster_and_is_never_503() {
    let at = http::free_address().await;
    let service = http::service("orders").await;
    let (ads, _envoy, _dir) = start(&[listener("ingress", at)]).await;
    http::opens(at).await;
    let load = Load::start(at, "orders.acme", &[200, 404]);
    for n in 0..50 {
        let name = format!("c{n}");
        let pair = [scope("orders.acme", &name), cluster(&name, service)];
        assert!(ads.apply(Changes::upsert(pair.clone())).await.is_empty());
        load.goes_on().await;
        ads.apply(Changes::remove(pair.map(|resource| resource.key))).await;
        load.goes_on().await;
    }
    assert_eq!(load.failures().await, Vec::<u16>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_moves_from_cluster_to_cluster_without_a_failure() {
    let at = http::free_address().await;
    let service = http::service("orders").await;
    let first = [
        cluster("c0", service),
        scope("orders.acme", "c0"),
        listener("ingress", at),
    ];
    let (ads, _envoy, _dir) = start(&first).await;
    http::opens(at).await;
    let load = Load::start(at, "orders.acme", &[200]);
    for n in 1..50 {
        let name = format!("c{n}");
        let table = [
            scope("orders.acme", &name),
            cluster(&name, service),
            listener("ingress", at),
        ];
        assert!(ads.apply(Changes::table(table)).await.is_empty());
        load.goes_on().await;
    }
    assert_eq!(load.failures().await, Vec::<u16>::new());
}

/// Changes come faster than Envoy answers: they coalesce, and the last one stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_changes_coalesces_without_a_failure() {
    let at = http::free_address().await;
    let service = http::service("orders").await;
    let table = |n: usize| {
        let name = format!("c{n}");
        [
            scope("orders.acme", &name),
            cluster(&name, service),
            listener("ingress", at),
        ]
    };
    let (ads, envoy, _dir) = start(&table(0)).await;
    http::opens(at).await;
    let load = Load::start(at, "orders.acme", &[200]);
    for n in 1..=2000 {
        ads.server.update(Changes::table(table(n)), true);
        tokio::task::yield_now().await;
    }
    ads.programmed(&table(2000)).await;
    eventually("the old clusters go", async || match envoy.clusters().await {
        names if names == ["c2000"] => Ok(()),
        names => Err(format!("{names:?}")),
    })
    .await;
    load.goes_on().await;
    assert!(ads.sent(ResourceKind::ScopedRoute) < 2000, "{:?}", ads.report().totals);
    assert_eq!(load.failures().await, Vec::<u16>::new());
}
