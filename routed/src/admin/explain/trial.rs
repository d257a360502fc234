//! `policy test`: policies tried on routes that were written down, or that this node holds.

use std::sync::Arc;

use catalyst_core::policy::Policy;
use catalyst_core::route::{Destination, DestinationError};
use catalyst_core::speaker::Speaker;
use catalyst_core::view::{Direction, PolicyQuestion, PolicyTest, PolicyTestError};
use catalyst_proto::admin::v1 as proto;
use tonic::Status;

use super::trace;
use crate::config::Config;
use crate::config::policy::{Recorded, Trial};
use crate::driver::{Gone, SpeakerHandle};

/// A policy, and in which direction of which peer it is tried.
pub(super) struct Attempt<'a> {
    config: &'a Config,
    policy: Arc<Policy>,
    direction: Direction,
    /// The peer that the question names.
    peer: Option<&'a str>,
}

impl<'a> Attempt<'a> {
    /// Reads what is asked for.
    pub(super) fn new(config: &'a Config, request: &'a proto::TestPolicyRequest) -> Result<Self, Status> {
        let policy = config.policy(&request.policy);
        let peer = Some(request.peer.as_str()).filter(|peer| !peer.is_empty());
        if let Some(unknown) = peer.filter(|peer| !config.peers.contains_key(*peer)) {
            return Err(Status::not_found(config.unknown_peer(unknown)));
        }
        Ok(Self {
            config,
            policy: policy.ok_or_else(|| Status::not_found(config.unknown_policy(&request.policy)))?,
            direction: match request.direction.as_str() {
                "import" => Direction::Import,
                "export" => Direction::Export,
                other => {
                    return Err(Status::invalid_argument(format!(
                        "a direction is import or export, not {other:?}"
                    )));
                }
            },
            peer,
        })
    }

    /// Tries routes that were written down.
    pub(super) fn recorded(&self, json: &str) -> Result<Vec<proto::PolicyTrace>, Status> {
        let routes = self.config.recorded_routes(json).map_err(Status::invalid_argument)?;
        Ok(routes.iter().map(|route| self.one(route)).collect())
    }

    /// Tries the routes to a name that this node holds.
    pub(super) async fn live(&self, speaker: &SpeakerHandle, name: &str) -> Result<Vec<proto::PolicyTrace>, Status> {
        let destination: Destination = name
            .parse()
            .map_err(|error: DestinationError| Status::invalid_argument(format!("{name:?}: {error}")))?;
        let (policy, direction) = (Arc::clone(&self.policy), self.direction);
        let (peer, to) = (self.peer.map(str::to_owned), destination.clone());
        let ask = move |speaker: &mut Speaker, _| {
            speaker.test_policy(&PolicyQuestion {
                policy: &policy,
                direction,
                peer: peer.as_deref(),
                destination: &to,
                attrs: None,
            })
        };
        let gone = |Gone| Status::unavailable(Gone.to_string());
        let tests = speaker.query(ask).await.map_err(gone)?;
        let tests = tests.map_err(|error| Status::not_found(self.refusal(&error)))?;
        let message = |test: &PolicyTest| {
            let PolicyTest { peer, before, trace } = test;
            trace::message(destination.to_string(), peer, before, trace)
        };
        Ok(tests.iter().map(message).collect())
    }

    fn refusal(&self, error: &PolicyTestError) -> String {
        match (error, self.direction, self.peer) {
            (PolicyTestError::NoRoute(to), Direction::Import, Some(peer)) => format!("{peer} has not sent {to}"),
            (PolicyTestError::NoRoute(to), Direction::Import, None) => format!("no peer has sent {to}"),
            (PolicyTestError::NoRoute(to), Direction::Export, _) => format!("no route is in use for {to}"),
            (PolicyTestError::UnknownPeer(_) | PolicyTestError::NoPeers, _, _) => error.to_string(),
        }
    }

    fn one(&self, recorded: &Recorded) -> proto::PolicyTrace {
        // A route that was exported by somebody else says nothing of whom this one goes to.
        let import = self.direction == Direction::Import;
        let learned_from = recorded.learned_from.as_deref().filter(|_| import);
        let known = learned_from.filter(|peer| self.config.peers.contains_key(*peer));
        let peer = self.peer.or(known);
        let trial = Trial::new(self.config, self.direction, peer, &recorded.route);
        trace::message(
            recorded.route.name.to_string(),
            peer.unwrap_or_default(),
            trial.attrs(),
            &trial.of(&self.policy),
        )
    }
}
