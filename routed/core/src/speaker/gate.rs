//! Make before break: what peers may see of loc_rib, as gating data planes confirm it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::Speaker;
use super::planes::{Plane, Planes};
use crate::event::PlaneReport;
use crate::intern::{AttrId, NameId};
use crate::rib::PeerId;
use crate::route::{PlaneStatus, Selected, Target};
use crate::wire::Families;

/// Whether a data plane lets advertisements pass at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// It does not gate.
    None,
    /// No instance has connected yet, or none for longer than the hold time.
    Closed,
    /// Connected; opens once it has settled the table of that time, or after `ack_wait`.
    Opening { since: Instant, needs: u64 },
    /// Connected.
    Open,
    /// No instance is connected, not for long yet.
    Lost { since: Instant },
}

impl Gate {
    fn up(&mut self, version: u64, now: Instant) {
        match self {
            Self::Closed => {
                *self = Self::Opening {
                    since: now,
                    needs: version,
                }
            }
            Self::Lost { .. } => *self = Self::Open,
            Self::None | Self::Opening { .. } | Self::Open => {}
        }
    }

    fn down(&mut self, now: Instant) {
        match self {
            Self::Open => *self = Self::Lost { since: now },
            Self::Opening { .. } => *self = Self::Closed,
            Self::None | Self::Closed | Self::Lost { .. } => {}
        }
    }

    pub(super) fn settled(&mut self, version: u64) {
        if matches!(self, Self::Opening { needs, .. } if version >= *needs) {
            *self = Self::Open;
        }
    }

    fn tick(&mut self, hold_time: Duration, ack_wait: Duration, now: Instant) {
        if self.due(hold_time, ack_wait).is_some_and(|due| due <= now) {
            *self = if matches!(self, Self::Lost { .. }) {
                Self::Closed
            } else {
                Self::Open
            };
        }
    }

    /// When it moves of its own accord. A hold time of zero means that nothing is given up for being silent.
    pub(super) fn due(&self, hold_time: Duration, ack_wait: Duration) -> Option<Instant> {
        match self {
            Self::Opening { since, .. } => Some(*since + ack_wait),
            Self::Lost { since } if !hold_time.is_zero() => Some(*since + hold_time),
            Self::None | Self::Closed | Self::Open | Self::Lost { .. } => None,
        }
    }

    fn is_open(self) -> bool {
        matches!(self, Self::None | Self::Open | Self::Lost { .. })
    }

    pub(super) fn gates(self) -> bool {
        self != Self::None
    }
}

#[derive(Debug)]
struct Wait {
    name: NameId,
    version: u64,
    until: Instant,
}

/// Names whose change no peer may see yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The version that each waits for.
    names: HashMap<NameId, u64>,
    /// In order of version, which is also the order of `until`; entries that `names` contradicts are void.
    queue: VecDeque<Wait>,
    /// A report came: look at all of them.
    look: bool,
}

impl Waiting {
    pub(super) fn contains(&self, name: NameId) -> bool {
        self.names.contains_key(&name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn remove(&mut self, name: NameId) {
        self.names.remove(&name);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.queue.iter().find(|wait| self.stands(wait)).map(|wait| wait.until)
    }

    fn add(&mut self, name: NameId, version: u64, until: Instant) {
        self.names.insert(name, version);
        self.queue.push_back(Wait { name, version, until });
    }

    fn stands(&self, wait: &Wait) -> bool {
        self.names.get(&wait.name) == Some(&wait.version)
    }

    /// Takes out the names that wait no longer, in the order in which they changed.
    fn take_ready(&mut self, now: Instant, confirmed: impl Fn(NameId, u64) -> bool) -> Vec<NameId> {
        let mut ready = Vec::new();
        if std::mem::take(&mut self.look) {
            for wait in std::mem::take(&mut self.queue) {
                if !self.stands(&wait) {
                    continue;
                }
                if wait.until <= now || confirmed(wait.name, wait.version) {
                    self.names.remove(&wait.name);
                    ready.push(wait.name);
                } else {
                    self.queue.push_back(wait);
                }
            }
        }
        while let Some(wait) = self.queue.pop_front_if(|wait| wait.until <= now) {
            if self.stands(&wait) {
                self.names.remove(&wait.name);
                ready.push(wait.name);
            }
        }
        ready
    }
}

impl Planes {
    fn up(&mut self, name: &str, now: Instant) {
        let version = self.next_version() - 1;
        if let Some(plane) = self.find(name) {
            plane.connected = true;
            plane.gate.up(version, now);
        }
    }

    fn down(&mut self, name: &str, now: Instant) {
        if let Some(plane) = self.find(name) {
            plane.connected = false;
            plane.gate.down(now);
        }
    }

    fn find(&mut self, name: &str) -> Option<&mut Plane> {
        self.list.iter_mut().find(|plane| &*plane.config.name == name)
    }

    /// The families that no gating plane holds back.
    pub(super) fn open_families(&self) -> Families {
        let closed = self.list.iter().filter(|plane| !plane.gate.is_open());
        closed.fold(Families::ALL, |open, plane| open.without(plane.config.families))
    }

    /// The words of a gating plane that refused a name.
    pub(super) fn refusal(&self, name: NameId) -> Option<(&Plane, &str)> {
        self.list
            .iter()
            .filter(|plane| plane.gate.gates())
            .find_map(|plane| match plane.said.get(&name) {
                Some(PlaneStatus::Rejected(why)) => Some((plane, &**why)),
                Some(PlaneStatus::Pending(_) | PlaneStatus::Programmed) | None => None,
            })
    }

    /// Whether every gating plane that serves a route has settled it.
    fn is_confirmed(list: &[Plane], route: &Selected, name: NameId, version: u64) -> bool {
        list.iter()
            .filter(|plane| plane.gate.gates() && plane.serves(route))
            .all(|plane| match plane.said.get(&name) {
                Some(PlaneStatus::Pending(_)) => false,
                Some(PlaneStatus::Rejected(_)) => true,
                Some(PlaneStatus::Programmed) | None => plane.version >= version,
            })
    }

    fn take_ready(&mut self, now: Instant) -> Vec<NameId> {
        let (list, installed) = (&self.list, &self.installed);
        self.waiting.take_ready(now, |name, version| {
            let installed = installed.get(&name);
            installed.is_none_or(|it| Self::is_confirmed(list, &it.route, name, version))
        })
    }
}

impl Speaker {
    pub(super) fn on_plane_up(&mut self, plane: &str, now: Instant) {
        self.planes.up(plane, now);
        self.watch_installed();
    }

    pub(super) fn on_plane_down(&mut self, plane: &str, now: Instant) {
        self.planes.down(plane, now);
        self.watch_installed();
    }

    /// The status of every installed route has changed.
    fn watch_installed(&mut self) {
        if self.watched.is_some() {
            let names: Vec<NameId> = self.planes.installed.keys().copied().collect();
            names.into_iter().for_each(|name| self.watch_name(name));
        }
    }

    pub(super) fn on_plane_report(&mut self, report: PlaneReport) {
        if self.watched.is_some() {
            for name in self.planes.settled_by(&report) {
                self.watch_name(name);
            }
        }
        let touched = self.planes.report(report, &self.rib.names);
        self.planes.waiting.look = true;
        for name in touched {
            self.watch_name(name);
            // The decision stands; going through it again applies a refusal or its end.
            self.rib.mark_dirty(name);
        }
    }

    /// Has peers wait for the data planes that serve the route of a name which has just changed.
    pub(super) fn wait_for_planes(&mut self, name: NameId, now: Instant) {
        self.planes.waiting.remove(name);
        let Some(route) = self.planes.route(name) else {
            return;
        };
        if *route.target() == Target::Discard {
            return;
        }
        if self
            .planes
            .list
            .iter()
            .any(|plane| plane.gate.gates() && plane.serves(route))
        {
            let version = self.planes.next_version();
            self.planes.waiting.add(name, version, now + self.config.ack_wait);
        }
    }

    /// Moves gates and waits to `now`; what they let through becomes visible to peers.
    pub(super) fn move_gate(&mut self, now: Instant) {
        if !self.planes.any() {
            return;
        }
        for plane in &mut self.planes.list {
            plane.gate.tick(self.config.hold_time, self.config.ack_wait, now);
        }
        for name in self.planes.take_ready(now) {
            self.refresh_loc(name);
            self.tell_opened(name);
            self.watch_name(name);
        }
        let open = self.planes.open_families();
        if open != std::mem::replace(&mut self.planes.open, open) {
            self.peers
                .places()
                .into_iter()
                .for_each(|index| self.mark_whole_table(index));
        }
    }

    /// Moves the acknowledged part of loc_rib to the selected path of a name, as far as the gates let it.
    pub(super) fn refresh_loc(&mut self, name: NameId) {
        let selected = self.rib.names.get(name).selected;
        if selected == 0 {
            self.set_loc(name, 0, 0);
        } else if self.planes.refusal(name).is_some() {
            self.planes.waiting.remove(name);
            self.set_loc(name, 0, 0);
        } else if !self.planes.waiting.contains(name) {
            let (attr, source) = self.tell(name);
            self.set_loc(name, attr, source);
        }
    }

    /// The listeners of outside organisations know a name now: peers that were not told for that reason are.
    fn tell_opened(&mut self, name: NameId) {
        let entry = self.rib.names.get(name);
        let (attr, source) = (entry.loc_attr, entry.loc_source);
        if attr == 0 {
            return;
        }
        for peer in self.peers.iter_mut().filter(|peer| peer.outside && peer.up.is_some()) {
            if !peer.never_gets(source) && peer.out.advertised_attr(name) == 0 {
                peer.out.mark(name, &mut self.rib.names);
            }
        }
    }

    fn set_loc(&mut self, name: NameId, attr: AttrId, source: PeerId) {
        let entry = self.rib.names.get_mut(name);
        let before = entry.loc_attr;
        if (before, entry.loc_source) == (attr, source) {
            return;
        }
        (entry.loc_attr, entry.loc_source) = (attr, source);
        if attr != 0 {
            self.rib.attrs.retain(attr);
        }
        if !self.aggregates.is_empty() {
            self.count_member(name, before, attr);
        }
        self.rib.attrs.release(before);
        let family = self.rib.names.family(name);
        let mut holds = 0;
        for peer in self.peers.iter_mut().filter(|peer| peer.takes(family)) {
            if !peer.never_gets(source) || !peer.out.is_blank(name) {
                holds += u32::from(peer.out.queue(name));
            }
        }
        self.rib.names.retain_times(name, holds);
        self.rib.names.may_be_unused(name);
    }
}
