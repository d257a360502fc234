//! The lists of conditions, compiled: what is asked of a list of thousands must not cost thousands of comparisons.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::pattern::Asks;
use super::{CommunityPattern, NamePattern, PrefixPattern};
use crate::attrs::Attrs;
use crate::prefix::Prefix;

/// Names by patterns.
#[derive(Debug, Default)]
pub(crate) struct NameSet {
    all: bool,
    exact: FxHashSet<Arc<str>>,
    /// Names below one of these.
    below: FxHashSet<Arc<str>>,
    others: Vec<NamePattern>,
}

impl NameSet {
    pub(crate) fn new(patterns: &[NamePattern]) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match pattern.asks() {
                Asks::Nothing => set.all = true,
                Asks::Is(text) => drop(set.exact.insert(text.into())),
                Asks::Below(text) => drop(set.below.insert(text.into())),
                Asks::Labels => set.others.push(pattern.clone()),
            }
        }
        set
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.all
            || !self.exact.is_empty() && self.exact.contains(name)
            || !self.below.is_empty() && parents(name).any(|parent| self.below.contains(parent))
            || self.others.iter().any(|pattern| pattern.matches(name))
    }
}

/// What a name is below, nearest first.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |rest| rest.split_once('.').map(|(_, parent)| parent)).skip(1)
}

/// Prefixes by patterns.
#[derive(Debug, Default)]
pub(crate) struct PrefixRanges {
    /// The lengths of the prefixes that patterns are within.
    lengths: Vec<u8>,
    /// By the prefix that they are within: the lengths that match.
    within: FxHashMap<Prefix, Vec<(u8, u8)>>,
}

impl PrefixRanges {
    pub(crate) fn new(patterns: &[PrefixPattern]) -> Self {
        let mut ranges = Self::default();
        for pattern in patterns {
            let range = (pattern.min, pattern.max);
            ranges.within.entry(pattern.within).or_default().push(range);
            ranges.lengths.push(pattern.within.length());
        }
        ranges.lengths.sort_unstable();
        ranges.lengths.dedup();
        ranges
    }

    pub(crate) fn contains(&self, prefix: Prefix) -> bool {
        let shorter = self.lengths.iter().take_while(|length| **length <= prefix.length());
        shorter
            .filter_map(|length| self.within.get(&Prefix::of(prefix.address(), *length).ok()?))
            .flatten()
            .any(|(min, max)| (*min..=*max).contains(&prefix.length()))
    }
}

/// Communities by patterns.
#[derive(Debug, Default)]
pub(crate) struct CommunitySet {
    /// Sorted.
    standard: Vec<u32>,
    others: Vec<CommunityPattern>,
}

impl CommunitySet {
    pub(crate) fn new(patterns: &[CommunityPattern]) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match *pattern {
                CommunityPattern::Standard(Some(asn), Some(value)) => {
                    set.standard.push(u32::from(asn) << 16 | u32::from(value));
                }
                CommunityPattern::Standard(..) | CommunityPattern::Large(..) => set.others.push(*pattern),
            }
        }
        set.standard.sort_unstable();
        set
    }

    /// Whether a route carries any of them.
    pub(crate) fn meets(&self, attrs: &Attrs) -> bool {
        let exact = |community: &u32| self.standard.binary_search(community).is_ok();
        attrs.communities.iter().any(exact)
            || self.others.iter().any(|pattern| {
                let standard = |community: &u32| pattern.matches_standard(*community);
                let large = |community: &(u32, u32, u32)| pattern.matches_large(*community);
                attrs.communities.iter().any(standard) || attrs.large_communities.iter().any(large)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_names_takes_in_what_any_of_its_patterns_does() {
        let texts = ["a.acme", "*.dc1.acme", "*.b", "x-*.c", "*.y*.d", "=*.e"];
        let patterns: Vec<NamePattern> = texts.iter().map(|text| NamePattern::parse(text).unwrap()).collect();
        let set = NameSet::new(&patterns);
        for name in [
            "a.acme",
            "b.acme",
            "*.acme",
            "dc1.acme",
            "q.dc1.acme",
            "p.q.dc1.acme",
            "*.dc1.acme",
            "b",
            "a.b",
            "*.b",
            "*",
            "x-1.c",
            "x.c",
            "q.y1.d",
            "y1.d",
            "*.e",
            "a.e",
            "acme",
        ] {
            let expected = patterns.iter().any(|pattern| pattern.matches(name));
            assert_eq!(set.contains(name), expected, "{name}");
        }
        let all = NameSet::new(&[NamePattern::parse("*").unwrap()]);
        assert!(all.contains("*") && all.contains("a.b"));
        assert!(!NameSet::new(&[]).contains("a"));
    }

    #[test]
    fn ranges_of_prefixes_take_in_what_any_of_their_patterns_does() {
        let pattern = |text: &str, min, max| PrefixPattern {
            within: text.parse().unwrap(),
            min,
            max,
        };
        let patterns = [
            pattern("10.0.0.0/8", 8, 8),
            pattern("10.1.0.0/16", 20, 24),
            pattern("10.1.0.0/16", 32, 32),
            pattern("2001:db8::/32", 32, 128),
        ];
        let ranges = PrefixRanges::new(&patterns);
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.0.0.0/16",
            "10.1.0.0/16",
            "10.1.16.0/20",
            "10.1.2.0/24",
            "10.1.2.0/25",
            "10.1.2.3/32",
            "10.2.2.3/32",
            "2001:db8::/32",
            "2001:db8::1/128",
            "2001:db9::/32",
            "::/0",
        ] {
            let prefix: Prefix = text.parse().unwrap();
            let expected = patterns.iter().any(|pattern| pattern.matches(prefix));
            assert_eq!(ranges.contains(prefix), expected, "{text}");
        }
    }
}
