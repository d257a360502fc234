//! `show route --why`: every path with what decided over it, every peer with what it is told, or why not.

use catalyst_core::attrs::Attrs;
use catalyst_core::route::Destination;
use catalyst_core::speaker::Speaker;
use catalyst_core::view::{PathWhy, PeerView, PeerWhy};
use catalyst_envoy::ports::LocalPorts;
use catalyst_proto::admin::v1 as proto;
use tonic::Status;

use super::super::asked::Asked;
use super::super::{SharedStore, offers};
use super::trace;
use crate::config::Config;
use crate::driver::{Gone, SpeakerHandle};

/// What is known of a route beside the Speaker.
pub(super) struct Known<'a> {
    pub(super) config: &'a Config,
    pub(super) store: &'a SharedStore,
    pub(super) ports: &'a LocalPorts,
}

pub(super) async fn route(
    known: Known<'_>,
    speaker: &SpeakerHandle,
    name: &str,
) -> Result<proto::WhyRouteResponse, Status> {
    let Known { config, store, ports } = known;
    let asked = Asked::read(name)?;
    let looked_for = asked.clone();
    let gone = |Gone| Status::unavailable(Gone.to_string());
    let look = move |speaker: &mut Speaker, now| {
        let found = looked_for.find(speaker);
        let found = found.and_then(|destination| Some((speaker.why(&destination, now)?, destination)));
        found.ok_or_else(|| refused(&speaker.peers(now), &looked_for.to_string()))
    };
    let found = speaker.query(look).await.map_err(gone)?;
    let nobody = |refused: Vec<String>| Status::not_found(nobody(config, &asked, &refused));
    let (why, destination) = found.map_err(nobody)?;
    // Best first: of several in use, the first one is what peers are told.
    let in_use = why.paths.iter().find(|path| path.route.selected);
    let in_use = in_use.map(|path| &*path.route.attrs);
    let store = store.lock().await;
    let described = |view| offers::described(view, config, &store, ports);
    Ok(proto::WhyRouteResponse {
        paths: why
            .paths
            .iter()
            .map(|path| path_why(described(&path.route), path))
            .collect(),
        peers: why
            .peers
            .iter()
            .map(|peer| peer_why(&destination, in_use, peer))
            .collect(),
    })
}

/// What peers offered by this name last that was refused and not kept, as far as it is remembered: of each peer and kind the
/// newest.
pub(super) fn refused(peers: &[PeerView], name: &str) -> Vec<String> {
    let of_peer = |peer: &PeerView| {
        let newest = peer.refusals.iter().filter(|refusal| refusal.newest == name);
        let told = newest.map(|refusal| format!("what peer {} offers is refused: {}", peer.name, refusal.reason));
        told.collect::<Vec<_>>()
    };
    peers.iter().flat_map(of_peer).collect()
}

/// What to say of what nobody offers.
fn nobody(config: &Config, asked: &Asked, refused: &[String]) -> String {
    let destination = match asked {
        Asked::Destination(destination) => destination,
        Asked::Address(address) => return format!("no route to {address}: it is in no prefix in use"),
    };
    if !refused.is_empty() {
        return format!("no route to {destination}: {}", refused.join("; "));
    }
    let domains = config.node.domains.iter().map(|domain| domain.0.0.as_str());
    let above = |name: &str| domains.into_iter().find(|domain| name.ends_with(&format!(".{domain}")));
    match destination.name().and_then(|name| above(name.as_str())) {
        Some(domain) => format!(
            "no route to {destination}: nobody offers it, and a name below our domain {domain} is never sent to a shorter \
             wildcard"
        ),
        None => format!("no route to {destination}: nobody offers it"),
    }
}

fn path_why(path: proto::Route, why: &PathWhy) -> proto::PathWhy {
    let from = why.route.learned_from.as_deref().unwrap_or_default();
    let import = why.import.as_ref().zip(why.received.as_ref());
    let import = import.map(|(import, received)| trace::message(path.name.clone(), from, received, import));
    proto::PathWhy {
        path: Some(path),
        reason: why.reason.clone(),
        import,
    }
}

fn peer_why(destination: &Destination, in_use: Option<&Attrs>, why: &PeerWhy) -> proto::PeerWhy {
    let export = why.export.as_ref().zip(in_use);
    proto::PeerWhy {
        peer: why.peer.to_string(),
        advertised: why.advertised,
        reason: why.reason.to_string(),
        export: export.map(|(export, before)| trace::message(destination.to_string(), &why.peer, before, export)),
        told: why.attrs.as_deref().map(trace::attributes),
    }
}
