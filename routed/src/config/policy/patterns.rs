//! The spelling of patterns: names, AS paths, prefixes, communities.

use catalyst_core::policy::{AsPathPattern, CommunityPattern, NamePattern, PrefixPattern};
use catalyst_core::route::{Destination, DestinationError, Prefix, PrefixError};

use super::super::text::{Community, Label, Text, decimal};
use super::words::InSets;

impl Text for NamePattern {
    const EXPECTED: &'static str = "a name pattern such as \"orders.acme\", \"*.acme\" or \"api-*.acme\"";
    const EXAMPLE: &'static str = "*.dc1.acme";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        Self::parse(text).map_err(|error| Some(error.to_string()))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl InSets for NamePattern {
    const SECTION: &'static str = "names";
    const OR_SET: &'static str = "a name pattern such as \"*.acme\", or a set of sets.names such as \"@partners\"";
}

impl Text for AsPathPattern {
    const EXPECTED: &'static str = "a regular expression over AS_PATH such as \"^65001_\"";
    const EXAMPLE: &'static str = "^65001_";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        Self::parse(text).map_err(|error| Some(error.to_string()))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl InSets for AsPathPattern {
    const SECTION: &'static str = "as_paths";
    const OR_SET: &'static str =
        "a regular expression over AS_PATH such as \"^65001_\", or a set of sets.as_paths such as \"@transits\"";
}

impl Text for PrefixPattern {
    const EXPECTED: &'static str =
        "a prefix such as \"10.0.0.0/8\", \"10.0.0.0/8 orlonger\" or \"10.0.0.0/8 ge 16 le 24\"";
    const EXAMPLE: &'static str = "10.0.0.0/8 ge 16 le 24";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (prefix, lengths) = words.split_first().ok_or(None)?;
        let within = <Prefix as Text>::parse(prefix)?;
        let bits = if within.address().is_ipv4() { 32 } else { 128 };
        let (min, max) = parse_lengths(lengths, within.length(), bits)?;
        Ok(Self { within, min, max })
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Text for Destination {
    const EXPECTED: &'static str = "a service name or a prefix";
    const EXAMPLE: &'static str = "orders.dc1.acme";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        text.parse().map_err(|error: DestinationError| Some(error.to_string()))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Text for Prefix {
    const EXPECTED: &'static str = "a prefix such as \"10.0.0.0/8\"";
    const EXAMPLE: &'static str = "10.0.0.0/8";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        text.parse().map_err(|error: PrefixError| Some(error.to_string()))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl InSets for PrefixPattern {
    const SECTION: &'static str = "prefixes";
    const OR_SET: &'static str =
        "a prefix such as \"10.0.0.0/8 orlonger\", or a set of sets.prefixes such as \"@internal\"";
}

fn parse_length(text: &str, max: u8) -> Result<u8, Option<String>> {
    let length = decimal(text, max.into()).ok().and_then(|n| u8::try_from(n).ok());
    length.ok_or_else(|| Some(format!("a length is a number from 0 to {max}")))
}

/// What follows the prefix: the shortest and the longest length that it takes in.
fn parse_lengths(words: &[&str], length: u8, bits: u8) -> Result<(u8, u8), Option<String>> {
    let (min, max) = match words {
        [] | ["exact"] => (length, length),
        ["orlonger"] => (length, bits),
        ["ge", min] => (parse_length(min, bits)?, bits),
        ["le", max] => (length, parse_length(max, bits)?),
        ["ge", min, "le", max] => (parse_length(min, bits)?, parse_length(max, bits)?),
        _ => {
            return Err(Some(
                "after the prefix stands exact, orlonger, ge N, le N or ge N le N".to_owned(),
            ));
        }
    };
    if length <= min && min <= max {
        Ok((min, max))
    } else {
        Err(Some(format!(
            "lengths from {min} to {max} take in nothing within /{length}: expected {length} <= ge <= le"
        )))
    }
}

/// Communities by number, with `*` for any part, or by their name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommunityWord {
    /// A name of the section `communities`, or a well-known one.
    Named(Label),
    /// The pattern itself.
    Pattern(CommunityPattern),
}

impl Text for CommunityWord {
    const EXPECTED: &'static str =
        "a community such as \"65001:100\", \"65001:*\" or \"65001:1:2\", or the name of one";
    const EXAMPLE: &'static str = "65001:100";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        let parts: Vec<&str> = text.split(':').collect();
        Ok(Self::Pattern(match parts[..] {
            [name] => return Label::parse(name).map(Self::Named),
            [asn, value] => CommunityPattern::Standard(part(asn)?, part(value)?),
            [a, b, c] => CommunityPattern::Large(part(a)?, part(b)?, part(c)?),
            _ => return Err(None),
        }))
    }

    fn print(&self) -> String {
        match self {
            Self::Named(name) => name.0.clone(),
            Self::Pattern(pattern) => pattern.to_string(),
        }
    }
}

impl InSets for CommunityWord {
    const SECTION: &'static str = "communities";
    const OR_SET: &'static str = "a community such as \"65001:100\" or \"65001:*\", the name of one, or a set of \
                                  sets.communities such as \"@customers\"";
}

/// One part of a community; `None`: any.
fn part<T: TryFrom<u32> + Into<u32> + Bounded>(text: &str) -> Result<Option<T>, Option<String>> {
    if text == "*" {
        return Ok(None);
    }
    let number = decimal(text, T::MAX)?;
    T::try_from(number).map(Some).map_err(|_| None)
}

/// The largest value of a type.
trait Bounded {
    const MAX: u32;
}

impl Bounded for u16 {
    const MAX: u32 = 0xffff;
}

impl Bounded for u32 {
    const MAX: u32 = u32::MAX;
}

/// What a single community means as a pattern; `None`: it is known by name only.
pub(in crate::config) fn pattern_of(community: &Community) -> Option<CommunityPattern> {
    let low = |n: u32| u16::try_from(n & 0xffff).ok();
    match community {
        Community::Standard(c) => Some(CommunityPattern::Standard(low(c >> 16), low(*c))),
        Community::Large((a, b, c)) => Some(CommunityPattern::Large(Some(*a), Some(*b), Some(*c))),
        Community::Named(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::text::Spelled;
    use super::super::words::Item;
    use super::*;

    fn prefix(text: &str) -> Result<(u8, u8, u8), String> {
        Spelled::<PrefixPattern>::parse(text).map(|p| (p.within.length(), p.min, p.max))
    }

    #[test]
    fn prefixes_say_which_lengths_they_take_in() {
        for (text, lengths) in [
            ("10.0.0.0/8", (8, 8, 8)),
            ("10.0.0.0/8 exact", (8, 8, 8)),
            ("10.0.0.0/8 orlonger", (8, 8, 32)),
            ("10.0.0.0/8  ge 16 le 24", (8, 16, 24)),
            ("10.0.0.0/8 ge 9", (8, 9, 32)),
            ("0.0.0.0/0 le 24", (0, 0, 24)),
            ("2001:db8::/32 orlonger", (32, 32, 128)),
            ("::/0", (0, 0, 0)),
        ] {
            assert_eq!(prefix(text), Ok(lengths), "{text}");
        }
        for (text, says) in [
            ("", "expected a prefix such as"),
            ("10.0.0.0", "a prefix is an IP address"),
            ("10.0.0.1/8", "the network is 10.0.0.0/8"),
            ("2001:db8::1/32", "the network is 2001:db8::/32"),
            ("10.0.0.0/33", "at most 32 bits"),
            ("10.0.0.0/8 ge 33", "a length is a number from 0 to 32"),
            ("10.0.0.0/8 ge +9", "a length is a number"),
            ("10.0.0.0/8 ge 4", "expected 8 <= ge <= le"),
            ("10.0.0.0/8 ge 24 le 16", "take in nothing"),
            ("10.0.0.0/8 le 24 ge 16", "after the prefix stands"),
            ("10.0.0.0/8 longer", "after the prefix stands"),
        ] {
            let error = prefix(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn words_print_as_they_are_read() {
        fn same<T: Text>(texts: &[&str]) {
            for text in texts {
                let read = Spelled::<T>::parse(text).unwrap_or_else(|e| panic!("{e}"));
                assert_eq!(read.0.print(), *text);
            }
        }
        same::<Item<CommunityWord>>(&[
            "65001:100",
            "65001:*",
            "*:*",
            "1:2:3",
            "*:4294967295:*",
            "public",
            "@set",
        ]);
        same::<Item<NamePattern>>(&["a.b", "*.b", "*", "api-*.b", "@set"]);
        same::<PrefixPattern>(&["10.0.0.0/8", "10.0.0.0/8 ge 9", "10.0.0.0/8 le 9", "::/0 orlonger"]);
    }

    #[test]
    fn broken_communities_are_refused() {
        for text in ["65536:1", "1:2:3:4", "a:1", "1:", "", "-", "+1:1", "4294967296:1:1"] {
            assert!(Spelled::<CommunityWord>::parse(text).is_err(), "{text}");
        }
    }
}
