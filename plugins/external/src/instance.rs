//! One stream: what the instance at its other end holds, what it is sent next, what it said.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use catalyst_plugin::{Destination, PlaneStatus};
use catalyst_proto::plugin::v1 as pb;
use catalyst_proto::plugin::v1::watch_routes_response::Step;

use crate::table::{Cursor, Table};
use crate::wire::{self, WireError};

/// A message of the table is closed beyond this many bytes, so that it stays below the 4 MiB that gRPC takes.
const MAX_PART_BYTES: usize = 256 << 10;
/// Next hops that an instance may call unusable.
const MAX_NEXT_HOPS: usize = 4096;

/// What an instance must not say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misuse {
    #[error("version {acked} acknowledged, {sent} is the last one sent")]
    NeverSent { acked: u64, sent: u64 },
    #[error("version {acked} acknowledged after {before}")]
    Backwards { acked: u64, before: u64 },
    #[error("more than {MAX_NEXT_HOPS} next hops are unusable")]
    NextHops,
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// A step that has begun to leave.
#[derive(Debug)]
enum Progress {
    /// The whole table; sent are the names up to this one.
    Reset {
        to: u64,
        after: Option<Destination>,
    },
    Delta {
        from: u64,
        to: u64,
        at: Cursor,
    },
}

impl Progress {
    fn to(&self) -> u64 {
        match self {
            Self::Reset { to, .. } | Self::Delta { to, .. } => *to,
        }
    }
}

/// The state of one stream.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) name: Arc<str>,
    /// What it holds, once it has taken all that was sent; `None`: nothing that we know of.
    sent: Option<u64>,
    /// What was last sent of [`Table::is_settled`].
    sent_settled: Option<bool>,
    /// Every change up to here has its word. At most `sent`, save for changes that are none of this plane's.
    acked: Option<u64>,
    progress: Option<Progress>,
    /// What it said of names since they last changed, where they are not simply programmed.
    said: BTreeMap<Destination, PlaneStatus>,
    /// Next hops that it found unusable.
    pub(crate) unusable: BTreeSet<SocketAddr>,
}

impl Instance {
    /// An instance that holds a version of this epoch, or nothing.
    pub(crate) fn new(name: Arc<str>, holds: Option<u64>) -> Self {
        Self {
            name,
            sent: holds,
            sent_settled: None,
            acked: None,
            progress: None,
            said: BTreeMap::new(),
            unusable: BTreeSet::new(),
        }
    }

    /// Every change up to here has its word; 0: none yet.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.unwrap_or(0)
    }

    /// How far it is with a name that changed in `version`; `None`: it has not come that far.
    pub(crate) fn status(&self, name: &Destination, version: u64) -> Option<&PlaneStatus> {
        let settled = self.acked.is_some_and(|acked| acked >= version);
        settled.then(|| self.said.get(name).unwrap_or(&PlaneStatus::Programmed))
    }

    /// The names of which it said something.
    pub(crate) fn spoken_of(&self) -> impl Iterator<Item = &Destination> {
        self.said.keys()
    }

    /// A name has changed: nothing that was said of it counts any more.
    pub(crate) fn forget(&mut self, name: &Destination) {
        self.said.remove(name);
    }

    /// Passes over versions in which nothing changed for this plane.
    pub(crate) fn skip(&mut self, table: &Table) {
        let (Some(now), Some(sent), Some(acked)) = (table.version(), self.sent, self.acked) else {
            return;
        };
        let idle = self.progress.is_none() && acked >= sent && self.sent_settled == Some(table.is_settled());
        let moves = idle && acked < now && table.changes((sent, None), now).next().is_none();
        if moves {
            self.acked = Some(now);
        }
    }

    /// The next message that may leave.
    pub(crate) fn next(&mut self, table: &Table, epoch: u64) -> Option<pb::WatchRoutesResponse> {
        let now = table.version()?;
        if self.progress.is_none() {
            self.progress = Some(self.begin(table, now)?);
        }
        self.restart_if_forgotten(table, now);
        let progress = self.progress.take()?;
        let to = progress.to();
        let (step, left) = part(progress, table);
        let more = left.is_some();
        self.progress = left;
        if !more {
            self.sent = Some(to);
            self.sent_settled = Some(table.is_settled());
        }
        Some(pb::WatchRoutesResponse {
            to: Some(pb::Position { epoch, version: to }),
            settled: table.is_settled(),
            more,
            step: Some(step),
        })
    }

    /// The step to send now, if there is one and the one before is acknowledged.
    fn begin(&self, table: &Table, now: u64) -> Option<Progress> {
        let Some(sent) = self.sent.filter(|sent| table.knows_since(*sent)) else {
            return Some(Progress::Reset { to: now, after: None });
        };
        let waits = self.sent_settled.is_some() && self.acked.is_none_or(|acked| acked < sent);
        let settled_is_news = self.sent_settled != Some(table.is_settled());
        let news = settled_is_news || table.changes((sent, None), now).next().is_some();
        (news && !waits).then_some(Progress::Delta {
            from: sent,
            to: now,
            at: (sent, None),
        })
    }

    /// The rest of a difference may be forgotten while it is being sent.
    fn restart_if_forgotten(&mut self, table: &Table, now: u64) {
        if let Some(Progress::Delta { from, .. }) = &self.progress
            && !table.knows_since(*from)
        {
            self.progress = Some(Progress::Reset { to: now, after: None });
        }
    }

    /// Takes in an acknowledgement; gives the names whose status it may have changed.
    pub(crate) fn ack(&mut self, ack: pb::Ack, table: &Table) -> Result<Vec<Destination>, Misuse> {
        let version = ack.version;
        let before = self.acked();
        let sent = self.sent.filter(|_| self.sent_settled.is_some()).unwrap_or(0);
        if version > sent {
            return Err(Misuse::NeverSent { acked: version, sent });
        }
        // It may not know that versions were passed over.
        if version < before.min(sent) {
            return Err(Misuse::Backwards { acked: version, before });
        }
        let mut touched = Vec::new();
        for status in ack.statuses {
            let Some((name, status)) = wire::status_of(status)? else {
                continue;
            };
            // Said of the name as it was, or of one that is gone.
            if table.version_of(&name).is_none_or(|changed| changed > version) {
                continue;
            }
            touched.push(name.clone());
            match status {
                PlaneStatus::Programmed => drop(self.said.remove(&name)),
                PlaneStatus::Pending(_) | PlaneStatus::Rejected(_) => drop(self.said.insert(name, status)),
            }
        }
        if !ack.more && version > before {
            let settled = table.changes((before, None), version);
            touched.extend(settled.map(|(_, name, _)| name.clone()));
            self.acked = Some(version);
        } else if !ack.more {
            self.acked.get_or_insert(version);
        }
        Ok(touched)
    }

    /// Takes in word on a next hop; gives its address if that is news.
    pub(crate) fn next_hop(&mut self, state: &pb::NextHopState) -> Result<Option<SocketAddr>, Misuse> {
        let address = wire::address_of(&state.address)?;
        let is_news = if state.usable {
            self.unusable.remove(&address)
        } else {
            self.unusable.insert(address)
        };
        if self.unusable.len() > MAX_NEXT_HOPS {
            return Err(Misuse::NextHops);
        }
        Ok(is_news.then_some(address))
    }
}

/// The next part of a step, and what is left of it.
fn part(progress: Progress, table: &Table) -> (Step, Option<Progress>) {
    match progress {
        Progress::Reset { to, after } => reset_part(table, to, after.as_ref()),
        Progress::Delta { from, to, at } => delta_part(table, from, to, at),
    }
}

fn reset_part(table: &Table, to: u64, after: Option<&Destination>) -> (Step, Option<Progress>) {
    let mut room = Room::default();
    let mut last = None;
    let mut routes = Vec::new();
    let mut rest = table.routes(after).peekable();
    while let Some(route) = rest.next_if(|_| room.is_left()) {
        let message = wire::route(route);
        room.fill(&message);
        routes.push(message);
        last = Some(route.destination());
    }
    let left = rest.peek().is_some().then_some(Progress::Reset { to, after: last });
    (Step::Reset(pb::Reset { routes }), left)
}

fn delta_part(table: &Table, from: u64, to: u64, at: Cursor) -> (Step, Option<Progress>) {
    let mut room = Room::default();
    let mut changes = Vec::new();
    let mut reached = None;
    let mut rest = table.changes(at, to).peekable();
    while let Some((version, name, route)) = rest.next_if(|_| room.is_left()) {
        let change = pb::Change {
            destination: Some(wire::destination(name)),
            route: route.map(wire::route),
        };
        room.fill(&change);
        changes.push(change);
        reached = Some((version, Some(name.clone())));
    }
    let at = rest.peek().is_some().then_some(reached).flatten();
    let left = at.map(|at| Progress::Delta { from, to, at });
    (Step::Delta(pb::Delta { from, changes }), left)
}

/// What is left of a message.
#[derive(Default)]
struct Room {
    used: usize,
}

impl Room {
    fn is_left(&self) -> bool {
        self.used < MAX_PART_BYTES
    }

    fn fill(&mut self, message: &impl prost::Message) {
        self.used += message.encoded_len();
    }
}
