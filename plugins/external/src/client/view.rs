//! For a data plane that writes its whole table at a time: a file, a map, a zone.

use std::collections::BTreeMap;

use catalyst_plugin::{Destination, PlaneStatus, RouteUpdate, Selected};
use catalyst_proto::plugin::v1 as pb;
use catalyst_proto::plugin::v1::watch_routes_request::Message;

use super::ClientError;
use super::session::{Arrived, Door, Session, recoverable};
use super::word::Word;

/// What is said of a name that is held.
const HELD: &str = "held as it was before the start, until every peer has sent its table";

/// A connection that is made when it is needed, and again after it broke.
#[derive(Debug)]
pub struct Client {
    door: Door,
    session: Option<Session>,
    table: Table,
    word: Word,
}

/// The routes by destination, names before prefixes.
type Routes = BTreeMap<Destination, Selected>;

/// What a data plane is to serve now.
#[derive(Debug, Clone)]
pub struct View {
    routes: Routes,
}

impl View {
    /// Every route: of names in their order, then of prefixes.
    pub fn routes(&self) -> impl Iterator<Item = &Selected> {
        self.routes.values()
    }
}

impl Client {
    /// A client of the daemon that serves the data plane `plane` at `address` (`unix:PATH` or `IP:PORT`). Must be called on
    /// a tokio runtime; connects when it is first used.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(address: &str, plane: &str) -> Result<Self, ClientError> {
        Ok(Self {
            door: Door::new(address, plane)?,
            session: None,
            table: Table::default(),
            word: Word::default(),
        })
    }

    /// Names this instance in the daemon's tables and logs. Default: the plane and the number of this process.
    #[must_use]
    pub fn with_instance(mut self, name: &str) -> Self {
        self.door.name_instance(name);
        self
    }

    /// Waits for the next table that differs, across restarts of the daemon. While the daemon does not know the table of
    /// all of its peers, nothing changes or goes that was served before, and nothing is given out before the first table
    /// is whole. Not cancel-safe.
    ///
    /// # Errors
    /// The daemon refuses this data plane.
    pub async fn next(&mut self) -> Result<View, ClientError> {
        loop {
            let step = self.session().await?.next().await;
            match step {
                Ok(step) => {
                    self.door.has_worked();
                    if let Some(view) = self.take(step).await {
                        return Ok(view);
                    }
                }
                Err(status) => {
                    self.session = None;
                    recoverable(&status)?;
                }
            }
        }
    }

    /// Says that the table of the last [`Client::next`] is served, but for these names, with the reasons.
    pub async fn serves_but(&mut self, refused: impl IntoIterator<Item = (Destination, String)>) {
        let refused = refused.into_iter();
        self.table.refused = refused
            .map(|(name, why)| (name, PlaneStatus::Rejected(why.into())))
            .collect();
        self.table.served = Some(self.table.view());
        self.acknowledge(self.table.unserved()).await;
    }

    /// Says that the table of the last [`Client::next`] is served.
    pub async fn serves_all(&mut self) {
        self.serves_but([]).await;
    }

    /// Says why nothing of the last table is served that is not served already.
    pub async fn serves_none(&mut self, why: &str) {
        let why = PlaneStatus::Pending(why.into());
        let stale = self.table.stale().cloned();
        let stale: Vec<_> = stale.map(|name| (name, why.clone())).collect();
        let mut now = self.table.refused.clone();
        now.extend(stale);
        self.acknowledge(now).await;
    }

    async fn session(&mut self) -> Result<&mut Session, ClientError> {
        if self.session.is_none() {
            let session = self.door.open(self.table.position).await?;
            self.word.new_stream();
            return Ok(self.session.insert(session));
        }
        self.session.as_mut().ok_or(ClientError::Ended)
    }

    /// Takes in a step; gives what is to be served if that differs.
    async fn take(&mut self, Arrived { to, update }: Arrived) -> Option<View> {
        if !self.table.take(to, update, &mut self.word) {
            // It does not follow on what is held: begin anew.
            self.table.position = None;
            self.session = None;
            return None;
        }
        if !self.table.settled && self.table.served.is_none() {
            let all = self.table.routes.keys();
            let now = all
                .map(|name| (name.clone(), PlaneStatus::Pending(HELD.into())))
                .collect();
            self.acknowledge(now).await;
            return None;
        }
        let routes = self.table.view();
        if self.table.served.as_ref() == Some(&routes) {
            self.acknowledge(self.table.unserved()).await;
            return None;
        }
        Some(View { routes })
    }

    async fn acknowledge(&mut self, now: BTreeMap<Destination, PlaneStatus>) {
        let (Some(session), Some(position)) = (&self.session, self.table.position) else {
            return;
        };
        self.word.replace(now);
        for ack in self.word.ack(position.version) {
            session.say(Message::Ack(ack)).await;
        }
    }
}

/// The daemon's table, and what is served of it.
#[derive(Debug, Default)]
struct Table {
    routes: Routes,
    settled: bool,
    position: Option<pb::Position>,
    /// What the data plane was last said to serve; `None` at first, when it may have anything from before.
    served: Option<Routes>,
    /// What of it the data plane refuses: as true on every later stream as it was when it was said.
    refused: BTreeMap<Destination, PlaneStatus>,
}

impl Table {
    /// False if the step does not follow on what is held.
    fn take(&mut self, to: pb::Position, update: RouteUpdate, word: &mut Word) -> bool {
        match update {
            RouteUpdate::Reset { routes, settled, .. } => {
                word.forget_all();
                self.routes = routes.into_iter().map(|route| (route.destination(), route)).collect();
                self.settled = settled;
            }
            RouteUpdate::Delta {
                from, changes, settled, ..
            } => {
                let holds = pb::Position { version: from, ..to };
                if self.position != Some(holds) {
                    return false;
                }
                for change in changes {
                    word.forget(&change.destination);
                    match change.route {
                        Some(route) => drop(self.routes.insert(change.destination, route)),
                        None => drop(self.routes.remove(&change.destination)),
                    }
                }
                self.settled = settled;
            }
        }
        self.position = Some(to);
        true
    }

    /// What is to be served: until the table is settled, what was served before stands.
    fn view(&self) -> Routes {
        let mut view = self.routes.clone();
        if !self.settled {
            let served = self.served.iter().flatten();
            view.extend(served.map(|(name, route)| (name.clone(), route.clone())));
        }
        view
    }

    /// The names that are served otherwise than they should be because the table is not settled.
    fn held_back(&self) -> BTreeMap<Destination, PlaneStatus> {
        let view = self.view();
        let held = self
            .routes
            .iter()
            .filter(|(name, route)| view.get(*name) != Some(*route));
        held.map(|(name, _)| (name.clone(), PlaneStatus::Pending(HELD.into())))
            .collect()
    }

    /// What the data plane does not serve of a table that it has taken: what is held back, and what it refuses.
    fn unserved(&self) -> BTreeMap<Destination, PlaneStatus> {
        let mut now = self.held_back();
        now.extend(self.refused.clone());
        now
    }

    /// The names that are not served as they should be.
    fn stale(&self) -> impl Iterator<Item = &Destination> {
        let served = |name: &Destination| self.served.as_ref().and_then(|served| served.get(name));
        let stale = self
            .routes
            .iter()
            .filter(move |(name, route)| served(name) != Some(*route));
        stale.map(|(name, _)| name)
    }
}
