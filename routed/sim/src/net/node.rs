//! A node: its Speaker, and what its data planes would hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use catalyst_core::event::{ClosedListeners, Event, SpeakerConfig};
use catalyst_core::route::{Destination, RouteUpdate, Selected};
use catalyst_core::speaker::Speaker;

/// One Speaker and what its data planes would hold.
#[derive(Debug)]
pub struct Node {
    /// The thing itself.
    pub speaker: Speaker,
    /// As it was started, or told since.
    pub config: SpeakerConfig,
    /// What its data planes hold.
    pub routes: BTreeMap<Destination, Selected>,
    /// The version of that.
    pub version: u64,
    /// Whether the table may be trusted.
    pub settled: bool,
    /// What happened, one line each, with the time in ms.
    pub log: Vec<(u128, String)>,
    /// Whether it runs.
    pub alive: bool,
    /// The addresses that its data planes found tunnels to.
    pub tunnels_up: BTreeSet<IpAddr>,
    /// The organisations whose listener one of its data planes has closed, by data plane.
    pub closed: BTreeMap<Arc<str>, ClosedListeners>,
    /// How many batches it has taken.
    pub(super) batches: u64,
}

impl Node {
    pub(super) fn new(config: SpeakerConfig, now: Instant) -> Self {
        Self {
            speaker: Speaker::new(config.clone(), now),
            config,
            routes: BTreeMap::new(),
            version: 0,
            settled: false,
            log: Vec::new(),
            alive: false,
            tunnels_up: BTreeSet::new(),
            closed: BTreeMap::new(),
            batches: 0,
        }
    }

    /// Remembers what data planes say of tunnels and listeners.
    pub(super) fn note(&mut self, event: &Event) {
        if let Event::Listeners { plane, closed } = event {
            self.closed.insert(plane.clone(), closed.clone());
        }
        if let Event::Tunnel { address, up } = event {
            self.tunnels_up.remove(address);
            self.tunnels_up.extend(up.then_some(*address));
        }
    }

    /// Applies an update as a data plane would, and checks what the contract promises of it.
    pub(super) fn apply(&mut self, update: RouteUpdate) {
        match update {
            RouteUpdate::Reset {
                version,
                routes,
                settled,
            } => {
                assert!(
                    routes.is_sorted_by(|one, other| one.destination() < other.destination()),
                    "a Reset is in order"
                );
                self.routes = routes.into_iter().map(|route| (route.destination(), route)).collect();
                (self.version, self.settled) = (version, settled);
            }
            RouteUpdate::Delta {
                from,
                to,
                changes,
                settled,
            } => {
                assert_eq!(
                    (from, to),
                    (self.version, self.version + 1),
                    "a Delta follows what came before"
                );
                let names: BTreeSet<&Destination> = changes.iter().map(|change| &change.destination).collect();
                assert_eq!(names.len(), changes.len(), "one entry per name");
                for change in changes {
                    self.apply_change(change.destination, change.route);
                }
                (self.version, self.settled) = (to, settled);
            }
        }
    }

    fn apply_change(&mut self, name: Destination, route: Option<Selected>) {
        let before = self.routes.get(&name).cloned();
        assert_ne!(before, route, "{name}: a change changes something");
        match route {
            Some(route) => self.routes.insert(name, route),
            None => self.routes.remove(&name),
        };
    }

    /// Whether a line of its log contains this.
    #[must_use]
    pub fn logged(&self, text: &str) -> bool {
        self.log.iter().any(|(_, line)| line.contains(text))
    }
}
