//! What is wrong with a configuration, and where.

use std::fmt;

use super::path::KeyPath;
use super::tree::Origin;

/// One thing that is wrong: `routed.json:12:7: peers["b"].address: expected IP:port, found "x"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    /// Where it was written, for ordering.
    pub(super) origin: Origin,
    /// `FILE:LINE:COLUMN`, or the flag as it was given; empty where neither applies.
    pub place: String,
    /// The key; empty for the document as a whole.
    pub path: KeyPath,
    /// What is wrong.
    pub message: String,
}

impl ConfigError {
    /// Something to say of the errors before it.
    pub(super) fn note(message: String) -> Self {
        Self {
            origin: Origin::Nowhere,
            place: String::new(),
            path: KeyPath::default(),
            message,
        }
    }

    fn is_note(&self) -> bool {
        self.place.is_empty() && self.path.0.is_empty()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if !self.path.0.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration, one line each, in the order of the text. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// The same errors in a text that nobody has seen: told by key alone, which stands below `base`.
    pub(super) fn below(mut self, base: &KeyPath) -> Self {
        for error in self.0.iter_mut().filter(|error| !error.is_note()) {
            error.place.clear();
            error.path.0.splice(0..0, base.0.iter().cloned());
        }
        self
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            fmt::Display::fmt(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The names of the texts that a configuration was read from.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    /// The file, as it was named.
    pub(super) file: String,
    /// The flags, as they were given.
    pub(super) flags: Vec<String>,
}

impl Sources {
    /// A service in an administrative request.
    pub(super) fn service() -> Self {
        Self {
            file: "service".to_owned(),
            flags: Vec::new(),
        }
    }

    /// A problem at `origin`.
    pub(super) fn error(&self, origin: Origin, path: KeyPath, message: String) -> ConfigError {
        ConfigError {
            origin,
            place: self.place(origin),
            path,
            message,
        }
    }

    /// One problem as the whole answer.
    pub(super) fn refuse(&self, origin: Origin, path: KeyPath, message: String) -> ConfigErrors {
        ConfigErrors(vec![self.error(origin, path, message)])
    }

    fn place(&self, origin: Origin) -> String {
        match origin {
            Origin::Text { line, column } => format!("{}:{line}:{column}", self.file),
            Origin::Flag(index) => self.flags.get(index).cloned().unwrap_or_default(),
            Origin::Nowhere if self.file.is_empty() => "command line".to_owned(),
            Origin::Nowhere => self.file.clone(),
        }
    }
}
