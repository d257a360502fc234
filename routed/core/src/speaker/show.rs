//! What `show routes` and `show route NAME` print.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Speaker;
use super::aggregates::AGGREGATE;
use crate::attrs::Attrs;
use crate::best_path::{Candidate, Decision, Step};
use crate::destination::{Destination, PrefixKey};
use crate::intern::{AttrId, NameId};
use crate::prefix::Prefix;
use crate::rib::{LOCAL, Note, Path, PathFlags, PathId, PeerId};
use crate::view::RouteView;

/// Where a path stands among its siblings, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Selected,
    Multipath,
    BestOfTable,
    Beaten,
    Rejected,
}

pub(super) struct Standing {
    pub(super) rank: Rank,
    best: bool,
    lost: Option<Step>,
    /// What the step compared: its own value, and that of the path that won.
    pub(super) values: Option<(String, String)>,
}

impl Speaker {
    pub(super) fn show_routes(&self, after: Option<&Destination>, limit: usize, now: Instant) -> Vec<RouteView> {
        let order = self.order.of(&self.rib.names);
        let names = &self.rib.names;
        let from = after.map_or(0, |after| {
            after.with_key(|after| order.partition_point(|name| names.key(*name) <= after))
        });
        let mut views = Vec::new();
        for name in &order[from..] {
            if views.len() >= limit {
                break;
            }
            views.extend(self.show_name(*name, now));
        }
        views
    }

    /// The longest prefix in use that an address is in.
    pub(super) fn find_longest(&self, address: IpAddr) -> Option<Prefix> {
        let names = &self.rib.names;
        let in_use = |prefix: &Prefix| {
            let known = names.lookup(PrefixKey::new(*prefix).as_bytes());
            known.is_some_and(|name| names.get(name).selected != 0)
        };
        Prefix::of_host(address).and_supernets().find(in_use)
    }

    pub(super) fn show_advertised(
        &self,
        peer: &str,
        after: Option<&Destination>,
        limit: usize,
    ) -> Vec<(Destination, Arc<Attrs>)> {
        let Some(index) = self.peers.find(peer) else {
            return Vec::new();
        };
        let peer = &self.peers[index];
        let order = self.order.of(&self.rib.names);
        let names = &self.rib.names;
        let from = after.map_or(0, |after| {
            after.with_key(|after| order.partition_point(|name| names.key(*name) <= after))
        });
        let told = order[from..]
            .iter()
            .map(|name| (*name, peer.out.advertised_attr(*name)));
        let show = |(name, attr)| (names.destination(name), self.rib.attrs.decode(attr));
        told.filter(|(_, attr)| *attr != 0).take(limit).map(show).collect()
    }

    /// Every path of a name, best first.
    pub(super) fn show_name(&self, name: NameId, now: Instant) -> Vec<RouteView> {
        let mut views: Vec<RouteView> = self
            .standings(name)
            .iter()
            .map(|(standing, id)| self.show_path(&self.rib.path(*id), standing, now))
            .collect();
        views.extend(self.show_aggregate(name));
        views.extend(self.show_draining(name, now));
        views
    }

    /// What stands for the members of a wildcard.
    pub(super) fn show_aggregate(&self, name: NameId) -> Option<RouteView> {
        let (attr, members) = self.aggregates.standing(name)?;
        Some(RouteView {
            reason: format!("an aggregate of {members} names, towards other organisations"),
            ..self.view_of(name, attr, AGGREGATE)
        })
    }

    /// Where each path of a name stands, best first.
    pub(super) fn standings(&self, name: NameId) -> Vec<(Standing, PathId)> {
        let (paths, candidates, decision) = self.decide(name);
        let standing = |index: usize| standing(&candidates, &decision, index);
        let mut shown: Vec<(Standing, PathId)> =
            (0..paths.len()).map(|index| (standing(index), paths[index])).collect();
        let rejected = self.rib.paths_of(name).filter(|(_, path)| path.note != Note::Accepted);
        shown.extend(rejected.map(|(id, _)| {
            (
                Standing {
                    rank: Rank::Rejected,
                    best: false,
                    lost: None,
                    values: None,
                },
                id,
            )
        }));
        shown.sort_by_key(|(standing, id)| {
            let closeness = std::cmp::Reverse(standing.lost.map(|step| step as u8));
            let from = self.peer(self.rib.path(*id).peer).map(|peer| peer.config.name.clone());
            (standing.rank, closeness, from)
        });
        shown
    }

    pub(super) fn show_path(&self, path: &Path, standing: &Standing, now: Instant) -> RouteView {
        let selected = standing.rank <= Rank::Multipath;
        let data_planes = if selected {
            self.planes.statuses(path.name)
        } else {
            Vec::new()
        };
        let endpoints = if path.peer == LOCAL {
            self.endpoints(path.name)
        } else {
            Vec::new()
        };
        RouteView {
            best: standing.best,
            selected,
            endpoints,
            age: self.age(path.since, now),
            stale: path.flags.has(PathFlags::STALE),
            data_planes,
            note: path.note,
            reason: self.reason(path, standing),
            ..self.view_of(path.name, path.attr, path.peer)
        }
    }

    fn view_of(&self, name: NameId, attr: AttrId, source: PeerId) -> RouteView {
        let attrs = self.rib.attrs.decode(attr);
        let hot = self.rib.attrs.hot(attr);
        RouteView {
            destination: self.rib.names.destination(name),
            table: hot.table,
            best: false,
            selected: false,
            local_pref: hot.local_pref,
            origin: attrs.origin_node.clone(),
            learned_from: self.peer(source).map(|peer| peer.config.name.clone()),
            endpoints: Vec::new(),
            age: Duration::ZERO,
            stale: false,
            data_planes: Vec::new(),
            note: Note::Accepted,
            reason: String::new(),
            draining: false,
            attrs,
        }
    }

    fn reason(&self, path: &Path, standing: &Standing) -> String {
        match (standing.rank, standing.lost) {
            (Rank::Rejected, _) => path.note.text().to_owned(),
            (Rank::Multipath, _) => String::from("multipath"),
            (_, Some(step)) => step.text().to_owned(),
            (_, None) if !self.planes.any() => String::from("no data plane"),
            (_, None) => self.gate_reason(path.name),
        }
    }

    /// Why peers do not see a selected path (yet).
    fn gate_reason(&self, name: NameId) -> String {
        if let Some((plane, why)) = self.planes.refusal(name) {
            return format!("not advertised: rejected by {}: {why}", plane.config.name);
        }
        if !self.planes.open.has(self.rib.names.family(name)) {
            return String::from("not advertised: no data plane is connected");
        }
        if self.planes.waiting.contains(name) {
            return String::from("not advertised yet: waits for the data planes");
        }
        String::new()
    }

    /// A name that nobody offers any longer and that data planes still serve.
    fn show_draining(&self, name: NameId, now: Instant) -> Option<RouteView> {
        let since = self.planes.drains.since(name, self.config.drain)?;
        let installed = self
            .planes
            .installed
            .get(&name)
            .filter(|installed| installed.attr != 0)?;
        Some(RouteView {
            age: now.saturating_duration_since(since),
            data_planes: self.planes.statuses(name),
            reason: String::from("withdrawn, draining"),
            draining: true,
            ..self.view_of(name, installed.attr, installed.source)
        })
    }
}

fn standing(candidates: &[Candidate<'_>], decision: &Decision, index: usize) -> Standing {
    let best = decision.best.contains(&Some(index));
    let rank = if decision.selected == Some(index) {
        Rank::Selected
    } else if decision.is_multipath(candidates, index) {
        Rank::Multipath
    } else if best {
        Rank::BestOfTable
    } else {
        Rank::Beaten
    };
    let same_table = |winner: &&usize| candidates[**winner].table == candidates[index].table;
    let of_its_table = decision.best.iter().flatten().find(same_table).copied();
    let winner = of_its_table.filter(|_| !best).or(decision.selected);
    let lost = decision.lost[index];
    let values = lost
        .zip(winner)
        .and_then(|(step, winner)| step.values(&candidates[index], &candidates[winner]));
    Standing {
        rank,
        best,
        lost,
        values,
    }
}
