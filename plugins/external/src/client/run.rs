//! For a data plane that implements the trait: the reconcile loop here, the selected table from there.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;

use catalyst_plugin::{DataPlane, Destination, Handle, PlaneStatus, Report, RouteUpdate};
use catalyst_proto::plugin::v1 as pb;
use catalyst_proto::plugin::v1::watch_routes_request::Message;
use tokio::sync::mpsc;
use tonic::Status;

use super::ClientError;
use super::session::{Arrived, Door, Session, recoverable};
use super::word::Word;

/// Reports that may wait for the connection.
const REPORTS: usize = 64;

/// Runs a data plane in this process as the plane `name` of the daemon at `address` (`unix:PATH` or `IP:PORT`), for as long
/// as the future is polled. It need not know that it is not within the daemon.
///
/// # Errors
/// The address is none, or the daemon refuses this data plane.
pub async fn run<P: DataPlane>(plane: P, address: &str, name: &str) -> Result<Infallible, ClientError> {
    let door = Door::new(address, name)?;
    let (sender, reports) = mpsc::channel(REPORTS);
    let handle = catalyst_plugin::spawn(plane, sender);
    let link = Link {
        door,
        steps: Steps::default(),
        word: Word::default(),
        unusable: BTreeSet::new(),
        up: true,
    };
    let mut running = Running { handle, reports };
    link.keep(&mut running).await
}

/// The loop, which ends with this.
struct Running {
    handle: Handle,
    reports: mpsc::Receiver<Report>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.join.abort();
    }
}

/// Between the versions of the daemon and those of the loop. Versions of the daemon begin again when it restarts, while
/// reports of the loop may be late: so the loop has versions of its own.
#[derive(Debug, Default)]
struct Steps {
    /// The daemon's position that the loop was last told of.
    position: Option<pb::Position>,
    /// The loop's version of the same.
    local: u64,
    /// The loop's version when the stream was opened: reports up to it speak of steps that the stream does not know.
    opened: u64,
    /// Names of the last step, of which older reports say nothing.
    changed: HashSet<Destination>,
    everything_changed: bool,
}

struct Link {
    door: Door,
    steps: Steps,
    word: Word,
    unusable: BTreeSet<SocketAddr>,
    /// False once the plane said that its last instance is lost.
    up: bool,
}

/// Why a stream is given up.
enum End {
    Lost(Status),
    /// The loop needs the whole table, and `position` is none.
    Anew,
    /// The plane has nothing behind it any more.
    Down,
    Fatal(ClientError),
}

impl Link {
    async fn keep(mut self, running: &mut Running) -> Result<Infallible, ClientError> {
        loop {
            if !self.up {
                let report = running.reports.recv().await.ok_or(ClientError::Ended)?;
                // No stream that could be told, or given up.
                drop(self.hear(report));
                continue;
            }
            let session = self.door.open(self.steps.position).await?;
            match self.exchange(session, running).await {
                End::Lost(status) => recoverable(&status)?,
                End::Anew | End::Down => {}
                End::Fatal(error) => return Err(error),
            }
        }
    }

    async fn exchange(&mut self, mut session: Session, running: &mut Running) -> End {
        self.word.new_stream();
        self.steps.opened = self.steps.local;
        for address in &self.unusable {
            session.say(next_hop(*address, false)).await;
        }
        loop {
            let messages = tokio::select! {
                step = session.next() => match step {
                    Ok(step) => {
                        self.door.has_worked();
                        let Some(update) = self.take(step) else { return End::Anew };
                        running.handle.feed.send(update);
                        continue;
                    }
                    Err(status) => return End::Lost(status),
                },
                report = running.reports.recv() => match report.map(|report| self.hear(report)) {
                    Some(Ok(messages)) => messages,
                    Some(Err(end)) => return end,
                    None => return End::Fatal(ClientError::Ended),
                },
            };
            for message in messages {
                session.say(message).await;
            }
        }
    }

    /// A step in the loop's own versions; `None` if it does not follow on what the loop holds.
    fn take(&mut self, Arrived { to, update }: Arrived) -> Option<RouteUpdate> {
        let Steps { position, local, .. } = self.steps;
        self.steps.changed.clear();
        let update = match update {
            RouteUpdate::Reset { routes, settled, .. } => {
                self.word.forget_all();
                self.steps.everything_changed = true;
                RouteUpdate::Reset {
                    version: local + 1,
                    routes,
                    settled,
                }
            }
            RouteUpdate::Delta {
                from, changes, settled, ..
            } => {
                if position != Some(pb::Position { version: from, ..to }) {
                    self.steps.position = None;
                    return None;
                }
                self.steps.everything_changed = false;
                for change in &changes {
                    self.word.forget(&change.destination);
                    self.steps.changed.insert(change.destination.clone());
                }
                RouteUpdate::Delta {
                    from: local,
                    to: local + 1,
                    changes,
                    settled,
                }
            }
        };
        self.steps.local = local + 1;
        self.steps.position = Some(to);
        Some(update)
    }

    /// What the daemon is to be told.
    fn hear(&mut self, report: Report) -> Result<Vec<Message>, End> {
        match report {
            Report::Plane { version, statuses } => Ok(self.progress(version, statuses)),
            Report::Up => {
                self.up = true;
                Ok(Vec::new())
            }
            Report::Down => {
                self.up = false;
                Err(End::Down)
            }
            Report::NextHop { address, usable } => {
                if usable {
                    self.unusable.remove(&address);
                } else {
                    self.unusable.insert(address);
                }
                Ok(vec![next_hop(address, usable)])
            }
            // Tunnels are of the daemon's own planes: the protocol has no word for them.
            Report::Tunnel { .. } | Report::Listeners { .. } => Ok(Vec::new()),
            Report::NeedReset => {
                self.steps.position = None;
                Err(End::Anew)
            }
        }
    }

    fn progress(&mut self, local: u64, statuses: Vec<(Destination, PlaneStatus)>) -> Vec<Message> {
        let current = local == self.steps.local;
        for (name, status) in statuses {
            // Of a name that has changed since, an older report says nothing.
            if current || !(self.steps.everything_changed || self.steps.changed.contains(&name)) {
                self.word.note(name, status);
            }
        }
        let position = self.steps.position.filter(|_| current && local > self.steps.opened);
        let acks = position.map(|position| self.word.ack(position.version));
        acks.into_iter().flatten().map(Message::Ack).collect()
    }
}

fn next_hop(address: SocketAddr, usable: bool) -> Message {
    Message::NextHop(pb::NextHopState {
        address: address.to_string(),
        usable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_needs_the_whole_table_gets_it_also_if_it_says_so_while_it_is_down() {
        let mut link = Link {
            door: Door::new("127.0.0.1:1", "hosts").unwrap(),
            steps: Steps {
                position: Some(pb::Position { epoch: 1, version: 1 }),
                ..Steps::default()
            },
            word: Word::default(),
            unusable: BTreeSet::new(),
            up: false,
        };
        // As `keep` takes reports in while no stream is open.
        for report in [Report::NeedReset, Report::Up] {
            drop(link.hear(report));
        }
        assert!(link.up);
        assert_eq!(link.steps.position, None, "the next Hello asks for a Reset");
    }
}
