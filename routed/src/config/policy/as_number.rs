//! An AS number, or a named set of them in its place: the one word of the policy language that is no string.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::text::{Label, Text};
use super::words::SET_MARK;

/// An AS number, or a set of `sets.as_numbers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsNumber {
    /// The number; at least 1.
    Number(u32),
    /// The set of this name.
    Set(Label),
}

const EXPECTED: &str = "an AS number, or a set of sets.as_numbers such as \"@transits\"";

impl Serialize for AsNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u32(*number),
            Self::Set(name) => serializer.serialize_str(&format!("{SET_MARK}{}", name.0)),
        }
    }
}

impl<'de> Deserialize<'de> for AsNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsNumberVisitor)
    }
}

struct AsNumberVisitor;

impl Visitor<'_> for AsNumberVisitor {
    type Value = AsNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<AsNumber, E> {
        match u32::try_from(number) {
            Ok(number) if number > 0 => Ok(AsNumber::Number(number)),
            Ok(_) | Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AsNumber, E> {
        let name = text.strip_prefix(SET_MARK).and_then(|name| Label::parse(name).ok());
        name.map(AsNumber::Set)
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl JsonSchema for AsNumber {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AsNumber".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 1,
            "maximum": u32::MAX,
            "x-expected": EXPECTED,
            "examples": [65001]
        })
    }
}
