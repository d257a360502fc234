//! What is under way and what is armed, in order of time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

use catalyst_core::event::{ConnId, Event};

/// An event on its way to a node.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) node: usize,
    /// Dropped unless the node still lives this life.
    pub(super) life: u64,
    /// Dropped if this connection is gone by then.
    pub(super) conn: Option<ConnId>,
    pub(super) event: Event,
}

/// A delivery by time, and by the order in which they were sent.
#[derive(Debug)]
struct Queued(Instant, u64, Delivery);

impl Queued {
    fn key(&self) -> (Instant, u64) {
        (self.0, self.1)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Deliveries and timers of every node.
#[derive(Debug)]
pub(super) struct Clock {
    queue: BinaryHeap<Reverse<Queued>>,
    sequence: u64,
    /// When each node wants to be woken.
    armed: Vec<Option<Instant>>,
    /// Every deadline that was ever armed; those that `armed` does not name any longer are passed over.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// How often each node has died.
    lives: Vec<u64>,
}

impl Clock {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            queue: BinaryHeap::new(),
            sequence: 0,
            armed: vec![None; nodes],
            timers: BinaryHeap::new(),
            lives: vec![0; nodes],
        }
    }

    pub(super) fn life(&self, node: usize) -> u64 {
        self.lives[node]
    }

    pub(super) fn later(&mut self, at: Instant, node: usize, conn: Option<ConnId>, event: Event) {
        self.sequence += 1;
        let delivery = Delivery {
            node,
            life: self.lives[node],
            conn,
            event,
        };
        self.queue.push(Reverse(Queued(at, self.sequence, delivery)));
    }

    /// The node wants to be woken at this time and at no other.
    pub(super) fn arm(&mut self, node: usize, at: Option<Instant>) {
        if self.armed[node] != at {
            self.armed[node] = at;
            self.timers.extend(at.map(|at| Reverse((at, node))));
        }
    }

    /// The node has died: what is on its way to it is for nobody.
    pub(super) fn forget(&mut self, node: usize) {
        self.armed[node] = None;
        self.lives[node] += 1;
    }

    fn next_timer(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, node))) = self.timers.peek().copied() {
            if self.armed[node] == Some(at) {
                return Some(at);
            }
            self.timers.pop();
        }
        None
    }

    /// Whether anything is on its way.
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty()
    }

    /// When something happens next.
    pub(super) fn next_at(&mut self) -> Option<Instant> {
        let queued = self.queue.peek().map(|Reverse(queued)| queued.0);
        queued.into_iter().chain(self.next_timer()).min()
    }

    /// The next delivery that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Delivery> {
        self.queue.peek().filter(|Reverse(queued)| queued.0 <= now)?;
        self.queue.pop().map(|Reverse(queued)| queued.2)
    }

    /// The nodes whose deadline has passed, once each; they are to be armed anew.
    pub(super) fn take_due_timers(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        while self.next_timer().is_some_and(|at| at <= now) {
            if let Some(Reverse((_, node))) = self.timers.pop() {
                self.armed[node] = None;
                due.push(node);
            }
        }
        due
    }
}
