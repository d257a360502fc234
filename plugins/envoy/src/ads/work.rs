//! What a stream has to do: the difference between what is desired and what Envoy holds, over the names that may differ.

use std::sync::Arc;
use std::time::Instant;

use crate::ads::cycle::Work;
use crate::ads::desired::Desired;
use crate::ads::session::{REMOVAL_GRACE, Session};
use crate::ads::state::{Item, KindState};
use crate::resource::{Resource, ResourceKey, ResourceKind};

impl Session {
    pub(super) fn collect_work(&mut self, now: Instant, desired: &Desired) -> Work {
        let may_remove = self.may_remove(now);
        let may_remove_clusters = may_remove && !self.serves_refused(desired);
        if may_remove {
            self.dirty.append(&mut self.deferred);
        }
        let mut work = Work::default();
        for key in std::mem::take(&mut self.dirty) {
            let Some(item) = self.decide(&key, desired) else {
                self.leave(key);
                continue;
            };
            match item.content {
                Some(_) => work.make.entry(key.kind).or_default().push(item),
                None if may_remove_clusters || (may_remove && key.kind != ResourceKind::Cluster) => {
                    work.remove.entry(key.kind).or_default().push(item);
                }
                None => drop(self.deferred.insert(key)),
            }
        }
        for (kind, _) in self.kinds.iter().filter(|(_, state)| state.answer_due) {
            work.make.entry(kind).or_default();
        }
        work
    }

    /// Whether all kinds that Envoy brought along are known, so that nothing is removed that is still referred to.
    fn may_remove(&self, now: Instant) -> bool {
        let mut wildcards = self.kinds.iter().filter(|(kind, _)| kind.is_wildcard());
        now >= self.opened + REMOVAL_GRACE || wildcards.all(|(_, state)| state.seen)
    }

    /// Whether Envoy goes on with an older content of something that it refused: that may name clusters which nobody
    /// else needs.
    fn serves_refused(&self, desired: &Desired) -> bool {
        let refused = desired.quarantined().map(|(key, _)| key);
        let mut kept = refused.filter(|key| key.kind != ResourceKind::Cluster);
        kept.any(|key| desired.refusal(key).is_some() && self.kinds[key.kind].held.contains_key(&key.name))
    }

    pub(super) fn take_rescans(&mut self, desired: &Desired) {
        for (kind, state) in self.kinds.iter_mut() {
            if !std::mem::take(&mut state.rescan) {
                continue;
            }
            let names = state.differing(kind, desired);
            self.dirty.extend(names.map(|name| ResourceKey { kind, name }));
            if desired.is_settled() {
                state.pull_unknown(kind, desired);
            }
        }
    }

    /// What is to be sent for `key`, if anything.
    fn decide(&self, key: &ResourceKey, desired: &Desired) -> Option<Item> {
        let state = &self.kinds[key.kind];
        let held = state.held.get(&key.name);
        let wanted = desired.get(key);
        if !state.wants(&key.name) || held.map(|held| &held.version) == wanted.map(|wanted| &wanted.version) {
            return None;
        }
        if desired.refusal(key).is_some() || (held.is_some_and(|held| held.adopted) && !desired.is_settled()) {
            return None;
        }
        Some(Item {
            name: key.name.clone(),
            content: wanted.cloned(),
        })
    }
}

impl KindState {
    /// Names whose content is not what is desired, wanted or held.
    fn differing(&mut self, kind: ResourceKind, desired: &Desired) -> impl Iterator<Item = Arc<str>> + use<> {
        let wanted = desired.of_kind(kind).into_iter().flatten();
        let differing = wanted.filter(|(name, wanted)| !self.recognise(name, wanted));
        let mut names: Vec<Arc<str>> = differing.map(|(name, _)| name.clone()).collect();
        let unwanted = |name: &&Arc<str>| desired.of_kind(kind).is_none_or(|wanted| !wanted.contains_key(*name));
        names.extend(self.held.keys().filter(unwanted).cloned());
        names.into_iter()
    }

    /// Whether `wanted` is what Envoy holds; then its content is known too, even if Envoy had it from before.
    fn recognise(&mut self, name: &Arc<str>, wanted: &Arc<Resource>) -> bool {
        let held = self.held.get_mut(name).filter(|held| held.version == wanted.version);
        let Some(held) = held else { return false };
        held.content = Some(wanted.clone());
        true
    }
}
