//! AS numbers, one or several in a row.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An AS number, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsRange(pub RangeInclusive<u32>);

const EXPECTED: &str = "an AS number, or a range of them such as \"65001-65010\"";

impl AsRange {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        (first > 0 && first <= last).then_some(Self(first..=last))
    }
}

impl Serialize for AsRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last {
            serializer.serialize_u32(*first)
        } else {
            serializer.serialize_str(&format!("{first}-{last}"))
        }
    }
}

impl<'de> Deserialize<'de> for AsRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsRangeVisitor)
    }
}

struct AsRangeVisitor;

impl Visitor<'_> for AsRangeVisitor {
    type Value = AsRange;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<AsRange, E> {
        match u32::try_from(number) {
            Ok(number) if number > 0 => Ok(AsRange(number..=number)),
            Ok(_) | Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AsRange, E> {
        AsRange::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl JsonSchema for AsRange {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AsRange".into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_printed_as_they_were_written() {
        for text in ["65001", "\"65001-65010\"", "4294967295"] {
            let range: AsRange = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&range).unwrap(), text);
        }
        for bad in [
            "0",
            "-1",
            "\"5-4\"",
            "\"0-4\"",
            "\"1-\"",
            "\"-\"",
            "\"a\"",
            "4294967296",
            "1.5",
        ] {
            assert!(serde_json::from_str::<AsRange>(bad).is_err(), "{bad}");
        }
    }
}
