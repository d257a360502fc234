//! Metrics of each data plane, as `show plugins` knows it.

use catalyst_core::view::PlaneCounts;

use super::super::exposition::{Labels, Metric, Samples};
use super::super::snapshot::Snapshot;
use super::{counter, gauge};

pub(super) fn metrics() -> Vec<Metric> {
    vec![
        gauge("plane_up", "Whether the data plane is connected.", |snapshot, out| {
            each(snapshot, out, |plane| u64::from(plane.connected));
        }),
        gauge(
            "plane_failing",
            "Whether the data plane is not connected, or refuses a route or a resource now.",
            |snapshot, out| each(snapshot, out, |plane| u64::from(is_failing(snapshot, plane))),
        ),
        gauge(
            "plane_version",
            "The version of the table in use that the data plane has settled.",
            |snapshot, out| each(snapshot, out, |plane| plane.version),
        ),
        gauge(
            "plane_latest_version",
            "The version of the table in use.",
            |snapshot, out| each(snapshot, out, |plane| plane.latest),
        ),
        gauge(
            "plane_routes",
            "Routes given to the data plane, by what became of them.",
            |snapshot, out| {
                for plane in &snapshot.planes {
                    for (state, count) in states(plane) {
                        let mut labels = of(&plane.name);
                        labels.push(("state", state.into()));
                        out.add(labels, count);
                    }
                }
            },
        ),
        gauge(
            "plane_refused_resources",
            "Resources that Envoy refuses, listeners among them; with plugins.envoy.",
            |snapshot, out| {
                if let Some(refused) = snapshot.envoy_refused {
                    out.add(of("envoy"), refused);
                }
            },
        ),
        counter(
            "plane_drift_repairs",
            "Pieces that others removed or changed in the kernel, and that were put right; with plugins.wireguard.",
            |snapshot, out| {
                if let Some(tunnels) = &snapshot.tunnels {
                    out.add(of("wireguard"), tunnels.drift_repairs);
                }
            },
        ),
        counter(
            "plane_writes",
            "Changes asked of the kernel; with plugins.wireguard.",
            |snapshot, out| {
                if let Some(tunnels) = &snapshot.tunnels {
                    out.add(of("wireguard"), tunnels.writes);
                }
            },
        ),
    ]
}

fn of(plane: &str) -> Labels<'_> {
    vec![("plane", plane.into())]
}

fn each<'a>(snapshot: &'a Snapshot, out: &mut Samples<'a>, value: impl Fn(&PlaneCounts) -> u64) {
    for plane in &snapshot.planes {
        out.add(of(&plane.name), value(plane));
    }
}

fn states(plane: &PlaneCounts) -> [(&'static str, u64); 3] {
    [
        ("programmed", plane.programmed),
        ("pending", plane.pending),
        ("rejected", plane.rejected),
    ]
}

fn is_failing(snapshot: &Snapshot, plane: &PlaneCounts) -> bool {
    let refuses = *plane.name == *"envoy" && snapshot.envoy_refused.is_some_and(|refused| refused > 0);
    !plane.connected || plane.rejected > 0 || refuses
}
