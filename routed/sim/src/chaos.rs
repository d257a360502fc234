//! One seed: a random network to which everything happens that may happen to a network, with rests between at which it
//! has to hold exactly what it should.
//!
//! After every event the touched names of the Speaker that took it are checked; every [`WHOLE_EVERY`] events each Speaker
//! as a whole; at each rest the naive recompute (or, where names are aggregated, a network of fresh Speakers), the
//! forwarding walks and the valley-free rule besides.

mod act;
mod world;

use std::time::Duration;

use catalyst_core::wire::kind;

use crate::fresh::equals_a_fresh_one;
use crate::model;
use crate::net::Net;
use crate::topology::Topology;
use crate::walk;
use world::World;

/// Each Speaker is checked as a whole after so many events in the network, and soon after that there is a rest.
pub const WHOLE_EVERY: u64 = 10_000;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// All that happens follows from it.
    pub seed: u64,
    /// The run ends at the first rest after so many events.
    pub events: u64,
    /// How many Speakers; `None`: the seed says.
    pub nodes: Option<usize>,
    /// How many names are offered by turns; `None`: the seed says.
    pub names: Option<u64>,
    /// The shape; `None`: the seed says.
    pub topology: Option<Topology>,
}

/// What a run was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Events that Speakers have taken.
    pub events: u64,
    /// UPDATE frames sent.
    pub updates: u64,
    /// Times that the network was at rest and was checked as a whole.
    pub rests: u64,
    /// How often each kind of thing was done to it.
    pub acts: u64,
}

/// Runs a plan.
///
/// # Panics
/// An invariant is broken.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let mut world = World::new(plan);
    let mut outcome = Outcome::default();
    let mut audited = 0;
    while world.net.events < plan.events {
        let until = world.net.events + WHOLE_EVERY;
        while world.net.events < until {
            world.act();
            outcome.acts += 1;
            if world.net.events - audited >= WHOLE_EVERY {
                audited = world.net.events;
                world.net.audit();
            }
        }
        world.calm();
        world.net.run(Duration::from_secs(300));
        check(&world);
        outcome.rests += 1;
    }
    outcome.events = world.net.events;
    outcome.updates = updates(&world.net);
    outcome
}

/// UPDATE frames sent so far.
#[must_use]
pub fn updates(net: &Net) -> u64 {
    let updates = net.frames.iter().filter(|((_, sent), _)| *sent == kind::UPDATE);
    updates.map(|(_, count)| count).sum()
}

/// The whole set, of a network at rest.
fn check(world: &World) {
    let net = &world.net;
    net.audit();
    if world.aggregates {
        equals_a_fresh_one(net);
    } else {
        model::check(net);
    }
    walk::check(net, net.is_whole() && world.is_unfiltered());
    if world.has_roles {
        no_leak(world);
    }
}

/// No route has come from a provider or a lateral peer and gone to another one.
fn no_leak(world: &World) {
    for (index, node) in world.net.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
        for view in node.speaker.routes(None, usize::MAX, world.net.now) {
            let (holder, path) = (world.shape.organisation[index], &view.attrs.as_path);
            assert!(
                !view.selected || world.shape.is_valley_free(holder, path),
                "node {index}: {} came by {path:?}, a leak",
                view.destination
            );
        }
    }
}

#[cfg(test)]
mod tests;
