//! The selected table as the data planes hold it, its versions, and what they report of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;

use super::gate::{Gate, Waiting};
use super::select::discard_route;
use super::withdraw::Drains;
use crate::event::{PlaneConfig, PlaneReport, SpeakerConfig};
use crate::intern::{AttrId, AttrTable, NameFlags, NameId, NameTable};
use crate::name::ServiceName;
use crate::rib::{LOCAL, PeerId, Rib};
use crate::route::{Change, Destination, PlaneStatus, RouteUpdate, Selected};
use crate::view::{PlaneCounts, PlaneView};
use crate::wire::{Families, Family};

/// `show plugins` lists at most so many rejected names.
const LISTED: usize = 100;
/// The log of changes is cleaned of old entries once it is so much longer than the table.
const LOG_SLACK: usize = 1024;

/// A route in the selected table.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) route: Selected,
    /// The version in which it last changed.
    pub(super) version: u64,
    /// The path behind it, for the time after the path is gone.
    pub(super) attr: AttrId,
    pub(super) source: PeerId,
    /// The planes that serve it and have neither settled its version nor said anything of it, by [`Plane::bit`].
    owed_by: u64,
}

/// One data plane.
#[derive(Debug)]
pub(super) struct Plane {
    pub(super) config: PlaneConfig,
    pub(super) connected: bool,
    /// Every change up to here is settled.
    pub(super) version: u64,
    pub(super) gate: Gate,
    /// Names of which it said something since they last changed.
    pub(super) said: HashMap<NameId, PlaneStatus>,
    /// Its mark in [`Installed::owed_by`].
    bit: u64,
    // What is counted is kept up with every change: the table may be long.
    /// How many routes it serves.
    served: u64,
    /// Of `said`: what it refused.
    rejected: u64,
    /// Of `said`: what it is still working on.
    stalled: u64,
    /// Routes that changed after what it has settled, and of which it said nothing.
    unsettled: u64,
}

impl Plane {
    /// Whether a route is for it: of a family, and of a protocol, that it serves.
    pub(super) fn serves(&self, route: &Selected) -> bool {
        let of_family = |family| self.config.families.has(family);
        match route {
            Selected::Name(route) => of_family(Family::Name) && self.config.protocols.contains(&route.protocol),
            Selected::Prefix(route) => of_family(route.prefix.family()),
        }
    }

    /// Notes whether it owes a word, or a newer version, on a route.
    fn note_owed(&mut self, installed: &mut Installed, owes: bool) {
        let owed = installed.owed_by & self.bit != 0;
        if owes != owed {
            installed.owed_by ^= self.bit;
            self.unsettled = self.unsettled.wrapping_add_signed(if owes { 1 } else { -1 });
        }
    }

    /// Its last word on a name; `None`: it has none.
    fn say(&mut self, name: NameId, status: Option<PlaneStatus>) {
        let mut count = |status: &PlaneStatus, by| match status {
            PlaneStatus::Pending(_) => self.stalled = self.stalled.wrapping_add_signed(by),
            PlaneStatus::Rejected(_) => self.rejected = self.rejected.wrapping_add_signed(by),
            PlaneStatus::Programmed => {}
        };
        if let Some(status) = &status {
            count(status, 1);
        }
        let before = match status {
            Some(status) => self.said.insert(name, status),
            None => self.said.remove(&name),
        };
        if let Some(before) = before {
            count(&before, -1);
        }
    }

    /// Routes that it is still working on. With no instance to answer, none of what it serves answers.
    fn pending(&self) -> u64 {
        if self.connected {
            self.stalled + self.unsettled
        } else {
            self.served.saturating_sub(self.rejected)
        }
    }
}

/// All data planes, and the table that they are to hold.
#[derive(Debug)]
pub(super) struct Planes {
    pub(super) list: Vec<Plane>,
    pub(super) installed: HashMap<NameId, Installed>,
    version: u64,
    changes: Vec<Change>,
    owes_delta: bool,
    /// Which name changed in which version, oldest first; what the slowest plane has settled is cut off.
    log: VecDeque<(u64, NameId)>,
    pub(super) waiting: Waiting,
    pub(super) drains: Drains,
    /// The families that no gating plane holds back.
    pub(super) open: Families,
}

impl Planes {
    pub(super) fn new(config: &SpeakerConfig, names: &mut NameTable) -> Self {
        let mut planes = Self {
            list: config.planes.iter().cloned().enumerate().map(new_plane).collect(),
            installed: HashMap::new(),
            version: 1,
            changes: Vec::new(),
            owes_delta: false,
            log: VecDeque::new(),
            waiting: Waiting::default(),
            drains: Drains::default(),
            open: Families::ALL,
        };
        planes.open = planes.open_families();
        if planes.any() {
            for name in discards(config) {
                planes.install_discard(name, names);
            }
        }
        planes
    }

    fn install_discard(&mut self, name: ServiceName, names: &mut NameTable) {
        let id = names.intern(name.as_str().as_bytes());
        // Held for good: by the configuration.
        names.retain(id);
        names.get_mut(id).flags.set(NameFlags::DISCARD);
        names.retain(id);
        let version = self.version;
        let mut discard = Installed {
            route: discard_route(name),
            version,
            attr: 0,
            source: LOCAL,
            owed_by: 0,
        };
        self.count(&mut discard, 1);
        self.installed.insert(id, discard);
        self.log_change(version, id);
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.list.is_empty()
    }

    pub(super) fn route(&self, name: NameId) -> Option<&Selected> {
        self.installed.get(&name).map(|installed| &installed.route)
    }

    /// The version that the changes of this batch will have.
    pub(super) fn next_version(&self) -> u64 {
        self.version + 1
    }

    /// Counts a route that comes (1) or goes (-1). One that comes is owed by all that serve it.
    fn count(&mut self, installed: &mut Installed, by: i64) {
        for plane in &mut self.list {
            if plane.serves(&installed.route) {
                plane.served = plane.served.saturating_add_signed(by);
                plane.note_owed(installed, by > 0);
            }
        }
    }

    /// Remembers the path behind an installed route.
    pub(super) fn note_source(&mut self, name: NameId, attr: AttrId, source: PeerId, attrs: &mut AttrTable) {
        let Some(installed) = self.installed.get_mut(&name) else {
            return;
        };
        if installed.attr != attr {
            if attr != 0 {
                attrs.retain(attr);
            }
            attrs.release(installed.attr);
            installed.attr = attr;
        }
        installed.source = source;
    }

    /// Puts a route (or none) in place of the one of this name: part of the next Delta.
    pub(super) fn change(
        &mut self,
        name: NameId,
        route: Option<Selected>,
        (attr, source): (AttrId, PeerId),
        rib: &mut Rib,
    ) {
        let version = self.next_version();
        for plane in &mut self.list {
            plane.say(name, None);
        }
        if route.is_some() {
            rib.names.retain(name);
            if attr != 0 {
                rib.attrs.retain(attr);
            }
        }
        let new = route.clone().map(|route| Installed {
            route,
            version,
            attr,
            source,
            owed_by: 0,
        });
        let mut old = match new {
            Some(mut new) => {
                self.count(&mut new, 1);
                self.installed.insert(name, new)
            }
            None => self.installed.remove(&name),
        };
        if let Some(old) = &mut old {
            self.count(old, -1);
            rib.names.release(name);
            rib.attrs.release(old.attr);
        }
        let Some(destination) = route
            .as_ref()
            .or(old.as_ref().map(|old| &old.route))
            .map(Selected::destination)
        else {
            return;
        };
        self.changes.push(Change { destination, route });
        self.log_change(version, name);
    }

    fn log_change(&mut self, version: u64, name: NameId) {
        self.log.push_back((version, name));
        if self.log.len() > 2 * self.installed.len() + LOG_SLACK {
            let installed = &self.installed;
            self.log
                .retain(|(version, name)| installed.get(name).is_some_and(|route| route.version == *version));
        }
    }

    /// Has a Delta emitted though no route changed.
    pub(super) fn owe_delta(&mut self) {
        self.owes_delta = self.any();
    }

    /// The Delta of this batch, if anything changed.
    pub(super) fn take_delta(&mut self, settled: bool) -> Option<RouteUpdate> {
        if self.changes.is_empty() && !self.owes_delta {
            return None;
        }
        self.owes_delta = false;
        let from = self.version;
        self.version += 1;
        Some(RouteUpdate::Delta {
            from,
            to: self.version,
            changes: std::mem::take(&mut self.changes),
            settled,
        })
    }

    /// The whole table.
    pub(super) fn reset(&self, names: &NameTable, settled: bool) -> RouteUpdate {
        let mut ids: Vec<NameId> = self.installed.keys().copied().collect();
        ids.sort_unstable_by(|one, other| names.key(*one).cmp(names.key(*other)));
        let routes = ids.iter().map(|id| self.installed[id].route.clone()).collect();
        RouteUpdate::Reset {
            version: self.version,
            routes,
            settled,
        }
    }

    /// Takes in a report; gives the names whose status it changed.
    pub(super) fn report(&mut self, report: PlaneReport, names: &NameTable) -> Vec<NameId> {
        let Some(plane) = self.list.iter_mut().find(|plane| plane.config.name == report.plane) else {
            return Vec::new();
        };
        // A plane cannot have settled what does not exist yet.
        let version = report.version.min(self.version).max(plane.version);
        for (_, name) in changed_within(&self.log, plane.version, version) {
            if let Some(route) = self.installed.get_mut(name).filter(|route| route.version <= version) {
                plane.note_owed(route, false);
            }
        }
        plane.version = version;
        plane.gate.settled(plane.version);
        let mut touched = Vec::new();
        for (destination, status) in report.statuses {
            let Some(id) = names.lookup_destination(&destination) else {
                continue;
            };
            let Some(route) = self.installed.get_mut(&id) else {
                continue;
            };
            // Said of the name as it was: it has changed meanwhile, and the plane will speak of it again.
            if route.version > report.version {
                continue;
            }
            touched.push(id);
            let word = Some(status).filter(|status| *status != PlaneStatus::Programmed);
            let owes = word.is_none() && route.version > plane.version && plane.serves(&route.route);
            plane.note_owed(route, owes);
            plane.say(id, word);
        }
        self.cut_log();
        touched
    }

    /// The names that a report settles by its version alone.
    pub(super) fn settled_by(&self, report: &PlaneReport) -> Vec<NameId> {
        let Some(plane) = self.list.iter().find(|plane| plane.config.name == report.plane) else {
            return Vec::new();
        };
        let settled = changed_within(&self.log, plane.version, report.version);
        settled.map(|(_, name)| *name).collect()
    }

    fn cut_log(&mut self) {
        let settled = self.list.iter().map(|plane| plane.version).min().unwrap_or(u64::MAX);
        while self.log.front().is_some_and(|(version, _)| *version <= settled) {
            self.log.pop_front();
        }
    }

    /// How far each plane is with a name, of those that serve it.
    pub(super) fn statuses(&self, name: NameId) -> Vec<(Arc<str>, PlaneStatus)> {
        let Some(installed) = self.installed.get(&name) else {
            return Vec::new();
        };
        let serving = self.list.iter().filter(|plane| plane.serves(&installed.route));
        serving
            .map(|plane| (plane.config.name.clone(), status(plane, name, installed.version)))
            .collect()
    }

    /// Every data plane in numbers.
    pub(super) fn count_all(&self) -> Vec<PlaneCounts> {
        self.list.iter().map(|plane| self.count_plane(plane)).collect()
    }

    /// Every data plane, for `show plugins`.
    pub(super) fn show(&self, names: &NameTable) -> Vec<PlaneView> {
        let view = |plane| PlaneView {
            counts: self.count_plane(plane),
            rejected: list_rejected(plane, names),
        };
        self.list.iter().map(view).collect()
    }

    fn count_plane(&self, plane: &Plane) -> PlaneCounts {
        let (pending, rejected) = (plane.pending(), plane.rejected);
        PlaneCounts {
            name: plane.config.name.clone(),
            connected: plane.connected,
            version: plane.version,
            latest: self.version,
            programmed: plane.served.saturating_sub(pending + rejected),
            pending,
            rejected,
        }
    }

    /// What is wrong with what is counted, one line each.
    pub(super) fn audit(&self, wrong: &mut Vec<String>) {
        for plane in &self.list {
            let said = |is: fn(&PlaneStatus) -> bool| plane.said.values().filter(|status| is(status)).count() as u64;
            let rejected = said(|status| matches!(status, PlaneStatus::Rejected(_)));
            let stalled = said(|status| matches!(status, PlaneStatus::Pending(_)));
            let serves = |it: &&Installed| plane.serves(&it.route);
            let served = self.installed.values().filter(serves).count() as u64;
            let owes = |(name, it): &(&NameId, &Installed)| {
                it.version > plane.version && plane.serves(&it.route) && !plane.said.contains_key(*name)
            };
            let unsettled = self.installed.iter().filter(owes).count() as u64;
            let found = [served, rejected, stalled, unsettled];
            let counted = [plane.served, plane.rejected, plane.stalled, plane.unsettled];
            if found != counted {
                let name = &plane.config.name;
                wrong.push(format!(
                    "{name}: {counted:?} served, rejected, stalled, unsettled are counted, not {found:?}"
                ));
            }
        }
    }

    /// When something is due: drains, waits, a plane lost for too long, a plane that opens.
    pub(super) fn poll_timeout(
        &self,
        hold_time: std::time::Duration,
        ack_wait: std::time::Duration,
    ) -> Option<Instant> {
        let gates = self.list.iter().filter_map(|plane| plane.gate.due(hold_time, ack_wait));
        gates.chain(self.waiting.due()).chain(self.drains.due()).min()
    }
}

/// The names that are discards where nobody offers them: the wildcard of each domain, and each aggregate.
pub(super) fn discards(config: &SpeakerConfig) -> BTreeSet<ServiceName> {
    let domains = config.domains.iter();
    let wildcards = domains.filter_map(|domain| ServiceName::parse(&format!("*.{domain}")).ok());
    let aggregates = config.aggregates.iter().map(|aggregate| aggregate.name.clone());
    wildcards.chain(aggregates).collect()
}

/// `index` in the list; the configuration allows for fewer planes than there are marks.
fn new_plane((index, config): (usize, PlaneConfig)) -> Plane {
    let bit = 1 << (index % 64);
    let gate = if config.gates { Gate::Closed } else { Gate::None };
    Plane {
        config,
        connected: false,
        version: 0,
        gate,
        said: HashMap::new(),
        bit,
        served: 0,
        rejected: 0,
        stalled: 0,
        unsettled: 0,
    }
}

/// What the log says of the versions after one and up to another.
fn changed_within(log: &VecDeque<(u64, NameId)>, after: u64, up_to: u64) -> impl Iterator<Item = &(u64, NameId)> {
    let first = log.partition_point(|(version, _)| *version <= after);
    log.range(first..).take_while(move |(version, _)| *version <= up_to)
}

/// What a plane refused, in order of name, and why: the first of it.
fn list_rejected(plane: &Plane, names: &NameTable) -> Vec<(Destination, Arc<str>)> {
    let said = plane.said.iter();
    let mut rejected: Vec<_> = said.filter_map(|(id, status)| rejection(*id, status)).collect();
    rejected.sort_unstable_by(|one, other| names.key(one.0).cmp(names.key(other.0)));
    let first = rejected.into_iter().take(LISTED);
    first.map(|(id, why)| (names.destination(id), why)).collect()
}

/// What is called programmed answers: with no instance to answer, nothing is. Peers learn of the loss after the hold
/// time, by the gate.
fn status(plane: &Plane, name: NameId, version: u64) -> PlaneStatus {
    match plane.said.get(&name) {
        Some(refused @ PlaneStatus::Rejected(_)) => refused.clone(),
        _ if !plane.connected => PlaneStatus::Pending(Arc::from("not connected")),
        Some(status) => status.clone(),
        None if version <= plane.version => PlaneStatus::Programmed,
        None => PlaneStatus::Pending(Arc::from("")),
    }
}

fn rejection(id: NameId, status: &PlaneStatus) -> Option<(NameId, Arc<str>)> {
    match status {
        PlaneStatus::Rejected(why) => Some((id, why.clone())),
        PlaneStatus::Pending(_) | PlaneStatus::Programmed => None,
    }
}
