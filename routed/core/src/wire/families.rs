//! Sets of families.

use std::fmt;

use super::Family;

/// A set of families.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Families(u8);

impl Families {
    /// None.
    pub const NONE: Self = Self(0);
    /// Service names alone.
    pub const NAMES: Self = Self(1 << Family::Name as u8);
    /// Prefixes of both families.
    pub const PREFIXES: Self = Self(1 << Family::Ipv4 as u8 | 1 << Family::Ipv6 as u8);
    /// Every family.
    pub const ALL: Self = Self(Self::NAMES.0 | Self::PREFIXES.0);

    /// Whether a family is in it.
    #[must_use]
    pub fn has(self, family: Family) -> bool {
        self.0 & 1 << family.code() != 0
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The families in both.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The families in this one and not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Adds a family.
    pub fn add(&mut self, family: Family) {
        self.0 |= 1 << family.code();
    }

    /// Takes a family out.
    pub fn remove(&mut self, family: Family) {
        self.0 &= !(1 << family.code());
    }

    /// Each family in it, in order of code.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |family| self.has(*family))
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let mut set = Self::NONE;
        families.into_iter().for_each(|family| set.add(family));
        set
    }
}

impl fmt::Debug for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sets() {
        let mut set: Families = [Family::Ipv6, Family::Name, Family::Ipv6].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Family::Name, Family::Ipv6]);
        assert_eq!(
            set.common(Families::PREFIXES).iter().collect::<Vec<_>>(),
            [Family::Ipv6]
        );
        assert_eq!(Families::ALL.without(set).iter().collect::<Vec<_>>(), [Family::Ipv4]);
        set.add(Family::Ipv4);
        assert!(set == Families::ALL && Families::default().is_empty());
        set.remove(Family::Name);
        assert!(set == Families::PREFIXES && !set.has(Family::Name));
    }
}
