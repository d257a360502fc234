//! What `--output json` prints. Field names are a promise to programs.

use std::collections::BTreeMap;

use catalyst_proto::admin::v1 as proto;
use serde::Serialize;

/// A path, as `show routes`, `show route` and `watch routes` print it.
#[derive(Debug, Serialize)]
pub(crate) struct Route {
    name: String,
    /// name, ipv4 or ipv6.
    family: String,
    /// `null` for a prefix.
    protocol: Option<String>,
    table: String,
    best: bool,
    selected: bool,
    origin_org: String,
    origin_as: u32,
    origin_node: String,
    as_path: Vec<u32>,
    /// `null` for a service of this node.
    next_hop: Option<String>,
    local_pref: u32,
    med: Option<u32>,
    communities: Vec<String>,
    /// What the configuration calls some of them, by number; `show route` only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    community_names: BTreeMap<String, String>,
    /// `null` for a service of this node.
    learned_from: Option<String>,
    age_s: u64,
    stale: bool,
    data_planes: BTreeMap<String, String>,
    reason: String,
    path: Option<String>,
    endpoints: Vec<Endpoint>,
    /// `null` for a prefix.
    weight: Option<u32>,
    draining: bool,
    /// Where local clients dial a tcp service; `show route` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    local_address: Option<String>,
    /// Who has a service of this node offered; `show route` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    offered_by: Option<String>,
}

/// An endpoint of a service of this node.
#[derive(Debug, Serialize)]
pub(crate) struct Endpoint {
    url: String,
    weight: u32,
}

impl From<proto::Route> for Route {
    fn from(route: proto::Route) -> Self {
        let is_service = !route.protocol.is_empty();
        Self {
            name: route.name,
            family: route.family,
            protocol: given(route.protocol),
            table: route.table,
            best: route.best,
            selected: route.selected,
            origin_org: route.origin_org,
            origin_as: route.origin_as,
            origin_node: route.origin_node,
            as_path: route.as_path,
            next_hop: given(route.next_hop),
            local_pref: route.local_pref,
            med: route.med,
            communities: route.communities,
            community_names: route.community_names.into_iter().collect(),
            learned_from: given(route.learned_from),
            age_s: route.age_s,
            stale: route.stale,
            data_planes: route.data_planes.into_iter().collect(),
            reason: route.reason,
            path: given(route.path),
            endpoints: route.endpoints.iter().map(|text| endpoint(text)).collect(),
            weight: Some(route.weight).filter(|_| is_service),
            draining: route.draining,
            local_address: given(route.local_address),
            offered_by: given(route.offered_by),
        }
    }
}

/// The message says "url weight".
fn endpoint(text: &str) -> Endpoint {
    let (url, weight) = text.rsplit_once(' ').unwrap_or((text, "1"));
    Endpoint {
        url: url.to_owned(),
        weight: weight.parse().unwrap_or(1),
    }
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A peer, as `show peers` and `show peer` print it.
#[derive(Debug, Serialize)]
pub(crate) struct Peer {
    name: String,
    address: String,
    /// The key under `dynamic_peers` that it is a peer by; `null`: it is configured by itself.
    dynamic: Option<String>,
    #[serde(rename = "as")]
    asn: u32,
    node: Option<String>,
    organisation: String,
    state: String,
    since_s: u64,
    internal: bool,
    outside: bool,
    hold_time_ms: u64,
    received: u64,
    rejected: u64,
    advertised: u64,
    pending: u64,
    end_of_rib: bool,
    updates_in: u64,
    updates_out: u64,
    treated_as_withdraw: u64,
    treated_as_withdraw_reason: String,
    hijacks: u64,
    leaks: u64,
    refusals: Vec<Refusal>,
    /// Why it is told of no names: the peer listener of its organisation is closed; `null`: it is not.
    listener_closed: Option<String>,
    /// The name of the policy; `null`: none.
    import: Option<String>,
    export: Option<String>,
    established_count: u64,
    last_error: String,
    /// `null` if there was none.
    last_error_age_s: Option<u64>,
    insecure: bool,
    session: Session,
}

impl From<proto::Peer> for Peer {
    fn from(peer: proto::Peer) -> Self {
        Self {
            name: peer.name,
            address: peer.address,
            dynamic: given(peer.dynamic),
            asn: peer.asn,
            node: given(peer.node),
            organisation: peer.organisation,
            state: peer.state,
            since_s: peer.since_s,
            internal: peer.internal,
            outside: peer.outside,
            hold_time_ms: peer.hold_time_ms,
            received: peer.received,
            rejected: peer.rejected,
            advertised: peer.advertised,
            pending: peer.pending,
            end_of_rib: peer.end_of_rib,
            updates_in: peer.updates_in,
            updates_out: peer.updates_out,
            treated_as_withdraw: peer.treated_as_withdraw,
            treated_as_withdraw_reason: peer.treated_as_withdraw_reason,
            hijacks: peer.hijacks,
            leaks: peer.leaks,
            refusals: peer.refusals.into_iter().map(Refusal::from).collect(),
            listener_closed: given(peer.listener_closed),
            import: given(peer.import),
            export: given(peer.export),
            established_count: peer.established_count,
            last_error: peer.last_error,
            last_error_age_s: peer.last_error_age_s,
            insecure: peer.insecure,
            session: Session::from(peer.session.unwrap_or_default()),
        }
    }
}

/// Routes of a peer that were refused for one kind of reason.
#[derive(Debug, Serialize)]
struct Refusal {
    kind: String,
    count: u64,
    newest: String,
    reason: String,
}

impl From<proto::Refusal> for Refusal {
    fn from(refusal: proto::Refusal) -> Self {
        Self {
            kind: refusal.kind,
            count: refusal.count,
            newest: refusal.newest,
            reason: refusal.reason,
        }
    }
}

/// What a session agreed on and how it fares.
#[derive(Debug, Serialize)]
pub(crate) struct Session {
    sent: Vec<String>,
    received: Vec<String>,
    role: Option<String>,
    peer_role: Option<String>,
    graceful_restart: Option<GracefulRestart>,
    disabled: Option<String>,
    hold_timer_ms: Option<u64>,
    limits: Limits,
    messages: Messages,
    /// What is left of each timer that is armed.
    timers_ms: BTreeMap<String, u64>,
}

impl From<proto::PeerSession> for Session {
    fn from(session: proto::PeerSession) -> Self {
        Self {
            sent: session.sent,
            received: session.received,
            role: given(session.role),
            peer_role: given(session.peer_role),
            graceful_restart: session.graceful.map(GracefulRestart::from),
            disabled: session.disabled,
            hold_timer_ms: session.hold_timer_ms,
            limits: Limits {
                routes: session.limit.map(RouteLimit::from),
                update_rate: session.max_update_rate,
                pauses: session.pauses,
                frame_bytes: session.max_frame,
            },
            messages: Messages {
                received: session.messages_received.unwrap_or_default().into(),
                sent: session.messages_sent.unwrap_or_default().into(),
            },
            timers_ms: session.timers_ms.into_iter().collect(),
        }
    }
}

/// What a peer may do, and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Limits {
    /// `null`: any number.
    routes: Option<RouteLimit>,
    /// Routes per second; `null`: as fast as they come.
    update_rate: Option<u32>,
    pauses: u64,
    /// `null`: the protocol's.
    frame_bytes: Option<u32>,
}

/// How many routes a peer may bring.
#[derive(Debug, Serialize)]
pub(crate) struct RouteLimit {
    limit: u64,
    used: u64,
    warn_from: u64,
    action: String,
    restart_after_ms: Option<u64>,
    blocked: u64,
}

impl From<proto::RouteLimit> for RouteLimit {
    fn from(limit: proto::RouteLimit) -> Self {
        Self {
            limit: limit.limit,
            used: limit.used,
            warn_from: limit.warn_from,
            action: limit.action,
            restart_after_ms: limit.restart_after_ms,
            blocked: limit.blocked,
        }
    }
}

/// Messages by direction.
#[derive(Debug, Serialize)]
pub(crate) struct Messages {
    received: MessageCounts,
    sent: MessageCounts,
}

/// Messages by type.
#[derive(Debug, Serialize)]
pub(crate) struct MessageCounts {
    open: u64,
    update: u64,
    notification: u64,
    keepalive: u64,
    route_refresh: u64,
    end_of_rib: u64,
}

impl From<proto::MessageCounts> for MessageCounts {
    fn from(counts: proto::MessageCounts) -> Self {
        Self {
            open: counts.open,
            update: counts.update,
            notification: counts.notification,
            keepalive: counts.keepalive,
            route_refresh: counts.route_refresh,
            end_of_rib: counts.end_of_rib,
        }
    }
}

/// Graceful restart with a peer.
#[derive(Debug, Serialize)]
pub(crate) struct GracefulRestart {
    agreed: bool,
    restart_time_ms: u64,
    stale_time_ms: u64,
    stale: u64,
    stale_since_ms: Option<u64>,
    purge_in_ms: Option<u64>,
}

impl From<proto::GracefulRestart> for GracefulRestart {
    fn from(graceful: proto::GracefulRestart) -> Self {
        Self {
            agreed: graceful.agreed,
            restart_time_ms: graceful.restart_time_ms,
            stale_time_ms: graceful.stale_time_ms,
            stale: graceful.stale,
            stale_since_ms: graceful.stale_since_ms,
            purge_in_ms: graceful.purge_in_ms,
        }
    }
}

/// A data plane, as `show plugins` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Plugin {
    name: String,
    connected: bool,
    version: u64,
    latest: u64,
    programmed: u64,
    pending: u64,
    rejected_count: u64,
    rejected: BTreeMap<String, String>,
    refused: BTreeMap<String, String>,
}

impl From<proto::Plugin> for Plugin {
    fn from(plugin: proto::Plugin) -> Self {
        Self {
            name: plugin.name,
            connected: plugin.connected,
            version: plugin.version,
            latest: plugin.latest,
            programmed: plugin.programmed,
            pending: plugin.pending,
            rejected_count: plugin.rejected_count,
            rejected: plugin.rejected.into_iter().map(|r| (r.name, r.reason)).collect(),
            refused: plugin.refused.into_iter().map(|r| (r.resource, r.reason)).collect(),
        }
    }
}

/// A tunnel, as `show tunnels` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Tunnel {
    peer: String,
    organisation: String,
    device: String,
    state: String,
    reason: String,
    authenticated: bool,
    public_key: String,
    endpoint: String,
    handshake_age_ms: Option<u64>,
    received_bytes: u64,
    sent_bytes: u64,
    addresses: Vec<String>,
    prefixes: Vec<String>,
    shadowed: Vec<String>,
    /// Whose key is being changed; `null`: nobody's.
    key_change: Option<String>,
}

impl From<proto::Tunnel> for Tunnel {
    fn from(tunnel: proto::Tunnel) -> Self {
        Self {
            peer: tunnel.peer,
            organisation: tunnel.organisation,
            device: tunnel.device,
            state: tunnel.state,
            reason: tunnel.reason,
            authenticated: tunnel.authenticated,
            public_key: tunnel.public_key,
            endpoint: tunnel.endpoint,
            handshake_age_ms: tunnel.handshake_age_ms,
            received_bytes: tunnel.received_bytes,
            sent_bytes: tunnel.sent_bytes,
            addresses: tunnel.addresses,
            prefixes: tunnel.prefixes,
            shadowed: tunnel.shadowed,
            key_change: given(tunnel.key_change),
        }
    }
}

/// Our end of tunnels, as `show tunnels` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct OwnTunnel {
    organisation: String,
    device: Option<String>,
    addresses: Vec<String>,
    /// `null`: the other side cannot call it.
    endpoint: Option<String>,
    public_key: String,
    mtu: u32,
    serial: u64,
    told: Vec<String>,
}

impl From<proto::OwnTunnel> for OwnTunnel {
    fn from(ours: proto::OwnTunnel) -> Self {
        Self {
            organisation: ours.organisation,
            device: given(ours.device),
            addresses: ours.addresses,
            endpoint: given(ours.endpoint),
            public_key: ours.public_key,
            mtu: ours.mtu,
            serial: ours.serial,
            told: ours.told,
        }
    }
}

/// What `show tunnels` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Tunnels {
    tunnels: Vec<Tunnel>,
    /// Our ends, by organisation.
    ours: Vec<OwnTunnel>,
    drift_repairs: u64,
    writes: u64,
    key_rotation: Option<KeyRotation>,
    /// `null`: the last change of our key did not fail.
    key_rotation_failure: Option<String>,
}

/// The change of our key that is under way.
#[derive(Debug, Serialize)]
pub(crate) struct KeyRotation {
    phase: String,
    missing: Vec<String>,
}

impl From<proto::ListTunnelsResponse> for Tunnels {
    fn from(answer: proto::ListTunnelsResponse) -> Self {
        Self {
            tunnels: answer.tunnels.into_iter().map(Tunnel::from).collect(),
            ours: answer.ours.into_iter().map(OwnTunnel::from).collect(),
            drift_repairs: answer.drift_repairs,
            writes: answer.writes,
            key_rotation: answer.key_rotation.map(|change| KeyRotation {
                phase: change.phase,
                missing: change.missing,
            }),
            key_rotation_failure: given(answer.key_rotation_failure),
        }
    }
}
