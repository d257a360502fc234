//! Changes of attributes by the actions of a policy.

use super::{Action, CommunityPattern};
use crate::attrs::Attrs;
use crate::wire::MAX_COMMUNITIES;

impl Action {
    /// Applies the change. Prepending is not done here: where the path begins is the exporter's to know.
    pub(crate) fn apply(&self, attrs: &mut Attrs) {
        match self {
            Self::SetLocalPref(value) => attrs.local_pref = Some(*value),
            Self::SetMed(value) => attrs.med = *value,
            Self::AddCommunities(added) => add(&mut attrs.communities, added),
            Self::AddLargeCommunities(added) => add(&mut attrs.large_communities, added),
            Self::RemoveCommunities(patterns) => remove_communities(attrs, patterns),
            Self::Prepend(_) => {}
        }
    }

    /// How many times more than once AS_PATH begins with our own AS.
    pub(crate) fn prepends(&self) -> usize {
        match self {
            Self::Prepend(times) => usize::from(*times),
            Self::SetLocalPref(_)
            | Self::SetMed(_)
            | Self::AddCommunities(_)
            | Self::AddLargeCommunities(_)
            | Self::RemoveCommunities(_) => 0,
        }
    }
}

/// Keeps the list sorted; what the wire has no room for is left out.
fn add<T: Ord + Copy>(list: &mut Vec<T>, added: &[T]) {
    for community in added {
        if let Err(at) = list.binary_search(community)
            && list.len() < MAX_COMMUNITIES
        {
            list.insert(at, *community);
        }
    }
}

/// Takes off the communities, of both sizes, that a pattern takes in.
pub(crate) fn remove_communities(attrs: &mut Attrs, patterns: &[CommunityPattern]) {
    let gone = |community: &u32| patterns.iter().any(|pattern| pattern.matches_standard(*community));
    attrs.communities.retain(|community| !gone(community));
    let gone = |community: &(u32, u32, u32)| patterns.iter().any(|pattern| pattern.matches_large(*community));
    attrs.large_communities.retain(|community| !gone(community));
}
