//! A cluster that fails late leaves CDS silent: it stays in Envoy, warming, and while anything warms Envoy withholds
//! every CDS answer, even the refusal of that very cluster.
//!
//! Silence alone may also be a busy Envoy. So after a while another kind is asked to answer (an empty response): Envoy
//! works in order, and if that answer overtakes the one of CDS, CDS is withheld. Then what the silent response brought
//! is taken back, which ends the warming, the answers come, and the refusal names the bad cluster; the others go again.
//! No route names new clusters yet: it waits for this.

use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use prost::Message;

use crate::ads::state::{InFlight, Item};
use crate::resource::Resource;

/// When to ask, if nothing in the response has a reason to warm for longer. Before `ANSWER_WAIT` is over, so that routes
/// still wait.
const PROBE_AFTER: Duration = Duration::from_millis(500);
/// When to ask otherwise: Envoy waits 15 s for endpoints, and about as long for DNS or a first health check.
const PROBE_SLOW_AFTER: Duration = Duration::from_secs(20);

/// What one stream does about a silent CDS.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// The silent response that was asked about; each is asked about once.
    about: Option<String>,
    /// The empty response that is to overtake it.
    probe: Option<String>,
}

impl Silence {
    /// When to ask about `oldest`, the oldest response without an answer; `None` if it was done.
    pub(super) fn due(&self, oldest: &InFlight) -> Option<Instant> {
        if self.about.as_ref() == Some(&oldest.nonce) {
            return None;
        }
        let wait = if oldest.items.iter().all(|sent| is_prompt(&sent.item)) {
            PROBE_AFTER
        } else {
            PROBE_SLOW_AFTER
        };
        Some(oldest.sent_at + wait)
    }

    /// Notes that the probe left.
    pub(super) fn ask(&mut self, about: String, probe: String) {
        self.about = Some(about);
        self.probe = Some(probe);
    }

    /// Whether the answer to `nonce` overtook that of `oldest`.
    pub(super) fn is_proven(&mut self, nonce: &str, oldest: Option<&InFlight>) -> bool {
        if self.probe.as_deref() != Some(nonce) {
            return false;
        }
        self.probe = None;
        oldest.is_some_and(|oldest| self.about.as_ref() == Some(&oldest.nonce))
    }
}

/// What takes a silent response back: the content before it, or the removal of what is new. Where the content before is
/// not known, Envoy keeps what it has.
pub(super) fn take_back(silent: &InFlight) -> Vec<Item> {
    let upserts = silent.items.iter().filter(|sent| sent.item.content.is_some());
    let items = upserts.filter_map(|sent| {
        let content = match &sent.prior {
            None => None,
            Some(prior) => Some(prior.content.clone()?),
        };
        Some(Item {
            name: sent.item.name.clone(),
            content,
        })
    });
    items.collect()
}

fn is_prompt(item: &Item) -> bool {
    item.content.as_ref().is_none_or(|content| !may_warm(content))
}

/// Whether Envoy may have to wait for somebody else before it can use the cluster.
fn may_warm(cluster: &Resource) -> bool {
    let Ok(cluster) = Cluster::decode(cluster.body.clone()) else {
        return false;
    };
    let is_static = match cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => kind == i32::from(DiscoveryType::Static),
        Some(ClusterDiscoveryType::ClusterType(_)) => false,
        None => true,
    };
    let warms_later = cluster.wait_for_warm_on_init.is_some_and(|wait| !wait.value);
    (!is_static && !warms_later) || !cluster.health_checks.is_empty()
}
