//! Sets of prefixes that answer whether one is within them.

use std::net::IpAddr;

use super::Prefix;

/// Prefixes, without those that are within another one of them: each is then told from its predecessor alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrefixSet {
    disjoint: Vec<Prefix>,
}

impl PrefixSet {
    /// Whether a prefix is in the set or within one that is.
    #[must_use]
    pub fn covers(&self, prefix: Prefix) -> bool {
        let after = self.disjoint.partition_point(|known| *known <= prefix);
        self.disjoint[..after].last().is_some_and(|known| known.covers(prefix))
    }

    /// Whether a prefix is one of those that the set is made of; one that another of them covers is none.
    #[must_use]
    pub fn names(&self, prefix: Prefix) -> bool {
        self.disjoint.binary_search(&prefix).is_ok()
    }

    /// Whether any address is both in a prefix and in the set.
    #[must_use]
    pub fn overlaps(&self, prefix: Prefix) -> bool {
        let at = self.disjoint.partition_point(|known| *known < prefix);
        let next = self.disjoint.get(at);
        next.is_some_and(|known| prefix.covers(*known)) || self.covers(prefix)
    }

    /// Whether an address is in the set.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        !self.disjoint.is_empty() && self.covers(Prefix::of_host(address))
    }

    /// The prefixes that the set is made of, in order, none within another.
    pub fn iter(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.disjoint.iter().copied()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.disjoint.is_empty()
    }

    /// Adds a prefix.
    pub fn insert(&mut self, prefix: Prefix) {
        if self.covers(prefix) {
            return;
        }
        let start = self.disjoint.partition_point(|known| *known < prefix);
        let within = self.disjoint[start..].partition_point(|known| prefix.covers(*known));
        self.disjoint.splice(start..start + within, [prefix]);
    }
}

impl FromIterator<Prefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let mut sorted: Vec<Prefix> = prefixes.into_iter().collect();
        sorted.sort_unstable();
        // A prefix stands before those within it.
        sorted.dedup_by(|later, kept| kept.covers(*later));
        Self { disjoint: sorted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every prefix of length 0 to 4 of both families.
    fn universe() -> Vec<Prefix> {
        let starts = (0..16u8).flat_map(|n| (0..=4u8).map(move |length| (n << 4, length)));
        let both = starts.flat_map(|(octet, length)| {
            [
                Prefix::new([octet, 0, 0, 0].into(), length),
                Prefix::new([u16::from(octet) << 8, 0, 0, 0, 0, 0, 0, 0].into(), length),
            ]
        });
        both.flatten().collect()
    }

    #[test]
    fn a_set_covers_what_any_of_its_prefixes_does() {
        let universe = universe();
        let mut seed = 7u64;
        for _ in 0..200 {
            let mut members = Vec::new();
            for _ in 0..6 {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                members.push(universe[(seed >> 33) as usize % universe.len()]);
            }
            let at_once: PrefixSet = members.iter().copied().collect();
            let mut one_by_one = PrefixSet::default();
            members.iter().for_each(|prefix| one_by_one.insert(*prefix));
            assert_eq!(at_once, one_by_one, "{members:?}");
            for prefix in &universe {
                let expected = members.iter().any(|member| member.covers(*prefix));
                assert_eq!(at_once.covers(*prefix), expected, "{members:?} {prefix}");
                let meets = |member: &Prefix| member.covers(*prefix) || prefix.covers(*member);
                assert_eq!(
                    at_once.overlaps(*prefix),
                    members.iter().any(meets),
                    "{members:?} {prefix}"
                );
                let others = members.iter().filter(|member| **member != *prefix);
                let named = members.contains(prefix) && !others.into_iter().any(|other| other.covers(*prefix));
                assert_eq!(at_once.names(*prefix), named, "{members:?} {prefix}");
            }
        }
    }
}
