//! The preconditions of a call, in order. Pure: from what was read to what is said.

use std::net::SocketAddr;

use catalyst_core::name::ServiceName;
use catalyst_core::route::PlaneStatus;
use catalyst_core::session::State as SessionState;
use catalyst_core::view::{ExportReason, Note, PeerView, RouteView};
use catalyst_proto::admin::v1::ReachStep;

use super::facts::{Facts, Found};
use super::probe::{Answer, Ask};
use crate::config::Config;

/// Steps so far; the first that fails ends the walk.
#[derive(Debug, Default)]
pub(super) struct Walk {
    steps: Vec<Step>,
    /// What answers in the end is the graph.
    graph: bool,
}

/// One precondition.
#[derive(Debug)]
struct Step {
    /// What it is about, in one word.
    name: &'static str,
    state: State,
    /// What was found.
    detail: String,
    /// What to do about it; empty: nothing.
    fix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Holds,
    /// Only another node could say.
    Unknown,
    Failed,
}

impl State {
    /// As `reach --output json` prints it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "ok",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

/// A precondition does not hold.
pub(super) struct Broken;

type Checked<T = ()> = Result<T, Broken>;

impl Walk {
    pub(super) fn ok(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, State::Holds, detail.into(), String::new());
    }

    fn unknown(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, State::Unknown, detail.into(), String::new());
    }

    pub(super) fn failed<T>(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Checked<T> {
        self.add(name, State::Failed, detail.into(), fix.into());
        Err(Broken)
    }

    fn add(&mut self, name: &'static str, state: State, detail: String, fix: String) {
        self.steps.push(Step {
            name,
            state,
            detail,
            fix,
        });
    }

    /// From the table to the data plane: for clients of this node, or for a peer that is to call it here.
    pub(super) fn preconditions<'a>(
        &mut self,
        facts: &'a Facts,
        config: &Config,
        caller: Option<&PeerView>,
    ) -> Checked<&'a RouteView> {
        let path = self.route(facts, config)?;
        let source = path.learned_from.as_deref().and_then(|name| facts.peer(name));
        if let Some(peer) = source {
            self.session_of(path, peer)?;
        }
        if let Some(caller) = caller {
            self.session_to(caller)?;
            self.export(caller, facts)?;
            let ask = format!("ask there: catalystctl show route {} --why", path.destination);
            self.unknown(
                "peer_import",
                format!("what {} takes from us only its node knows; {ask}", caller.name),
            );
        }
        if let Some(peer) = source {
            self.next_hop(path, peer)?;
        }
        self.programmed(path, facts)?;
        Ok(path)
    }

    /// What a host that means the graph needs in place of a route.
    pub(super) fn graph(&mut self, facts: &Facts, config: &Config) -> Checked {
        let name = &facts.name;
        self.graph = true;
        if config.plugins.graphql.is_none() {
            return self.failed(
                "route",
                format!("ingress takes {name} for the graph, and this node has none (plugins.graphql is off)"),
                "set plugins.graphql, or call a service by its name",
            );
        }
        self.ok(
            "route",
            format!(
                "{name} is the graph: ingress sends its requests to the gateway (plugins.graphql.hosts, IP addresses and \
                 localhost)"
            ),
        );
        let connected = |plane: &str| facts.planes.iter().any(|it| &*it.name == plane && it.connected);
        if !connected("envoy") {
            return self.no_envoy();
        }
        if !connected("graphql") {
            let fix = "start catalyst-gateway with --control as plugins.graphql.control says";
            return self.failed("programmed", "no catalyst-gateway is connected", fix);
        }
        self.ok("programmed", "Envoy and the gateway are connected");
        Ok(())
    }

    fn no_envoy(&mut self) -> Checked {
        let fix = "start it: catalyst-routed envoy-bootstrap prints its configuration";
        self.failed("programmed", "no Envoy is connected", fix)
    }

    /// Nobody, or a stranger, is where a listener of Envoy should be.
    pub(super) fn closed(&mut self, detail: String) {
        let fix = "see whether Envoy runs, and whether something else has its port (ss -ltnp): then free the port";
        // The walk ends here in any case.
        let _: Checked = self.failed("listener", detail, fix);
    }

    fn route<'a>(&mut self, facts: &'a Facts, config: &Config) -> Checked<&'a RouteView> {
        match &facts.found {
            Found::InUse(path) => {
                self.ok("route", described(path));
                Ok(path)
            }
            Found::Unused(paths) => self.unused(paths, facts, config),
            Found::Stopped(stop) => self.failed(
                "route",
                format!(
                    "nobody offers it, and what {stop} covers is never sent anywhere else (a domain or aggregate of ours)"
                ),
                "offer the service in our organisation, or wait until the node that offers it is reachable",
            ),
            Found::Nothing if !facts.refused().is_empty() => self.failed(
                "route",
                facts.refused().join("; "),
                "catalystctl show peer PEER counts it: what the peer may offer is our configuration's, how it offers it the \
                 peer's",
            ),
            Found::Nothing => self.failed(
                "route",
                "no peer has announced it, and no service here is called so",
                format!(
                    "check the name (catalystctl show routes); at the node that offers it, catalystctl reach {} --from \
                     PEER says whether we are told",
                    facts.name
                ),
            ),
        }
    }

    fn unused<T>(&mut self, paths: &[RouteView], facts: &Facts, config: &Config) -> Checked<T> {
        let reasons = paths.iter().map(|path| format!("{}: {}", from(path), path.reason));
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        if paths.iter().all(|path| path.draining) {
            return self.failed(
                "route",
                reasons,
                "nobody offers it any longer; it goes with peering.drain",
            );
        }
        // What drains is on its way out, for the same reason most often.
        let standing = || paths.iter().filter(|path| !path.draining);
        self.ok("route", standing().map(from).collect::<Vec<_>>().join(", "));
        match standing()
            .next()
            .filter(|_| standing().all(|p| p.note != Note::Accepted))
        {
            Some(rejected) => self.failed("import", reasons, fix_of_import(rejected, facts, config)),
            None => self.failed(
                "next_hop",
                reasons,
                "look at the next hop: its Envoy, and the way to it (catalystctl show tunnels, where that is a tunnel)",
            ),
        }
    }

    fn session_of(&mut self, path: &RouteView, peer: &PeerView) -> Checked {
        if peer.state == SessionState::Established.as_str() {
            self.ok("session", format!("to {}, which announced it", peer.name));
            return Ok(());
        }
        if path.stale {
            self.ok(
                "session",
                format!("to {} is down, the route is kept for its restart", peer.name),
            );
            return Ok(());
        }
        let fix = format!("see catalystctl show peer {}", peer.name);
        self.failed("session", down(peer), fix)
    }

    fn session_to(&mut self, caller: &PeerView) -> Checked {
        if caller.state == SessionState::Established.as_str() {
            self.ok("session", format!("to {}, which calls", caller.name));
            return Ok(());
        }
        self.failed(
            "session",
            down(caller),
            format!("see catalystctl show peer {}", caller.name),
        )
    }

    fn next_hop(&mut self, path: &RouteView, peer: &PeerView) -> Checked {
        let address = path.attrs.next_hop;
        if address.port() == 0 {
            let fix = format!("turn plugins.envoy on at {}", peer.name);
            return self.failed("next_hop", format!("{} has no data plane", peer.name), fix);
        }
        self.ok("next_hop", format!("{address}, usable"));
        Ok(())
    }

    fn export(&mut self, caller: &PeerView, facts: &Facts) -> Checked {
        let Some(told) = &facts.told else {
            let fix = "try again: the routes have just changed";
            return self.failed("export", "nothing is known of what it is told", fix);
        };
        let name = &caller.name;
        if matches!(told.reason, ExportReason::Advertised | ExportReason::Aggregated { .. }) {
            let by = told.export.as_ref().and_then(|trace| trace.decided_by.as_ref());
            let by = by
                .map(|statement| format!(", by statement {statement}"))
                .unwrap_or_default();
            self.ok("export", format!("to {name}: {}{by}", told.reason));
            return Ok(());
        }
        let fix = fix_of_export(&told.reason, name, &facts.name);
        self.failed("export", format!("to {name}: {}", told.reason), fix)
    }

    fn programmed(&mut self, path: &RouteView, facts: &Facts) -> Checked {
        let Some(envoy) = facts.planes.iter().find(|plane| &*plane.name == "envoy") else {
            let detail = "this node has no Envoy (plugins.envoy is off), and calls go through one";
            return self.failed("programmed", detail, "set plugins.envoy");
        };
        if !envoy.connected {
            return self.no_envoy();
        }
        let status = path.data_planes.iter().find(|(plane, _)| &**plane == "envoy");
        match status.map(|(_, status)| status) {
            Some(PlaneStatus::Programmed) => {
                self.ok("programmed", "by every connected Envoy");
                Ok(())
            }
            Some(PlaneStatus::Pending(reason)) => {
                let fix = fix_of_taken(reason).unwrap_or("wait, then see catalystctl show plugins");
                self.failed("programmed", format!("pending: {reason}").trim_end_matches(": "), fix)
            }
            Some(PlaneStatus::Rejected(reason)) => {
                let fix = fix_of_taken(reason).unwrap_or("change the service as Envoy says");
                self.failed("programmed", format!("Envoy refuses it: {reason}"), fix)
            }
            None => self.failed("programmed", "Envoy does not serve it", "see catalystctl show plugins"),
        }
    }

    /// What came of the request.
    pub(super) fn answered(&mut self, address: SocketAddr, ask: &Ask, answer: &Answer, path: Option<&RouteView>) {
        let asked = format!("{ask} at {address}");
        // Every way out is a step; whether it is the first that failed is told from the list.
        let _ = match answer {
            Answer::Service(status) if *ask == Ask::Tunnel => {
                self.ok("request", format!("{asked}: the tunnel stands ({})", status.as_u16()));
                Ok(())
            }
            Answer::Service(status) => {
                let who = if self.graph { "graph" } else { "service" };
                // Of a service that answers at all, everything on the way has been shown to work.
                let enough = if status.is_client_error() || status.is_server_error() {
                    ": whatever it says, the way to it works"
                } else {
                    ""
                };
                self.ok(
                    "request",
                    format!("{asked}: the {who} answers {}{enough}", status.as_u16()),
                );
                Ok(())
            }
            Answer::Envoy(status, text) => {
                let detail = format!("{asked}: Envoy answers {}: {text}", status.as_u16());
                self.failed("request", detail, fix_of(status.as_u16(), path))
            }
            Answer::None(error) => {
                let fix = "look at the log of Envoy, and whether something else listens there";
                self.failed("request", format!("{asked}: {error}"), fix)
            }
        };
    }

    pub(super) fn reachable(&self) -> bool {
        self.steps.iter().all(|step| step.state != State::Failed)
    }

    pub(super) fn into_messages(self) -> Vec<ReachStep> {
        let message = |step: Step| ReachStep {
            step: step.name.to_owned(),
            state: step.state.as_str().to_owned(),
            detail: step.detail,
            fix: step.fix,
        };
        self.steps.into_iter().map(message).collect()
    }
}

/// What to do where Envoy, in its own words, cannot have a port.
fn fix_of_taken(reason: &str) -> Option<&'static str> {
    reason
        .contains("Address already in use")
        .then_some("free the port (ss -ltnp says who has it): it is tried again every few seconds")
}

/// What to do about a path that import does not take.
fn fix_of_import(path: &RouteView, facts: &Facts, config: &Config) -> String {
    let peer = path.learned_from.as_deref().unwrap_or_default();
    match path.note {
        Note::ImportPolicy => {
            let name = &facts.name;
            match config.peers.get(peer).and_then(|peer| peer.import.as_ref()) {
                Some(policy) => format!(
                    "change policies[\"{policy}\"]; catalystctl policy test {policy} --route {name} says what it asks for"
                ),
                None => format!("set peers[\"{peer}\"].import (RFC 8212: from outside nothing is taken without one)"),
            }
        }
        Note::OwnDomain => format!("it is a name of ours (node.domains), which {peer} must not announce"),
        Note::RouteLeak => format!("see peers[\"{peer}\"].role here, and what {peer} says is ours"),
        Note::OwnAs | Note::OwnOriginator | Note::OwnCluster | Note::OwnOrganisation => {
            format!("it has come around to where it was before: {peer} needs a path of its own to it")
        }
        Note::OwnPrefix | Note::TunnelAddress | Note::Accepted => {
            format!("this is no matter of policy: {peer} has to change")
        }
    }
}

/// What to do about a route that a peer is not told.
fn fix_of_export(reason: &ExportReason, peer: &str, name: &ServiceName) -> String {
    match reason {
        ExportReason::NoPolicy => format!("set peers[\"{peer}\"].export"),
        ExportReason::PolicyRejectsAll { policy } | ExportReason::PolicyRejects { policy, .. } => format!(
            "change peers[\"{peer}\"].export (now {policy}); catalystctl show route {name} --why names the condition"
        ),
        ExportReason::LearnedFromIt | ExportReason::SameOrganisation { .. } | ExportReason::AsLoop { .. } => {
            "it came from there: it is called there, not through this node".to_owned()
        }
        ExportReason::NotReflected { .. } => {
            "peer it with the node that announces it, or make this node a reflector (node.reflector)".to_owned()
        }
        ExportReason::NoAdvertise | ExportReason::NoExport => {
            "take the community off where it was added, or by a policy before it is exported".to_owned()
        }
        ExportReason::OnlyToCustomer { .. } => {
            format!("see peers[\"{peer}\"].role, and the role of the peer that it came from: it would be a route leak")
        }
        ExportReason::Tunnel => "an address of a tunnel is its other end's alone".to_owned(),
        ExportReason::NoAggregate => format!("see aggregates: of the one that covers {name}, `to` has to name {peer}"),
        ExportReason::TooLong => "see its AS path and communities".to_owned(),
        ExportReason::RejectedByDataPlane { .. } => "change the service as the data plane says".to_owned(),
        ExportReason::ListenerClosed { why, .. } => fix_of_taken(why)
            .unwrap_or("change plugins.envoy.peer_listeners as Envoy says")
            .to_owned(),
        ExportReason::Family => "both sides have to offer the family".to_owned(),
        ExportReason::SessionDown { .. } => format!("see catalystctl show peer {peer}"),
        ExportReason::NoDataPlane => "start Envoy: catalyst-routed envoy-bootstrap prints its configuration".to_owned(),
        ExportReason::NothingSelected
        | ExportReason::WaitsForDataPlanes
        | ExportReason::ToBeSent
        | ExportReason::Advertised
        | ExportReason::Aggregated { .. } => "wait, then ask again".to_owned(),
    }
}

/// What to do about an answer of Envoy's own.
fn fix_of(status: u16, path: Option<&RouteView>) -> String {
    let remote = path.and_then(|path| Some((path.learned_from.as_deref()?, path.attrs.next_hop)));
    match (status, remote) {
        (404, Some((peer, _))) => {
            format!(
                "an Envoy on the way has no route: catalystctl reach at {peer} says more, also with --from this node"
            )
        }
        (404, None) => "Envoy has no route for it: see catalystctl show plugins".to_owned(),
        (508, _) => "the request came back to a node that it had passed: see the AS paths along the way".to_owned(),
        (_, Some((peer, next_hop))) => {
            format!("see whether {next_hop} of {peer} takes connections from this host, and the service behind it")
        }
        (_, None) => {
            let endpoints = path.map(endpoints).unwrap_or_default();
            format!("see whether the service listens {endpoints}")
                .trim_end()
                .to_owned()
        }
    }
}

fn endpoints(path: &RouteView) -> String {
    let all: Vec<String> = path
        .endpoints
        .iter()
        .map(|e| format!("{}:{}", e.host, e.port))
        .collect();
    if all.is_empty() {
        String::new()
    } else {
        format!("at {}", all.join(", "))
    }
}

fn from(path: &RouteView) -> String {
    match &path.learned_from {
        Some(peer) => format!("from {peer}"),
        None => "a service of this node".to_owned(),
    }
}

fn described(path: &RouteView) -> String {
    let service = path.attrs.service.as_ref();
    let protocol = service.map_or("no service", |service| service.protocol.as_str());
    format!("{} ({protocol}), {}", path.destination, from(path))
}

fn down(peer: &PeerView) -> String {
    let error = if peer.last_error.is_empty() {
        String::new()
    } else {
        format!(": {}", peer.last_error)
    };
    format!("to {} is {}{error}", peer.name, peer.state)
}

#[cfg(test)]
mod tests;
