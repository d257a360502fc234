//! What Speakers want done, done.

use catalyst_core::event::{Effect, Event, PlaneReport};
use catalyst_core::route::RouteUpdate;

use super::Net;

impl Net {
    pub(super) fn effect(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Connect { peer } => self.dial(node, &peer),
            Effect::Send { conn, bytes } => self.send(node, conn, &bytes),
            Effect::Close { conn } => self.break_conn(conn, "closed by the peer"),
            Effect::Routes(update) => self.routes(node, update),
            Effect::SessionUp { peer } => self.log(node, || format!("up {peer}")),
            Effect::SessionDown { peer, reason, .. } => self.log(node, || format!("down {peer}: {reason}")),
            Effect::Notice { peer, text } => self.log(node, || format!("notice {peer}: {text}")),
            Effect::Warning { peer, text } => self.log(node, || format!("warning {peer}: {text}")),
            // As a driver that has read everything already.
            Effect::Pause { until, .. } => {
                let left = until.saturating_duration_since(self.now).as_millis();
                self.log(node, || format!("pause {left} ms"));
            }
            Effect::Refused { remote, reason } => self.log(node, || format!("refused {remote}: {reason}")),
        }
    }

    fn log(&mut self, node: usize, line: impl FnOnce() -> String) {
        if self.recording {
            let at = self.elapsed_ms();
            self.nodes[node].log.push((at, line()));
        }
    }

    fn routes(&mut self, node: usize, update: RouteUpdate) {
        let version = update.version();
        self.nodes[node].apply(update);
        if !self.acknowledging {
            return;
        }
        let planes = self.nodes[node].config.planes.iter();
        let planes: Vec<_> = planes.map(|plane| plane.name.clone()).collect();
        for plane in planes {
            let at = self.now + 5 * self.delay();
            let statuses = Vec::new();
            let report = PlaneReport {
                plane,
                version,
                statuses,
            };
            self.later(at, node, None, Event::PlaneReport(report));
        }
    }
}
