//! Patterns of service names.

use std::fmt;
use std::sync::Arc;

use super::PatternError;
use crate::name::{MAX_LABEL_BYTES, MAX_NAME_BYTES};

/// What a pattern asks of a name, for sets of many patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) enum Asks<'a> {
    /// Nothing.
    Nothing,
    /// To be this.
    Is(&'a str),
    /// To be below this.
    Below(&'a str),
    /// Something else: the pattern has to be tried.
    Labels,
}

/// Which names: written as `orders.dc1.acme` (that name alone), `*.dc1.acme` (every name below, the wildcard itself
/// included), `*` (all), with `*` inside a label (`api-*.acme`, which does not cross dots), or as `=*.dc1.acme` (the
/// wildcard alone, as an aggregate is one).
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

    pub(in crate::policy) fn asks(&self) -> Asks<'_> {
        match self.shape {
            Shape::All => Asks::Nothing,
            Shape::Exact => Asks::Is(self.exact()),
            Shape::Below => Asks::Below(&self.text[2..]),
            Shape::Labels { .. } => Asks::Labels,
        }
    }

    /// The only name that an exact pattern takes in.
    fn exact(&self) -> &str {
        self.text.strip_prefix('=').unwrap_or(&self.text)
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
            Shape::Exact => name == self.exact(),
            Shape::Below => name.strip_suffix(&self.text[1..]).is_some_and(|rest| !rest.is_empty()),
            Shape::Labels { below, labels } => matches_labels(*below, labels, name),
        }
    }
}

fn shape_of(text: &str) -> Shape {
    if text.starts_with('=') {
        return Shape::Exact;
    }
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
    if let Some(name) = text.strip_prefix('=') {
        return crate::name::check(name).map_err(PatternError::Exact);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameError;

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
            ("=*", &["*"], &["a", "*.acme"]),
            ("=*.acme", &["*.acme"], &["a.acme", "*", "*.dc1.acme"]),
            ("=a.acme", &["a.acme"], &["b.a.acme"]),
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
            ("=a-*.b", PatternError::Exact(NameError::Wildcard)),
            ("=", PatternError::Exact(NameError::Empty)),
            ("a.", PatternError::EmptyLabel),
            ("a b", PatternError::BadCharacter(' ')),
            (&"a".repeat(64), PatternError::LabelTooLong(64)),
            (&"a.".repeat(127), PatternError::NameTooLong(254)),
        ] {
            assert_eq!(NamePattern::parse(text), Err(error), "{text:?}");
        }
    }
}
