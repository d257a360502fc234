//! Patterns of communities.

use std::fmt;

use crate::attrs::LargeCommunity;

/// Which communities. Both parts of a standard one, or all three of a large one, may be `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommunityPattern {
    /// AS and value; `None` is any.
    Standard(Option<u16>, Option<u16>),
    /// Global administrator and local parts; `None` is any.
    Large(Option<u32>, Option<u32>, Option<u32>),
}

impl CommunityPattern {
    /// Whether it takes in a standard community (`asn << 16 | value`).
    #[must_use]
    pub fn matches_standard(&self, community: u32) -> bool {
        match self {
            Self::Standard(asn, value) => fits(*asn, community >> 16) && fits(*value, community & 0xffff),
            Self::Large(..) => false,
        }
    }

    /// Whether it takes in a large community.
    #[must_use]
    pub fn matches_large(&self, (global, one, two): LargeCommunity) -> bool {
        match self {
            Self::Large(a, b, c) => fits(*a, global) && fits(*b, one) && fits(*c, two),
            Self::Standard(..) => false,
        }
    }
}

fn fits<T: Into<u32>>(wanted: Option<T>, value: u32) -> bool {
    wanted.is_none_or(|wanted| wanted.into() == value)
}

impl fmt::Display for CommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: Option<u32>| part.map_or("*".to_owned(), |value| value.to_string());
        match self {
            Self::Standard(asn, value) => write!(f, "{}:{}", part(asn.map(Into::into)), part(value.map(Into::into))),
            Self::Large(a, b, c) => write!(f, "{}:{}:{}", part(*a), part(*b), part(*c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn community_patterns_know_wildcards_and_sizes() {
        let any_of_65001 = CommunityPattern::Standard(Some(65001), None);
        assert!(any_of_65001.matches_standard(65001 << 16 | 7) && !any_of_65001.matches_standard(65002 << 16));
        assert!(!any_of_65001.matches_large((65001, 1, 1)));
        let large = CommunityPattern::Large(None, Some(1), None);
        assert!(large.matches_large((5, 1, 9)) && !large.matches_large((5, 2, 9)) && !large.matches_standard(1));
        assert_eq!(
            (any_of_65001.to_string(), large.to_string()),
            ("65001:*".into(), "*:1:*".into())
        );
    }
}
