//! The wildcards of the table.

use catalyst_plugin::{Route, ServiceName, Target};

use super::filter::Wildcards;

/// All wildcards by suffix.
#[derive(Debug, Default)]
pub(crate) struct WildcardTable(Wildcards);

impl WildcardTable {
    /// Takes over what the routes say of a name now; true if that changes anything.
    pub(crate) fn update(&mut self, name: &ServiceName, route: Option<&Route>) -> bool {
        let Some(suffix) = name.wildcard_suffix() else {
            return false;
        };
        let now = route.map(|route| !matches!(route.target, Target::Discard));
        match now {
            Some(offered) => self.0.insert(suffix.to_owned(), offered) != Some(offered),
            None => self.0.remove(suffix).is_some(),
        }
    }

    /// What the Lua filter looks up.
    pub(crate) fn entries(&self) -> &Wildcards {
        &self.0
    }

    /// The names of all wildcards.
    pub(crate) fn names(&self) -> impl Iterator<Item = ServiceName> {
        self.0
            .keys()
            .map(|suffix| ServiceName::from_checked(&format!("*{suffix}")))
    }
}
