//! Every metric. What may be a label is bounded by the configuration (peers, organisations, planes) or by this program
//! (states, kinds): never the name of a service.

mod peers;
mod planes;
mod tunnels;

use super::exposition::{Kind, Metric, Samples};
use super::snapshot::{Snapshot, unix_seconds};
use prometheus_client::registry::Unit;

/// All metrics, in the order in which they are told.
pub(super) fn all() -> Vec<Metric> {
    let mut all = node();
    all.extend(peers::metrics());
    all.extend(tables());
    all.extend(planes::metrics());
    all.extend(tunnels::metrics());
    all
}

type Read = for<'a> fn(&'a Snapshot, &mut Samples<'a>);

fn metric(kind: Kind, name: &'static str, help: &'static str, read: Read) -> Metric {
    Metric {
        name,
        help,
        kind,
        unit: None,
        read,
    }
}

fn counter(name: &'static str, help: &'static str, read: Read) -> Metric {
    metric(Kind::Counter, name, help, read)
}

fn gauge(name: &'static str, help: &'static str, read: Read) -> Metric {
    metric(Kind::Gauge, name, help, read)
}

fn info(name: &'static str, help: &'static str, read: Read) -> Metric {
    metric(Kind::Info, name, help, read)
}

fn node() -> Vec<Metric> {
    vec![
        info("build", "The version of catalyst-routed.", |_, out| {
            out.add(vec![("version", env!("CARGO_PKG_VERSION").into())], 1);
        }),
        info("node", "Who this node is.", |snapshot, out| {
            let node = &snapshot.node;
            let labels = vec![
                ("node", (&*node.name).into()),
                ("as", node.asn.to_string().into()),
                ("organisation", (&*node.organisation).into()),
            ];
            out.add(labels, 1);
        }),
        gauge(
            "process_start_time",
            "When the daemon started, in Unix time.",
            |snapshot, out| out.add(Vec::new(), unix_seconds(snapshot.started)),
        )
        .in_unit(Unit::Seconds),
    ]
}

fn tables() -> Vec<Metric> {
    vec![
        gauge(
            "rib_routes",
            "Names and prefixes that have a path in use.",
            |snapshot, out| {
                for (family, count) in snapshot.rib.in_use {
                    out.add(vec![("family", family.as_str().into())], count);
                }
            },
        ),
        gauge(
            "rib_paths",
            "Paths held from all peers, by what import made of them; this node's own are accepted.",
            |snapshot, out| {
                let rib = &snapshot.rib;
                for (import, count) in [("accepted", rib.accepted), ("rejected", rib.rejected)] {
                    out.add(vec![("import", import.into())], count);
                }
            },
        ),
        gauge(
            "rib_stale_paths",
            "Of these, paths that are kept over a graceful restart of their peer.",
            |snapshot, out| out.add(Vec::new(), snapshot.rib.stale),
        ),
    ]
}

impl Metric {
    fn in_unit(self, unit: Unit) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }
}
