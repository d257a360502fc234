//! The decision process (DESIGN.md, "Decision process"; RFC 4271 section 9.1.2.2): elimination step by step over the
//! candidates of one name, so that the result does not depend on their order.

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::attrs::{Origin, Protocol, RouterId};
use crate::route::Table;

/// Whether a path says how things are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It does, as far as anybody knows.
    Fresh,
    /// It outlives the session that it came by: here (RFC 4724), or at a node on the way (LLGR_STALE).
    Stale,
    /// It leads to a node that restarts, as a stale path of the name does, directly: see [`find_detours`].
    Detour,
}

/// A path as the decision sees it.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) table: Table,
    pub(crate) next_hop_usable: bool,
    pub(crate) freshness: Freshness,
    pub(crate) local_pref: u32,
    pub(crate) local: bool,
    /// The length of AS_PATH.
    pub(crate) hops: u8,
    /// The first system of AS_PATH.
    pub(crate) neighbour: Option<u32>,
    pub(crate) origin: Origin,
    /// 0 where absent.
    pub(crate) med: u32,
    /// Learned on an external session.
    pub(crate) external: bool,
    pub(crate) cluster_len: u8,
    /// ORIGINATOR where present, else the router id of the peer.
    pub(crate) router_id: &'a RouterId,
    pub(crate) peer_address: IpAddr,
    /// `None` for a prefix.
    pub(crate) protocol: Option<Protocol>,
}

impl Candidate<'_> {
    fn is_stale(&self) -> bool {
        self.freshness != Freshness::Fresh
    }

    /// A step that this one loses, by what it is for it.
    fn named(&self, step: Step) -> Step {
        match (step, self.freshness) {
            (Step::Stale, Freshness::Detour) => Step::Detour,
            _ => step,
        }
    }
}

/// The step that beat a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    NextHopUnusable,
    Detour,
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
            Self::Detour => "leads to a node that restarts",
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

    /// The values that it compared, the loser's first; `None` where they say nothing, or a third path may have decided.
    pub(crate) fn values(self, loser: &Candidate<'_>, winner: &Candidate<'_>) -> Option<(String, String)> {
        let both = |value: fn(&Candidate<'_>) -> String| Some((value(loser), value(winner)));
        match self {
            Self::LocalPref => both(|it| it.local_pref.to_string()),
            Self::AsPath => both(|it| format!("{} ASes", it.hops)),
            Self::Med if loser.neighbour == winner.neighbour => both(|it| it.med.to_string()),
            Self::ClusterList => both(|it| format!("{} clusters", it.cluster_len)),
            Self::RouterId => both(|it| it.router_id.to_string()),
            Self::PeerAddress => both(|it| it.peer_address.to_string()),
            Self::Origin => both(|it| format!("{:?}", it.origin).to_lowercase()),
            Self::Med
            | Self::NextHopUnusable
            | Self::Stale
            | Self::Detour
            | Self::LocallyOriginated
            | Self::Session => None,
        }
    }

    fn is_before_med(self) -> bool {
        (self as u8) < Self::Med as u8
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
    /// router id.
    pub(crate) fn is_multipath(&self, candidates: &[Candidate<'_>], index: usize) -> bool {
        let Some(selected) = self.selected else {
            return false;
        };
        self.lost[index].is_some_and(Step::is_tie) && one_service(&candidates[selected], &candidates[index])
    }
}

/// What one more path means for a name whose best path is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OneMore {
    /// The best path stays, and nothing is shared with the new one.
    Beaten,
    /// The best path stays; the new one may share its traffic.
    Tied,
    /// The decision has to be run over all.
    Unclear,
}

/// Compares a new path with the best one alone. Where the best one beats it within the table, or before MED, every
/// elimination that the new path takes part in leaves the best one where it is: MED is the only step in which a path
/// can speak for a third one, and only within its table. Not for names with a path that is stale here, which speaks for
/// the freshness of others.
pub(crate) fn one_more(best: &Candidate<'_>, new: &Candidate<'_>) -> OneMore {
    if !new.next_hop_usable {
        return OneMore::Beaten;
    }
    match duel(best, new) {
        Some((step, Ordering::Less)) if best.table == new.table => {
            if step.is_tie() {
                OneMore::Tied
            } else {
                OneMore::Beaten
            }
        }
        Some((step, Ordering::Less)) if step.is_before_med() => OneMore::Beaten,
        Some(_) | None => OneMore::Unclear,
    }
}

/// The winner where MED tells no two of the candidates apart: all other steps put paths into one order, in which one look at
/// each finds the first. `None`: MED may count, or no next hop is usable. As [`one_more`], not for names with a stale path.
pub(crate) fn first_in_order<'a, T: Copy>(
    candidates: impl Iterator<Item = (T, Candidate<'a>)>,
) -> Option<(T, Candidate<'a>)> {
    let mut usable = candidates.filter(|(_, candidate)| candidate.next_hop_usable);
    let (mut first, mut winner) = usable.next()?;
    for (id, candidate) in usable {
        if candidate.med != winner.med {
            return None;
        }
        if duel(&candidate, &winner).is_some_and(|(_, ordering)| ordering.is_lt()) {
            (first, winner) = (id, candidate);
        }
    }
    Some((first, winner))
}

/// Whether a candidate shares the traffic with the winner of [`first_in_order`], as [`Decision::is_multipath`] says.
pub(crate) fn is_multipath(winner: &Candidate<'_>, other: &Candidate<'_>) -> bool {
    let is_tied = || duel(winner, other).is_some_and(|(step, _)| step.is_tie());
    other.next_hop_usable && one_service(winner, other) && is_tied()
}

/// The tables are never mixed: traffic for an own service must not leak to another organisation's.
fn one_service(one: &Candidate<'_>, other: &Candidate<'_>) -> bool {
    one.table == other.table && one.protocol == other.protocol
}

/// What leads to a node that restarts is no way around it, however fresh it looks: it ends at the same node, which serves
/// on, and most likely it is stale where it comes from. Without this, two neighbours of a node that restarts would each
/// take the other's path for the fresh one. `restarts` says of each candidate whether it is stale and was brought by its
/// origin itself, which restarts; `origins` where it was born.
pub(crate) fn find_detours<O: PartialEq>(candidates: &mut [Candidate<'_>], origins: &[O], restarts: &[bool]) {
    let restarting: Vec<&O> = origins
        .iter()
        .zip(restarts)
        .filter(|(_, it)| **it)
        .map(|(origin, _)| origin)
        .collect();
    for (candidate, origin) in candidates.iter_mut().zip(origins) {
        if candidate.freshness == Freshness::Fresh && restarting.contains(&origin) {
            candidate.freshness = Freshness::Detour;
        }
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

type Compare = for<'a> fn(&Candidate<'a>, &Candidate<'a>) -> Ordering;

/// The steps in order; less is better. A path whose next hop is unusable does not get this far.
const STEPS: [(Step, Compare); 10] = [
    (Step::Stale, |one, other| one.is_stale().cmp(&other.is_stale())),
    (Step::LocalPref, |one, other| other.local_pref.cmp(&one.local_pref)),
    (Step::LocallyOriginated, |one, other| other.local.cmp(&one.local)),
    (Step::AsPath, |one, other| one.hops.cmp(&other.hops)),
    (Step::Origin, |one, other| one.origin.cmp(&other.origin)),
    (Step::Med, compare_med),
    (Step::Session, |one, other| other.external.cmp(&one.external)),
    (Step::ClusterList, |one, other| one.cluster_len.cmp(&other.cluster_len)),
    (Step::RouterId, |one, other| one.router_id.cmp(other.router_id)),
    (Step::PeerAddress, |one, other| {
        one.peer_address.cmp(&other.peer_address)
    }),
];

/// RFC 4271 section 9.1.2.2 c: MED counts only between paths of the same neighbour AS.
fn compare_med(one: &Candidate<'_>, other: &Candidate<'_>) -> Ordering {
    match one.neighbour == other.neighbour {
        true => one.med.cmp(&other.med),
        false => Ordering::Equal,
    }
}

/// The step that tells two candidates apart, and how.
fn duel(one: &Candidate<'_>, other: &Candidate<'_>) -> Option<(Step, Ordering)> {
    let outcomes = STEPS.iter().map(|(step, compare)| (*step, compare(one, other)));
    outcomes.into_iter().find(|(_, ordering)| ordering.is_ne())
}

/// Eliminates among the members that have not lost yet, step by step, until one is left.
fn eliminate(
    candidates: &[Candidate<'_>],
    lost: &mut [Option<Step>],
    member: impl Fn(&usize) -> bool,
) -> Option<usize> {
    let mut alive: Vec<usize> = (0..candidates.len())
        .filter(|index| lost[*index].is_none())
        .filter(member)
        .collect();
    for (step, compare) in STEPS {
        if alive.len() < 2 {
            break;
        }
        let round = alive.clone();
        alive.retain(|index| {
            let better = |other: &usize| compare(&candidates[*other], &candidates[*index]).is_lt();
            // Over all at once, so that the order of arrival has no say (deterministic MED).
            let beaten = round.iter().any(better);
            if beaten {
                lost[*index] = Some(candidates[*index].named(step));
            }
            !beaten
        });
    }
    alive.first().copied()
}

#[cfg(test)]
mod tests;
