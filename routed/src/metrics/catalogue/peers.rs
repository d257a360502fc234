//! Metrics of each peer, as `show peer` knows it. A dynamic peer has them as long as it is one.

use std::borrow::Cow;

use catalyst_core::view::{MessageCounts, PeerView};
use prometheus_client::registry::Unit;

use super::super::exposition::{Labels, Metric, Samples};
use super::super::snapshot::Snapshot;
use super::{counter, gauge, info};

pub(super) fn metrics() -> Vec<Metric> {
    let mut metrics = session();
    metrics.extend(routes());
    metrics.extend(refused());
    metrics.extend(limits());
    metrics
}

fn session() -> Vec<Metric> {
    vec![
        gauge("peer_up", "Whether the session is Established.", |snapshot, out| {
            each(snapshot, out, |peer| Some(u64::from(peer.state == "Established")));
        }),
        info(
            "peer",
            "Who the peer is, and the state of its session by the names of RFC 4271.",
            |snapshot, out| {
                for peer in &snapshot.peers {
                    let mut labels = of(peer);
                    labels.extend(described(peer));
                    out.add(labels, 1);
                }
            },
        ),
        gauge(
            "peer_disabled",
            "Whether an operator or a limit keeps the session down.",
            |snapshot, out| each(snapshot, out, |peer| Some(u64::from(peer.session.disabled.is_some()))),
        ),
        gauge(
            "peer_session_changed_timestamp",
            "Since when the session is Established, or is not, in Unix time.",
            |snapshot, out| each(snapshot, out, |peer| Some(snapshot.time_of(peer.since))),
        )
        .in_unit(Unit::Seconds),
        counter(
            "peer_established",
            "Times that the session reached Established.",
            |snapshot, out| each(snapshot, out, |peer| Some(peer.established_count)),
        ),
        counter(
            "peer_messages_received",
            "Messages received, by type.",
            |snapshot, out| each_of(snapshot, out, "type", |peer| messages(&peer.session.messages.received)),
        ),
        counter("peer_messages_sent", "Messages sent, by type.", |snapshot, out| {
            each_of(snapshot, out, "type", |peer| messages(&peer.session.messages.sent));
        }),
    ]
}

fn routes() -> Vec<Metric> {
    vec![
        gauge(
            "peer_received_routes",
            "Routes held from the peer, by what import made of them.",
            |snapshot, out| {
                each_of(snapshot, out, "import", |peer| {
                    [("accepted", peer.received), ("rejected", peer.rejected)]
                });
            },
        ),
        gauge(
            "peer_stale_routes",
            "Of these, routes that are kept over a graceful restart; only where that is configured.",
            |snapshot, out| {
                each(snapshot, out, |peer| {
                    peer.session.graceful.as_ref().map(|graceful| graceful.stale)
                });
            },
        ),
        gauge(
            "peer_advertised_routes",
            "Routes advertised to the peer.",
            |snapshot, out| each(snapshot, out, |peer| Some(peer.advertised)),
        ),
        gauge(
            "peer_pending_routes",
            "Changes that wait to be sent to the peer.",
            |snapshot, out| each(snapshot, out, |peer| Some(peer.pending)),
        ),
    ]
}

fn refused() -> Vec<Metric> {
    vec![
        counter(
            "peer_treated_as_withdraw",
            "Routes treated as withdrawn (RFC 7606).",
            |snapshot, out| each(snapshot, out, |peer| Some(peer.treated_as_withdraw)),
        ),
        counter(
            "peer_hijacks",
            "Routes to our own names, prefixes and addresses of tunnels; never used.",
            |snapshot, out| each(snapshot, out, |peer| Some(peer.hijacks)),
        ),
        counter(
            "peer_leaks",
            "Routes against ONLY_TO_CUSTOMER (RFC 9234); never used.",
            |snapshot, out| each(snapshot, out, |peer| Some(peer.leaks)),
        ),
        counter(
            "peer_refusals",
            "Routes refused, by kind of reason, hijacks and leaks included; a kind is told once it came up.",
            |snapshot, out| {
                each_of(snapshot, out, "kind", |peer| {
                    peer.refusals.iter().map(|refusal| (refusal.kind, refusal.count))
                });
            },
        ),
    ]
}

fn limits() -> Vec<Metric> {
    vec![
        gauge(
            "peer_max_routes",
            "How many routes may be held from the peer; only where that is limited.",
            |snapshot, out| {
                each(snapshot, out, |peer| {
                    peer.session.limit.as_ref().map(|limit| limit.limit)
                });
            },
        ),
        counter(
            "peer_blocked_routes",
            "Routes above that limit, not kept in this session; only where that is limited.",
            |snapshot, out| {
                each(snapshot, out, |peer| {
                    peer.session.limit.as_ref().map(|limit| limit.blocked)
                });
            },
        ),
        gauge(
            "peer_max_update_rate",
            "Routes that the peer may announce or withdraw per second; only where that is limited.",
            |snapshot, out| each(snapshot, out, |peer| peer.session.max_update_rate.map(u64::from)),
        ),
        counter(
            "peer_update_pauses",
            "How often reading from the peer has paused for that in this session; only where it is limited.",
            |snapshot, out| {
                each(snapshot, out, |peer| {
                    peer.session.max_update_rate.map(|_| peer.session.pauses)
                });
            },
        ),
    ]
}

fn of(peer: &PeerView) -> Labels<'_> {
    vec![
        ("peer", (&*peer.name).into()),
        ("organisation", (&*peer.organisation).into()),
    ]
}

fn described(peer: &PeerView) -> [(&'static str, Cow<'_, str>); 5] {
    [
        ("node", peer.node.as_deref().unwrap_or_default().into()),
        ("as", peer.asn.to_string().into()),
        ("address", peer.shown_address().into()),
        ("dynamic", peer.dynamic.as_deref().unwrap_or_default().into()),
        ("state", peer.state.into()),
    ]
}

fn each<'a>(snapshot: &'a Snapshot, out: &mut Samples<'a>, value: impl Fn(&PeerView) -> Option<u64>) {
    for peer in &snapshot.peers {
        if let Some(value) = value(peer) {
            out.add(of(peer), value);
        }
    }
}

fn each_of<'a, V: IntoIterator<Item = (&'static str, u64)>>(
    snapshot: &'a Snapshot,
    out: &mut Samples<'a>,
    label: &'static str,
    values: impl Fn(&'a PeerView) -> V,
) {
    for peer in &snapshot.peers {
        for (word, value) in values(peer) {
            let mut labels = of(peer);
            labels.push((label, word.into()));
            out.add(labels, value);
        }
    }
}

fn messages(counts: &MessageCounts) -> [(&'static str, u64); 6] {
    let MessageCounts {
        open,
        update,
        notification,
        keepalive,
        route_refresh,
        end_of_rib,
    } = *counts;
    [
        ("open", open),
        ("update", update),
        ("notification", notification),
        ("keepalive", keepalive),
        ("route_refresh", route_refresh),
        ("end_of_rib", end_of_rib),
    ]
}
