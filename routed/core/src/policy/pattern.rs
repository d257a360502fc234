//! What a condition compares with. Each pattern is checked and compiled once, where its text is parsed.

use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use crate::attrs::LargeCommunity;
use crate::name::{MAX_LABEL_BYTES, MAX_NAME_BYTES};
use crate::prefix::Prefix;

/// The longest regular expression over AS_PATH in bytes.
const MAX_REGEX_BYTES: usize = 1000;
/// What one such expression may take compiled, in bytes.
const MAX_COMPILED_BYTES: usize = 256 * 1024;
/// How deep it may nest.
const MAX_NESTING: u32 = 20;

/// Why a text is not a pattern. The text itself is not repeated: the caller names the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is empty.
    #[error("a pattern must not be empty")]
    Empty,
    /// Longer than any name.
    #[error("a name pattern has at most {MAX_NAME_BYTES} bytes, this one has {0}")]
    NameTooLong(usize),
    /// Two dots in a row, or a dot at either end.
    #[error("a name pattern has no empty label (a dot at the start or end, or two in a row)")]
    EmptyLabel,
    /// Longer than any label.
    #[error("a label of a name pattern has at most {MAX_LABEL_BYTES} bytes, this one has {0}")]
    LabelTooLong(usize),
    /// A byte that no name holds.
    #[error("a name pattern holds a-z, 0-9, '-', '_', '.' and '*'; found {0:?}")]
    BadCharacter(char),
    /// The regular expression is too long.
    #[error("a regular expression has at most {MAX_REGEX_BYTES} bytes, this one has {0}")]
    RegexTooLong(usize),
    /// The regular expression does not compile, in the compiler's words (one line).
    #[error("not a regular expression over AS_PATH: {0}")]
    Regex(String),
}

/// Which names: written as `orders.dc1.acme` (that name alone), `*.dc1.acme` (every name below, the wildcard itself
/// included), `*` (all), or with `*` inside a label (`api-*.acme`, which does not cross dots).
#[derive(Clone, PartialEq, Eq)]
pub struct NamePattern {
    text: Arc<str>,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    All,
    Exact,
    /// The text without its `*`: a suffix with its dot.
    Below,
    /// Labels with `*` in them; `below`: after at least one more label.
    Labels {
        below: bool,
        labels: Vec<Arc<str>>,
    },
}

impl NamePattern {
    /// Parses a pattern in any case.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.to_ascii_lowercase();
        check_name_pattern(&text)?;
        let shape = shape_of(&text);
        Ok(Self {
            text: text.into(),
            shape,
        })
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it takes in a name (canonical, maybe a wildcard itself).
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.shape {
            Shape::All => true,
            Shape::Exact => name == &*self.text,
            Shape::Below => name.strip_suffix(&self.text[1..]).is_some_and(|rest| !rest.is_empty()),
            Shape::Labels { below, labels } => matches_labels(*below, labels, name),
        }
    }
}

fn shape_of(text: &str) -> Shape {
    if text == "*" {
        return Shape::All;
    }
    let (below, rest) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    match (rest.contains('*'), below) {
        (false, false) => Shape::Exact,
        (false, true) => Shape::Below,
        (true, below) => Shape::Labels {
            below,
            labels: rest.split('.').map(Into::into).collect(),
        },
    }
}

fn check_name_pattern(text: &str) -> Result<(), PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(PatternError::NameTooLong(text.len()));
    }
    let known = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.' | '*');
    if let Some(other) = text.chars().find(|c| !known(c)) {
        return Err(PatternError::BadCharacter(other));
    }
    for label in text.split('.') {
        match label.len() {
            0 => return Err(PatternError::EmptyLabel),
            1..=MAX_LABEL_BYTES => {}
            long => return Err(PatternError::LabelTooLong(long)),
        }
    }
    Ok(())
}

/// From the last label on, so that no list of the name's labels is needed.
fn matches_labels(below: bool, labels: &[Arc<str>], name: &str) -> bool {
    let mut rest = Some(name);
    for label in labels.iter().rev() {
        let Some(text) = rest else { return false };
        let (before, last) = match text.rsplit_once('.') {
            Some((before, last)) => (Some(before), last),
            None => (None, text),
        };
        if !matches_label(label, last) {
            return false;
        }
        rest = before;
    }
    rest.is_some() == below
}

/// `*` stands for any run of characters, the empty one too. Greedy from the left: the first fit of each piece leaves
/// the most room for the next.
fn matches_label(pattern: &str, label: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == label;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(label) = label.strip_prefix(head) else {
        return false;
    };
    let Some(mut label) = label.strip_suffix(tail) else {
        return false;
    };
    middle.split('*').all(|piece| match label.split_once(piece) {
        Some((_, after)) => {
            label = after;
            true
        }
        None => false,
    })
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

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

/// A regular expression over AS_PATH printed with spaces; `_` stands for a boundary between AS numbers, as in every
/// router (`_65001_`, `^65001_`, `_65003$`, `^$`).
#[derive(Clone)]
pub struct AsPathPattern {
    text: Arc<str>,
    regex: Regex,
}

impl AsPathPattern {
    /// Parses and compiles an expression; what it takes compiled is bounded.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_REGEX_BYTES {
            return Err(PatternError::RegexTooLong(text.len()));
        }
        let regex = RegexBuilder::new(&with_boundaries(text))
            .unicode(false)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_COMPILED_BYTES)
            .nest_limit(MAX_NESTING)
            .build()
            .map_err(|error| PatternError::Regex(one_line(&error)))?;
        Ok(Self {
            text: text.into(),
            regex,
        })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches an AS_PATH printed with spaces (`65001 65002`).
    #[must_use]
    pub fn matches(&self, as_path: &str) -> bool {
        self.regex.is_match(as_path.as_bytes())
    }
}

/// The compiler draws the place below the expression; the last line says what is wrong.
fn one_line(error: &regex::Error) -> String {
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return "it is too large once compiled".to_owned();
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// `_` becomes the start, the end or a space; in a class, where it can be but one character, a space.
fn with_boundaries(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut escaped, mut in_class) = (false, false);
    for c in text.chars() {
        match c {
            '_' if !escaped && in_class => out.push(' '),
            '_' if !escaped => out.push_str("(?:^|$| )"),
            other => {
                in_class = !escaped && (other == '[' || in_class && other != ']') || escaped && in_class;
                out.push(other);
            }
        }
        escaped = c == '\\' && !escaped;
    }
    out
}

impl PartialEq for AsPathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for AsPathPattern {}

impl fmt::Display for AsPathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for AsPathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

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
    fn name_patterns_take_in_what_they_say() {
        for (pattern, yes, no) in [
            (
                "orders.dc1.acme",
                &["orders.dc1.acme"][..],
                &["x.orders.dc1.acme", "*.dc1.acme"][..],
            ),
            (
                "*.dc1.acme",
                &["a.dc1.acme", "a.b.dc1.acme", "*.dc1.acme"],
                &["dc1.acme", "*.acme", "*", "xdc1.acme"],
            ),
            ("*", &["*", "a", "*.acme", "a.b"], &[]),
            (
                "API-*.acme",
                &["api-1.acme", "api-.acme"],
                &["api-1.b.acme", "x.api-1.acme", "xapi-1.acme", "api1.acme"],
            ),
            ("a.*.acme", &["a.b.acme"], &["a.acme", "a.b.c.acme", "x.a.b.acme"]),
            (
                "*.dc*.acme",
                &["a.dc1.acme", "a.b.dc.acme", "*.dc1.acme"],
                &["dc1.acme", "a.xdc1.acme"],
            ),
            (
                "a*b*c.acme",
                &["abc.acme", "axbbxc.acme"],
                &["ac.acme", "acb.acme", "ab.c.acme"],
            ),
            ("a**a", &["aa", "axa"], &["a"]),
        ] {
            let pattern = NamePattern::parse(pattern).unwrap();
            yes.iter()
                .for_each(|name| assert!(pattern.matches(name), "{pattern} takes in {name}"));
            no.iter()
                .for_each(|name| assert!(!pattern.matches(name), "{pattern} leaves out {name}"));
        }
    }

    #[test]
    fn bad_name_patterns_are_refused_with_the_reason() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("a..b", PatternError::EmptyLabel),
            ("a.", PatternError::EmptyLabel),
            ("a b", PatternError::BadCharacter(' ')),
            (&"a".repeat(64), PatternError::LabelTooLong(64)),
            (&"a.".repeat(127), PatternError::NameTooLong(254)),
        ] {
            assert_eq!(NamePattern::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn as_path_patterns_know_boundaries() {
        for (pattern, yes, no) in [
            (
                "_65001_",
                &["65001", "1 65001", "65001 2", "1 65001 2"][..],
                &["165001", "650010", "1 650012"][..],
            ),
            ("^65001_", &["65001", "65001 2"], &["1 65001", "650011"]),
            ("_65003$", &["65003", "1 65003"], &["65003 1", "165003"]),
            ("^$", &[""], &["1"]),
            ("^65001_65002$", &["65001 65002"], &["6500165002", "65001 1 65002"]),
            ("^[0-9]+$", &["1"], &["", "1 2"]),
            ("^[0-9_]+$", &["1", "1 2"], &[""]),
            (r"^\d+_\d+$", &["1 2"], &["1", "1 2 3"]),
        ] {
            let pattern = AsPathPattern::parse(pattern).unwrap();
            yes.iter()
                .for_each(|path| assert!(pattern.matches(path), "{pattern} matches {path:?}"));
            no.iter()
                .for_each(|path| assert!(!pattern.matches(path), "{pattern} does not match {path:?}"));
        }
    }

    #[test]
    fn bad_and_oversized_expressions_are_refused_in_one_line() {
        let error = |text: &str| AsPathPattern::parse(text).unwrap_err().to_string();
        assert_eq!(error("(65001"), "not a regular expression over AS_PATH: unclosed group");
        assert!(error("((([0-9]{100}){100}){100}){100}").contains("too large"));
        assert!(error(&"(".repeat(40)).lines().count() == 1);
        assert_eq!(
            AsPathPattern::parse(&"1".repeat(1001)),
            Err(PatternError::RegexTooLong(1001))
        );
    }

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
