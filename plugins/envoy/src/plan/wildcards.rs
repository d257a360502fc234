//! The wildcards of the table, as each class of listener sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalyst_plugin::{Route, ServiceName, Target};

use super::filter::Wildcards;
use super::names::Class;

/// What matters of a wildcard route to other names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wildcard {
    /// Whether somebody offers it; else it is a discard.
    offered: bool,
    exported_to: Arc<[Arc<str>]>,
}

impl Wildcard {
    /// Whether requests of the class may be served by it. If not it is a stop: no shorter wildcard may serve them.
    fn is_open_to(&self, class: Class<'_>) -> bool {
        match class {
            Class::Own => self.offered,
            Class::Org(org) => self.offered && self.exported_to.iter().any(|one| one.as_ref() == org),
        }
    }
}

/// All wildcards by suffix.
#[derive(Debug, Default)]
pub(crate) struct WildcardTable(BTreeMap<String, Wildcard>);

impl WildcardTable {
    /// Takes over what the routes say of a name now; true if that changes anything.
    pub(crate) fn update(&mut self, name: &ServiceName, route: Option<&Route>) -> bool {
        let Some(suffix) = name.wildcard_suffix() else {
            return false;
        };
        let now = route.map(|route| Wildcard {
            offered: !matches!(route.target, Target::Discard),
            exported_to: route.exported_to.clone(),
        });
        match now {
            Some(now) => self.0.insert(suffix.to_owned(), now.clone()) != Some(now),
            None => self.0.remove(suffix).is_some(),
        }
    }

    /// The table of a class for its Lua filters.
    pub(crate) fn of_class(&self, class: Class<'_>) -> Wildcards {
        self.0
            .iter()
            .map(|(suffix, wildcard)| (suffix.clone(), wildcard.is_open_to(class)))
            .collect()
    }

    /// Whether an exact name that a class does not know would be served by a wildcard that it knows.
    pub(crate) fn would_serve(&self, class: Class<'_>, name: &str) -> bool {
        let dots = name.match_indices('.').filter_map(|(at, _)| name.get(at..));
        dots.chain(std::iter::once(""))
            .find_map(|suffix| self.0.get(suffix))
            .is_some_and(|w| w.is_open_to(class))
    }

    /// The names of all wildcards.
    pub(crate) fn names(&self) -> impl Iterator<Item = ServiceName> {
        self.0
            .keys()
            .map(|suffix| ServiceName::from_checked(&format!("*{suffix}")))
    }
}

#[cfg(test)]
mod tests {
    use catalyst_plugin::{Protocol, Table};

    use super::*;

    fn route(name: &str, offered: bool, exported_to: &[&str]) -> Route {
        Route {
            name: ServiceName::parse(name).unwrap(),
            protocol: Protocol::Http,
            path: None,
            table: Table::Internal,
            origin: None,
            target: if offered {
                Target::Local(Vec::new())
            } else {
                Target::Discard
            },
            exported_to: exported_to.iter().map(|org| Arc::from(*org)).collect(),
        }
    }

    #[test]
    fn the_longest_wildcard_decides_per_class() {
        let mut table = WildcardTable::default();
        for route in [
            route("*.acme", true, &["x"]),
            route("*.dc1.acme", false, &["x"]),
            route("*.lab.acme", true, &[]),
        ] {
            assert!(table.update(&route.name, Some(&route)));
            assert!(!table.update(&route.name, Some(&route)));
        }
        let x = Class::Org("x");
        assert!(table.would_serve(x, "a.acme"));
        assert!(!table.would_serve(x, "a.dc1.acme"), "a discard is a stop");
        assert!(!table.would_serve(x, "a.lab.acme"), "what is not exported is a stop");
        assert!(table.would_serve(Class::Own, "a.lab.acme"));
        assert!(
            !table.would_serve(x, "acme"),
            "a wildcard does not cover its own suffix"
        );
        assert_eq!(
            table.of_class(x).values().copied().collect::<Vec<_>>(),
            [true, false, false]
        );
        assert!(table.update(&ServiceName::parse("*.acme").unwrap(), None));
        assert!(!table.would_serve(x, "a.acme"));
    }
}
