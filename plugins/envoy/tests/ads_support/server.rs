//! The server under test, with its verdicts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use catalyst_envoy::ads::{AdsServer, Changes, Report};
use catalyst_envoy::config::XdsAddress;
use catalyst_envoy::resource::{Resource, ResourceKey, ResourceKind};
use catalyst_plugin::{PlaneEvent, Verdict};

use super::{PATIENCE, eventually};

/// A server and what is known of its verdicts.
pub struct Ads {
    pub server: AdsServer,
    pub address: XdsAddress,
}

impl Ads {
    pub async fn start(dir: &Path) -> Self {
        Self::start_at(&XdsAddress::Unix(dir.join("xds.sock"))).await
    }

    pub async fn start_at(address: &XdsAddress) -> Self {
        // The server before it may not have let go of the address yet.
        let server = eventually("the xDS address", async || {
            AdsServer::bind(address).await.map_err(|e| e.to_string())
        })
        .await;
        Self {
            server,
            address: address.clone(),
        }
    }

    /// Applies changes to a settled table and gives the verdicts that are not `Programmed`, by resource name.
    pub async fn apply(&self, changes: Changes) -> BTreeMap<String, Verdict> {
        self.apply_settled(changes, true).await
    }

    pub async fn apply_settled(&self, changes: Changes, settled: bool) -> BTreeMap<String, Verdict> {
        let keys: Vec<ResourceKey> = changes
            .set
            .iter()
            .filter(|(_, resource)| resource.is_some())
            .map(|(key, _)| key.clone())
            .collect();
        let round = self.server.update(changes, settled);
        self.server.wait(round, PATIENCE).await;
        self.verdicts(&keys)
    }

    pub fn verdicts(&self, keys: &[ResourceKey]) -> BTreeMap<String, Verdict> {
        let verdicts = self.server.verdicts(keys.iter());
        verdicts
            .into_iter()
            .map(|(key, verdict)| (key.name.to_string(), verdict))
            .collect()
    }

    /// Waits until all of `resources` are programmed.
    pub async fn programmed(&self, resources: &[Resource]) {
        let keys: Vec<_> = resources.iter().map(|resource| resource.key.clone()).collect();
        eventually("all resources programmed", async || {
            let left = self.verdicts(&keys);
            if left.is_empty() && self.report().envoys.len() == 1 {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        })
        .await;
    }

    pub fn report(&self) -> Report {
        self.server.handle().report()
    }

    /// Resources sent of one kind since the server started.
    pub fn sent(&self, kind: ResourceKind) -> u64 {
        self.report().totals.get(&kind).map_or(0, |counters| counters.resources)
    }

    pub async fn next_event(&self) -> PlaneEvent<ResourceKey> {
        tokio::time::timeout(PATIENCE, self.server.next_event())
            .await
            .expect("an event")
    }

    pub async fn wait_for_envoys(&self, count: usize) {
        eventually("the number of Envoys", async || {
            super::equal(self.report().envoys.len(), count)
        })
        .await;
    }

    /// Ends the server as a killed daemon would, and gives the address for the next one.
    pub fn stop(self) -> XdsAddress {
        self.address
    }
}

/// Longer than the server waits for an answer, shorter than Envoy warms in vain.
pub const FAST: Duration = Duration::from_secs(10);
