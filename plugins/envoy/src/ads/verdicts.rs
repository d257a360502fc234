//! Which resources still wait for a verdict, and the verdicts that nobody has fetched yet.

use std::collections::{BTreeMap, HashMap};

use catalyst_plugin::{PlaneEvent, Verdict};

use crate::resource::ResourceKey;

/// Open questions by round (one per update), so that a round can be waited for without looking at each of its keys.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    round: u64,
    open: HashMap<ResourceKey, u64>,
    left: BTreeMap<u64, usize>,
    news: BTreeMap<ResourceKey, Verdict>,
    connected: Option<bool>,
    /// Whether it is the turn of `connected`, so that a stream of news does not hold it up.
    connected_next: bool,
}

impl Verdicts {
    /// Begins a round.
    pub(super) fn next_round(&mut self) -> u64 {
        self.round += 1;
        self.round
    }

    /// Notes that `key` waits for a verdict; gives whether it did not before.
    pub(super) fn ask(&mut self, key: ResourceKey) -> bool {
        *self.left.entry(self.round).or_default() += 1;
        let before = self.open.insert(key, self.round);
        before.into_iter().for_each(|round| self.leave(round));
        before.is_none()
    }

    /// Notes a verdict; gives whether one was waited for.
    pub(super) fn settle(&mut self, key: &ResourceKey) -> bool {
        let round = self.open.remove(key);
        round.into_iter().for_each(|round| self.leave(round));
        round.is_some()
    }

    fn leave(&mut self, round: u64) {
        let Some(left) = self.left.get_mut(&round) else { return };
        *left -= 1;
        if *left == 0 {
            self.left.remove(&round);
        }
    }

    /// Whether all keys of a round, and of those before it, have their verdict.
    pub(super) fn is_complete(&self, round: u64) -> bool {
        !self.left.contains_key(&round)
    }

    /// The keys that wait.
    pub(super) fn open(&self) -> impl Iterator<Item = &ResourceKey> {
        self.open.keys()
    }

    /// Leaves news to be fetched; newer replaces older.
    pub(super) fn tell(&mut self, key: ResourceKey, verdict: Verdict) {
        self.news.insert(key, verdict);
    }

    /// Takes back news that is told in another way.
    pub(super) fn forget_news(&mut self, key: &ResourceKey) {
        self.news.remove(key);
    }

    /// Leaves the news that the first Envoy came or the last one went; newer replaces older.
    pub(super) fn tell_connected(&mut self, connected: bool) {
        self.connected = Some(connected);
    }

    /// The oldest news. What is pending is told before the Envoy that it is pending for: nothing looks programmed in
    /// between.
    pub(super) fn next_event(&mut self) -> Option<PlaneEvent<ResourceKey>> {
        if self.connected != Some(false) && !self.news.is_empty() && !self.connected_next {
            self.connected_next = true;
            return Some(PlaneEvent::Verdicts(
                std::mem::take(&mut self.news).into_iter().collect(),
            ));
        }
        self.connected_next = false;
        match self.connected.take() {
            Some(connected) => Some(PlaneEvent::Connected(connected)),
            None if self.news.is_empty() => None,
            None => self.next_event(),
        }
    }
}
