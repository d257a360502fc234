//! The calls of `catalyst.admin.v1.Complete`: names for the completion of command lines.

use catalyst_core::speaker::Speaker;
use catalyst_proto::admin::v1::complete_server::Complete;
use catalyst_proto::admin::v1::list_names_request::Kind;
use catalyst_proto::admin::v1::{ListNamesRequest, ListNamesResponse};
use tonic::{Request, Response, Status};

use super::service::gone;
use crate::driver::{Gone, SpeakerHandle};
use crate::reload::LiveConfig;

/// Nobody reads more names than this; whoever wants another types on.
const LIMIT: usize = 200;

/// Answers the completion of a shell.
pub(super) struct CompleteService {
    config: LiveConfig,
    speaker: SpeakerHandle,
}

impl CompleteService {
    pub(super) fn new(config: LiveConfig, speaker: SpeakerHandle) -> Self {
        Self { config, speaker }
    }

    fn policies(&self, begin: &str) -> Vec<String> {
        let config = self.config.get();
        let names = config.policies.keys().filter(|name| name.starts_with(begin));
        names.take(LIMIT).cloned().collect()
    }
}

#[tonic::async_trait]
impl Complete for CompleteService {
    async fn list_names(&self, request: Request<ListNamesRequest>) -> Result<Response<ListNamesResponse>, Status> {
        let request = request.into_inner();
        let kind = request.kind();
        let begin = match kind {
            Kind::Route | Kind::Service => request.begin.to_ascii_lowercase(),
            Kind::Peer | Kind::Policy | Kind::Unspecified => request.begin,
        };
        let names = match kind {
            Kind::Policy => self.policies(&begin),
            Kind::Unspecified => Vec::new(),
            Kind::Route | Kind::Service | Kind::Peer => {
                let look = move |speaker: &mut Speaker, _| names_of(speaker, kind, &begin);
                self.speaker.query(look).await.map_err(|Gone| gone())?
            }
        };
        Ok(Response::new(ListNamesResponse { names }))
    }
}

fn names_of(speaker: &Speaker, kind: Kind, begin: &str) -> Vec<String> {
    match kind {
        Kind::Route => texts(&speaker.destinations_beginning(begin, LIMIT)),
        Kind::Service => texts(&speaker.services_beginning(begin, LIMIT)),
        Kind::Peer => speaker.peers_beginning(begin, LIMIT),
        Kind::Policy | Kind::Unspecified => Vec::new(),
    }
}

fn texts<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
