//! The resources that are wanted, with the names that want them. A shared one (the cluster of a next hop) goes with its
//! last user.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use catalyst_plugin::ServiceName;

use crate::resource::{Resource, ResourceKey};

/// What changed, in the order of creation.
pub(crate) type Changes = BTreeMap<ResourceKey, Option<Resource>>;

#[derive(Debug)]
struct Wanted {
    resource: Resource,
    users: BTreeSet<ServiceName>,
}

/// The wanted resources of all names.
#[derive(Debug, Default)]
pub(crate) struct Held {
    resources: BTreeMap<ResourceKey, Wanted>,
    by_name: BTreeMap<ServiceName, BTreeSet<ResourceKey>>,
}

impl Held {
    /// Replaces what a batch of names wants. New users come before old ones go, so that a resource which passes from one
    /// name to another stays.
    pub(crate) fn replace(&mut self, batch: Vec<(ServiceName, Vec<Resource>)>, changes: &mut Changes) {
        let mut left = Vec::new();
        for (name, wanted) in batch {
            let keys: BTreeSet<ResourceKey> = wanted.iter().map(|resource| resource.key.clone()).collect();
            for resource in wanted {
                self.acquire(&name, resource, changes);
            }
            let before = if keys.is_empty() {
                self.by_name.remove(&name)
            } else {
                self.by_name.insert(name.clone(), keys)
            };
            left.push((name, before.unwrap_or_default()));
        }
        for (name, before) in left {
            self.release(&name, before, changes);
        }
    }

    fn acquire(&mut self, name: &ServiceName, resource: Resource, changes: &mut Changes) {
        match self.resources.entry(resource.key.clone()) {
            Entry::Vacant(vacant) => {
                changes.insert(resource.key.clone(), Some(resource.clone()));
                vacant.insert(Wanted {
                    resource,
                    users: BTreeSet::from([name.clone()]),
                });
            }
            Entry::Occupied(mut held) => {
                let held = held.get_mut();
                held.users.insert(name.clone());
                if held.resource != resource {
                    changes.insert(resource.key.clone(), Some(resource.clone()));
                    held.resource = resource;
                }
            }
        }
    }

    fn release(&mut self, name: &ServiceName, before: BTreeSet<ResourceKey>, changes: &mut Changes) {
        for key in before {
            if self.by_name.get(name).is_some_and(|keys| keys.contains(&key)) {
                continue;
            }
            let Some(held) = self.resources.get_mut(&key) else {
                continue;
            };
            held.users.remove(name);
            if held.users.is_empty() {
                self.resources.remove(&key);
                changes.insert(key, None);
            }
        }
    }

    /// The names that want a resource.
    pub(crate) fn users(&self, key: &ResourceKey) -> Vec<ServiceName> {
        self.resources
            .get(key)
            .map(|held| held.users.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Every wanted resource.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values().map(|held| &held.resource)
    }

    /// The names that want anything.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.by_name.keys()
    }
}
