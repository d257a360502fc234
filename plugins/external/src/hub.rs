//! One plane with all of its instances: what the daemon is to be told of it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use catalyst_plugin::{Destination, PlaneStatus, Report, RouteUpdate};
use catalyst_proto::plugin::v1 as pb;

use crate::instance::{Instance, Misuse};
use crate::spec::PlaneSpec;
use crate::table::{Table, Taken};

/// Streams of one plane at a time.
pub(crate) const MAX_INSTANCES: usize = 64;

/// Names a stream; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId(u64);

/// The state of a plane.
#[derive(Debug)]
pub(crate) struct Hub {
    spec: PlaneSpec,
    epoch: u64,
    table: Table,
    instances: BTreeMap<StreamId, Instance>,
    last_stream: u64,
    told: Told,
    /// Names whose status may be other than what was told.
    fresh: BTreeSet<Destination>,
    /// Next hops of which an instance has said something new, so at most what instances called unusable.
    moved_hops: BTreeSet<SocketAddr>,
    gap: Gap,
}

/// What the daemon knows.
#[derive(Debug, Default)]
struct Told {
    connected: bool,
    version: u64,
    /// Where a name is not simply programmed.
    statuses: BTreeMap<Destination, PlaneStatus>,
    unusable: BTreeSet<SocketAddr>,
}

/// Where the plane stands with a gap in versions.
#[derive(Debug, Default, PartialEq, Eq)]
enum Gap {
    #[default]
    None,
    /// To be told.
    Found,
    /// A Reset was asked for.
    Told,
}

impl Hub {
    /// A plane without instances, in a run of the daemon that `epoch` tells apart from others.
    pub(crate) fn new(spec: PlaneSpec, epoch: u64) -> Self {
        Self {
            spec,
            epoch,
            table: Table::default(),
            instances: BTreeMap::new(),
            last_stream: 0,
            told: Told::default(),
            fresh: BTreeSet::new(),
            moved_hops: BTreeSet::new(),
            gap: Gap::None,
        }
    }

    /// Takes in a step of the selected table.
    pub(crate) fn take(&mut self, update: RouteUpdate) {
        let is_reset = matches!(update, RouteUpdate::Reset { .. });
        if self.gap != Gap::None && !is_reset {
            return;
        }
        let spec = &self.spec;
        match self.table.take(update, |route| spec.serves(route)) {
            Taken::Gap => self.gap = Gap::Found,
            Taken::Changed(names) => names.iter().for_each(|name| self.touch(name)),
        }
        if is_reset {
            self.gap = Gap::None;
            // Whoever is sent the whole table is told again what is not programmed.
            self.fresh.extend(std::mem::take(&mut self.told.statuses).into_keys());
        }
        self.skip_idle();
    }

    /// A name has changed: what was said of it is void.
    fn touch(&mut self, name: &Destination) {
        self.told.statuses.remove(name);
        self.fresh.remove(name);
        self.instances.values_mut().for_each(|instance| instance.forget(name));
    }

    fn skip_idle(&mut self) {
        for instance in self.instances.values_mut() {
            instance.skip(&self.table);
        }
    }

    /// An instance has said Hello.
    pub(crate) fn join(&mut self, hello: &pb::Hello) -> Option<StreamId> {
        if self.instances.len() >= MAX_INSTANCES {
            return None;
        }
        self.last_stream += 1;
        let id = StreamId(self.last_stream);
        let holds = hello.holds.filter(|holds| holds.epoch == self.epoch);
        let instance = Instance::new(hello.instance.as_str().into(), holds.map(|holds| holds.version));
        self.instances.insert(id, instance);
        self.freshen_since(0, self.told.version);
        Some(id)
    }

    /// A stream has ended.
    pub(crate) fn leave(&mut self, id: StreamId) {
        let Some(gone) = self.instances.remove(&id) else { return };
        self.fresh.extend(gone.spoken_of().cloned());
        self.moved_hops.extend(&gone.unusable);
        self.freshen_since(gone.acked(), u64::MAX);
    }

    /// Has the statuses of names that changed after one version, up to another, looked at.
    fn freshen_since(&mut self, from: u64, to: u64) {
        let changes = self.table.changes((from, None), to);
        let live = changes.filter(|(_, _, route)| route.is_some());
        self.fresh.extend(live.map(|(_, name, _)| name.clone()));
    }

    /// The next message of a stream that may leave now.
    pub(crate) fn next(&mut self, id: StreamId) -> Option<pb::WatchRoutesResponse> {
        self.instances.get_mut(&id)?.next(&self.table, self.epoch)
    }

    /// Takes in an acknowledgement.
    pub(crate) fn ack(&mut self, id: StreamId, ack: pb::Ack) -> Result<(), Misuse> {
        let Some(instance) = self.instances.get_mut(&id) else {
            return Ok(());
        };
        let touched = instance.ack(ack, &self.table)?;
        self.fresh.extend(touched);
        instance.skip(&self.table);
        Ok(())
    }

    /// Takes in word on a next hop.
    pub(crate) fn next_hop(&mut self, id: StreamId, state: &pb::NextHopState) -> Result<(), Misuse> {
        let Some(instance) = self.instances.get_mut(&id) else {
            return Ok(());
        };
        self.moved_hops.extend(instance.next_hop(state)?);
        Ok(())
    }

    /// The names of the connected instances, in the order of their arrival.
    pub(crate) fn instances(&self) -> Vec<Arc<str>> {
        self.instances
            .values()
            .map(|instance| Arc::clone(&instance.name))
            .collect()
    }

    /// What the daemon is to be told since the last call, in order: what is pending comes before the instance that it is
    /// pending for, so that nothing looks programmed in between.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        if self.gap == Gap::Found {
            self.gap = Gap::Told;
            reports.push(Report::NeedReset);
        }
        reports.extend(self.progress());
        let connected = !self.instances.is_empty();
        if connected != std::mem::replace(&mut self.told.connected, connected) {
            reports.push(if connected { Report::Up } else { Report::Down });
        }
        reports.extend(self.next_hops());
        reports
    }

    fn progress(&mut self) -> Option<Report> {
        let acked = self.instances.values().map(Instance::acked).min()?;
        let version = acked.max(self.told.version);
        let statuses = self.news(version);
        if version == 0 || (statuses.is_empty() && version == self.told.version) {
            return None;
        }
        self.told.version = version;
        Some(Report::Plane { version, statuses })
    }

    /// What is to be said of names as they were at `version`.
    fn news(&mut self, version: u64) -> Vec<(Destination, PlaneStatus)> {
        let mut news = Vec::new();
        for name in std::mem::take(&mut self.fresh) {
            let Some(changed) = self.table.version_of(&name) else {
                continue;
            };
            if changed > version {
                self.fresh.insert(name);
                continue;
            }
            let now = self.status(&name, changed);
            let before = match now {
                PlaneStatus::Programmed => self.told.statuses.remove(&name),
                PlaneStatus::Pending(_) | PlaneStatus::Rejected(_) => {
                    self.told.statuses.insert(name.clone(), now.clone())
                }
            };
            if before.unwrap_or(PlaneStatus::Programmed) != now {
                news.push((name, now));
            }
        }
        news
    }

    /// The worst that any instance says: a refusal, then waiting.
    fn status(&self, name: &Destination, version: u64) -> PlaneStatus {
        let alone = self.instances.len() == 1;
        let mut worst = PlaneStatus::Programmed;
        for instance in self.instances.values() {
            let said = instance.status(name, version).map(|said| by(said, instance, alone));
            let waits = || PlaneStatus::Pending(format!("{} has not confirmed it yet", instance.name).into());
            match said.unwrap_or_else(waits) {
                rejected @ PlaneStatus::Rejected(_) => return rejected,
                pending @ PlaneStatus::Pending(_) => worst = pending,
                PlaneStatus::Programmed => {}
            }
        }
        worst
    }

    fn next_hops(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        for address in std::mem::take(&mut self.moved_hops) {
            let unusable = self
                .instances
                .values()
                .any(|instance| instance.unusable.contains(&address));
            let moved = if unusable {
                self.told.unusable.insert(address)
            } else {
                self.told.unusable.remove(&address)
            };
            if moved {
                let usable = !unusable;
                reports.push(Report::NextHop { address, usable });
            }
        }
        reports
    }
}

/// Who says so, where there are several.
fn by(said: &PlaneStatus, instance: &Instance, alone: bool) -> PlaneStatus {
    let named = |reason: &Arc<str>| -> Arc<str> {
        if alone {
            Arc::clone(reason)
        } else {
            format!("{}: {reason}", instance.name).into()
        }
    };
    match said {
        PlaneStatus::Programmed => PlaneStatus::Programmed,
        PlaneStatus::Pending(reason) => PlaneStatus::Pending(named(reason)),
        PlaneStatus::Rejected(reason) => PlaneStatus::Rejected(named(reason)),
    }
}

#[cfg(test)]
mod tests;
