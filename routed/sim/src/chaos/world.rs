//! The network of one seed, and what is known of it from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use catalyst_core::event::{Event, PeerConfig, SpeakerConfig};
use catalyst_core::prefix::Prefix;

use super::Plan;
use crate::config::{graceful, network, plane};
use crate::gao_rexford;
use crate::net::{Checks, Net, Rng};
use crate::topology::{Shape, Topology};

/// Organisations in a full mesh: a name that goes is looked for along every chain of customers, which in a mesh are 2^n.
const LARGEST_MESH: usize = 7;
const RESTART: Duration = Duration::from_secs(20);

/// A network under trial.
#[derive(Debug)]
pub(super) struct World {
    pub(super) net: Net,
    pub(super) shape: Shape,
    /// The configurations to which nodes come back.
    pub(super) whole: Vec<SpeakerConfig>,
    /// What dead nodes offer when they are back: those that keep their state.
    pub(super) kept: BTreeMap<usize, Vec<Event>>,
    pub(super) names: u64,
    /// Sessions have roles, and the policies of Gao and Rexford.
    pub(super) has_roles: bool,
    pub(super) aggregates: bool,
    /// Losses may go unnoticed: there are hold timers.
    pub(super) holds: bool,
    /// The node whose frames are damaged.
    pub(super) hostile: Option<usize>,
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let nodes = plan.nodes.unwrap_or_else(|| 3 + rng.index(14));
        let topology = plan.topology.unwrap_or_else(|| rng.pick(&Topology::ALL));
        let members = rng.pick(&[1, 1, 1, 2, 3]);
        let nodes = match topology {
            Topology::Mesh if plan.nodes.is_none() => nodes.min(LARGEST_MESH * members),
            Topology::Mesh
            | Topology::Line
            | Topology::Ring
            | Topology::Star
            | Topology::Random
            | Topology::ValleyFree => nodes,
        };
        let shape = Shape::new(topology, nodes, members, &mut rng);
        let has_roles = !rng.once_in(4);
        let aggregates = has_roles && rng.once_in(4);
        let holds = rng.once_in(2);
        let whole = configs(&mut rng, &shape, has_roles, aggregates, holds);
        let mut net = Net::new(whole.clone(), plan.seed);
        net.delay = (1, rng.pick(&[0, 10, 40]));
        net.acknowledging = true;
        net.summing = false;
        net.checks = Checks {
            whole_every: 0,
            touched: true,
        };
        net.start_all();
        let hostile = rng.once_in(3).then(|| nodes - 1);
        let names = plan.names.unwrap_or_else(|| 10 + rng.below(50));
        let mut world = Self {
            net,
            shape,
            whole,
            kept: BTreeMap::new(),
            names,
            has_roles,
            aggregates,
            holds,
            hostile,
        };
        world.be_hostile();
        world
    }

    /// From now on frames of the hostile node are damaged.
    pub(super) fn be_hostile(&mut self) {
        self.net.hostile.extend(self.hostile.map(|node| (node, 4)));
    }

    /// Links carry, nobody lies, everybody reads: what is to be checked at rest has one right answer. Nodes that are dead
    /// and links that are cut may stay so.
    pub(super) fn calm(&mut self) {
        self.net.hostile.clear();
        let stalled: Vec<usize> = self.net.stalled.iter().copied().collect();
        stalled.into_iter().for_each(|node| self.net.unstall(node));
        self.net.mend_silent();
        if self.net.rng.once_in(2) {
            self.net.mend_all();
            for node in 0..self.net.nodes.len() {
                self.bring_back(node);
            }
        }
        if let Some(node) = self.hostile {
            for peer in self.neighbours(node) {
                self.net.reset_sessions(node, peer);
            }
        }
    }

    /// A dead node starts again, with what it has kept.
    pub(super) fn bring_back(&mut self, node: usize) {
        if self.net.nodes[node].alive {
            return;
        }
        self.net.start_node(node);
        for offer in self.kept.remove(&node).unwrap_or_default() {
            self.net.event(node, offer);
        }
    }

    /// The nodes that a node is configured to speak to.
    pub(super) fn neighbours(&self, node: usize) -> Vec<usize> {
        let peers = self.net.nodes[node].config.peers.iter();
        peers.filter_map(|peer| self.net.node_at(peer.address.ip())).collect()
    }

    /// Whether everything is as it was configured at first: then everybody can reach everybody.
    pub(super) fn is_unfiltered(&self) -> bool {
        let now = self.net.nodes.iter().map(|node| &node.config.peers);
        let known = |peers: &Vec<PeerConfig>| {
            peers
                .iter()
                .map(|peer| (peer.name.clone(), peer.import.clone(), peer.export.clone()))
                .collect::<Vec<_>>()
        };
        now.zip(&self.whole)
            .all(|(now, whole)| known(now) == known(&whole.peers))
    }
}

fn configs(rng: &mut Rng, shape: &Shape, has_roles: bool, aggregates: bool, holds: bool) -> Vec<SpeakerConfig> {
    let mut configs = if has_roles {
        gao_rexford::configs(shape)
    } else {
        let edges: Vec<(usize, usize)> = shape.edges.iter().map(|(one, other, _)| (*one, *other)).collect();
        network(&shape.who(), &edges)
    };
    if aggregates {
        gao_rexford::aggregate(shape, &mut configs);
    }
    for config in &mut configs {
        if rng.once_in(2) {
            config.planes = vec![plane("envoy", rng.once_in(2))];
        }
        if holds {
            config.hold_time = Duration::from_secs(30);
        }
        for peer in &mut config.peers {
            peer.allowed_prefixes = ["10.0.0.0/8"]
                .map(|text| text.parse::<Prefix>().unwrap())
                .into_iter()
                .collect();
        }
    }
    if rng.once_in(2) {
        configs = graceful(configs, RESTART);
    }
    configs
}
