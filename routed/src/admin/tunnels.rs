//! The calls of `catalyst.admin.v1.Tunnels`.

use std::sync::Arc;

use catalyst_core::route::Destination;
use catalyst_core::view::OwnTunnelView;
use catalyst_proto::admin::v1::tunnels_server::Tunnels;
use catalyst_proto::admin::v1::{
    KeyRotation, ListTunnelsRequest, ListTunnelsResponse, OwnTunnel, RotateKeyRequest, RotateKeyResponse, Tunnel,
};
use catalyst_wireguard::{KeyNews, PublicKey, TunnelState, TunnelStatus, WireguardStats};
use tonic::{Request, Response, Status};

use super::service::gone;
use crate::driver::{Gone, SpeakerHandle};
use crate::tunnels::{RotateError, Rotator};

/// So many shadowed prefixes of a peer are listed.
const LISTED: usize = 1000;

/// Tells of the tunnels, and changes their key.
pub(super) struct TunnelsService {
    /// `None`: the plugin is off.
    plugin: Option<(WireguardStats, Arc<Rotator>)>,
    speaker: SpeakerHandle,
}

impl TunnelsService {
    pub(super) fn new(plugin: Option<(WireguardStats, Arc<Rotator>)>, speaker: SpeakerHandle) -> Self {
        Self { plugin, speaker }
    }

    fn plugin(&self) -> Result<&(WireguardStats, Arc<Rotator>), Status> {
        let off = || Status::failed_precondition("the wireguard plugin is off: plugins.wireguard is not configured");
        self.plugin.as_ref().ok_or_else(off)
    }
}

#[tonic::async_trait]
impl Tunnels for TunnelsService {
    async fn list_tunnels(&self, _: Request<ListTunnelsRequest>) -> Result<Response<ListTunnelsResponse>, Status> {
        let (stats, rotator) = self.plugin()?;
        let mut tunnels: Vec<Tunnel> = stats.tunnels().iter().map(convert).collect();
        let asked = self
            .speaker
            .query(|speaker, _| (speaker.shadowed_prefixes(LISTED), speaker.own_tunnels()));
        let (shadowed, own) = asked.await.map_err(|Gone| gone())?;
        for (peer, prefix) in shadowed {
            let prefix = Destination::from(prefix).to_string();
            let tunnel = tunnels.iter_mut().find(|tunnel| *tunnel.peer == *peer);
            if let Some(tunnel) = tunnel.filter(|tunnel| !tunnel.prefixes.contains(&prefix)) {
                tunnel.shadowed.push(prefix);
            }
        }
        let ours = own.iter().map(|end| ours(end, &tunnels)).collect();
        let rotation = rotator.shown().await;
        let key_rotation = rotation.phase.map(|phase| KeyRotation {
            phase: phase.to_owned(),
            missing: rotation.missing.iter().map(ToString::to_string).collect(),
        });
        Ok(Response::new(ListTunnelsResponse {
            ours,
            tunnels,
            drift_repairs: stats.drift_repairs(),
            writes: stats.writes(),
            key_rotation,
            key_rotation_failure: rotation.failure.unwrap_or_default(),
        }))
    }

    async fn rotate_key(&self, request: Request<RotateKeyRequest>) -> Result<Response<RotateKeyResponse>, Status> {
        let rotator = Arc::clone(&self.plugin()?.1);
        let prepare = request.into_inner().prepare;
        // In a task of its own: a client that goes away does not stop it halfway.
        let task = tokio::spawn(async move {
            if prepare {
                rotator.prepare().await
            } else {
                rotator.rotate().await
            }
        });
        let done = task.await.map_err(|error| Status::internal(error.to_string()))?;
        let public_key = done.map_err(|error| match &error {
            RotateError::Refused(_) => Status::failed_precondition(error.to_string()),
            RotateError::Failed(_) => Status::internal(error.to_string()),
        })?;
        let public_key = public_key.to_string();
        Ok(Response::new(RotateKeyResponse { public_key }))
    }
}

/// Our end of these tunnels to an organisation: all of them share a device.
fn ours(end: &OwnTunnelView, tunnels: &[Tunnel]) -> OwnTunnel {
    let device = tunnels.iter().find(|tunnel| *tunnel.organisation == *end.organisation);
    let own = &end.tunnel;
    OwnTunnel {
        organisation: end.organisation.to_string(),
        device: device.map(|tunnel| tunnel.device.clone()).unwrap_or_default(),
        addresses: own
            .addresses
            .iter()
            .map(|address| address.address().to_string())
            .collect(),
        endpoint: own.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default(),
        public_key: PublicKey(own.public_key).to_string(),
        mtu: own.mtu.into(),
        serial: own.serial,
        told: end.told.iter().map(ToString::to_string).collect(),
    }
}

fn convert(tunnel: &TunnelStatus) -> Tunnel {
    let age = tunnel
        .handshake_age
        .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    Tunnel {
        peer: tunnel.peer.to_string(),
        organisation: tunnel.organisation.to_string(),
        device: tunnel.device.to_string(),
        state: tunnel.state.as_str().to_owned(),
        reason: reason(&tunnel.state),
        authenticated: tunnel.authenticated,
        public_key: tunnel.public_key.map(|key| key.to_string()).unwrap_or_default(),
        endpoint: tunnel.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default(),
        handshake_age_ms: age,
        received_bytes: tunnel.received,
        sent_bytes: tunnel.sent,
        addresses: tunnel.addresses.iter().map(ToString::to_string).collect(),
        prefixes: tunnel.allowed_prefixes.iter().map(ToString::to_string).collect(),
        shadowed: Vec::new(),
        key_change: tunnel.key_change.map(KeyNews::as_str).unwrap_or_default().to_owned(),
    }
}

fn reason(state: &TunnelState) -> String {
    match state {
        TunnelState::Up => String::new(),
        TunnelState::Down => "nothing is heard from its other end".to_owned(),
        TunnelState::Guarded(reason) => reason.to_string(),
        TunnelState::WrongKey => {
            "its other end announces another public key than the one that is configured".to_owned()
        }
    }
}
