//! A model of Envoy as a client of delta ADS. It answers when told to, refuses what is bad, and checks that no scope
//! ever leads to a cluster that is not there.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::route::v3::ScopedRouteConfiguration;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::google::rpc::Status;
use prost::Message;

use super::World;
use crate::ads::hub::StreamId;
use crate::ads::session::Outgoing;
use crate::ads::state::Item;
use crate::resource::{Resource, ResourceKey, ResourceKind};

const WILDCARDS: [ResourceKind; 3] = [ResourceKind::Cluster, ResourceKind::Listener, ResourceKind::ScopedRoute];

/// One Envoy.
pub(super) struct ModelEnvoy {
    stream: StreamId,
    node: String,
    /// What it serves.
    pub(super) held: BTreeMap<ResourceKey, Arc<Resource>>,
    /// Versions of accepted responses.
    pub(super) known: BTreeMap<ResourceKey, Arc<str>>,
    /// Kinds not asked for yet on this stream.
    to_ask: VecDeque<ResourceKind>,
    answers: VecDeque<(ResourceKind, DeltaDiscoveryRequest)>,
    /// Names that were refused at some time: what leads to them is excused.
    pub(super) refused: BTreeSet<ResourceKey>,
    /// Good resources and removals that came in all.
    pub(super) received: usize,
    /// Keeps answers of this kind to itself.
    pub(super) withholds: Option<ResourceKind>,
    /// Refuses every listener: its port is taken.
    pub(super) bad_listeners: bool,
}

impl ModelEnvoy {
    /// A fresh process that has opened a stream.
    pub(super) fn connect(world: &mut World, node: &str) -> Self {
        Self {
            stream: world.hub.open(world.now),
            node: node.into(),
            held: BTreeMap::new(),
            known: BTreeMap::new(),
            to_ask: WILDCARDS.into(),
            answers: VecDeque::new(),
            refused: BTreeSet::new(),
            received: 0,
            withholds: None,
            bad_listeners: false,
        }
    }

    /// The stream ends, and another one begins, at the same server or the next.
    pub(super) fn reconnect(&mut self, world: &mut World) {
        world.hub.close(self.stream);
        self.stream = world.hub.open(world.now);
        self.to_ask = WILDCARDS.into();
        self.answers.clear();
    }

    pub(super) fn disconnect(&self, world: &mut World) {
        world.hub.close(self.stream);
    }

    /// Asks for the next kind, if one is left.
    pub(super) fn ask(&mut self, world: &mut World) -> bool {
        let Some(kind) = self.to_ask.pop_front() else {
            return false;
        };
        let known = self.known.iter().filter(|(key, _)| key.kind == kind);
        let initial: HashMap<_, _> = known
            .map(|(key, version)| (key.name.to_string(), version.to_string()))
            .collect();
        let request = DeltaDiscoveryRequest {
            node: Some(Node {
                id: self.node.clone(),
                ..Default::default()
            }),
            initial_resource_versions: initial,
            ..Default::default()
        };
        world.hub.on_request(self.stream, kind, request);
        true
    }

    /// Asks for names of a kind, with the versions that it holds of them.
    pub(super) fn ask_for(&mut self, world: &mut World, kind: ResourceKind, names: &[&str]) {
        let request = DeltaDiscoveryRequest {
            resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        };
        world.hub.on_request(self.stream, kind, request);
    }

    pub(super) fn unsubscribe(&mut self, world: &mut World, kind: ResourceKind, names: &[&str]) {
        let request = DeltaDiscoveryRequest {
            resource_names_unsubscribe: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        };
        world.hub.on_request(self.stream, kind, request);
    }

    /// Takes the next response, if there is one, and prepares the answer.
    pub(super) fn receive(&mut self, world: &mut World) -> Option<Vec<String>> {
        let response = world.hub.poll(self.stream, world.now)?;
        let names = response.items.iter().map(describe).collect();
        let error = self.take(&response);
        let answer = DeltaDiscoveryRequest {
            response_nonce: response.nonce,
            error_detail: error.map(|message| Status {
                message,
                ..Default::default()
            }),
            ..Default::default()
        };
        self.answers.push_back((response.kind, answer));
        Some(names)
    }

    /// Lets the server hear the oldest answer, if there is one.
    pub(super) fn answer(&mut self, world: &mut World) -> bool {
        let next = self.answers.iter().position(|(kind, _)| Some(*kind) != self.withholds);
        let Some((kind, answer)) = next.and_then(|at| self.answers.remove(at)) else {
            return false;
        };
        world.hub.on_request(self.stream, kind, answer);
        true
    }

    /// Does all that can be done without time passing.
    pub(super) fn settle(&mut self, world: &mut World) {
        while self.ask(world) || self.receive(world).is_some() || self.answer(world) {}
    }

    fn take(&mut self, response: &Outgoing) -> Option<String> {
        let kind = response.kind;
        let taken = self.bad_listeners && kind == ResourceKind::Listener;
        let is_bad = |item: &Item| is_bad(item) || (taken && item.content.is_some());
        let bad: Vec<&Item> = response.items.iter().filter(|item| is_bad(item)).collect();
        self.refused.extend(bad.iter().map(|item| ResourceKey {
            kind,
            name: item.name.clone(),
        }));
        self.received += response.items.iter().filter(|item| self.is_news(kind, item)).count();
        // Clusters and listeners take the good part; versions are noted of accepted responses only.
        if bad.is_empty() || kind != ResourceKind::ScopedRoute {
            response
                .items
                .iter()
                .filter(|item| !is_bad(item))
                .for_each(|item| self.apply(kind, item));
        }
        if bad.is_empty() {
            response.items.iter().for_each(|item| self.note_version(kind, item));
            return None;
        }
        let names: Vec<String> = bad.iter().map(|item| format!("{}: it is bad", item.name)).collect();
        Some(match kind {
            ResourceKind::ScopedRoute => "something is bad".to_owned(),
            ResourceKind::Cluster | ResourceKind::Endpoints | ResourceKind::Extension | ResourceKind::Listener => {
                format!("Error adding/updating: {}", names.join(", "))
            }
        })
    }

    /// Whether it changes anything: a good content, or the removal of something.
    fn is_news(&self, kind: ResourceKind, item: &Item) -> bool {
        let held = || {
            self.held.contains_key(&ResourceKey {
                kind,
                name: item.name.clone(),
            })
        };
        if item.content.is_some() { !is_bad(item) } else { held() }
    }

    fn note_version(&mut self, kind: ResourceKind, item: &Item) {
        let key = ResourceKey {
            kind,
            name: item.name.clone(),
        };
        match &item.content {
            Some(content) => drop(self.known.insert(key, content.version.clone())),
            None => drop(self.known.remove(&key)),
        }
    }

    fn apply(&mut self, kind: ResourceKind, item: &Item) {
        let key = ResourceKey {
            kind,
            name: item.name.clone(),
        };
        match &item.content {
            Some(content) => drop(self.held.insert(key, content.clone())),
            None => drop(self.held.remove(&key)),
        }
        self.check_references();
    }

    fn check_references(&self) {
        let scopes = self
            .held
            .iter()
            .filter(|(key, _)| key.kind == ResourceKind::ScopedRoute);
        for (scope, content) in scopes {
            let target = ResourceKey::new(ResourceKind::Cluster, target_of(content));
            let excused = self.refused.contains(&target);
            assert!(
                excused || self.held.contains_key(&target),
                "{scope} leads to {target}, which is not there"
            );
        }
    }
}

pub(super) fn is_bad(item: &Item) -> bool {
    item.content.as_ref().is_some_and(|content| is_bad_content(content))
}

pub(super) fn is_bad_content(content: &Resource) -> bool {
    match content.key.kind {
        ResourceKind::Cluster => Cluster::decode(content.body.clone()).unwrap().alt_stat_name == "bad",
        ResourceKind::ScopedRoute => target_of(content) == "bad",
        ResourceKind::Endpoints | ResourceKind::Extension | ResourceKind::Listener => false,
    }
}

fn target_of(scope: &Resource) -> String {
    ScopedRouteConfiguration::decode(scope.body.clone())
        .unwrap()
        .route_configuration_name
}

fn describe(item: &Item) -> String {
    let sign = if item.content.is_some() { '+' } else { '-' };
    format!("{sign}{}", item.name)
}
