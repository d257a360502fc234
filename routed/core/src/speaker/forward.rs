//! Where traffic for a name goes, as the data planes of this node send it.

use super::Speaker;
use crate::event::Aggregate;
use crate::name::ServiceName;
use crate::rib::LOCAL;
use crate::route::Forward;

impl Speaker {
    /// Where traffic for an exact name goes: the longest of the name itself, the wildcards that cover it, and `*`.
    /// `None`: nothing here leads to it.
    #[must_use]
    pub fn forward(&self, name: &str) -> Option<Forward> {
        if let Some(found) = self.forward_by(name) {
            return Some(found);
        }
        let mut wildcard = String::with_capacity(name.len() + 2);
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            wildcard.clear();
            wildcard.push_str("*.");
            wildcard.push_str(parent);
            if let Some(found) = self.forward_by(&wildcard) {
                return Some(found);
            }
            rest = parent;
        }
        self.forward_by("*")
    }

    fn forward_by(&self, key: &str) -> Option<Forward> {
        let name = self.rib.names.lookup(key.as_bytes());
        let selected = name.map_or(0, |name| self.rib.names.get(name).selected);
        if selected == 0 {
            return self.is_discarded(key).then_some(Forward::Discard);
        }
        let path = self.rib.path(selected);
        Some(match path.peer {
            LOCAL => Forward::Here,
            _ => Forward::To(self.rib.attrs.next_hop(path.attr)),
        })
    }

    /// Whether this node answers for a wildcard that nobody offers: that of an own domain, or an aggregate.
    fn is_discarded(&self, wildcard: &str) -> bool {
        let below = wildcard.strip_prefix("*.");
        let domain = |own: &ServiceName| below == Some(own.as_str());
        let aggregate = |own: &Aggregate| own.name.as_str() == wildcard;
        self.config.domains.iter().any(domain) || self.config.aggregates.iter().any(aggregate)
    }
}
