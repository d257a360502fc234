//! Service names: what this daemon routes.

use std::fmt;
use std::sync::Arc;

/// The longest service name in bytes (the limit of DNS names, RFC 1035 section 2.3.4).
pub const MAX_NAME_BYTES: usize = 253;
/// The longest label in bytes (RFC 1035 section 2.3.4).
pub const MAX_LABEL_BYTES: usize = 63;

/// A validated service name in canonical (lower-case) form.
///
/// Three shapes: exact (`orders.dc1.acme`), suffix (`*.dc1.acme`, which covers every depth below `dc1.acme` but not
/// `dc1.acme` itself), and the default (`*`). Labels hold `a-z`, `0-9`, `-` and `_`, do not start or end with `-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(Arc<str>);

/// Why a text is not a service name. The text itself is not repeated: the caller names the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a service name must not be empty")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("a service name has at most {MAX_NAME_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// Two dots in a row, or a dot at either end.
    #[error("a service name has no empty label (a dot at the start or end, or two in a row)")]
    EmptyLabel,
    /// A label longer than [`MAX_LABEL_BYTES`].
    #[error("a label of a service name has at most {MAX_LABEL_BYTES} bytes, this one has {0}")]
    LabelTooLong(usize),
    /// A byte outside `a-z 0-9 - _`.
    #[error("a service name holds a-z, 0-9, '-', '_' and '.'; found {0:?}")]
    BadCharacter(char),
    /// A label begins or ends with `-`.
    #[error("a label of a service name must not begin or end with '-'")]
    Hyphen,
    /// `*` anywhere but as the whole first label.
    #[error("'*' stands only as the whole first label ('*.dc1.acme') or alone ('*')")]
    Wildcard,
}

impl ServiceName {
    /// Parses a name as people write it: any case, canonicalised to lower case.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            let lower = text.to_ascii_lowercase();
            check(&lower)?;
            return Ok(Self(lower.into()));
        }
        check(text)?;
        Ok(Self(text.into()))
    }

    /// Wraps a text that [`check`] has accepted already (the wire decoder, the name table).
    #[must_use]
    pub fn from_checked(text: &str) -> Self {
        debug_assert_eq!(check(text), Ok(()));
        Self(text.into())
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `*` or `*.suffix`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// The part of a wildcard that hosts must end in, with its dot (`.dc1.acme`); empty for `*`; `None` for exact names.
    #[must_use]
    pub fn wildcard_suffix(&self) -> Option<&str> {
        self.0.strip_prefix('*')
    }

    /// Whether a request for `host` (canonical) may be served by this name: equal, or below this wildcard.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self.wildcard_suffix() {
            None => self.as_str() == host,
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        }
    }
}

/// Checks that `text` is a service name in canonical form.
pub fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong(text.len()));
    }
    let labels = match text.strip_prefix('*') {
        Some("") => return Ok(()),
        Some(rest) => rest.strip_prefix('.').ok_or(NameError::Wildcard)?,
        None => text,
    };
    labels.split('.').try_for_each(check_label)
}

fn check_label(label: &str) -> Result<(), NameError> {
    if label.is_empty() {
        return Err(NameError::EmptyLabel);
    }
    if label.len() > MAX_LABEL_BYTES {
        return Err(NameError::LabelTooLong(label.len()));
    }
    for c in label.chars() {
        match c {
            'a'..='z' | '0'..='9' | '-' | '_' => {}
            '*' => return Err(NameError::Wildcard),
            other => return Err(NameError::BadCharacter(other)),
        }
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(NameError::Hyphen);
    }
    Ok(())
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ServiceName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl std::borrow::Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonicalises_and_refuses() {
        assert_eq!(
            ServiceName::parse("Orders.DC1.acme").unwrap().as_str(),
            "orders.dc1.acme"
        );
        for (text, error) in [
            ("", NameError::Empty),
            (".a", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            ("a.", NameError::EmptyLabel),
            ("a*.b", NameError::Wildcard),
            ("a.*", NameError::Wildcard),
            ("*a", NameError::Wildcard),
            ("*.", NameError::EmptyLabel),
            ("-a", NameError::Hyphen),
            ("a b", NameError::BadCharacter(' ')),
            ("ä", NameError::BadCharacter('ä')),
        ] {
            assert_eq!(ServiceName::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(ServiceName::parse(&"a".repeat(64)), Err(NameError::LabelTooLong(64)));
        assert_eq!(ServiceName::parse(&"a.".repeat(127)), Err(NameError::TooLong(254)));
    }

    #[test]
    fn wildcards_cover_every_depth_below_but_not_themselves() {
        let wild = ServiceName::parse("*.dc1.acme").unwrap();
        assert!(wild.covers("a.dc1.acme") && wild.covers("a.b.dc1.acme"));
        assert!(!wild.covers("dc1.acme") && !wild.covers("xdc1.acme"));
        assert!(ServiceName::parse("*").unwrap().covers("anything.at.all"));
    }
}
