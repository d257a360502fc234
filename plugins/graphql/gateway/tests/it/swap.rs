//! The graph changes under load.

use crate::services::{products, reviews, reviews_with_count};
use crate::support::{Egress, Gateway, eventually};
use catalyst_proto::gateway::v1::state::Graph;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const CLIENTS: usize = 8;
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_graph_changes() {
    let (gateway, egress) = (
        Arc::new(Gateway::start(&["--refresh-interval", "20ms"]).await),
        Egress::start().await,
    );
    egress.set("products", products());
    egress.set("reviews", reviews());
    gateway.add(&egress, &["products"]).await;
    gateway.until_serving(&["products"]).await;

    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            tokio::spawn(ask_until(
                Arc::clone(&gateway),
                Arc::clone(&stop),
                Arc::clone(&answered),
            ))
        })
        .collect();
    for round in 0..ROUNDS {
        gateway.add(&egress, &["reviews"]).await;
        let generation = gateway.until_serving(&["products", "reviews"]).await.generation;
        some_more(&answered).await;
        egress.set(
            "reviews",
            if round % 2 == 0 {
                reviews_with_count()
            } else {
                reviews()
            },
        );
        gateway
            .until("the changed schema serves", |s| {
                s.generation > generation && s.graph() == Graph::Serving
            })
            .await;
        some_more(&answered).await;
        gateway.withdraw(&["reviews"]).await;
        gateway.until_serving(&["products"]).await;
        some_more(&answered).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no request failed");
    }
    println!(
        "{} requests over {ROUNDS} rounds of three graphs",
        answered.load(Ordering::Relaxed)
    );
}

/// Until each client has asked the current graph.
async fn some_more(answered: &AtomicU64) {
    let before = answered.load(Ordering::Relaxed);
    eventually("requests are answered", async || {
        (answered.load(Ordering::Relaxed) >= before + 2 * CLIENTS as u64).then_some(())
    })
    .await;
}

async fn ask_until(gateway: Arc<Gateway>, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>) {
    let expected = json!({ "data": { "products": [{ "id": "1" }, { "id": "2" }] } });
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(gateway.query("{ products { id } }").await.1, expected);
        answered.fetch_add(1, Ordering::Relaxed);
    }
}
