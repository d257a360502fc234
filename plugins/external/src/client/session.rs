//! One stream to the daemon, and how one is had.

use std::time::Duration;

use catalyst_plugin::{Change, RouteUpdate, Selected};
use catalyst_proto::plugin::v1 as pb;
use catalyst_proto::plugin::v1::plugin_client::PluginClient;
use catalyst_proto::plugin::v1::watch_routes_request::Message;
use catalyst_proto::plugin::v1::watch_routes_response::Step;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use super::ClientError;
use crate::wire::{self, WireError};

/// The first pause after the daemon was not there; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A daemon that does not answer a ping for so long is gone, though its socket is open.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages to the daemon that wait for the connection.
const QUEUE: usize = 16;

/// How the daemon is reached, and as whom.
#[derive(Debug)]
pub(super) struct Door {
    channel: Channel,
    plane: String,
    instance: String,
    /// Before the next attempt. None as long as streams bring something: a daemon that takes a stream and ends it at once
    /// (too many instances) is one that is not there.
    pause: Duration,
}

impl Door {
    /// Must be called on a tokio runtime. Nothing is connected yet.
    pub(super) fn new(address: &str, plane: &str) -> Result<Self, ClientError> {
        let uri = if address.starts_with("unix:") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        let endpoint = Endpoint::from_shared(uri).map_err(|error| ClientError::Address {
            address: address.to_owned(),
            why: error.to_string(),
        })?;
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_lazy();
        Ok(Self {
            channel,
            plane: plane.to_owned(),
            instance: format!("{plane}-{}", std::process::id()),
            pause: Duration::ZERO,
        })
    }

    pub(super) fn name_instance(&mut self, instance: &str) {
        instance.clone_into(&mut self.instance);
    }

    /// A stream; tries until there is one.
    pub(super) async fn open(&mut self, holds: Option<pb::Position>) -> Result<Session, ClientError> {
        loop {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).clamp(FIRST_PAUSE, MAX_PAUSE);
            match self.try_open(holds).await {
                Ok(session) => return Ok(session),
                Err(status) => recoverable(&status)?,
            }
        }
    }

    /// The stream has brought a step: if it ends, the next one may be opened at once.
    pub(super) fn has_worked(&mut self) {
        self.pause = Duration::ZERO;
    }

    async fn try_open(&self, holds: Option<pb::Position>) -> Result<Session, Status> {
        let (out, requests) = mpsc::channel(QUEUE);
        let hello = Message::Hello(pb::Hello {
            plane: self.plane.clone(),
            instance: self.instance.clone(),
            holds,
        });
        let mut session = Session {
            steps: None,
            out,
            begun: None,
        };
        session.say(hello).await;
        let mut client = PluginClient::new(self.channel.clone());
        let opened = client.watch_routes(ReceiverStream::new(requests)).await?;
        session.steps = Some(opened.into_inner());
        Ok(session)
    }
}

/// Whether another attempt may do better; else the daemon's words.
pub(super) fn recoverable(status: &Status) -> Result<(), ClientError> {
    if matches!(
        status.code(),
        Code::NotFound | Code::InvalidArgument | Code::Unimplemented
    ) {
        return Err(ClientError::Refused {
            words: status.message().to_owned(),
        });
    }
    tracing::debug!(%status, "catalyst-routed is not there");
    Ok(())
}

/// A step as it comes in: parts that are there so far.
#[derive(Debug)]
enum Begun {
    Reset(Vec<Selected>),
    Delta(u64, Vec<Change>),
}

/// One stream.
#[derive(Debug)]
pub(super) struct Session {
    /// `None` only until it is open.
    steps: Option<Streaming<pb::WatchRoutesResponse>>,
    out: mpsc::Sender<pb::WatchRoutesRequest>,
    begun: Option<Begun>,
}

/// A whole step.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) to: pb::Position,
    pub(super) update: RouteUpdate,
}

impl Session {
    /// Hands a message to the connection. If that is gone, the next step says so.
    pub(super) async fn say(&self, message: Message) {
        let request = pb::WatchRoutesRequest { message: Some(message) };
        drop(self.out.send(request).await);
    }

    /// The next whole step. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Arrived, Status> {
        let Some(steps) = &mut self.steps else {
            return Err(Status::unavailable("not open"));
        };
        loop {
            let part = steps.message().await?;
            let part = part.ok_or_else(|| Status::unavailable("the stream has ended"))?;
            let whole = !part.more;
            let (to, settled) = (part.to, part.settled);
            self.begun = Some(join(self.begun.take(), part).map_err(|error| Status::internal(error.to_string()))?);
            if whole && let (Some(to), Some(begun)) = (to, self.begun.take()) {
                let update = begun.into_update(to.version, settled);
                return Ok(Arrived { to, update });
            }
        }
    }
}

fn join(begun: Option<Begun>, part: pb::WatchRoutesResponse) -> Result<Begun, WireError> {
    match (begun, part.step.ok_or(WireError::Missing("step"))?) {
        (Some(Begun::Reset(mut routes)), Step::Reset(more)) => {
            extend(&mut routes, more)?;
            Ok(Begun::Reset(routes))
        }
        // In place of the rest of a Delta, or the first part.
        (_, Step::Reset(first)) => {
            let mut routes = Vec::new();
            extend(&mut routes, first)?;
            Ok(Begun::Reset(routes))
        }
        (begun, Step::Delta(more)) => {
            let mut changes = match begun {
                Some(Begun::Delta(_, changes)) => changes,
                Some(Begun::Reset(_)) | None => Vec::new(),
            };
            for change in more.changes {
                changes.extend(change_of(change)?);
            }
            Ok(Begun::Delta(more.from, changes))
        }
    }
}

fn extend(routes: &mut Vec<Selected>, more: pb::Reset) -> Result<(), WireError> {
    for route in more.routes {
        routes.extend(wire::route_of(route)?);
    }
    Ok(())
}

fn change_of(change: pb::Change) -> Result<Option<Change>, WireError> {
    let Some(destination) = wire::destination_of(change.destination)? else {
        return Ok(None);
    };
    let route = change.route.map(wire::route_of).transpose()?.flatten();
    Ok(Some(Change { destination, route }))
}

impl Begun {
    fn into_update(self, version: u64, settled: bool) -> RouteUpdate {
        match self {
            Self::Reset(routes) => RouteUpdate::Reset {
                version,
                routes,
                settled,
            },
            Self::Delta(from, changes) => RouteUpdate::Delta {
                from,
                to: version,
                changes,
                settled,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;
    use tokio_stream::wrappers::UnixListenerStream;

    use super::*;
    use crate::table::tests::reset;
    use crate::{ExternalPlane, PlaneSpec, Protocol};

    #[tokio::test]
    async fn pauses_grow_until_a_stream_brings_a_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plane.sock");
        let spec = PlaneSpec {
            name: "hosts".into(),
            protocols: vec![Protocol::Http],
            ipv4: false,
            ipv6: false,
        };
        let (reports, _kept) = mpsc::channel(64);
        let (plane, handle) = ExternalPlane::spawn(spec, reports);
        let listener = UnixListenerStream::new(UnixListener::bind(&path).unwrap());
        tokio::spawn(plane.router().serve_with_incoming(listener));
        let mut door = Door::new(&format!("unix:{}", path.display()), "hosts").unwrap();

        let mut pauses = vec![door.pause];
        for _ in 0..3 {
            drop(door.open(None).await.unwrap());
            pauses.push(door.pause);
        }
        assert_eq!(pauses, [Duration::ZERO, FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]);
        handle.feed.send(reset(1, &[("a", "/1")]));
        let mut session = door.open(None).await.unwrap();
        session.next().await.unwrap();
        door.has_worked();
        assert_eq!(door.pause, Duration::ZERO);
    }
}
