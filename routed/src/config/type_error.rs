//! A value of the wrong type or form, in plain words.

use std::fmt;

use serde::de::{self, Unexpected};

use super::nearest::unknown_key;
use super::path::{KeyPath, Step};
use super::tree::Origin;

/// The longest piece of a wrong value that an error repeats, in characters.
const MAX_QUOTED: usize = 60;

/// A value of the wrong type or form.
#[derive(Debug)]
pub(super) struct TypeError {
    pub(super) message: String,
    pub(super) origin: Option<Origin>,
    /// The key that is missing: no single flag is to blame for that.
    pub(super) missing: Option<String>,
    /// Innermost step first.
    steps: Vec<Step>,
}

impl TypeError {
    /// The whole path of the value.
    pub(super) fn path(&self) -> KeyPath {
        KeyPath(self.steps.iter().rev().cloned().collect())
    }

    /// The same object lacks another key.
    pub(super) fn also_missing(&self, key: &str) -> Self {
        Self {
            missing: Some(key.to_owned()),
            message: missing_key(key),
            origin: self.origin,
            steps: self.steps.clone(),
        }
    }

    /// It arose at `origin`, unless that is known more closely.
    pub(super) fn or_at(mut self, origin: Origin) -> Self {
        let origin = if self.missing.is_some() && matches!(origin, Origin::Flag(_)) {
            Origin::Nowhere
        } else {
            origin
        };
        self.origin.get_or_insert(origin);
        self
    }

    /// It arose below `step`.
    pub(super) fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl de::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            origin: None,
            missing: None,
            steps: Vec::new(),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!(
            "expected {}, found {}",
            plain(&expected.to_string()),
            Found(found)
        ))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("expected {}, found {}", any_of(expected), quote(variant)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown_key(field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: Some(field.to_owned()),
            ..Self::custom(missing_key(field))
        }
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TypeError {}

fn missing_key(key: &str) -> String {
    format!("missing key {key:?}")
}

/// A wrong string as errors repeat it.
pub(super) fn quote(text: &str) -> String {
    let short: String = text.chars().take(MAX_QUOTED).collect();
    let ellipsis = if short.len() < text.len() { "..." } else { "" };
    format!("{}{ellipsis}", serde_json::Value::from(short))
}

pub(super) fn any_of(names: &[&str]) -> String {
    names.join(", ")
}

/// serde names types as Rust does; people who write JSON know numbers.
fn plain(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => "a whole number from 0 to 4294967295".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        other => match other.strip_prefix("struct ") {
            Some(_) => "an object".to_owned(),
            None => other.replace("a map", "an object"),
        },
    }
}

struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the rest of serde's enum does not occur in JSON"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Bool(b) => write!(f, "{b}"),
            Unexpected::Unsigned(n) => write!(f, "{n}"),
            Unexpected::Signed(n) => write!(f, "{n}"),
            Unexpected::Float(n) => write!(f, "{n}"),
            Unexpected::Str(s) => f.write_str(&quote(s)),
            Unexpected::Unit => f.write_str("null"),
            Unexpected::Seq => f.write_str("a list"),
            Unexpected::Map => f.write_str("an object"),
            other => write!(f, "{other}"),
        }
    }
}
