//! What a stream makes of subscriptions.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use crate::ads::desired::Desired;
use crate::ads::state::{Item, KindState};
use crate::resource::{ResourceKey, ResourceKind};

/// Names of one kind that one Envoy may subscribe to.
const MAX_NAMES: usize = 1_000_000;
/// Stands for all names in a subscription.
const EVERYTHING: &str = "*";

impl KindState {
    /// Gives whether the request asks for something new.
    pub(super) fn subscribe(&mut self, kind: ResourceKind, request: DeltaDiscoveryRequest) -> bool {
        let first = !std::mem::replace(&mut self.seen, true);
        if kind.is_wildcard() {
            return self.subscribe_wildcard(first, request);
        }
        self.subscribe_names(first, request)
    }

    /// The first request of a kind asks for everything without saying so.
    fn subscribe_wildcard(&mut self, first: bool, request: DeltaDiscoveryRequest) -> bool {
        let mut names = request.resource_names_subscribe.iter();
        if self.wildcard || !(first || names.any(|name| name == EVERYTHING)) {
            return false;
        }
        self.answer_due = request.initial_resource_versions.is_empty();
        for (name, version) in request.initial_resource_versions {
            self.adopt(name.into(), version.into());
        }
        self.wildcard = true;
        self.rescan = true;
        true
    }

    fn subscribe_names(&mut self, first: bool, request: DeltaDiscoveryRequest) -> bool {
        let mut initial = request.initial_resource_versions;
        if !first {
            initial = HashMap::new();
        }
        let room = MAX_NAMES.saturating_sub(self.names.len());
        let names = request.resource_names_subscribe.into_iter();
        let mut asked = false;
        for name in names.filter(|name| name != EVERYTHING).take(room) {
            let version = initial.remove(&name);
            self.subscribe_name(name.into(), version);
            asked = true;
        }
        asked
    }

    /// Of a name that it asks for again Envoy may have forgotten the content: only what it says to hold counts.
    fn subscribe_name(&mut self, name: Arc<str>, version: Option<String>) {
        self.names.insert(name.clone());
        let forced = self.force.remove(&name);
        let known = version.is_some();
        match version {
            Some(version) => self.adopt(name.clone(), version.into()),
            None => drop(self.held.remove(&name)),
        }
        self.rescan |= known;
        if forced || !known {
            self.pull.insert(name);
        }
    }

    /// Gives whether Envoy has dropped a wildcard subscription, and all that came by it.
    pub(super) fn unsubscribe(&mut self, kind: ResourceKind, names: &[String]) -> bool {
        if !kind.is_wildcard() {
            names.iter().for_each(|name| self.forget(name));
            return false;
        }
        let dropped = names.iter().any(|name| name == EVERYTHING);
        if dropped {
            self.forget_all();
        }
        dropped
    }

    fn forget(&mut self, name: &str) {
        self.names.remove(name);
        self.held.remove(name);
        self.pull.remove(name);
        self.force.remove(name);
    }

    fn forget_all(&mut self) {
        let in_flight = std::mem::take(&mut self.in_flight);
        *self = Self {
            seen: true,
            in_flight,
            ..Self::default()
        };
    }

    /// Notes that Envoy needs the content of `name` again, or for the first time, whatever it holds.
    pub(super) fn repeat(&mut self, name: Arc<str>) {
        if self.names.contains(&name) {
            self.pull.insert(name);
        } else {
            self.force.insert(name);
        }
    }

    /// Names that were not answered while they could still have turned up.
    pub(super) fn pull_unknown(&mut self, kind: ResourceKind, desired: &Desired) {
        let known = |name: &Arc<str>| self.held.contains_key(name) || desired.get(&key(kind, name)).is_some();
        let unknown: Vec<_> = self.names.iter().filter(|name| !known(name)).cloned().collect();
        self.pull.extend(unknown);
    }

    /// The answer to the names that Envoy waits for. One that does not exist is said to be absent, so that nothing warms
    /// for it, but not before the table is settled.
    pub(super) fn take_pulled(&mut self, kind: ResourceKind, desired: &Desired) -> Vec<Item> {
        let names = std::mem::take(&mut self.pull).into_iter();
        let items = names.filter(|name| self.names.contains(name)).filter_map(|name| {
            let key = key(kind, &name);
            match desired.get(&key) {
                Some(_) if desired.refusal(&key).is_some() => None,
                Some(content) => Some(Item {
                    name,
                    content: Some(content.clone()),
                }),
                None => desired.is_settled().then_some(Item { name, content: None }),
            }
        });
        items.collect()
    }
}

fn key(kind: ResourceKind, name: &Arc<str>) -> ResourceKey {
    ResourceKey {
        kind,
        name: name.clone(),
    }
}
