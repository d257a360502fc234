//! What happens to a network.

use std::sync::Arc;

use catalyst_core::event::{Event, LocalService, PeerConfig};
use catalyst_core::operate::{Operation, PeerAct};
use catalyst_core::policy::Policy;

use super::world::World;
use crate::config::{local_prefix, service};
use crate::fresh::offers;
use crate::gao_rexford::{Direction, policy};
use crate::topology::organisation_name;

impl World {
    /// One thing happens, and some time passes.
    pub(super) fn act(&mut self) {
        let node = self.net.rng.index(self.net.nodes.len());
        match self.net.rng.below(100) {
            0..=61 => self.offer_or_withdraw(node),
            62..=71 => self.prefix(node),
            72..=76 => self.links(node),
            77..=78 => self.lives(node),
            79..=93 => self.filter(node),
            94 => self.peers(node),
            95..=97 => self.operate(node),
            98 => self.stall(node),
            _ => self.lie(),
        }
        let most = self.net.rng.pick(&[3, 30, 30, 300, 3000]);
        let pause = self.net.rng.below(most);
        self.net.run_ms(pause);
    }

    fn offer_or_withdraw(&mut self, node: usize) {
        if !self.net.nodes[node].alive {
            return;
        }
        let number = self.net.rng.below(self.names);
        let organisation = organisation_name(self.shape.organisation[node]);
        let text = if self.has_roles {
            format!("s{number}.{organisation}")
        } else {
            format!("s{number}.example")
        };
        if self.net.rng.below(5) < 2 {
            return self.net.withdraw(node, &text);
        }
        let mut offered = LocalService {
            weight: u16::try_from(self.net.rng.below(3)).unwrap(),
            ..service(&text)
        };
        offered.communities = (0..self.net.rng.below(3)).map(|n| u32::try_from(n).unwrap()).collect();
        self.net.event(node, Event::ServiceAdd(offered));
    }

    fn prefix(&mut self, node: usize) {
        if !self.net.nodes[node].alive {
            return;
        }
        let rng = &mut self.net.rng;
        let text = match rng.below(3) {
            0 => format!("10.{}.{}.0/24", rng.below(4), rng.below(3)),
            _ => format!("10.{}.0.0/16", rng.below(8)),
        };
        let prefix = text.parse().unwrap();
        let event = match rng.below(5) < 3 {
            true => Event::PrefixAdd(local_prefix(prefix)),
            false => Event::PrefixRemove(prefix),
        };
        self.net.event(node, event);
    }

    fn links(&mut self, node: usize) {
        let neighbours = self.neighbours(node);
        if neighbours.is_empty() {
            return;
        }
        let peer = self.net.rng.pick(&neighbours);
        match self.net.rng.below(16) {
            0..=4 => self.net.reset_sessions(node, peer),
            5..=6 => self.net.cut(node, peer),
            7..=10 => self.net.mend(node, peer),
            11..=13 => self.net.mend_all(),
            14 => self.partition(),
            _ if self.holds => self.net.silence(node, peer),
            _ => self.net.reset_sessions(node, peer),
        }
    }

    /// The network falls in two.
    fn partition(&mut self) {
        let sides: Vec<bool> = self.net.nodes.iter().map(|_| self.net.rng.once_in(2)).collect();
        let edges = self.shape.edges.iter().map(|(one, other, _)| (*one, *other));
        for (one, other) in edges.filter(|(one, other)| sides[*one] != sides[*other]) {
            self.net.cut(one, other);
        }
    }

    /// A node dies, with a word, a reset or without, and with or without what it has to keep; or a dead one comes back.
    fn lives(&mut self, node: usize) {
        if !self.net.nodes[node].alive {
            return self.bring_back(node);
        }
        if self.net.rng.once_in(2) {
            self.kept.insert(node, offers(&self.net, node));
        }
        match self.net.rng.below(4) {
            0 if self.holds => self.net.vanish(node),
            1 => {
                self.net.event(node, Event::Leave);
                self.net.crash(node);
            }
            2 => {
                self.net.event(node, Event::Shutdown("maintenance".into()));
                self.net.crash(node);
            }
            _ => self.net.crash(node),
        }
        if self.net.rng.once_in(2) {
            let pause = self.net.rng.below(2000);
            self.net.run_ms(pause);
            self.bring_back(node);
        }
    }

    /// A policy changes under way, so that there still is one stable state: some names are held back, or no longer.
    fn filter(&mut self, node: usize) {
        if !self.net.nodes[node].alive || self.whole[node].peers.is_empty() {
            return;
        }
        let rng = &mut self.net.rng;
        let known = &self.whole[node].peers[rng.index(self.whole[node].peers.len())];
        let organisations = self.shape.organisations();
        let pattern = match rng.below(2) {
            0 => format!("*.{}", organisation_name(rng.index(organisations))),
            _ => format!("s{}.o0", rng.below(self.names)),
        };
        let but_not = rng.once_in(3).then_some(&*pattern);
        let direction = rng.pick(&[Direction::Import, Direction::Export]);
        let new = match (but_not, known.role) {
            (Some(_), Some(role)) => Some(policy(role, direction, but_not)),
            (Some(_), None) if !self.has_roles => Some(Policy::reject().into()),
            (Some(_), None) | (None, _) => as_configured(known, direction),
        };
        let peer = known.name.clone();
        self.net.reconfigure(node, |config| {
            let known = config.peers.iter_mut().find(|it| it.name == peer);
            if let Some(known) = known {
                match direction {
                    Direction::Import => known.import = new,
                    Direction::Export => known.export = new,
                }
            }
        });
    }

    /// A peer is taken out of the configuration, or put back.
    fn peers(&mut self, node: usize) {
        if !self.net.nodes[node].alive || self.whole[node].peers.is_empty() {
            return;
        }
        let at = self.net.rng.index(self.whole[node].peers.len());
        let peer = self.whole[node].peers[at].clone();
        self.net.reconfigure(node, |config| {
            let before = config.peers.len();
            config.peers.retain(|it| it.name != peer.name);
            if config.peers.len() == before {
                config.peers.push(peer);
                config.peers.sort_by(|one, other| one.name.cmp(&other.name));
            }
        });
    }

    fn operate(&mut self, node: usize) {
        let peers = &self.net.nodes[node].config.peers;
        if !self.net.nodes[node].alive || peers.is_empty() {
            return;
        }
        let peer = peers[self.net.rng.index(peers.len())].name.clone();
        let message = "by hand".into();
        let act = match self.net.rng.below(8) {
            hard @ 0..=1 => PeerAct::Reset {
                message,
                hard: hard == 1,
            },
            _ => PeerAct::Refresh,
        };
        self.net.event(node, Event::Operate(Operation { peer, act }));
    }

    /// A node stops reading, or reads on.
    fn stall(&mut self, node: usize) {
        if self.net.stalled.contains(&node) {
            self.net.unstall(node);
        } else {
            self.net.stalled.insert(node);
        }
    }

    /// The hostile node breaks the framing of its connections, and goes on lying.
    fn lie(&mut self) {
        let Some(hostile) = self.hostile else { return };
        self.be_hostile();
        for peer in self.neighbours(hostile) {
            let length = u32::try_from(self.net.rng.below(1 << 32)).unwrap();
            if self.net.nodes[peer].alive {
                self.net.break_framing(hostile, peer, length);
            }
        }
    }
}

fn as_configured(peer: &PeerConfig, direction: Direction) -> Option<Arc<Policy>> {
    match direction {
        Direction::Import => peer.import.clone(),
        Direction::Export => peer.export.clone(),
    }
}
