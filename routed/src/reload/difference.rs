//! What a new configuration would change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use catalyst_core::event::{Event, LocalRoute, PeerName, SpeakerConfig};
use catalyst_core::route::Destination;
use catalyst_core::speaker::Preview;
use catalyst_core::view::{PeerAction, PeerChange, RouteChanges};

use crate::config::{Config, ConfigError, KeyChange, key_changes};
use crate::driver::{Gone, SpeakerHandle};

/// Paths copied from the Speaker at a time: a long table does not hold up routing.
const PAGE: usize = 1000;
/// The key of a peer's tunnel, as the Speaker spells it too.
const TUNNEL: &str = "tunnel";
/// As a view of a peer says it.
const ESTABLISHED: &str = "Established";

/// What happens to a service or prefix of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferAction {
    /// It is offered from now on.
    Added,
    /// It is offered no longer.
    Removed,
    /// It is offered differently.
    Changed,
}

impl OfferAction {
    /// As messages and logs say it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// The services and prefixes that are to be offered differently: what happens, and what is offered then.
#[derive(Debug, Clone, Default)]
pub struct OfferChanges(pub BTreeMap<Destination, (OfferAction, Option<LocalRoute>)>);

impl OfferChanges {
    pub(super) fn between(offered: Vec<LocalRoute>, wanted: Vec<LocalRoute>) -> Self {
        let mut before: BTreeMap<Destination, LocalRoute> = by_destination(offered);
        let mut changes = BTreeMap::new();
        for (destination, route) in by_destination(wanted) {
            let action = match before.remove(&destination) {
                Some(known) if known == route => continue,
                Some(_) => OfferAction::Changed,
                None => OfferAction::Added,
            };
            changes.insert(destination, (action, Some(route)));
        }
        changes.extend(before.into_keys().map(|gone| (gone, (OfferAction::Removed, None))));
        Self(changes)
    }

    pub(super) fn into_events(self) -> Vec<Event> {
        let event = |(destination, (_, route))| match (destination, route) {
            (_, Some(route)) => Event::from(route),
            (Destination::Name(name), None) => Event::ServiceRemove(name),
            (Destination::Prefix(prefix), None) => Event::PrefixRemove(prefix),
        };
        self.0.into_iter().map(event).collect()
    }

    fn outcomes(&self) -> BTreeMap<Destination, Option<LocalRoute>> {
        self.0
            .iter()
            .map(|(destination, (_, route))| (destination.clone(), route.clone()))
            .collect()
    }
}

fn by_destination(routes: Vec<LocalRoute>) -> BTreeMap<Destination, LocalRoute> {
    routes.into_iter().map(|route| (route.destination(), route)).collect()
}

/// What a new configuration would change.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The keys that differ.
    pub keys: Vec<KeyChange>,
    /// The peers whose own configuration differs.
    pub peers: Vec<PeerChange>,
    /// The services and prefixes that this node offers differently.
    pub offers: OfferChanges,
    /// The routes that come and go by it.
    pub routes: RouteChanges,
    /// What the new configuration says that is probably not meant.
    pub warnings: Vec<ConfigError>,
}

impl Difference {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.offers.0.is_empty()
    }

    /// The keys that can only change with a restart, in one line; empty: none.
    #[must_use]
    pub fn restart_keys(&self) -> String {
        let keys = self.keys.iter().filter(|change| change.needs_restart);
        keys.map(|change| change.path.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Looks ahead, without changing anything; routing goes on meanwhile.
    pub(super) async fn foresee(
        (old, new): (&Config, &Config),
        [from, to]: [SpeakerConfig; 2],
        offers: OfferChanges,
        speaker: &SpeakerHandle,
    ) -> Result<Self, Gone> {
        let wanted = to.clone();
        let (mut peers, established, around) = speaker
            .query(move |speaker, now| {
                let views = speaker.peers(now);
                let up = views.into_iter().filter(|peer| peer.state == ESTABLISHED);
                let established = up.map(|peer| peer.name).collect();
                let changes = speaker.peer_changes(&wanted);
                (changes, established, speaker.surroundings(&wanted))
            })
            .await?;
        note_tunnels((old, new), &established, &mut peers);
        let mut preview = Preview::new(from, to, &around, offers.outcomes(), Instant::now());
        let mut after = None;
        loop {
            let page = speaker
                .query(move |speaker, _| speaker.table_page(after.as_ref(), PAGE))
                .await?;
            after = page.last();
            if after.is_none() {
                break;
            }
            preview.page(&page, Instant::now());
            // A long table is worked out in parts that leave room for others.
            tokio::task::yield_now().await;
        }
        Ok(Self {
            keys: key_changes(old, new),
            peers,
            offers,
            routes: preview.finish(Instant::now()),
            warnings: Vec::new(),
        })
    }
}

/// The Speaker knows of a tunnel what it routes by. Pins, pre-shared keys and endpoints are the data plane's, and a change
/// of them may take down whatever is behind the tunnel.
fn note_tunnels((old, new): (&Config, &Config), established: &BTreeSet<PeerName>, peers: &mut Vec<PeerChange>) {
    for (name, peer) in &new.peers {
        let known = old.peers.get(name).filter(|before| before.tunnel != peer.tunnel);
        if known.is_none() {
            continue;
        }
        match peers.iter_mut().find(|change| *change.name == **name) {
            Some(change) if change.keys.contains(&TUNNEL) => {}
            Some(change) => change.keys.push(TUNNEL),
            None => peers.push(PeerChange {
                name: name.as_str().into(),
                action: PeerAction::Keep,
                keys: vec![TUNNEL],
                established: established.contains(name.as_str()),
            }),
        }
    }
    peers.sort_by(|one, other| one.name.cmp(&other.name));
}

#[cfg(test)]
mod tests {
    use catalyst_core::event::LocalPrefix;

    use super::*;
    use crate::config::{local_service, parse_service};

    fn service(name: &str, port: u16) -> LocalRoute {
        let json = format!(r#"{{"protocol": "http", "endpoints": [{{"url": "http://127.0.0.1:{port}"}}]}}"#);
        let (name, service) = parse_service(name, &json).unwrap();
        LocalRoute::Service(local_service(name, &service))
    }

    fn prefix(text: &str, med: u32) -> LocalRoute {
        LocalRoute::Prefix(LocalPrefix {
            prefix: text.parse().unwrap(),
            communities: Vec::new(),
            large_communities: Vec::new(),
            med: Some(med),
        })
    }

    #[test]
    fn a_pin_that_changes_is_a_change_of_the_peer() {
        let with = |tunnel: &str| {
            let text = format!(
                r#"{{"node": {{"name": "a", "as": 65001, "organisation": "acme"}},
                    "peers": {{"b": {{"address": "127.0.0.2:1790", "as": 65002, "organisation": "beta",
                                      "tunnel": {{"addresses": ["10.255.0.2/32"]{tunnel}}}}}}},
                    "plugins": {{"wireguard": {{"tunnels": {{"beta": {{"addresses": ["10.255.0.1/32"], "listen_port": 51820}}}}}}}}}}"#
            );
            crate::config::load_text(Some(("routed.json", &text)), &[]).unwrap()
        };
        let (old, new) = (with(""), with(r#", "preshared_key_file": "/run/b.psk""#));
        let up = BTreeSet::from(["b".into()]);
        let mut changes = Vec::new();
        note_tunnels((&old, &old), &up, &mut changes);
        assert!(changes.is_empty());
        for _ in 0..2 {
            // Once, also where the Speaker has told of it.
            note_tunnels((&old, &new), &up, &mut changes);
            let [change] = &changes[..] else { panic!("{changes:?}") };
            assert_eq!(
                (&*change.name, change.action, &change.keys[..], change.established),
                ("b", PeerAction::Keep, &[TUNNEL][..], true)
            );
        }
    }

    #[test]
    fn services_and_prefixes_are_compared_by_what_they_say() {
        let offered = vec![
            service("a", 1),
            service("b", 1),
            service("c", 1),
            prefix("10.1.0.0/16", 1),
            prefix("10.2.0.0/16", 1),
            prefix("10.3.0.0/16", 1),
        ];
        let wanted = vec![
            prefix("10.2.0.0/16", 2),
            prefix("10.3.0.0/16", 1),
            prefix("2001:db8::/32", 1),
            service("b", 2),
            service("c", 1),
            service("d", 1),
        ];
        let changes = OfferChanges::between(offered, wanted);
        let said: Vec<_> = changes
            .0
            .iter()
            .map(|(destination, (action, _))| format!("{destination} {}", action.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                "a removed",
                "b changed",
                "d added",
                "10.1.0.0/16 removed",
                "10.2.0.0/16 changed",
                "2001:db8::/32 added"
            ]
        );
        let events = changes.into_events();
        assert!(matches!(&events[3], Event::PrefixRemove(gone) if gone.to_string() == "10.1.0.0/16"));
        assert!(matches!(&events[5], Event::PrefixAdd(new) if new.med == Some(1)));
    }
}
