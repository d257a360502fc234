//! Regular expressions over AS_PATH.

use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::PatternError;

/// The longest regular expression over AS_PATH in bytes.
pub(super) const MAX_REGEX_BYTES: usize = 1000;
/// What one such expression may take compiled, in bytes.
const MAX_COMPILED_BYTES: usize = 256 * 1024;
/// How deep it may nest.
const MAX_NESTING: u32 = 20;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
