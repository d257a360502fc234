//! Names of communities: those of the section `communities`, and the well-known ones.

use std::collections::{BTreeMap, HashMap};

use catalyst_core::attrs::{LargeCommunity, WELL_KNOWN_COMMUNITIES};
use catalyst_core::policy::CommunityPattern;

use super::either::Either;
use super::policy::{NamedCommunity, pattern_of};
use super::text::{Community, Spelled, Text};
use super::types::{Config, Service};

/// The number of a named community.
pub(super) fn number(named: &NamedCommunity) -> &Community {
    match named {
        Either::Short(community) => &community.0,
        Either::Long(section) => &section.community.0,
    }
}

/// Communities given by number, standard and large ones, each in order and once.
pub(super) fn by_size(communities: impl Iterator<Item = Community>) -> (Vec<u32>, Vec<LargeCommunity>) {
    let (mut standard, mut large) = (Vec::new(), Vec::new());
    for community in communities {
        match community {
            Community::Standard(number) => standard.push(number),
            Community::Large(number) => large.push(number),
            Community::Named(_) => {}
        }
    }
    standard.sort_unstable();
    standard.dedup();
    large.sort_unstable();
    large.dedup();
    (standard, large)
}

impl Config {
    /// The number of a community, however it is written; `None`: nothing has that name.
    pub(super) fn community(&self, community: &Community) -> Option<Community> {
        let Community::Named(name) = community else {
            return Some(community.clone());
        };
        let well_known = WELL_KNOWN_COMMUNITIES.iter().find(|(known, _)| *known == name.0);
        let well_known = well_known.map(|(_, number)| Community::Standard(*number));
        well_known.or_else(|| self.communities.get(&name.0).map(|named| number(named).clone()))
    }

    /// Every name of a community.
    pub(super) fn community_names(&self) -> impl Iterator<Item = &str> {
        let well_known = WELL_KNOWN_COMMUNITIES.iter().map(|(name, _)| *name);
        self.communities.keys().map(String::as_str).chain(well_known)
    }

    /// The names of communities by their numbers as tables print them.
    fn names_of_communities(&self) -> BTreeMap<String, String> {
        let well_known = WELL_KNOWN_COMMUNITIES
            .iter()
            .map(|(name, number)| (*name, Community::Standard(*number)));
        let named = self
            .communities
            .iter()
            .map(|(name, c)| (name.as_str(), number(c).clone()));
        let print = |(name, number): (&str, Community)| (number.print(), name.to_owned());
        well_known.chain(named).map(print).collect()
    }

    /// The names of some communities by their numbers.
    #[must_use]
    pub fn names_of(&self, numbers: &[String]) -> HashMap<String, String> {
        let names = self.names_of_communities();
        let named = |number: &String| Some((number.clone(), names.get(number)?.clone()));
        numbers.iter().filter_map(named).collect()
    }

    /// The communities that are never told another organisation.
    pub(super) fn internal_communities(&self) -> Vec<CommunityPattern> {
        let internal = self.communities.values().filter_map(|named| match named {
            Either::Long(section) if section.internal => Some(&section.community.0),
            Either::Long(_) | Either::Short(_) => None,
        });
        internal.filter_map(pattern_of).collect()
    }

    /// The numbers of communities, standard and large ones.
    pub(super) fn numbers_of(&self, communities: &[Spelled<Community>]) -> (Vec<u32>, Vec<LargeCommunity>) {
        by_size(communities.iter().filter_map(|community| self.community(&community.0)))
    }

    /// The same service with numbers in place of names of communities, for use where this configuration is not known.
    #[must_use]
    pub fn with_numbers(&self, service: &Service) -> Service {
        let mut service = service.clone();
        for community in &mut service.communities {
            if let Some(number) = self.community(&community.0) {
                community.0 = number;
            }
        }
        service
    }
}
