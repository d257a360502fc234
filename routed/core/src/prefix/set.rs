//! Sets of prefixes that answer whether one is within them.

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
            }
        }
    }
}
