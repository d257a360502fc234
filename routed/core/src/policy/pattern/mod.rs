//! What a condition compares with. Each pattern is checked and compiled once, where its text is parsed.

mod as_path;
mod community;
mod name;
mod prefix;

pub use as_path::AsPathPattern;
pub use community::CommunityPattern;
pub(super) use name::Asks;
pub use name::NamePattern;
pub use prefix::PrefixPattern;

use crate::name::{MAX_LABEL_BYTES, MAX_NAME_BYTES, NameError};
use as_path::MAX_REGEX_BYTES;

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
    /// What stands after `=` is not a name.
    #[error("after '=' stands a service name: {0}")]
    Exact(NameError),
    /// The regular expression is too long.
    #[error("a regular expression has at most {MAX_REGEX_BYTES} bytes, this one has {0}")]
    RegexTooLong(usize),
    /// The regular expression does not compile, in the compiler's words (one line).
    #[error("not a regular expression over AS_PATH: {0}")]
    Regex(String),
}
