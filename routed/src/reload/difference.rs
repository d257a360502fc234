//! What a new configuration would change.

use std::collections::BTreeMap;
use std::time::Instant;

use catalyst_core::event::{Event, LocalService};
use catalyst_core::name::ServiceName;
use catalyst_core::speaker::Preview;
use catalyst_core::view::{PeerChange, RouteChanges};

use crate::config::{Config, ConfigError, KeyChange, key_changes};
use crate::driver::{Gone, SpeakerHandle};

/// Paths copied from the Speaker at a time: a long table does not hold up routing.
const PAGE: usize = 1000;

/// What happens to a service of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceAction {
    /// It is offered from now on.
    Added,
    /// It is offered no longer.
    Removed,
    /// It is offered differently.
    Changed,
}

impl ServiceAction {
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

/// The services that are to be offered differently: what happens, and what is offered then.
#[derive(Debug, Clone, Default)]
pub struct ServiceChanges(pub BTreeMap<ServiceName, (ServiceAction, Option<LocalService>)>);

impl ServiceChanges {
    pub(super) fn between(offered: Vec<LocalService>, wanted: Vec<LocalService>) -> Self {
        let mut before: BTreeMap<ServiceName, LocalService> = by_name(offered);
        let mut changes = BTreeMap::new();
        for (name, service) in by_name(wanted) {
            let action = match before.remove(&name) {
                Some(known) if known == service => continue,
                Some(_) => ServiceAction::Changed,
                None => ServiceAction::Added,
            };
            changes.insert(name, (action, Some(service)));
        }
        changes.extend(before.into_keys().map(|name| (name, (ServiceAction::Removed, None))));
        Self(changes)
    }

    pub(super) fn into_events(self) -> Vec<Event> {
        let event = |(name, (_, service))| match service {
            Some(service) => Event::ServiceAdd(service),
            None => Event::ServiceRemove(name),
        };
        self.0.into_iter().map(event).collect()
    }

    fn outcomes(&self) -> BTreeMap<ServiceName, Option<LocalService>> {
        self.0
            .iter()
            .map(|(name, (_, service))| (name.clone(), service.clone()))
            .collect()
    }
}

fn by_name(services: Vec<LocalService>) -> BTreeMap<ServiceName, LocalService> {
    services
        .into_iter()
        .map(|service| (service.name.clone(), service))
        .collect()
}

/// What a new configuration would change.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The keys that differ.
    pub keys: Vec<KeyChange>,
    /// The peers whose own configuration differs.
    pub peers: Vec<PeerChange>,
    /// The services that this node offers differently.
    pub services: ServiceChanges,
    /// The routes that come and go by it.
    pub routes: RouteChanges,
    /// What the new configuration says that is probably not meant.
    pub warnings: Vec<ConfigError>,
}

impl Difference {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.services.0.is_empty()
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
        old: &Config,
        new: &Config,
        services: ServiceChanges,
        speaker: &SpeakerHandle,
    ) -> Result<Self, Gone> {
        let (from, to) = (old.speaker(), new.speaker());
        let wanted = to.clone();
        let (peers, around) = speaker
            .query(move |speaker, _| (speaker.peer_changes(&wanted), speaker.surroundings()))
            .await?;
        let mut preview = Preview::new(from, to, &around, services.outcomes(), Instant::now());
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
            services,
            routes: preview.finish(Instant::now()),
            warnings: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{local_service, parse_service};

    fn service(name: &str, port: u16) -> LocalService {
        let json = format!(r#"{{"protocol": "http", "endpoints": [{{"url": "http://127.0.0.1:{port}"}}]}}"#);
        let (name, service) = parse_service(name, &json).unwrap();
        local_service(name, &service)
    }

    #[test]
    fn services_are_compared_by_what_they_say() {
        let offered = vec![service("a", 1), service("b", 1), service("c", 1)];
        let wanted = vec![service("b", 2), service("c", 1), service("d", 1)];
        let changes = ServiceChanges::between(offered, wanted);
        let said: Vec<_> = changes
            .0
            .iter()
            .map(|(name, (action, _))| (name.as_str(), action.as_str()))
            .collect();
        assert_eq!(said, [("a", "removed"), ("b", "changed"), ("d", "added")]);
        assert_eq!(changes.into_events().len(), 3);
    }
}
