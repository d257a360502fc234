//! What this node knows about a name, read from the Speaker in one go.

use std::time::Instant;

use catalyst_core::name::ServiceName;
use catalyst_core::route::Destination;
use catalyst_core::speaker::Speaker;
use catalyst_core::view::{PeerView, PeerWhy, PlaneCounts, RouteView};

use crate::admin::explain::why::refused;

/// What there is under a name.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// This path is in use; the route may be a wildcard that covers the name.
    InUse(Box<RouteView>),
    /// There are paths, none of which is in use.
    Unused(Vec<RouteView>),
    /// Nobody offers it, and this wildcard of ours keeps shorter ones from answering: a domain, or an aggregate.
    Stopped(ServiceName),
    /// Nobody offers it.
    Nothing,
}

/// A snapshot.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) name: ServiceName,
    pub(super) found: Found,
    pub(super) peers: Vec<PeerView>,
    pub(super) planes: Vec<PlaneCounts>,
    /// Whether the peer that calls is told of the route in use.
    pub(super) told: Option<PeerWhy>,
}

impl Facts {
    /// What peers offered by this very name that was refused and not kept.
    pub(super) fn refused(&self) -> Vec<String> {
        refused(&self.peers, self.name.as_str())
    }

    /// What there is to know about a call of `name`, by the peer `from` if one is given. `stops` are the wildcards below
    /// which nothing is sent elsewhere.
    pub(super) fn read(
        speaker: &Speaker,
        name: &ServiceName,
        from: Option<&str>,
        stops: &[ServiceName],
        now: Instant,
    ) -> Self {
        let found = find(name, stops, |candidate| {
            speaker.route(&Destination::Name(candidate.clone()), now)
        });
        let told = match (&found, from) {
            (Found::InUse(path), Some(from)) => told(speaker, &path.destination, from, now),
            (Found::InUse(_) | Found::Unused(_) | Found::Stopped(_) | Found::Nothing, _) => None,
        };
        Self {
            name: name.clone(),
            found,
            peers: speaker.peers(now),
            planes: speaker.plane_counts(),
            told,
        }
    }

    pub(super) fn peer(&self, name: &str) -> Option<&PeerView> {
        self.peers.iter().find(|peer| *peer.name == *name)
    }
}

fn told(speaker: &Speaker, destination: &Destination, from: &str, now: Instant) -> Option<PeerWhy> {
    let why = speaker.why(destination, now)?;
    why.peers.into_iter().find(|peer| *peer.peer == *from)
}

/// As Envoy looks it up: the name itself, then the longest wildcard that covers it, down to a stop.
fn find(name: &ServiceName, stops: &[ServiceName], paths: impl Fn(&ServiceName) -> Vec<RouteView>) -> Found {
    let mut unused = Vec::new();
    let mut stopped = None;
    for candidate in candidates(name) {
        let paths = paths(&candidate);
        if let Some(path) = paths.iter().find(|path| path.selected) {
            return Found::InUse(Box::new(path.clone()));
        }
        if unused.is_empty() {
            unused = paths;
            // An aggregate is announced, not used.
            unused.retain(|path| path.learned_from.is_some());
        }
        if stops.contains(&candidate) {
            stopped = Some(candidate);
            break;
        }
    }
    match (unused.is_empty(), stopped) {
        (false, _) => Found::Unused(unused),
        (true, Some(stop)) => Found::Stopped(stop),
        (true, None) => Found::Nothing,
    }
}

/// The names that may answer for a name, longest first.
fn candidates(name: &ServiceName) -> Vec<ServiceName> {
    let text = name.as_str();
    let dots = text.match_indices('.').map(|(at, _)| format!("*{}", &text[at..]));
    let wildcards = dots.chain([String::from("*")]);
    std::iter::once(name.clone())
        .chain(wildcards.filter_map(|wildcard| ServiceName::parse(&wildcard).ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::parse(text).unwrap()
    }

    #[test]
    fn wildcards_are_asked_from_the_longest_to_the_default() {
        let all: Vec<String> = candidates(&name("a.dc1.acme"))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(all, ["a.dc1.acme", "*.dc1.acme", "*.acme", "*"]);
    }

    #[test]
    fn a_stop_keeps_shorter_wildcards_away() {
        let asked = std::cell::RefCell::new(Vec::new());
        let nobody = |candidate: &ServiceName| {
            asked.borrow_mut().push(candidate.to_string());
            Vec::new()
        };
        let found = find(&name("a.acme"), &[name("*.acme")], nobody);
        assert!(matches!(found, Found::Stopped(stop) if stop == name("*.acme")));
        assert_eq!(asked.take(), ["a.acme", "*.acme"]);
        assert!(matches!(find(&name("acme"), &[name("*.acme")], nobody), Found::Nothing));
        assert_eq!(asked.take(), ["acme", "*"]);
    }
}
