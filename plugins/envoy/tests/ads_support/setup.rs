//! What most tests begin with.

use std::net::SocketAddr;

use catalyst_envoy::ads::Changes;
use catalyst_envoy::resource::Resource;

use super::envoy::Envoy;
use super::http;
use super::resources::{cluster, listener, scope};
use super::server::Ads;

/// A server without a table, a service, and an address where an Envoy may listen.
pub struct Setup {
    pub ads: Ads,
    /// Answers with `orders`.
    pub service: SocketAddr,
    pub ingress: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Setup {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            ads: Ads::start(dir.path()).await,
            service: http::service("orders").await,
            ingress: http::free_address().await,
            _dir: dir,
        }
    }

    /// `orders.acme` leads to the cluster `orders`, which is the service.
    pub fn orders(&self) -> [Resource; 3] {
        self.route_over("orders")
    }

    /// `orders.acme` leads to the service by way of a cluster of this name.
    pub fn route_over(&self, name: &str) -> [Resource; 3] {
        [cluster(name, self.service), scope("orders.acme", name), self.listener()]
    }

    pub fn listener(&self) -> Resource {
        listener("ingress", self.ingress)
    }

    /// Gives the server a settled table and starts an Envoy; returns once all of it is programmed and the listener open.
    pub async fn serve(&self, table: &[Resource]) -> Envoy {
        self.ads.apply(Changes::table(table.iter().cloned())).await;
        self.start_envoy(table).await
    }

    /// Starts an Envoy and waits until these are programmed and the listener is open.
    pub async fn start_envoy(&self, programmed: &[Resource]) -> Envoy {
        let envoy = Envoy::start("a", &self.ads.address).await;
        self.ads.programmed(programmed).await;
        http::opens(self.ingress).await;
        envoy
    }

    /// # Panics
    /// One of the changes is not programmed.
    pub async fn takes(&self, changes: Changes) {
        let verdicts = self.ads.apply(changes).await;
        assert!(verdicts.is_empty(), "{verdicts:?}");
    }

    pub async fn status(&self, host: &str) -> u16 {
        http::status(self.ingress, host).await
    }
}
