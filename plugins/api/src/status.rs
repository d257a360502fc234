//! From verdicts on resources to statuses of routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::plane::{PlaneStatus, Verdict};

/// What a resource waits for while the table is not settled.
const HELD: &str = "held as it was before the start, until every peer has sent its table";
/// The longest reason of a route in bytes; several resources may add up.
const MAX_REASON_BYTES: usize = 1024;

/// Why a resource is not programmed, and the routes that depend on it.
struct Trouble<D> {
    verdict: Verdict,
    names: Vec<D>,
}

/// The resources that are not programmed, and what was said of routes because of them.
pub(crate) struct Board<K, D> {
    troubles: BTreeMap<K, Trouble<D>>,
    by_name: BTreeMap<D, BTreeSet<K>>,
    /// The last word on each name, where it is not simply programmed.
    said: BTreeMap<D, PlaneStatus>,
    /// Names to look at with the next [`Board::news`].
    fresh: BTreeSet<D>,
    /// Names that changed since the last word on them: it does not count any more, so it is repeated.
    changed: BTreeSet<D>,
}

impl<K: Ord + Clone, D: Ord + Clone> Board<K, D> {
    pub(crate) fn new() -> Self {
        Self {
            troubles: BTreeMap::new(),
            by_name: BTreeMap::new(),
            said: BTreeMap::new(),
            fresh: BTreeSet::new(),
            changed: BTreeSet::new(),
        }
    }

    /// The route of this name changed.
    pub(crate) fn touch(&mut self, name: &D) {
        self.fresh.insert(name.clone());
        self.changed.insert(name.clone());
    }

    /// The resource is held as it is until the table is settled.
    pub(crate) fn hold(&mut self, key: &K, names: Vec<D>) {
        self.judge(key, Verdict::Pending(HELD.into()), names);
    }

    /// The resource is in place, whatever was said of it: only a plane's own [`Verdict::Pending`] stands.
    pub(crate) fn in_place(&mut self, key: &K) {
        let stands = |trouble: &Trouble<D>| matches!(&trouble.verdict, Verdict::Pending(reason) if &**reason != HELD);
        if !self.troubles.get(key).is_some_and(stands) {
            self.clear(key);
        }
    }

    /// A verdict on a resource that these routes depend on.
    pub(crate) fn judge(&mut self, key: &K, verdict: Verdict, names: Vec<D>) {
        self.clear(key);
        if verdict == Verdict::Programmed {
            return;
        }
        for name in &names {
            self.by_name.entry(name.clone()).or_default().insert(key.clone());
            self.fresh.insert(name.clone());
        }
        self.troubles.insert(key.clone(), Trouble { verdict, names });
    }

    /// Whether any resource waits for something.
    pub(crate) fn is_pending(&self) -> bool {
        let is_pending = |trouble: &Trouble<D>| matches!(trouble.verdict, Verdict::Pending(_));
        self.troubles.values().any(is_pending)
    }

    /// Nothing is wrong with the resource, or it is gone.
    pub(crate) fn clear(&mut self, key: &K) {
        let Some(trouble) = self.troubles.remove(key) else {
            return;
        };
        for name in trouble.names {
            if let Some(keys) = self.by_name.get_mut(&name) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_name.remove(&name);
                }
            }
            self.fresh.insert(name);
        }
    }

    /// Looks up again which routes depend on the resources in trouble: routes come to stand on a resource that is
    /// itself unchanged (a refused cluster that one more name uses).
    pub(crate) fn reindex(&mut self, routes_of: impl Fn(&K) -> Vec<D>) {
        let keys: Vec<K> = self.troubles.keys().cloned().collect();
        for key in keys {
            let names = routes_of(&key);
            if let Some(trouble) = self.troubles.get(&key)
                && trouble.names != names
            {
                let verdict = trouble.verdict.clone();
                self.judge(&key, verdict, names);
            }
        }
    }

    /// What is to be said of names since the last call; `exists` tells which names still have a route. Of names that
    /// changed, only if the data plane has followed (`current`): until then any word speaks of the content before.
    pub(crate) fn news(&mut self, current: bool, exists: impl Fn(&D) -> bool) -> Vec<(D, PlaneStatus)> {
        let mut news = Vec::new();
        let (ripe, later): (BTreeSet<_>, _) = std::mem::take(&mut self.fresh)
            .into_iter()
            .partition(|name| current || !self.changed.contains(name));
        self.fresh = later;
        for name in ripe {
            let changed = self.changed.remove(&name);
            let before = self.said.remove(&name);
            if !exists(&name) {
                continue;
            }
            let now = self.status(&name);
            if now != PlaneStatus::Programmed {
                self.said.insert(name.clone(), now.clone());
            }
            let same = before.as_ref().unwrap_or(&PlaneStatus::Programmed) == &now;
            let repeat = changed && now != PlaneStatus::Programmed;
            if !same || repeat {
                news.push((name, now));
            }
        }
        news
    }

    /// A rejection wins over waiting; equal words are said once.
    fn status(&self, name: &D) -> PlaneStatus {
        let Some(keys) = self.by_name.get(name) else {
            return PlaneStatus::Programmed;
        };
        let (mut rejected, mut pending) = (Vec::new(), Vec::new());
        for trouble in keys.iter().filter_map(|key| self.troubles.get(key)) {
            match &trouble.verdict {
                Verdict::Programmed => {}
                Verdict::Pending(reason) => pending.push(reason),
                Verdict::Rejected(reason) => rejected.push(reason),
            }
        }
        if !rejected.is_empty() {
            PlaneStatus::Rejected(join(rejected))
        } else if !pending.is_empty() {
            PlaneStatus::Pending(join(pending))
        } else {
            PlaneStatus::Programmed
        }
    }
}

fn join(mut reasons: Vec<&Arc<str>>) -> Arc<str> {
    reasons.sort();
    reasons.dedup();
    if let [only] = reasons[..]
        && only.len() <= MAX_REASON_BYTES
    {
        return Arc::clone(only);
    }
    let texts: Vec<&str> = reasons.iter().map(|reason| &***reason).collect();
    let mut text = texts.join("; ");
    if text.len() > MAX_REASON_BYTES {
        text.truncate(text.floor_char_boundary(MAX_REASON_BYTES));
        text.push('…');
    }
    text.into()
}

#[cfg(test)]
mod tests;
