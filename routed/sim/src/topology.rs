//! Shapes of networks: organisations of one or several Speakers, and who gives whom transit. The graph of providers has no
//! cycle and one top, so that there is one stable state and everybody can reach everybody.

use std::collections::BTreeSet;

use crate::config::Who;
use crate::net::Rng;

/// The shape in which organisations are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Topology {
    /// Each is the provider of the next.
    Line,
    /// A line whose end is a customer of its beginning too.
    Ring,
    /// One provider, all others its customers.
    Star,
    /// Everybody with everybody, the lower one the provider.
    Mesh,
    /// A random tree, and half as many more edges, some of them lateral.
    Random,
    /// A few at the top, each a lateral peer of the others; below, everybody has one to three providers.
    ValleyFree,
}

impl Topology {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Line,
        Self::Ring,
        Self::Star,
        Self::Mesh,
        Self::Random,
        Self::ValleyFree,
    ];
}

/// What one node is to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Of the same organisation.
    Inside,
    /// It gives the other one transit.
    ProviderOf,
    /// Own routes and those of customers are exchanged.
    Lateral,
}

/// Organisations, their nodes, and how these are joined.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The organisation of each node.
    pub organisation: Vec<usize>,
    /// (node, other node, what the first is to the second).
    pub edges: Vec<(usize, usize, Relation)>,
    /// (organisation, other organisation, what the first is to the second): at most one each.
    pub relations: BTreeSet<(usize, usize, Relation)>,
}

impl Shape {
    /// `nodes` Speakers in organisations of `members` each.
    #[must_use]
    pub fn new(topology: Topology, nodes: usize, members: usize, rng: &mut Rng) -> Self {
        let organisation: Vec<usize> = (0..nodes).map(|node| node / members).collect();
        let count = nodes.div_ceil(members);
        let relations = relations(topology, count, rng);
        let mut edges = Vec::new();
        for organisation in 0..count {
            let first = organisation * members;
            let last = (first + members).min(nodes);
            for one in first..last {
                edges.extend((one + 1..last).map(|other| (one, other, Relation::Inside)));
            }
        }
        for &(one, other, relation) in &relations {
            let member = |organisation: usize, rng: &mut Rng| {
                let first = organisation * members;
                first + rng.index((first + members).min(nodes) - first)
            };
            edges.push((member(one, rng), member(other, rng), relation));
        }
        Self {
            organisation,
            edges,
            relations,
        }
    }

    /// How many organisations there are.
    #[must_use]
    pub fn organisations(&self) -> usize {
        self.organisation.last().map_or(0, |last| last + 1)
    }

    /// Whether an organisation gives nobody transit.
    #[must_use]
    pub fn stubs(&self) -> Vec<bool> {
        let mut stubs = vec![true; self.organisations()];
        for &(one, _, relation) in &self.relations {
            stubs[one] &= relation != Relation::ProviderOf;
        }
        stubs
    }

    /// An AS and an organisation of its own for each.
    #[must_use]
    pub fn who(&self) -> Vec<Who> {
        let who = |organisation: &usize| Who::new(asn(*organisation), &organisation_name(*organisation));
        self.organisation.iter().map(who).collect()
    }

    /// Whether a path over organisations goes up, then at most once sideways, then down; `path` as in AS_PATH, nearest
    /// first, without the organisation that holds it.
    #[must_use]
    pub fn is_valley_free(&self, holder: usize, path: &[u32]) -> bool {
        // From the origin on: up is towards a provider.
        let mut hops: Vec<usize> = path.iter().rev().map(|asn| (*asn - asn_base()) as usize).collect();
        hops.push(holder);
        hops.dedup();
        let mut climbing = true;
        hops.windows(2).all(|pair| {
            let (from, to) = (pair[0], pair[1]);
            let up = self.relations.contains(&(to, from, Relation::ProviderOf));
            let down = self.relations.contains(&(from, to, Relation::ProviderOf));
            let (one, other) = (from.min(to), from.max(to));
            let lateral = self.relations.contains(&(one, other, Relation::Lateral));
            let was_climbing = climbing;
            climbing &= up;
            down || was_climbing && (up || lateral)
        })
    }
}

const fn asn_base() -> u32 {
    65_001
}

/// The AS of an organisation.
#[must_use]
pub fn asn(organisation: usize) -> u32 {
    asn_base() + u32::try_from(organisation).unwrap()
}

/// The name of an organisation, and its domain.
#[must_use]
pub fn organisation_name(organisation: usize) -> String {
    format!("o{organisation}")
}

fn relations(topology: Topology, count: usize, rng: &mut Rng) -> BTreeSet<(usize, usize, Relation)> {
    let provider = |one: usize, other: usize| (one, other, Relation::ProviderOf);
    let line = (1..count).map(|other| provider(other - 1, other));
    match topology {
        Topology::Line => line.collect(),
        Topology::Ring => line.chain((count > 2).then(|| provider(0, count - 1))).collect(),
        Topology::Star => (1..count).map(|other| provider(0, other)).collect(),
        Topology::Mesh => (0..count)
            .flat_map(|one| (one + 1..count).map(move |other| provider(one, other)))
            .collect(),
        Topology::Random => random(count, rng),
        Topology::ValleyFree => valley_free(count, rng),
    }
}

/// Adds a relation between two that have none yet.
fn add(relations: &mut BTreeSet<(usize, usize, Relation)>, one: usize, other: usize, relation: Relation) {
    let (one, other) = (one.min(other), one.max(other));
    let known = [Relation::ProviderOf, Relation::Lateral];
    if one != other && known.iter().all(|known| !relations.contains(&(one, other, *known))) {
        relations.insert((one, other, relation));
    }
}

fn random(count: usize, rng: &mut Rng) -> BTreeSet<(usize, usize, Relation)> {
    let mut relations = BTreeSet::new();
    for other in 1..count {
        add(&mut relations, rng.index(other), other, Relation::ProviderOf);
    }
    for _ in 0..count / 2 {
        let relation = rng.pick(&[Relation::ProviderOf, Relation::ProviderOf, Relation::Lateral]);
        add(&mut relations, rng.index(count), rng.index(count), relation);
    }
    relations
}

/// One in a hundred at the top (at least three), one in seven gives transit, the others are stubs.
fn valley_free(count: usize, rng: &mut Rng) -> BTreeSet<(usize, usize, Relation)> {
    let top = (count / 100).clamp(3, 12).min(count);
    let transit = (count / 7).max(top);
    let mut relations = BTreeSet::new();
    for one in 0..top {
        for other in one + 1..top {
            add(&mut relations, one, other, Relation::Lateral);
        }
    }
    for other in top..count {
        for _ in 0..1 + rng.below(3) {
            let above = if other < transit { other } else { transit };
            // Transit providers join those above them, stubs any of those that give transit.
            let lower = if other < transit && rng.once_in(2) { top } else { above };
            add(&mut relations, rng.index(lower), other, Relation::ProviderOf);
        }
        if other < transit && other > top {
            let lateral = top + rng.index(other - top);
            add(&mut relations, lateral, other, Relation::Lateral);
        }
    }
    relations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_sideways_down_and_nothing_else_is_valley_free() {
        let relations = [
            (0, 1, Relation::Lateral),
            (0, 2, Relation::ProviderOf),
            (1, 3, Relation::ProviderOf),
            (0, 3, Relation::ProviderOf),
        ];
        let shape = Shape {
            organisation: vec![0, 1, 2, 3],
            edges: Vec::new(),
            relations: relations.into_iter().collect(),
        };
        let free = |holder: usize, path: &[usize]| {
            shape.is_valley_free(holder, &path.iter().map(|it| asn(*it)).collect::<Vec<_>>())
        };
        assert!(free(2, &[]) && free(2, &[0]) && free(2, &[0, 1, 3]) && free(3, &[0, 2]));
        assert!(
            !free(1, &[3, 0]),
            "a customer passes its provider's route to another provider"
        );
        assert!(!free(0, &[3, 1]));
        assert!(!free(3, &[2]), "no link there");
    }

    #[test]
    fn everybody_has_a_way_to_the_top() {
        for topology in Topology::ALL {
            for seed in 0..20 {
                let shape = Shape::new(topology, 40, 2, &mut Rng::new(seed));
                let has_provider = |it: usize| {
                    shape
                        .relations
                        .iter()
                        .any(|(_, down, relation)| *down == it && *relation == Relation::ProviderOf)
                };
                let top = (0..shape.organisations()).filter(|it| !has_provider(*it)).count();
                assert!(
                    top == 1 || topology == Topology::ValleyFree && top == 3,
                    "{topology:?} {seed}: {top}"
                );
            }
        }
    }
}
