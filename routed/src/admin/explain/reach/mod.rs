//! `reach`: whether a name can be called here, precondition by precondition, with one request at the end.

mod facts;
mod probe;
mod walk;

use std::net::SocketAddr;

use catalyst_core::attrs::ServiceAttr;
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
use probe::{Answer, Ask, Call};
use walk::Walk;

/// Where the graph is on ingress, and a graph service unless it says otherwise.
const GRAPH: &str = "/graphql";

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
    if caller.is_none() && config.plugins.envoy.is_some() && config.means_the_graph(&name) {
        let intact = walk.graph(&facts, config).is_ok();
        if let Some(entry) = Entry::clients(config, Call::Query(GRAPH.to_owned())).filter(|_| intact) {
            call(&mut walk, &name, &entry, None, true).await;
        }
        return Ok(answer(walk));
    }
    let intact = walk.preconditions(&facts, config, caller).is_ok();
    let path = in_use(&facts);
    let service = path.and_then(|path| path.attrs.service.as_ref());
    let entry = Entry::of(
        config,
        ports,
        caller.map(|peer| (&*peer.organisation, peer.outside)),
        &name,
        service,
    );
    if let Some(entry) = entry {
        call(&mut walk, &name, &entry, path, intact).await;
    } else if intact {
        // The walk ends before this without the plugin; an outside organisation has a listener wherever it is on.
        return Err(Status::internal("there is no listener to ask at"));
    }
    Ok(answer(walk))
}

fn answer(walk: Walk) -> ReachResponse {
    ReachResponse {
        reachable: walk.reachable(),
        steps: walk.into_messages(),
    }
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
    /// Where clients of this node ask.
    fn clients(config: &Config, call: Call) -> Option<Self> {
        let ingress = *config.plugins.envoy.as_ref()?.ingress;
        Some(Self {
            listener: ingress,
            what: "plugins.envoy.ingress".to_owned(),
            at: ingress,
            ask: Ask::Client(call),
        })
    }

    fn of(
        config: &Config,
        ports: &LocalPorts,
        caller: Option<(&str, bool)>,
        name: &ServiceName,
        service: Option<&ServiceAttr>,
    ) -> Option<Self> {
        let envoy = config.plugins.envoy.as_ref()?;
        let call = call_of(service);
        let tcp = service.is_some_and(|service| service.protocol == Protocol::Tcp);
        let Some((organisation, outside)) = caller else {
            let port = ports.port_of(name.as_str()).filter(|_| tcp);
            return match port {
                // What a tunnel is for the local port, a peer would open: only its answer says how far it came.
                Some(port) => Some(Self {
                    listener: SocketAddr::new(*envoy.tcp_address, port),
                    what: "the local port of the service".to_owned(),
                    at: *envoy.peer_listener,
                    ask: Ask::Tunnel,
                }),
                None => Self::clients(config, call),
            };
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
            ask: if tcp { Ask::Tunnel } else { Ask::Peer(call) },
        })
    }
}

/// What a service of this kind knows an answer to.
fn call_of(service: Option<&ServiceAttr>) -> Call {
    match service {
        Some(service) if service.protocol == Protocol::HttpGraphql => {
            Call::Query(service.path.as_deref().unwrap_or(GRAPH).to_owned())
        }
        Some(_) | None => Call::Get,
    }
}

/// Connects and asks. Where a precondition does not hold, the answer is told all the same: it shows whether the status
/// speaks true. What is not our Envoy has nothing to say about it.
async fn call(walk: &mut Walk, name: &ServiceName, entry: &Entry, path: Option<&RouteView>, intact: bool) {
    let Entry {
        listener,
        what,
        at,
        ask,
    } = entry;
    if let Err(error) = listens(*listener, ask, at == listener).await {
        return walk.closed(format!("{what}: {error}"));
    }
    if intact {
        walk.ok("listener", format!("{what} takes connections at {listener}"));
    }
    if at != listener
        && let Err(error) = listens(*at, ask, true).await
    {
        return walk.closed(error);
    }
    let answer = match probe::connect(*at).await {
        Ok(stream) => probe::ask(stream, name.as_str(), ask).await,
        Err(error) => Answer::None(error),
    };
    walk.answered(*at, ask, &answer, path);
}

/// # Errors
/// Nobody takes connections at `address`, or somebody who does not speak like an Envoy that this daemon has set up.
async fn listens(address: SocketAddr, ask: &Ask, http: bool) -> Result<(), String> {
    let connected = probe::connect(address).await;
    let stream = connected.map_err(|error| format!("no connections are taken at {address}: {error}"))?;
    if !http {
        return Ok(());
    }
    match probe::is_our_envoy(stream, ask).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("something that is not our Envoy answers at {address}")),
        Err(error) => Err(format!("something that is not our Envoy listens at {address}: {error}")),
    }
}
