//! Make before break under load (trap 6), on a real Envoy: no request fails while what it needs comes, moves and goes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ads_support::setup::Setup;
use ads_support::{eventually, http};
use catalyst_envoy::ads::Changes;
use catalyst_envoy::resource::ResourceKind;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_route_comes_and_goes_with_its_cluster_and_is_never_503() {
    let setup = Setup::new().await;
    let _envoy = setup.serve(&[setup.listener()]).await;
    let load = Load::start(setup.ingress, "orders.acme", &[200, 404]);
    for n in 0..50 {
        let [cluster, scope, _] = setup.route_over(&format!("c{n}"));
        let keys = [cluster.key.clone(), scope.key.clone()];
        setup.takes(Changes::upsert([scope, cluster])).await;
        load.goes_on().await;
        setup.ads.apply(Changes::remove(keys)).await;
        load.goes_on().await;
    }
    assert_eq!(load.failures().await, Vec::<u16>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_moves_from_cluster_to_cluster_without_a_failure() {
    let setup = Setup::new().await;
    let _envoy = setup.serve(&setup.route_over("c0")).await;
    let load = Load::start(setup.ingress, "orders.acme", &[200]);
    for n in 1..50 {
        setup.takes(Changes::table(setup.route_over(&format!("c{n}")))).await;
        load.goes_on().await;
    }
    assert_eq!(load.failures().await, Vec::<u16>::new());
}

/// Changes come faster than Envoy answers: they coalesce, and the last one stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_changes_coalesces_without_a_failure() {
    let setup = Setup::new().await;
    let envoy = setup.serve(&setup.route_over("c0")).await;
    let load = Load::start(setup.ingress, "orders.acme", &[200]);
    for n in 1..=2000 {
        let table = setup.route_over(&format!("c{n}"));
        setup.ads.server.update(Changes::table(table), true);
        tokio::task::yield_now().await;
    }
    setup.ads.programmed(&setup.route_over("c2000")).await;
    eventually("the old clusters go", async || match envoy.clusters().await {
        names if names == ["c2000"] => Ok(()),
        names => Err(format!("{names:?}")),
    })
    .await;
    load.goes_on().await;
    let sent = setup.ads.sent(ResourceKind::ScopedRoute);
    assert!(sent < 2000, "{:?}", setup.ads.report().totals);
    assert_eq!(load.failures().await, Vec::<u16>::new());
}
