//! What every Envoy is to hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::resource::{Resource, ResourceKey, ResourceKind};

/// A step of the desired table.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Whether `upsert` is the whole table: what it does not name is no longer wanted.
    pub replace: bool,
    /// Resources that are wanted with this content.
    pub upsert: Vec<Resource>,
    /// Resources that are wanted no longer.
    pub remove: Vec<ResourceKey>,
}

/// The desired table, and what was found to be wrong with it.
#[derive(Debug, Default)]
pub(super) struct Desired {
    kinds: BTreeMap<ResourceKind, BTreeMap<Arc<str>, Arc<Resource>>>,
    quarantine: BTreeMap<ResourceKey, Quarantined>,
    /// Until the first table has come nothing is answered: an empty answer would delete what Envoys serve.
    ready: bool,
    /// While false, what an Envoy brought along is neither changed nor removed.
    settled: bool,
}

/// A content that Envoy refused; it is not sent again.
#[derive(Debug, Clone)]
pub(super) struct Quarantined {
    pub(super) version: Arc<str>,
    pub(super) reason: Arc<str>,
}

impl Desired {
    /// Takes over `changes`; gives the keys whose content differs now.
    pub(super) fn update(&mut self, changes: Changes, settled: bool) -> Vec<ResourceKey> {
        self.ready = true;
        self.settled = settled;
        let mut touched = if changes.replace {
            self.drop_all_but(&changes.upsert)
        } else {
            Vec::new()
        };
        touched.extend(changes.remove.into_iter().filter(|key| self.remove(key)));
        touched.extend(changes.upsert.into_iter().filter_map(|resource| self.upsert(resource)));
        touched
    }

    fn drop_all_but(&mut self, wanted: &[Resource]) -> Vec<ResourceKey> {
        let wanted: std::collections::BTreeSet<&ResourceKey> = wanted.iter().map(|resource| &resource.key).collect();
        let gone: Vec<_> = self
            .iter()
            .filter(|have| !wanted.contains(&have.key))
            .map(|have| have.key.clone())
            .collect();
        gone.into_iter().filter(|key| self.remove(key)).collect()
    }

    fn remove(&mut self, key: &ResourceKey) -> bool {
        self.quarantine.remove(key);
        self.kinds
            .get_mut(&key.kind)
            .is_some_and(|kind| kind.remove(&key.name).is_some())
    }

    fn upsert(&mut self, resource: Resource) -> Option<ResourceKey> {
        let key = resource.key.clone();
        let kind = self.kinds.entry(key.kind).or_default();
        if kind.get(&key.name).is_some_and(|have| have.version == resource.version) {
            return None;
        }
        self.quarantine.remove(&key);
        kind.insert(key.name.clone(), Arc::new(resource));
        Some(key)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    pub(super) fn get(&self, key: &ResourceKey) -> Option<&Arc<Resource>> {
        self.of_kind(key.kind)?.get(&key.name)
    }

    pub(super) fn of_kind(&self, kind: ResourceKind) -> Option<&BTreeMap<Arc<str>, Arc<Resource>>> {
        self.kinds.get(&kind)
    }

    /// Every wanted resource, in the order of creation.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.kinds.values().flat_map(BTreeMap::values)
    }

    /// The refusal that stands against the wanted content of `key`.
    pub(super) fn refusal(&self, key: &ResourceKey) -> Option<&Quarantined> {
        let wanted = self.get(key)?;
        self.quarantine
            .get(key)
            .filter(|refused| refused.version == wanted.version)
    }

    pub(super) fn quarantine(&mut self, key: ResourceKey, refused: Quarantined) {
        self.quarantine.insert(key, refused);
    }

    /// Gives every refused content another chance; gives the keys concerned.
    pub(super) fn lift_quarantine(&mut self) -> Vec<ResourceKey> {
        std::mem::take(&mut self.quarantine).into_keys().collect()
    }

    pub(super) fn quarantined(&self) -> impl Iterator<Item = (&ResourceKey, &Quarantined)> {
        self.quarantine.iter()
    }
}
