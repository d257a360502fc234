//! Results of policies that read the name. Such a policy is reduced to what is left of it once per attribute set; each
//! name then costs a walk over that, and a look at what came of the statements that apply.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::intern::{AttrId, AttrTable, Cached};
use crate::policy::{Action, Given, Key, Policy, Residual};
use crate::rib::PeerId;

/// So many attribute sets are remembered; beyond, all are forgotten. They come in batches.
const KEPT: usize = 4096;
/// So many results are remembered of one of them.
const RESULTS_KEPT: usize = 64;

/// What a policy is applied to, save for the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) class: u16,
    pub(super) origin: PeerId,
    pub(super) attr: AttrId,
}

/// A policy reduced for one attribute set.
#[derive(Debug)]
pub(super) struct Entry {
    generation: u32,
    policy: Arc<Policy>,
    residual: Residual,
    /// The statements that applied to the last name and change something.
    applied: Vec<usize>,
    results: Vec<Outcome>,
}

#[derive(Debug)]
struct Outcome {
    applied: Box<[usize]>,
    result: Cached,
    generation: u32,
}

/// Reduced policies by what they are applied to.
#[derive(Debug, Default)]
pub(super) struct ByKey {
    entries: FxHashMap<Place, Entry>,
    /// The epoch of the attribute table: when it forgets results, these go too.
    epoch: u64,
}

impl ByKey {
    /// The policy reduced for a place; `attrs` holds the set of the place.
    pub(super) fn entry(
        &mut self,
        place: Place,
        policy: &Arc<Policy>,
        attrs: &AttrTable,
        facing: (&str, Option<crate::policy::Role>),
    ) -> &mut Entry {
        if self.epoch != attrs.epoch() || self.entries.len() >= KEPT {
            self.entries.clear();
            self.epoch = attrs.epoch();
        }
        let generation = attrs.generation(place.attr);
        let reduce = || {
            let given = Given {
                attrs: &attrs.decode(place.attr),
                table: attrs.hot(place.attr).table,
                peer: facing.0,
                role: facing.1,
            };
            Entry {
                generation,
                residual: policy.program().reduce(&given),
                policy: policy.clone(),
                applied: Vec::new(),
                results: Vec::new(),
            }
        };
        let entry = self.entries.entry(place).or_insert_with(reduce);
        if entry.generation != generation {
            *entry = reduce();
        }
        entry
    }
}

impl Entry {
    /// Whether the policy accepts a name; where no statement decides, `default` stands.
    pub(super) fn accepts(&mut self, key: Key<'_>, default: bool) -> bool {
        let decision = self.policy.program().decide(&self.residual, key, &mut self.applied);
        decision.map_or(default, |decision| decision.accept)
    }

    /// The changes by the statements that applied to the last name.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Action> + Clone + '_ {
        self.policy.changes(&self.applied)
    }

    /// What came of these changes before.
    pub(super) fn known(&self, attrs: &AttrTable) -> Option<Cached> {
        let outcome = self.results.iter().find(|outcome| *outcome.applied == *self.applied)?;
        let stands = outcome.result.attr == 0 || attrs.generation(outcome.result.attr) == outcome.generation;
        stands.then_some(outcome.result)
    }

    /// Remembers what came of them.
    pub(super) fn remember(&mut self, result: Cached, attrs: &AttrTable) {
        if self.results.len() >= RESULTS_KEPT {
            self.results.clear();
        }
        let applied = &self.applied;
        self.results.retain(|outcome| *outcome.applied != **applied);
        let generation = if result.attr == 0 {
            0
        } else {
            attrs.generation(result.attr)
        };
        self.results.push(Outcome {
            applied: applied.as_slice().into(),
            result,
            generation,
        });
    }
}
