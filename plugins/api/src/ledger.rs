//! What is desired against what is held: pure bookkeeping of the reconcile loop.

use std::collections::{BTreeMap, BTreeSet};

use crate::plane::{DataPlane, Diff, Verdict, Wanted};

/// What the diff found for one key.
enum Step {
    /// Nothing wanted, nothing held, or not ours to remove yet.
    Gone,
    /// Held as wanted.
    Right,
    /// Refused before with this very content.
    Quarantined,
    /// Held with other content until the table is settled.
    Hold,
    Upsert,
    Remove,
}

struct Desired<R> {
    resource: R,
    fingerprint: u64,
}

#[derive(Clone, Copy)]
struct Held {
    fingerprint: Option<u64>,
    /// Written by this run: not held over from before, even while the table is not settled.
    ours: bool,
}

/// Desired resources, what the data plane is believed to hold, and the keys where the two may differ.
pub(crate) struct Ledger<P: DataPlane> {
    desired: BTreeMap<P::Key, Desired<P::Resource>>,
    held: BTreeMap<P::Key, Held>,
    /// Fingerprints of refused contents.
    quarantine: BTreeMap<P::Key, u64>,
    dirty: BTreeSet<P::Key>,
}

/// A diff and what it means for keys that are not in it.
pub(crate) struct Plan<P: DataPlane> {
    pub(crate) diff: Diff<P::Key, P::Resource>,
    /// Neither wanted nor ours to remove.
    pub(crate) gone: Vec<P::Key>,
    /// In place already.
    pub(crate) right: Vec<P::Key>,
    /// Held as they are until the table is settled.
    pub(crate) hold: Vec<P::Key>,
}

impl<P: DataPlane> Ledger<P> {
    pub(crate) fn new() -> Self {
        Self {
            desired: BTreeMap::new(),
            held: BTreeMap::new(),
            quarantine: BTreeMap::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// Takes the outcome of planning in. After planning `All`, what is not in it is desired no longer.
    pub(crate) fn want(&mut self, plane: &P, wanted: Vec<Wanted<P>>, all: bool) {
        if all {
            self.dirty.extend(self.desired.keys().cloned());
            self.desired.clear();
        }
        for (key, resource) in wanted {
            self.dirty.insert(key.clone());
            match resource {
                None => drop(self.desired.remove(&key)),
                Some(resource) => {
                    let fingerprint = plane.fingerprint(&resource);
                    self.desired.insert(key, Desired { resource, fingerprint });
                }
            }
        }
    }

    /// Takes in what the data plane really holds; everything is compared again.
    pub(crate) fn observed(&mut self, observed: BTreeMap<P::Key, Option<u64>>) {
        let before = std::mem::take(&mut self.held);
        let ours = |key: &P::Key| before.get(key).is_some_and(|held| held.ours);
        self.held = (observed.into_iter())
            .map(|(key, fingerprint)| {
                let ours = ours(&key);
                (key, Held { fingerprint, ours })
            })
            .collect();
        self.touch_all();
    }

    /// Compares everything again with the next diff.
    pub(crate) fn touch_all(&mut self) {
        self.dirty.extend(self.desired.keys().cloned());
        self.dirty.extend(self.held.keys().cloned());
    }

    /// The difference over the dirty keys. They stay dirty until [`Ledger::applied`].
    pub(crate) fn diff(&self, plane: &P, settled: bool) -> Plan<P> {
        let diff = Diff {
            upsert: Vec::new(),
            remove: Vec::new(),
            settled,
        };
        let mut plan = Plan {
            diff,
            gone: Vec::new(),
            right: Vec::new(),
            hold: Vec::new(),
        };
        for key in &self.dirty {
            match self.step(plane, key, settled) {
                Step::Gone => plan.gone.push(key.clone()),
                Step::Right => plan.right.push(key.clone()),
                Step::Quarantined => {}
                Step::Hold => plan.hold.push(key.clone()),
                Step::Remove => plan.diff.remove.push(key.clone()),
                Step::Upsert => {
                    if let Some(desired) = self.desired.get(key) {
                        plan.diff.upsert.push((key.clone(), desired.resource.clone()));
                    }
                }
            }
        }
        plan
    }

    fn step(&self, plane: &P, key: &P::Key, settled: bool) -> Step {
        let held = self.held.get(key);
        let held_over = !settled && held.is_some_and(|held| !held.ours);
        let Some(desired) = self.desired.get(key) else {
            return match held {
                None => Step::Gone,
                // No route asks for it, so no status hangs on it.
                Some(_) if held_over => Step::Gone,
                Some(_) => Step::Remove,
            };
        };
        let refused = self.quarantine.get(key) == Some(&desired.fingerprint);
        let may_retry = held.is_none() && plane.rejects_for_outside_reasons();
        if refused && !may_retry {
            Step::Quarantined
        } else if held.is_some_and(|held| held.fingerprint == Some(desired.fingerprint)) {
            Step::Right
        } else if held_over {
            Step::Hold
        } else {
            Step::Upsert
        }
    }

    /// Notes that these are about to be written: whatever becomes of it, they are not held over from before.
    pub(crate) fn applying(&mut self, diff: &Diff<P::Key, P::Resource>) {
        for (key, _) in &diff.upsert {
            self.held.insert(
                key.clone(),
                Held {
                    fingerprint: None,
                    ours: true,
                },
            );
        }
    }

    /// Takes in that the diff was applied; verdicts come on top by [`Ledger::verdict`].
    pub(crate) fn applied(&mut self, upserted: &[P::Key], removed: &[P::Key]) {
        for key in upserted {
            let fingerprint = self.desired.get(key).map(|desired| desired.fingerprint);
            self.held.insert(
                key.clone(),
                Held {
                    fingerprint,
                    ours: true,
                },
            );
            self.quarantine.remove(key);
        }
        for key in removed {
            self.held.remove(key);
        }
        self.quarantine.retain(|key, _| self.desired.contains_key(key));
        self.dirty.clear();
    }

    /// Takes in the verdict on a resource as last given. False if that is not what is wanted now: it went, it has
    /// changed since, or it is held over from before.
    pub(crate) fn verdict(&mut self, key: &P::Key, verdict: &Verdict) -> bool {
        let Some(wanted) = self.desired.get(key).map(|desired| desired.fingerprint) else {
            return false;
        };
        let refused = self.quarantine.get(key).copied();
        let given = refused.or_else(|| self.held.get(key).and_then(|held| held.fingerprint));
        if given != Some(wanted) {
            return false;
        }
        match verdict {
            Verdict::Programmed | Verdict::Pending(_) => {
                if self.quarantine.remove(key).is_some() {
                    self.held.insert(
                        key.clone(),
                        Held {
                            fingerprint: given,
                            ours: true,
                        },
                    );
                }
            }
            Verdict::Rejected(_) => {
                self.quarantine.insert(key.clone(), wanted);
                // It may hold the content before this one, or nothing: written, or removed, in any case.
                self.held.insert(
                    key.clone(),
                    Held {
                        fingerprint: None,
                        ours: true,
                    },
                );
            }
        }
        true
    }
}
