//! The calls of `catalyst.admin.v1.Operate`.

use std::sync::Arc;

use catalyst_core::event::Event;
use catalyst_core::operate::{ActError, Operation, PeerAct};
use catalyst_proto::admin::v1::operate_server::Operate;
use catalyst_proto::admin::v1::{
    DisablePeerRequest, DisablePeerResponse, EnablePeerRequest, EnablePeerResponse, RefreshPeerRequest,
    RefreshPeerResponse, ResetPeerRequest, ResetPeerResponse, ShutdownRequest, ShutdownResponse,
};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::service::gone;
use crate::driver::{Gone, SpeakerHandle};

/// Carries out what operators ask for.
pub(super) struct OperateService {
    speaker: SpeakerHandle,
    /// Where the wish to end the daemon goes, with the words for the peers.
    stop: mpsc::Sender<Arc<str>>,
}

impl OperateService {
    pub(super) fn new(speaker: SpeakerHandle, stop: mpsc::Sender<Arc<str>>) -> Self {
        Self { speaker, stop }
    }

    async fn act(&self, peer: String, act: PeerAct) -> Result<(), Status> {
        let operation = Operation {
            peer: peer.as_str().into(),
            act,
        };
        tracing::info!(%peer, act = ?operation.act, "asked for by an operator");
        let done = self.speaker.query(move |speaker, now| {
            speaker.may_operate(&operation)?;
            speaker.handle(Event::Operate(operation), now);
            Ok(())
        });
        done.await
            .map_err(|Gone| gone())?
            .map_err(|error| refusal(&peer, error))
    }
}

fn refusal(peer: &str, error: ActError) -> Status {
    match error {
        ActError::Unknown => Status::not_found(format!("no peer {peer:?} is configured")),
        ActError::Disabled | ActError::NotEstablished | ActError::NoRefresh => {
            Status::failed_precondition(format!("{peer}: {error}"))
        }
        ActError::Stopped => Status::unavailable(error.to_string()),
    }
}

#[tonic::async_trait]
impl Operate for OperateService {
    async fn disable_peer(
        &self,
        request: Request<DisablePeerRequest>,
    ) -> Result<Response<DisablePeerResponse>, Status> {
        let DisablePeerRequest { name, message } = request.into_inner();
        let message = message.into();
        self.act(name, PeerAct::Disable { message }).await?;
        Ok(Response::new(DisablePeerResponse {}))
    }

    async fn enable_peer(&self, request: Request<EnablePeerRequest>) -> Result<Response<EnablePeerResponse>, Status> {
        self.act(request.into_inner().name, PeerAct::Enable).await?;
        Ok(Response::new(EnablePeerResponse {}))
    }

    async fn reset_peer(&self, request: Request<ResetPeerRequest>) -> Result<Response<ResetPeerResponse>, Status> {
        let ResetPeerRequest { name, message, hard } = request.into_inner();
        let message = message.into();
        self.act(name, PeerAct::Reset { message, hard }).await?;
        Ok(Response::new(ResetPeerResponse {}))
    }

    async fn refresh_peer(
        &self,
        request: Request<RefreshPeerRequest>,
    ) -> Result<Response<RefreshPeerResponse>, Status> {
        self.act(request.into_inner().name, PeerAct::Refresh).await?;
        Ok(Response::new(RefreshPeerResponse {}))
    }

    async fn shutdown(&self, request: Request<ShutdownRequest>) -> Result<Response<ShutdownResponse>, Status> {
        let message = request.into_inner().message;
        self.stop.send(message.into()).await.map_err(|_| gone())?;
        Ok(Response::new(ShutdownResponse {}))
    }
}
