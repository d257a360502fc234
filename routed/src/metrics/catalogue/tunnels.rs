//! Metrics of each tunnel, as `show tunnels` knows it, and of the change of our key.

use catalyst_wireguard::{KeyNews, TunnelState, TunnelStatus};
use prometheus_client::registry::Unit;

use super::super::exposition::{Labels, Metric, Samples};
use super::super::snapshot::{Snapshot, Tunnels, unix_seconds};
use super::{counter, gauge, info};

pub(super) fn metrics() -> Vec<Metric> {
    vec![
        gauge(
            "tunnel_up",
            "Whether the other end of the tunnel is heard.",
            |snapshot, out| each(snapshot, out, |tunnel| Some(u64::from(tunnel.state == TunnelState::Up))),
        ),
        info(
            "tunnel",
            "The state of the tunnel, where its other end is, whose key is being changed, and whether it is pinned.",
            |snapshot, out| {
                for tunnel in rows(snapshot) {
                    let mut labels = of(tunnel);
                    labels.extend(described(tunnel));
                    out.add(labels, 1);
                }
            },
        ),
        gauge(
            "tunnel_last_handshake_timestamp",
            "When the other end last shook hands, in Unix time; only once it has.",
            |snapshot, out| each(snapshot, out, |tunnel| tunnel.last_handshake.map(unix_seconds)),
        )
        .in_unit(Unit::Seconds),
        counter(
            "tunnel_received",
            "Bytes received through the tunnel.",
            |snapshot, out| each(snapshot, out, |tunnel| Some(tunnel.received)),
        )
        .in_unit(Unit::Bytes),
        counter("tunnel_sent", "Bytes sent through the tunnel.", |snapshot, out| {
            each(snapshot, out, |tunnel| Some(tunnel.sent));
        })
        .in_unit(Unit::Bytes),
        gauge(
            "tunnel_key_rotation_in_progress",
            "Whether this node's key is being changed; with plugins.wireguard.",
            |snapshot, out| once(snapshot, out, |tunnels| tunnels.rotation.phase.is_some()),
        ),
        gauge(
            "tunnel_key_rotation_failed",
            "Whether the last change of this node's key failed; with plugins.wireguard.",
            |snapshot, out| once(snapshot, out, |tunnels| tunnels.rotation.failure.is_some()),
        ),
    ]
}

fn rows(snapshot: &Snapshot) -> impl Iterator<Item = &TunnelStatus> {
    snapshot.tunnels.iter().flat_map(|tunnels| &tunnels.rows)
}

fn of(tunnel: &TunnelStatus) -> Labels<'_> {
    vec![
        ("peer", (&*tunnel.peer).into()),
        ("organisation", (&*tunnel.organisation).into()),
        ("device", (&*tunnel.device).into()),
    ]
}

fn described(tunnel: &TunnelStatus) -> Labels<'_> {
    let endpoint = tunnel.endpoint.map(|endpoint| endpoint.to_string());
    let pinned = if tunnel.authenticated { "yes" } else { "no" };
    vec![
        ("state", tunnel.state.as_str().into()),
        ("endpoint", endpoint.unwrap_or_default().into()),
        (
            "key_change",
            tunnel.key_change.map(KeyNews::as_str).unwrap_or_default().into(),
        ),
        ("pinned", pinned.into()),
    ]
}

fn each<'a>(snapshot: &'a Snapshot, out: &mut Samples<'a>, value: impl Fn(&TunnelStatus) -> Option<u64>) {
    for tunnel in rows(snapshot) {
        if let Some(value) = value(tunnel) {
            out.add(of(tunnel), value);
        }
    }
}

fn once<'a>(snapshot: &'a Snapshot, out: &mut Samples<'a>, holds: impl Fn(&Tunnels) -> bool) {
    if let Some(tunnels) = &snapshot.tunnels {
        out.add(Vec::new(), u64::from(holds(tunnels)));
    }
}
