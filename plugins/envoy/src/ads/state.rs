//! What one stream knows of one kind of resource: the subscription, what Envoy holds, what is on its way.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::resource::{Resource, ResourceKind};

/// How long an answer is waited for before the next step is taken without it. A cluster that warms (or fails late)
/// withholds every CDS acknowledgement, so nothing may depend on one.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Unanswered responses of one kind that are told apart. Beyond that the two oldest become one.
const MAX_IN_FLIGHT: usize = 64;

/// One resource of a response: its content, or its removal.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) name: Arc<str>,
    pub(super) content: Option<Arc<Resource>>,
}

/// What Envoy holds under a name, as far as is known.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) version: Arc<str>,
    /// `None`: Envoy brought it along and the content is not known.
    pub(super) content: Option<Arc<Resource>>,
    /// Whether Envoy has confirmed it.
    pub(super) acked: bool,
    /// Whether Envoy brought it along, rather than had it from this server.
    pub(super) adopted: bool,
}

/// A response that Envoy has not answered yet.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) nonce: String,
    pub(super) sent_at: Instant,
    pub(super) items: Vec<Sent>,
}

/// A resource on its way, with what it replaces.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) item: Item,
    pub(super) prior: Option<Held>,
}

/// The state of one kind on one stream.
#[derive(Debug, Default)]
pub(super) struct KindState {
    /// Whether Envoy has asked for the kind at all on this stream.
    pub(super) seen: bool,
    /// Whether it wants all resources of the kind.
    pub(super) wildcard: bool,
    /// The single names that it wants.
    pub(super) names: HashSet<Arc<str>>,
    pub(super) held: HashMap<Arc<str>, Held>,
    pub(super) in_flight: VecDeque<InFlight>,
    /// Parts of a refused response, to be sent on their own.
    pub(super) retry: VecDeque<Vec<Item>>,
    /// Names to be answered out of turn: Envoy has just asked for them, or warms until they come.
    pub(super) pull: BTreeSet<Arc<str>>,
    /// Names to be sent at subscription even if the versions are equal: their cluster was sent again.
    pub(super) force: HashSet<Arc<str>>,
    /// Whether everything held is to be compared with what is desired.
    pub(super) rescan: bool,
    /// Whether Envoy waits for a first answer, be it empty.
    pub(super) answer_due: bool,
}

impl KindState {
    /// Whether Envoy wants to know about `name`.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Takes over what Envoy says it holds.
    pub(super) fn adopt(&mut self, name: Arc<str>, version: Arc<str>) {
        self.held.insert(
            name,
            Held {
                version,
                content: None,
                acked: true,
                adopted: true,
            },
        );
    }

    /// Whether a further response may be sent now.
    pub(super) fn can_send(&self, now: Instant) -> bool {
        self.in_flight.is_empty() || self.is_stuck(now)
    }

    /// Whether the answer to what was sent is worth waiting for.
    pub(super) fn is_busy(&self, now: Instant) -> bool {
        !self.retry.is_empty() || !self.pull.is_empty() || !(self.in_flight.is_empty() || self.is_stuck(now))
    }

    fn is_stuck(&self, now: Instant) -> bool {
        self.in_flight
            .front()
            .is_some_and(|oldest| oldest.sent_at + ANSWER_WAIT <= now)
    }

    /// When the oldest answer is no longer waited for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.in_flight.front().map(|oldest| oldest.sent_at + ANSWER_WAIT)
    }

    /// Notes that `items` leave under `nonce`.
    pub(super) fn on_sent(&mut self, nonce: String, items: Vec<Item>, now: Instant) {
        let items = items.into_iter().map(|item| self.note_sent(item)).collect();
        self.answer_due = false;
        self.in_flight.push_back(InFlight {
            nonce,
            sent_at: now,
            items,
        });
        if self.in_flight.len() > MAX_IN_FLIGHT {
            self.merge_oldest();
        }
    }

    /// Answers come in order: that to the second one speaks for the first one too. Memory is bounded by the names then,
    /// however long Envoy is silent.
    fn merge_oldest(&mut self) {
        let Some(mut oldest) = self.in_flight.pop_front() else {
            return;
        };
        let Some(second) = self.in_flight.front_mut() else {
            return;
        };
        let names: HashSet<&Arc<str>> = second.items.iter().map(|sent| &sent.item.name).collect();
        oldest.items.retain(|sent| !names.contains(&sent.item.name));
        second.sent_at = oldest.sent_at;
        second.items.append(&mut oldest.items);
    }

    fn note_sent(&mut self, item: Item) -> Sent {
        let prior = match &item.content {
            None => self.held.remove(&item.name),
            Some(content) => self.held.insert(item.name.clone(), held_of(content)),
        };
        Sent { item, prior }
    }

    /// The response that Envoy answers.
    pub(super) fn take_in_flight(&mut self, nonce: &str) -> Option<InFlight> {
        let at = self.in_flight.iter().position(|response| response.nonce == nonce)?;
        self.in_flight.remove(at)
    }

    /// Notes that Envoy has taken `item`.
    pub(super) fn on_ack(&mut self, item: &Item) {
        let Some(content) = &item.content else { return };
        if let Some(held) = self
            .held
            .get_mut(&item.name)
            .filter(|held| held.version == content.version)
        {
            held.acked = true;
        }
    }

    /// Notes that Envoy has not taken what was sent: it goes on with what it had.
    pub(super) fn on_nack(&mut self, sent: &Sent) {
        let version = sent.item.content.as_ref().map(|content| &content.version);
        if self.held.get(&sent.item.name).map(|held| &held.version) != version {
            return;
        }
        match &sent.prior {
            Some(prior) => self.held.insert(sent.item.name.clone(), prior.clone()),
            None => self.held.remove(&sent.item.name),
        };
    }

    /// What makes Envoy forget a refused cluster. One that fails late stays, warming, and withholds answers: the content
    /// before it replaces it, or its removal. Where that content is unknown Envoy keeps serving it, and nothing is sent.
    pub(super) fn amends(&self, name: &Arc<str>) -> Option<Item> {
        let content = match self.held.get(name) {
            None => None,
            Some(held) => Some(held.content.clone()?),
        };
        Some(Item {
            name: name.clone(),
            content,
        })
    }
}

fn held_of(content: &Arc<Resource>) -> Held {
    Held {
        version: content.version.clone(),
        content: Some(content.clone()),
        acked: false,
        adopted: false,
    }
}

/// The state of every kind.
#[derive(Debug, Default)]
pub(super) struct Kinds([KindState; ResourceKind::ALL.len()]);

impl Kinds {
    pub(super) fn iter(&self) -> impl Iterator<Item = (ResourceKind, &KindState)> {
        ResourceKind::ALL.into_iter().map(|kind| (kind, &self[kind]))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ResourceKind, &mut KindState)> {
        // `ALL` lists the variants in the order of their discriminants, by which they are indexed.
        ResourceKind::ALL.into_iter().zip(&mut self.0)
    }
}

impl Index<ResourceKind> for Kinds {
    type Output = KindState;

    fn index(&self, kind: ResourceKind) -> &KindState {
        &self.0[kind as usize]
    }
}

impl IndexMut<ResourceKind> for Kinds {
    fn index_mut(&mut self, kind: ResourceKind) -> &mut KindState {
        &mut self.0[kind as usize]
    }
}
