//! Snapshots of the Speaker as messages.

use std::collections::HashMap;
use std::net::IpAddr;

use catalyst_core::attrs::{format_community, format_large_community};
use catalyst_core::route::{Endpoint, PlaneStatus, Protocol};
use catalyst_core::view::{PeerView, PlaneView, PolicyView, RefusalView, RouteView};
use catalyst_envoy::ads::RejectedReport;
use catalyst_proto::admin::v1 as proto;

use super::sessions::{ms, session};

pub(super) fn route(view: &RouteView) -> proto::Route {
    let attrs = &view.attrs;
    let service = attrs.service.as_ref();
    let local = view.learned_from.is_none();
    let standard = attrs.communities.iter().copied().map(format_community);
    let large = attrs.large_communities.iter().copied().map(format_large_community);
    proto::Route {
        name: view.destination.to_string(),
        family: view.destination.family().as_str().to_owned(),
        protocol: service.map_or_else(String::new, |service| service.protocol.to_string()),
        table: view.table.as_str().to_owned(),
        best: view.best,
        selected: view.selected,
        origin_org: view.origin.organisation.to_string(),
        origin_as: view.origin.router_id.asn,
        origin_node: view.origin.router_id.node.to_string(),
        as_path: attrs.as_path.clone(),
        next_hop: if local {
            String::new()
        } else {
            attrs.next_hop.to_string()
        },
        local_pref: view.local_pref,
        med: attrs.med,
        communities: standard.chain(large).collect(),
        learned_from: view.learned_from.as_deref().unwrap_or_default().to_owned(),
        age_s: view.age.as_secs(),
        stale: view.stale,
        data_planes: view
            .data_planes
            .iter()
            .map(|(plane, status)| (plane.to_string(), status_text(status)))
            .collect(),
        reason: view.reason.clone(),
        path: service
            .and_then(|service| service.path.as_deref())
            .unwrap_or_default()
            .to_owned(),
        endpoints: view
            .endpoints
            .iter()
            .filter_map(|e| Some(endpoint(e, service?.protocol)))
            .collect(),
        weight: service.map_or(0, |service| service.weight.into()),
        draining: view.draining,
        local_address: String::new(),
        offered_by: String::new(),
        community_names: HashMap::new(),
    }
}

fn status_text(status: &PlaneStatus) -> String {
    match status {
        PlaneStatus::Pending(reason) if reason.is_empty() => "pending".to_owned(),
        PlaneStatus::Pending(reason) => format!("pending: {reason}"),
        PlaneStatus::Programmed => "programmed".to_owned(),
        PlaneStatus::Rejected(reason) => format!("rejected: {reason}"),
    }
}

fn endpoint(endpoint: &Endpoint, protocol: Protocol) -> String {
    let scheme = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Http | Protocol::HttpGraphql | Protocol::HttpGrpc => "http",
    };
    let Endpoint { host, port, weight } = endpoint;
    match host.parse() {
        Ok(IpAddr::V6(_)) => format!("{scheme}://[{host}]:{port} {weight}"),
        Ok(IpAddr::V4(_)) | Err(_) => format!("{scheme}://{host}:{port} {weight}"),
    }
}

pub(super) fn peer(view: &PeerView) -> proto::Peer {
    proto::Peer {
        name: view.name.to_string(),
        address: view.shown_address(),
        dynamic: view.dynamic.as_deref().unwrap_or_default().to_owned(),
        asn: view.asn,
        node: view.node.as_deref().unwrap_or_default().to_owned(),
        organisation: view.organisation.to_string(),
        state: view.state.to_owned(),
        since_s: view.since.as_secs(),
        internal: view.internal,
        outside: view.outside,
        hold_time_ms: view.hold_time.map_or(0, ms),
        received: view.received,
        rejected: view.rejected,
        advertised: view.advertised,
        pending: view.pending,
        end_of_rib: view.end_of_rib,
        updates_in: view.updates_in,
        updates_out: view.updates_out,
        treated_as_withdraw: view.treated_as_withdraw,
        treated_as_withdraw_reason: view.treated_as_withdraw_reason.clone(),
        hijacks: view.hijacks,
        leaks: view.leaks,
        refusals: view.refusals.iter().map(refusal).collect(),
        listener_closed: view.listener_closed.as_deref().unwrap_or_default().to_owned(),
        import: policy(&view.import),
        export: policy(&view.export),
        established_count: view.established_count,
        last_error: view.last_error.clone(),
        last_error_age_s: view.last_error_age.map(|age| age.as_secs()),
        // No session is encrypted yet.
        insecure: !view.address.ip().is_loopback(),
        session: Some(session(&view.session)),
    }
}

fn refusal(view: &RefusalView) -> proto::Refusal {
    proto::Refusal {
        kind: view.kind.to_owned(),
        count: view.count,
        newest: view.newest.clone(),
        reason: view.reason.to_string(),
    }
}

/// The name of a policy; empty if there is none.
fn policy(view: &PolicyView) -> String {
    match view {
        PolicyView::Named(name) => name.to_string(),
        PolicyView::AcceptAll | PolicyView::RejectAll => String::new(),
    }
}

pub(super) fn plugin(view: &PlaneView) -> proto::Plugin {
    let (counts, rejected) = (&view.counts, view.rejected.iter());
    proto::Plugin {
        name: counts.name.to_string(),
        connected: counts.connected,
        version: counts.version,
        latest: counts.latest,
        programmed: counts.programmed,
        pending: counts.pending,
        rejected_count: counts.rejected,
        rejected: rejected
            .map(|(name, reason)| proto::RejectedName {
                name: name.to_string(),
                reason: reason.to_string(),
            })
            .collect(),
        refused: Vec::new(),
    }
}

pub(super) fn refused(report: &RejectedReport) -> proto::RefusedResource {
    proto::RefusedResource {
        resource: report.key.to_string(),
        reason: report.reason.to_string(),
    }
}
