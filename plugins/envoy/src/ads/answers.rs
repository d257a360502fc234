//! What a stream makes of acknowledgements and refusals.

use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use crate::ads::isolate::isolate;
use crate::ads::session::{Heard, Refused, Session};
use crate::ads::silence::take_back;
use crate::ads::state::{InFlight, Item};
use crate::resource::{ResourceKey, ResourceKind};

impl Session {
    pub(super) fn on_answer(&mut self, kind: ResourceKind, request: &DeltaDiscoveryRequest) -> Heard {
        let Some(response) = self.kinds[kind].take_in_flight(&request.response_nonce) else {
            return Heard::default();
        };
        if kind == ResourceKind::Cluster {
            self.silence.end();
        }
        self.on_overtaken_clusters(&response.nonce);
        match &request.error_detail {
            None => self.on_ack(kind, &response),
            Some(error) => self.on_nack(kind, response, &error.message),
        }
    }

    fn on_ack(&mut self, kind: ResourceKind, response: &InFlight) -> Heard {
        self.counters.entry(kind).or_default().acks += 1;
        let state = &mut self.kinds[kind];
        response.items.iter().for_each(|sent| state.on_ack(&sent.item));
        let names = response.items.iter().map(|sent| sent.item.name.clone());
        Heard {
            confirmed: names.map(|name| ResourceKey { kind, name }).collect(),
            ..Heard::default()
        }
    }

    fn on_nack(&mut self, kind: ResourceKind, response: InFlight, error: &str) -> Heard {
        self.counters.entry(kind).or_default().nacks += 1;
        let state = &mut self.kinds[kind];
        response.items.iter().for_each(|sent| state.on_nack(sent));
        let items = response.items.into_iter().map(|sent| sent.item);
        let (upserts, removals): (Vec<_>, Vec<_>) = items.partition(|item| item.content.is_some());
        // A removal is never at fault; alone it would be refused for reasons that no repetition mends.
        let mend_removals = !upserts.is_empty() && !removals.is_empty();
        let found = isolate(kind, upserts, error);
        state.retry.extend(found.retry);
        state.retry.extend(mend_removals.then_some(removals));
        if kind == ResourceKind::Cluster {
            self.make_amends(&found.guilty);
        }
        if !found.guilty.is_empty() {
            // What Envoy goes on with may name clusters that were to be removed, or the guilty be in the pass again.
            self.begin_anew();
        }
        Heard {
            refused: refusals(kind, found.guilty, error),
            ..Heard::default()
        }
    }

    /// Makes Envoy forget refused clusters, which may be warming.
    fn make_amends(&mut self, guilty: &[Item]) {
        let state = &self.kinds[ResourceKind::Cluster];
        let amends: Vec<Item> = guilty.iter().filter_map(|item| state.amends(&item.name)).collect();
        self.amends.extend((!amends.is_empty()).then_some(amends));
    }

    /// If this answer proves that Envoy withholds that of CDS, takes back what CDS was sent. The pass begins anew, so that
    /// the clusters come again before their routes.
    fn on_overtaken_clusters(&mut self, nonce: &str) {
        let Some(silent) = self.kinds[ResourceKind::Cluster].in_flight.front() else {
            return;
        };
        if !self.silence.is_proven(nonce, silent) {
            return;
        }
        let items = take_back(silent);
        tracing::debug!(clusters = items.len(), "Envoy withholds the answer to CDS: taken back");
        self.begin_anew();
        self.amends.extend((!items.is_empty()).then_some(items));
    }
}

fn refusals(kind: ResourceKind, guilty: Vec<Item>, error: &str) -> Vec<Refused> {
    let reason: Arc<str> = error.into();
    let refused = guilty.into_iter().filter_map(|item| {
        let version = item.content?.version.clone();
        let key = ResourceKey { kind, name: item.name };
        let reason = reason.clone();
        Some(Refused { key, version, reason })
    });
    refused.collect()
}
