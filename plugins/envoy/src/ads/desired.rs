//! What every Envoy is to hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ads::state::Item;
use crate::ads::validate::find_fault;
use crate::resource::{Resource, ResourceKey, ResourceKind};

/// A step of the desired table.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Whether this is the whole table: what it does not name is no longer wanted.
    pub replace: bool,
    /// Resources that are wanted with this content (`Some`), or wanted no longer.
    pub set: BTreeMap<ResourceKey, Option<Resource>>,
}

impl Changes {
    /// The whole table.
    #[must_use]
    pub fn table(resources: impl IntoIterator<Item = Resource>) -> Self {
        Self {
            replace: true,
            ..Self::upsert(resources)
        }
    }

    /// Resources that are wanted with this content.
    #[must_use]
    pub fn upsert(resources: impl IntoIterator<Item = Resource>) -> Self {
        let set = resources
            .into_iter()
            .map(|resource| (resource.key.clone(), Some(resource)));
        Self {
            replace: false,
            set: set.collect(),
        }
    }

    /// Resources that are wanted no longer.
    #[must_use]
    pub fn remove(keys: impl IntoIterator<Item = ResourceKey>) -> Self {
        Self {
            replace: false,
            set: keys.into_iter().map(|key| (key, None)).collect(),
        }
    }

    /// Adds one resource; the latest word counts.
    pub fn set(&mut self, key: ResourceKey, resource: Option<Resource>) {
        self.set.insert(key, resource);
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.replace && self.set.is_empty()
    }
}

/// The desired table, and what was found to be wrong with it.
#[derive(Debug, Default)]
pub(super) struct Desired {
    kinds: BTreeMap<ResourceKind, BTreeMap<Arc<str>, Arc<Resource>>>,
    quarantine: BTreeMap<ResourceKey, Quarantined>,
    /// Until the first table has come nothing is answered: an empty answer would delete what Envoys serve.
    ready: bool,
    /// While false, what an Envoy brought along is neither changed nor removed. Once true it stays so: only at its start
    /// does the daemon not know what it wants, and to hold a part of what it changed since would tear references apart.
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
        self.settled |= settled;
        let mut touched = if changes.replace {
            self.drop_all_but(&changes)
        } else {
            Vec::new()
        };
        for (key, resource) in changes.set {
            let touches = match resource {
                Some(resource) => self.upsert(resource),
                None => self.remove(&key),
            };
            touched.extend(touches.then_some(key));
        }
        touched
    }

    fn drop_all_but(&mut self, wanted: &Changes) -> Vec<ResourceKey> {
        let gone = self
            .iter()
            .filter(|have| !wanted.set.contains_key(&have.key))
            .map(|have| have.key.clone());
        let gone: Vec<_> = gone.collect();
        gone.into_iter().filter(|key| self.remove(key)).collect()
    }

    fn remove(&mut self, key: &ResourceKey) -> bool {
        self.quarantine.remove(key);
        self.kinds
            .get_mut(&key.kind)
            .is_some_and(|kind| kind.remove(&key.name).is_some())
    }

    fn upsert(&mut self, resource: Resource) -> bool {
        let ResourceKey { kind, name } = resource.key.clone();
        let of_kind = self.kinds.entry(kind).or_default();
        if of_kind.get(&name).is_some_and(|have| have.version == resource.version) {
            return false;
        }
        self.quarantine.remove(&resource.key);
        if let Some(fault) = find_fault(&resource) {
            let refused = Quarantined {
                version: resource.version.clone(),
                reason: fault.into(),
            };
            self.quarantine.insert(resource.key.clone(), refused);
        }
        of_kind.insert(name, Arc::new(resource));
        true
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

    /// Whether an item is what is desired.
    pub(super) fn is(&self, kind: ResourceKind, item: &Item) -> bool {
        let wanted = self.of_kind(kind).and_then(|of_kind| of_kind.get(&item.name));
        wanted.map(|wanted| &wanted.version) == item.content.as_ref().map(|content| &content.version)
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

    /// Gives every content that Envoy refused another chance; gives the keys concerned.
    pub(super) fn lift_quarantine(&mut self) -> Vec<ResourceKey> {
        let quarantine = std::mem::take(&mut self.quarantine).into_iter();
        let faulty = |key: &ResourceKey| self.get(key).is_some_and(|wanted| find_fault(wanted).is_some());
        let (kept, lifted): (BTreeMap<_, _>, BTreeMap<_, _>) = quarantine.partition(|(key, _)| faulty(key));
        self.quarantine = kept;
        lifted.into_keys().collect()
    }

    /// As [`Desired::lift_quarantine`], of one kind; gives what was refused.
    pub(super) fn lift(&mut self, kind: ResourceKind) -> BTreeMap<ResourceKey, Quarantined> {
        let of_kind = |key: &ResourceKey| key.kind == kind && self.get(key).is_some_and(|it| find_fault(it).is_none());
        let keys: Vec<ResourceKey> = self.quarantine.keys().filter(|key| of_kind(key)).cloned().collect();
        let lift = |key| self.quarantine.remove_entry(&key);
        keys.into_iter().filter_map(lift).collect()
    }

    pub(super) fn quarantined(&self) -> impl Iterator<Item = (&ResourceKey, &Quarantined)> {
        self.quarantine.iter()
    }
}
