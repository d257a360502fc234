//! Patterns of prefixes.

use std::fmt;

use crate::prefix::Prefix;

/// Which prefixes: those within one, whose own length is from `min` to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixPattern {
    /// The prefix that they are within.
    pub within: Prefix,
    /// The shortest length that matches: that of `within` itself for exact and orlonger, else `ge`.
    pub min: u8,
    /// The longest length that matches: that of `within` for exact, 32 or 128 for orlonger, else `le`.
    pub max: u8,
}

impl PrefixPattern {
    /// Whether it takes in a prefix.
    #[must_use]
    pub fn matches(&self, prefix: Prefix) -> bool {
        self.within.covers(prefix) && (self.min..=self.max).contains(&prefix.length())
    }
}

impl fmt::Display for PrefixPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { within, min, max } = *self;
        write!(f, "{within}")?;
        let longest = if within.address().is_ipv4() { 32 } else { 128 };
        match (min == within.length(), max) {
            (true, max) if max == within.length() => Ok(()),
            (true, max) if max == longest => f.write_str(" orlonger"),
            (true, max) => write!(f, " le {max}"),
            (false, max) if max == longest => write!(f, " ge {min}"),
            (false, max) => write!(f, " ge {min} le {max}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_patterns_compare_network_and_length() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let pattern = |text: &str, min, max| PrefixPattern {
            within: prefix(text),
            min,
            max,
        };
        let matches = |pattern: &PrefixPattern, text: &str| pattern.matches(prefix(text));
        let orlonger = pattern("10.0.0.0/8", 8, 32);
        assert!(matches(&orlonger, "10.0.0.0/8") && matches(&orlonger, "10.1.0.0/16"));
        assert!(!matches(&orlonger, "11.0.0.0/8") && !matches(&orlonger, "0.0.0.0/0"));
        let between = pattern("10.0.0.0/8", 16, 24);
        assert!(!matches(&between, "10.0.0.0/8") && matches(&between, "10.1.0.0/24"));
        let all = pattern("0.0.0.0/0", 0, 32);
        assert!(matches(&all, "0.0.0.0/0") && matches(&all, "192.0.2.1/32") && !matches(&all, "::/0"));
        assert_eq!(between.to_string(), "10.0.0.0/8 ge 16 le 24");
        assert_eq!(orlonger.to_string(), "10.0.0.0/8 orlonger");
    }
}
