//! The decision process (DESIGN.md, "Decision process"; RFC 4271 section 9.1.2.2): elimination step by step over the
//! candidates of one name, so that the result does not depend on their order.

use std::cmp::Reverse;
use std::net::IpAddr;

use crate::attrs::{Origin, Protocol, RouterId};
use crate::route::Table;

/// A path as the decision sees it.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) table: Table,
    pub(crate) next_hop_usable: bool,
    pub(crate) stale: bool,
    pub(crate) local_pref: u32,
    pub(crate) local: bool,
    pub(crate) as_path: &'a [u32],
    pub(crate) origin: Origin,
    /// 0 where absent.
    pub(crate) med: u32,
    /// Learned on an external session.
    pub(crate) external: bool,
    pub(crate) cluster_len: u16,
    /// ORIGINATOR where present, else the router id of the peer.
    pub(crate) router_id: &'a RouterId,
    pub(crate) peer_address: IpAddr,
    pub(crate) protocol: Protocol,
}

/// The step that beat a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    NextHopUnusable,
    Stale,
    LocalPref,
    LocallyOriginated,
    AsPath,
    Origin,
    Med,
    Session,
    ClusterList,
    RouterId,
    PeerAddress,
}

impl Step {
    /// As `show route` prints it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NextHopUnusable => "next hop unusable",
            Self::Stale => "stale",
            Self::LocalPref => "lower LOCAL_PREF",
            Self::LocallyOriginated => "not locally originated",
            Self::AsPath => "longer AS path",
            Self::Origin => "higher ORIGIN",
            Self::Med => "higher MED",
            Self::Session => "learned on an internal session",
            Self::ClusterList => "longer CLUSTER_LIST",
            Self::RouterId => "higher router id",
            Self::PeerAddress => "higher peer address",
        }
    }

    /// Whether a path beaten by this step carries traffic beside the winner (multipath).
    fn is_tie(self) -> bool {
        matches!(self, Self::RouterId | Self::PeerAddress)
    }
}

/// What came of the candidates, by their index.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// The winner of the internal and of the external table.
    pub(crate) best: [Option<usize>; 2],
    /// The winner over both.
    pub(crate) selected: Option<usize>,
    /// The step that beat each, `None` for the selected one.
    pub(crate) lost: Vec<Option<Step>>,
}

impl Decision {
    /// Whether a candidate shares the traffic with the selected one: of its table and protocol, and equal up to the
    /// router id. The tables are never mixed: traffic for an own service must not leak to another organisation's.
    pub(crate) fn is_multipath(&self, candidates: &[Candidate<'_>], index: usize) -> bool {
        let Some(selected) = self.selected else {
            return false;
        };
        let (one, other) = (&candidates[selected], &candidates[index]);
        self.lost[index].is_some_and(Step::is_tie) && one.table == other.table && one.protocol == other.protocol
    }
}

const TABLES: [Table; 2] = [Table::Internal, Table::External];

/// Runs the decision within each table, then over both winners.
pub(crate) fn decide(candidates: &[Candidate<'_>]) -> Decision {
    let mut lost = vec![None; candidates.len()];
    for (candidate, lost) in candidates.iter().zip(&mut lost) {
        if !candidate.next_hop_usable {
            *lost = Some(Step::NextHopUnusable);
        }
    }
    let best = TABLES.map(|table| {
        let members = |index: &usize| candidates[*index].table == table;
        eliminate(candidates, &mut lost, members)
    });
    let selected = match best {
        [Some(internal), Some(external)] => {
            eliminate(candidates, &mut lost, |index| *index == internal || *index == external)
        }
        [one, other] => one.or(other),
    };
    Decision { best, selected, lost }
}

/// Eliminates among the members that have not lost yet, until one is left.
fn eliminate(
    candidates: &[Candidate<'_>],
    lost: &mut [Option<Step>],
    member: impl Fn(&usize) -> bool,
) -> Option<usize> {
    let alive = (0..candidates.len())
        .filter(|index| lost[*index].is_none())
        .filter(member)
        .collect();
    let mut round = Round {
        candidates,
        lost,
        alive,
    };
    round.keep_least(Step::Stale, |c| c.stale);
    round.keep_least(Step::LocalPref, |c| Reverse(c.local_pref));
    round.keep_least(Step::LocallyOriginated, |c| !c.local);
    round.keep_least(Step::AsPath, |c| c.as_path.len());
    round.keep_least(Step::Origin, |c| c.origin);
    round.keep_lowest_med();
    round.keep_least(Step::Session, |c| !c.external);
    round.keep_least(Step::ClusterList, |c| c.cluster_len);
    round.keep_least(Step::RouterId, |c| c.router_id);
    round.keep_least(Step::PeerAddress, |c| c.peer_address);
    round.alive.first().copied()
}

struct Round<'r, 'a> {
    candidates: &'r [Candidate<'a>],
    lost: &'r mut [Option<Step>],
    alive: Vec<usize>,
}

impl<'r, 'a> Round<'r, 'a> {
    fn keep_least<K: Ord>(&mut self, step: Step, key: impl Fn(&'r Candidate<'a>) -> K) {
        if self.alive.len() < 2 {
            return;
        }
        let candidates = self.candidates;
        let Some(least) = self.alive.iter().map(|index| key(&candidates[*index])).min() else {
            return;
        };
        self.keep(step, |index| key(&candidates[index]) == least);
    }

    /// RFC 4271 section 9.1.2.2 c: MED counts only between paths of the same neighbour AS; over all of them at once,
    /// so that the order of arrival has no say (deterministic MED).
    fn keep_lowest_med(&mut self) {
        if self.alive.len() < 2 {
            return;
        }
        let candidates = self.candidates;
        let alive = self.alive.clone();
        let beaten = |index: usize| {
            let one = &candidates[index];
            let by = |other: &Candidate<'_>| other.as_path.first() == one.as_path.first() && other.med < one.med;
            alive.iter().any(|other| by(&candidates[*other]))
        };
        self.keep(Step::Med, |index| !beaten(index));
    }

    fn keep(&mut self, step: Step, stays: impl Fn(usize) -> bool) {
        let lost = &mut *self.lost;
        self.alive.retain(|index| {
            let stays = stays(*index);
            if !stays {
                lost[*index] = Some(step);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests;
