//! Drain: a name withdrawn without alternative stays in the data planes for a moment, so that requests on their way
//! still arrive. Peers are told at once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::Speaker;
use super::planes::Planes;
use crate::intern::NameId;
use crate::rib::LOCAL;
use crate::route::{Selected, Target};

/// The names that drain.
#[derive(Debug, Default)]
pub(super) struct Drains {
    until: HashMap<NameId, Instant>,
    /// In order of time; entries that `until` contradicts are void.
    queue: VecDeque<(Instant, NameId)>,
    /// Drains whose next hop died: over at the next flush.
    cut: Vec<NameId>,
}

impl Drains {
    pub(super) fn contains(&self, name: NameId) -> bool {
        self.until.contains_key(&name)
    }

    /// When the drain of a name began.
    pub(super) fn since(&self, name: NameId, drain: Duration) -> Option<Instant> {
        self.until.get(&name).and_then(|until| until.checked_sub(drain))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = NameId> + '_ {
        self.queue
            .iter()
            .filter(|(until, name)| self.until.get(name) == Some(until))
            .map(|(_, name)| *name)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.queue
            .iter()
            .find(|(until, name)| self.until.get(name) == Some(until))
            .map(|(until, _)| *until)
    }

    fn take_over(&mut self, now: Instant) -> Vec<NameId> {
        let mut over: Vec<NameId> = self.cut.drain(..).collect();
        while let Some((until, name)) = self.queue.pop_front_if(|(until, _)| *until <= now) {
            if self.until.get(&name) == Some(&until) {
                over.push(name);
            }
        }
        over.retain(|name| self.until.remove(name).is_some());
        over
    }
}

impl Planes {
    pub(super) fn cancel_drain(&mut self, name: NameId) {
        self.drains.until.remove(&name);
    }

    /// DESIGN.md: a dead next hop removes at once, what drains too.
    pub(super) fn cut_drains_via(&mut self, is_dead: impl Fn(SocketAddr) -> bool) {
        let via = |name: &NameId| match self.route(*name).map(Selected::target) {
            Some(Target::Remote(hops)) => hops.iter().any(|hop| is_dead(hop.address)),
            Some(Target::Local(_) | Target::Discard) | None => false,
        };
        let cut: Vec<NameId> = self.drains.names().filter(via).collect();
        self.drains.cut.extend(cut);
    }
}

impl Speaker {
    /// Whether a name that nobody offers any longer goes on in the data planes for now.
    pub(super) fn drains(&mut self, name: NameId, now: Instant) -> bool {
        if self.planes.drains.contains(name) {
            return true;
        }
        let serves = self
            .planes
            .route(name)
            .is_some_and(|route| *route.target() != Target::Discard);
        if !serves || self.config.drain.is_zero() {
            return false;
        }
        let until = now + self.config.drain;
        self.planes.waiting.remove(name);
        self.planes.drains.until.insert(name, until);
        self.planes.drains.queue.push_back((until, name));
        true
    }

    pub(super) fn end_drains(&mut self, now: Instant) {
        for name in self.planes.drains.take_over(now) {
            let route = self.discard(name);
            self.planes.change(name, route, (0, LOCAL), &mut self.rib);
            self.watch_name(name);
        }
    }
}
