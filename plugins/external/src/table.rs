//! The table as one plane sees it, with the version of each name: the difference between any two versions can be told
//! from it, so that nothing is queued for a slow instance.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use catalyst_plugin::{Destination, RouteUpdate, Selected};

/// Names that are gone and still known, so that an instance which returns is told of them. Beyond that the oldest are
/// forgotten: an instance from before gets the whole table.
const MAX_GONE: usize = 1 << 16;

#[derive(Debug)]
struct Entry {
    /// `None`: it is gone.
    route: Option<Selected>,
    /// The version in which it last changed.
    version: u64,
}

/// A place in the log: after all changes of versions before, and those of this version up to a name.
pub(crate) type Cursor = (u64, Option<Destination>);

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: BTreeMap<Destination, Entry>,
    /// Each name once, under the version in which it last changed.
    log: BTreeMap<u64, BTreeSet<Destination>>,
    /// How many entries are gone.
    gone: usize,
    /// `None` before the first Reset.
    version: Option<u64>,
    settled: bool,
    /// Changes up to here may have been forgotten.
    forgotten: u64,
}

/// What an update did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// These names are other than before.
    Changed(Vec<Destination>),
    /// It does not follow on what is held.
    Gap,
}

impl Table {
    /// The version that it has; `None` before the first Reset.
    pub(crate) fn version(&self) -> Option<u64> {
        self.version
    }

    /// As in [`RouteUpdate`].
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// The version in which a name last changed, if it has a route.
    pub(crate) fn version_of(&self, name: &Destination) -> Option<u64> {
        let entry = self.entries.get(name)?;
        entry.route.as_ref().map(|_| entry.version)
    }

    /// Takes in an update; of its routes those that the plane serves.
    pub(crate) fn take(&mut self, update: RouteUpdate, serves: impl Fn(&Selected) -> bool) -> Taken {
        match update {
            RouteUpdate::Reset {
                version,
                routes,
                settled,
            } => {
                let routes = routes.into_iter().filter(|route| serves(route));
                let changed = self.replace(version, routes);
                self.advance(version, settled);
                Taken::Changed(changed)
            }
            RouteUpdate::Delta {
                from,
                to,
                changes,
                settled,
            } if self.version == Some(from) => {
                let mut changed = Vec::new();
                for change in changes {
                    let route = change.route.filter(|route| serves(route));
                    if self.set(&change.destination, route, to) {
                        changed.push(change.destination);
                    }
                }
                self.advance(to, settled);
                Taken::Changed(changed)
            }
            RouteUpdate::Delta { .. } => Taken::Gap,
        }
    }

    /// What a Reset does not change keeps its version: instances are sent the difference.
    fn replace(&mut self, version: u64, routes: impl Iterator<Item = Selected>) -> Vec<Destination> {
        let wanted: BTreeMap<Destination, Selected> = routes.map(|route| (route.destination(), route)).collect();
        let live = self.entries.iter().filter(|(_, entry)| entry.route.is_some());
        let lost = live.filter(|(name, _)| !wanted.contains_key(*name));
        let mut changed: Vec<Destination> = lost.map(|(name, _)| name.clone()).collect();
        for name in &changed {
            self.set(name, None, version);
        }
        for (name, route) in wanted {
            if self.set(&name, Some(route), version) {
                changed.push(name);
            }
        }
        changed
    }

    /// True if that is something else than before.
    fn set(&mut self, name: &Destination, route: Option<Selected>, version: u64) -> bool {
        let before = self.entries.get(name);
        if before.and_then(|entry| entry.route.as_ref()) == route.as_ref() {
            return false;
        }
        if let Some(before) = before {
            let was_gone = before.route.is_none();
            let old = before.version;
            self.gone -= usize::from(was_gone);
            self.unlog(old, name);
        }
        self.gone += usize::from(route.is_none());
        self.log.entry(version).or_default().insert(name.clone());
        self.entries.insert(name.clone(), Entry { route, version });
        true
    }

    fn unlog(&mut self, version: u64, name: &Destination) {
        if let Some(names) = self.log.get_mut(&version) {
            names.remove(name);
            if names.is_empty() {
                self.log.remove(&version);
            }
        }
    }

    fn advance(&mut self, version: u64, settled: bool) {
        self.version = Some(version);
        self.settled = settled;
        if self.gone > MAX_GONE {
            self.forget();
        }
    }

    /// Forgets the older half of what is gone.
    fn forget(&mut self) {
        let gone = |name: &&Destination| self.entries.get(*name).is_some_and(|entry| entry.route.is_none());
        let in_order = self.log.iter().flat_map(|(version, names)| {
            let gone = names.iter().filter(gone);
            gone.map(|name| (*version, name.clone()))
        });
        let oldest: Vec<_> = in_order.take(self.gone - MAX_GONE / 2).collect();
        for (version, name) in oldest {
            self.entries.remove(&name);
            self.unlog(version, &name);
            self.gone -= 1;
            self.forgotten = version;
        }
    }

    /// Whether all changes after a version are known.
    pub(crate) fn knows_since(&self, version: u64) -> bool {
        self.version
            .is_some_and(|now| self.forgotten <= version && version <= now)
    }

    /// The names that changed after `from`, up to and with version `to`, in order.
    pub(crate) fn changes(
        &self,
        from: Cursor,
        to: u64,
    ) -> impl Iterator<Item = (u64, &Destination, Option<&Selected>)> {
        let (version, after) = from;
        let begun = after.is_some().then(|| self.log.get(&version)).flatten();
        let rest = begun.into_iter().flat_map(move |names| {
            let start = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
            let rest = names.range((start, Bound::Unbounded));
            rest.map(move |name| (version, name))
        });
        let later = self
            .log
            .range((Bound::Excluded(version), Bound::Included(to.max(version))));
        let later = later.flat_map(|(version, names)| names.iter().map(|name| (*version, name)));
        rest.chain(later).filter_map(|(version, name)| {
            let entry = self.entries.get(name)?;
            Some((version, name, entry.route.as_ref()))
        })
    }

    /// The routes whose names come after `after`, in order.
    pub(crate) fn routes(&self, after: Option<&Destination>) -> impl Iterator<Item = &Selected> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.entries.range::<Destination, _>((start, Bound::Unbounded));
        rest.filter_map(|(_, entry)| entry.route.as_ref())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use catalyst_plugin::{Change, Protocol, Route, Table as Origin, Target};

    use super::*;

    pub(crate) fn name(text: &str) -> Destination {
        text.parse().unwrap()
    }

    pub(crate) fn route(text: &str, path: &str) -> Selected {
        let route = Route {
            name: text.parse().unwrap(),
            protocol: Protocol::Http,
            path: Some(path.into()),
            table: Origin::Internal,
            origin: None,
            target: Target::Discard,
            exported_to: Arc::default(),
        };
        Arc::new(route).into()
    }

    fn path(route: &Selected) -> &str {
        route.name().unwrap().path.as_deref().unwrap()
    }

    pub(crate) fn reset(version: u64, routes: &[(&str, &str)]) -> RouteUpdate {
        RouteUpdate::Reset {
            version,
            routes: routes.iter().map(|(name, path)| route(name, path)).collect(),
            settled: true,
        }
    }

    pub(crate) fn delta(from: u64, to: u64, changes: &[(&str, Option<&str>)]) -> RouteUpdate {
        let changes = changes.iter().map(|(text, path)| Change {
            destination: name(text),
            route: path.map(|path| route(text, path)),
        });
        RouteUpdate::Delta {
            from,
            to,
            changes: changes.collect(),
            settled: true,
        }
    }

    fn all(_: &Selected) -> bool {
        true
    }

    fn since(table: &Table, from: u64) -> Vec<(u64, String, Option<String>)> {
        let changes = table.changes((from, None), u64::MAX);
        changes
            .map(|(version, name, route)| {
                let path = route.map(|route| path(route).to_owned());
                (version, name.to_string(), path)
            })
            .collect()
    }

    #[test]
    fn the_difference_to_any_version_has_the_last_word_on_each_name() {
        let mut table = Table::default();
        assert_eq!(table.take(delta(1, 2, &[]), all), Taken::Gap);
        table.take(reset(1, &[("a", "/1"), ("b", "/1"), ("c", "/1")]), all);
        table.take(delta(1, 2, &[("a", Some("/2")), ("b", None)]), all);
        table.take(delta(2, 3, &[("a", Some("/3")), ("d", Some("/3"))]), all);
        let text = |version, name: &str, path: Option<&str>| (version, name.to_owned(), path.map(str::to_owned));
        assert_eq!(
            since(&table, 1),
            [text(2, "b", None), text(3, "a", Some("/3")), text(3, "d", Some("/3"))]
        );
        assert_eq!(since(&table, 2), [text(3, "a", Some("/3")), text(3, "d", Some("/3"))]);
        assert_eq!(since(&table, 3), []);
        assert_eq!(table.take(delta(2, 3, &[]), all), Taken::Gap);
        let paused = table.changes((3, Some(name("a"))), 3).map(|(_, name, _)| name.clone());
        assert_eq!(paused.collect::<Vec<_>>(), [name("d")]);
    }

    #[test]
    fn a_reset_changes_what_differs_and_nothing_else() {
        let mut table = Table::default();
        table.take(reset(1, &[("a", "/1"), ("b", "/1")]), all);
        let taken = table.take(reset(5, &[("b", "/1"), ("c", "/1")]), all);
        assert_eq!(taken, Taken::Changed(vec![name("a"), name("c")]));
        assert_eq!(
            (table.version_of(&name("a")), table.version_of(&name("b"))),
            (None, Some(1))
        );
        assert_eq!(table.routes(Some(&name("b"))).count(), 1);
    }

    #[test]
    fn what_is_not_served_is_not_there() {
        let mut table = Table::default();
        let served = |route: &Selected| path(route) == "/1";
        table.take(reset(1, &[("a", "/1"), ("b", "/2")]), served);
        assert_eq!(table.routes(None).count(), 1);
        let taken = table.take(delta(1, 2, &[("a", Some("/2")), ("b", Some("/3"))]), served);
        assert_eq!(taken, Taken::Changed(vec![name("a")]));
        assert_eq!(since(&table, 1), [(2, "a".to_owned(), None)]);
    }

    #[test]
    fn names_that_come_and_go_are_forgotten_in_time() {
        let mut table = Table::default();
        table.take(reset(1, &[("stays", "/1")]), all);
        for n in 0..2 * MAX_GONE as u64 {
            let text = format!("n{n}");
            table.take(delta(1 + 2 * n, 2 + 2 * n, &[(&text, Some("/"))]), all);
            table.take(delta(2 + 2 * n, 3 + 2 * n, &[(&text, None)]), all);
        }
        assert!(table.entries.len() <= MAX_GONE + 1, "{}", table.entries.len());
        assert_eq!(
            table.log.values().map(BTreeSet::len).sum::<usize>(),
            table.entries.len()
        );
        let now = table.version().unwrap();
        assert!(table.knows_since(now - 10) && !table.knows_since(1) && !table.knows_since(now + 1));
        assert!(table.version_of(&name("stays")).is_some());
    }
}
