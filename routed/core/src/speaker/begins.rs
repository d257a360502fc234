//! What begins with a text, for the completion of command lines: little work, whatever the size of the table.

use super::Speaker;
use crate::destination::Destination;
use crate::intern::NameId;
use crate::name::ServiceName;

/// Prefixes are not sorted by their text: at most so many are looked at.
const PREFIXES_SEEN: usize = 10_000;

impl Speaker {
    /// Destinations that have a path and begin with `text` (in lower case), names in order first; at most `limit`.
    #[must_use]
    pub fn destinations_beginning(&self, text: &str, limit: usize) -> Vec<Destination> {
        let order = self.order.of(&self.rib.names);
        let names = &self.rib.names;
        let from = order.partition_point(|name| names.key(*name) < text.as_bytes());
        let begins = |name: &&NameId| names.key(**name).starts_with(text.as_bytes()) && names.prefix(**name).is_none();
        let by_name = order[from..].iter().take_while(begins);
        let prefixes = order.partition_point(|name| names.prefix(*name).is_none());
        let by_text = order[prefixes..].iter().take(PREFIXES_SEEN);
        by_name
            .filter(|name| self.rib.paths_of(**name).next().is_some())
            .map(|name| names.destination(*name))
            .chain(
                by_text
                    .map(|name| names.destination(*name))
                    .filter(|prefix| prefix.to_string().starts_with(text)),
            )
            .take(limit)
            .collect()
    }

    /// Services of this node whose name begins with `text` (in lower case), in order; at most `limit`.
    #[must_use]
    pub fn services_beginning(&self, text: &str, limit: usize) -> Vec<ServiceName> {
        let names = &self.rib.names;
        let services = self
            .services
            .keys()
            .filter(|id| names.key(**id).starts_with(text.as_bytes()));
        let mut found: Vec<ServiceName> = services
            .filter_map(|id| match names.destination(*id) {
                Destination::Name(name) => Some(name),
                Destination::Prefix(_) => None,
            })
            .collect();
        found.sort_unstable();
        found.truncate(limit);
        found
    }

    /// Configured peers whose name begins with `text`, in order; at most `limit`.
    #[must_use]
    pub fn peers_beginning(&self, text: &str, limit: usize) -> Vec<String> {
        let names = self.peers.iter().map(|peer| &*peer.config.name);
        let begin = names.filter(|name| name.starts_with(text));
        begin.take(limit).map(str::to_owned).collect()
    }
}
