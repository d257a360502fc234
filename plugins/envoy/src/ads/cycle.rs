//! One pass over what an Envoy lacks, in the order make before break.
//!
//! A pass works on a snapshot of the changes: what comes meanwhile waits for the next pass. So steps of different
//! changes never overtake each other, and under continuous change the passes coalesce by themselves.

use std::collections::{BTreeMap, VecDeque};

use crate::ads::state::Item;
use crate::resource::{ResourceKey, ResourceKind};

/// A response is split beyond this many bytes of content. The first answer to a fresh Envoy should come in one piece:
/// its listeners open after the first one.
const MAX_RESPONSE_BYTES: usize = 32 << 20;

/// The steps that are left of a pass.
#[derive(Debug, Default)]
pub(super) struct Cycle {
    steps: VecDeque<Step>,
}

/// The changes of one kind in one direction.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) kind: ResourceKind,
    pub(super) batches: VecDeque<Vec<Item>>,
}

/// What is to be done, by kind, before it is put in order.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) make: BTreeMap<ResourceKind, Vec<Item>>,
    pub(super) remove: BTreeMap<ResourceKind, Vec<Item>>,
}

impl Work {
    /// Puts the work in order: creation in the order of the kinds but for endpoints, which come first of all (a cluster
    /// without them answers 503), then removal in reverse.
    pub(super) fn into_cycle(mut self) -> Option<Cycle> {
        let first = self.make.remove_entry(&ResourceKind::Endpoints);
        let last = self.remove.remove_entry(&ResourceKind::Endpoints);
        let make = first.into_iter().chain(self.make);
        let remove = self.remove.into_iter().rev().chain(last);
        let steps: VecDeque<Step> = make.chain(remove).map(Step::of).collect();
        (!steps.is_empty()).then_some(Cycle { steps })
    }
}

impl Step {
    fn of((kind, items): (ResourceKind, Vec<Item>)) -> Self {
        Self {
            kind,
            batches: split(items),
        }
    }
}

impl Cycle {
    pub(super) fn current(&mut self) -> Option<&mut Step> {
        self.steps.front_mut()
    }

    pub(super) fn next_step(&mut self) {
        self.steps.pop_front();
    }

    /// What is left.
    pub(super) fn into_keys(self) -> impl Iterator<Item = ResourceKey> {
        self.steps.into_iter().flat_map(|step| {
            let items = step.batches.into_iter().flatten();
            items.map(move |item| ResourceKey {
                kind: step.kind,
                name: item.name,
            })
        })
    }

    /// Drops what is left for a kind that Envoy no longer asks for.
    pub(super) fn forget(&mut self, kind: ResourceKind) {
        self.steps.retain(|step| step.kind != kind);
    }
}

fn split(items: Vec<Item>) -> VecDeque<Vec<Item>> {
    let mut batches = VecDeque::from([Vec::new()]);
    let mut bytes = 0;
    for item in items {
        let size = item.name.len() + item.content.as_ref().map_or(0, |content| content.body.len());
        if bytes > 0 && bytes + size > MAX_RESPONSE_BYTES {
            batches.push_back(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(batch) = batches.back_mut() {
            batch.push(item);
        }
    }
    batches
}
