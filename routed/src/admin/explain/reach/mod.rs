//! `reach`: whether a name can be called here, precondition by precondition, with one request at the end.

mod facts;
mod probe;
mod walk;

use std::net::SocketAddr;

use catalyst_core::event::SpeakerConfig;
use catalyst_core::name::ServiceName;
use catalyst_core::route::Protocol;
use catalyst_core::speaker::Speaker;
use catalyst_core::view::RouteView;
use catalyst_envoy::ports::LocalPorts;
use catalyst_proto::admin::v1::{ReachRequest, ReachResponse};
use tonic::Status;

use crate::config::Config;
use crate::driver::{Gone, SpeakerHandle};
use facts::{Facts, Found};
use probe::Ask;
use walk::Walk;

/// Answers one question.
pub(super) async fn reach(
    config: &Config,
    speaker: &SpeakerHandle,
    ports: &LocalPorts,
    request: &ReachRequest,
) -> Result<ReachResponse, Status> {
    let name = callable(&request.name)?;
    let from = Some(request.from.as_str()).filter(|from| !from.is_empty());
    let facts = read(config, speaker, &name, from).await?;
    let caller = match from {
        Some(from) => Some(
            facts
                .peer(from)
                .ok_or_else(|| Status::not_found(config.unknown_peer(from)))?,
        ),
        None => None,
    };
    let mut walk = Walk::default();
    let intact = walk.preconditions(&facts, config, caller).is_ok();
    let path = in_use(&facts);
    let protocol = path
        .and_then(|path| path.attrs.service.as_ref())
        .map(|service| service.protocol);
    let entry = Entry::of(
        config,
        ports,
        caller.map(|peer| (&*peer.organisation, peer.outside)),
        &name,
        protocol,
    );
    if let Some(entry) = entry {
        call(&mut walk, &name, &entry, path, intact).await;
    } else if intact {
        // The walk ends before this without the plugin; an outside organisation has a listener wherever it is on.
        return Err(Status::internal("there is no listener to ask at"));
    }
    Ok(ReachResponse {
        reachable: walk.reachable(),
        steps: walk.into_messages(),
    })
}

/// The name as a client can call it.
fn callable(text: &str) -> Result<ServiceName, Status> {
    let refuse = |why: &str| Status::invalid_argument(format!("{text:?}: {why}"));
    if text.contains('/') {
        return Err(refuse("a prefix is no service to call"));
    }
    let name = ServiceName::parse(text).map_err(|error| refuse(&error.to_string()))?;
    if name.is_wildcard() {
        return Err(refuse("a wildcard cannot be called; give a name below it"));
    }
    Ok(name)
}

async fn read(
    config: &Config,
    speaker: &SpeakerHandle,
    name: &ServiceName,
    from: Option<&str>,
) -> Result<Facts, Status> {
    let stops = stops(config);
    let (name, from) = (name.clone(), from.map(str::to_owned));
    let look = move |speaker: &mut Speaker, now| Facts::read(speaker, &name, from.as_deref(), &stops, now);
    let gone = |Gone| Status::unavailable(Gone.to_string());
    speaker.query(look).await.map_err(gone)
}

/// The wildcards below which a name that nobody offers is answered 404 here.
fn stops(config: &Config) -> Vec<ServiceName> {
    let SpeakerConfig {
        domains, aggregates, ..
    } = config.speaker();
    let below = |domain: &ServiceName| ServiceName::parse(&format!("*.{domain}")).ok();
    let aggregates = aggregates.into_iter().map(|aggregate| aggregate.name);
    domains.iter().filter_map(below).chain(aggregates).collect()
}

fn in_use(facts: &Facts) -> Option<&RouteView> {
    match &facts.found {
        Found::InUse(path) => Some(path),
        Found::Unused(_) | Found::Stopped(_) | Found::Nothing => None,
    }
}

/// Where a request comes in.
struct Entry {
    /// What has to take connections.
    listener: SocketAddr,
    /// What it is, in words.
    what: String,
    /// Where the request is sent.
    at: SocketAddr,
    ask: Ask,
}

impl Entry {
    fn of(
        config: &Config,
        ports: &LocalPorts,
        caller: Option<(&str, bool)>,
        name: &ServiceName,
        protocol: Option<Protocol>,
    ) -> Option<Self> {
        let envoy = config.plugins.envoy.as_ref()?;
        let get = "/".to_owned();
        let tcp = protocol == Some(Protocol::Tcp);
        let Some((organisation, outside)) = caller else {
            let ingress = *envoy.ingress;
            let port = ports.port_of(name.as_str()).filter(|_| tcp);
            return Some(match port {
                // What a tunnel is for the local port, a peer would open: only its answer says how far it came.
                Some(port) => Self {
                    listener: SocketAddr::new(*envoy.tcp_address, port),
                    what: "the local port of the service".to_owned(),
                    at: *envoy.peer_listener,
                    ask: Ask::Tunnel,
                },
                None => Self {
                    listener: ingress,
                    what: "plugins.envoy.ingress".to_owned(),
                    at: ingress,
                    ask: Ask::Client(get),
                },
            });
        };
        let (listener, what) = if outside {
            let own = envoy.peer_listeners.get(organisation)?;
            (**own, format!("plugins.envoy.peer_listeners[\"{organisation}\"]"))
        } else {
            (*envoy.peer_listener, "plugins.envoy.peer_listener".to_owned())
        };
        Some(Self {
            listener,
            what,
            at: listener,
            ask: if tcp { Ask::Tunnel } else { Ask::Peer(get) },
        })
    }
}

/// Connects and asks. Where a precondition does not hold, the answer is told all the same: it shows whether the status
/// speaks true.
async fn call(walk: &mut Walk, name: &ServiceName, entry: &Entry, path: Option<&RouteView>, intact: bool) {
    let Entry {
        listener,
        what,
        at,
        ask,
    } = entry;
    let mut connected = probe::connect(*listener).await;
    match &connected {
        Ok(_) if intact => walk.ok("listener", format!("{what} takes connections at {listener}")),
        Ok(_) => {}
        Err(error) => {
            let detail = format!("{what} takes no connections at {listener}: {error}");
            walk.failed::<()>(
                "listener",
                detail,
                "see whether Envoy runs, and whether something else has its port",
            )
            .ok();
        }
    }
    if at != listener {
        connected = probe::connect(*at).await;
    }
    if let Ok(stream) = connected {
        let answer = probe::ask(stream, name.as_str(), ask).await;
        walk.answered(*at, ask, &answer, path);
    }
}
