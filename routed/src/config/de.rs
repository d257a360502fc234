//! Reads typed values out of [`Node`]s. The first error is kept with the place and the key path where it arose.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};

use super::path::{KeyPath, Step};
use super::tree::{Member, Node, Origin, Value};

/// The longest piece of a wrong value that an error repeats, in characters.
const MAX_QUOTED: usize = 60;

/// Reads a `T`.
pub(super) fn from_node<T: de::DeserializeOwned>(node: &Node) -> Result<T, TypeError> {
    T::deserialize(At { node, map: false }).map_err(|e| e.or_at(node.origin))
}

/// A value of the wrong type or form.
#[derive(Debug)]
pub(super) struct TypeError {
    pub(super) message: String,
    pub(super) origin: Option<Origin>,
    /// A key is missing: no single flag is to blame for that.
    missing: bool,
    /// Innermost step first.
    steps: Vec<Step>,
}

impl TypeError {
    /// The whole path of the value.
    pub(super) fn path(&self) -> KeyPath {
        KeyPath(self.steps.iter().rev().cloned().collect())
    }

    fn or_at(mut self, origin: Origin) -> Self {
        let origin = if self.missing && matches!(origin, Origin::Flag(_)) {
            Origin::Nowhere
        } else {
            origin
        };
        self.origin.get_or_insert(origin);
        self
    }

    fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl de::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            origin: None,
            missing: false,
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

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("unknown key; expected {}", any_of(expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: true,
            ..Self::custom(format_args!("missing key {field:?}"))
        }
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TypeError {}

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

/// A node being read; `map` says that its keys are names, not fields of a section.
#[derive(Clone, Copy)]
struct At<'a> {
    node: &'a Node,
    map: bool,
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => visit_number(n, visitor),
            Value::String(s) => visitor.visit_str(s),
            Value::Array(nodes) => visitor.visit_seq(Elements { nodes, next: 0 }),
            Value::Object(members) => visitor.visit_map(Members {
                members,
                next: 0,
                map: self.map,
            }),
        };
        result.map_err(|e| e.or_at(self.node.origin))
    }

    /// `null` is no way to leave a key out: the inner type refuses it.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_some(self)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        Self { map: true, ..self }.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        match &self.node.value {
            Value::String(variant) => {
                let access: de::value::StrDeserializer<'_, TypeError> = variant.as_str().into_deserializer();
                visitor.visit_enum(Unit(access)).map_err(|e| e.or_at(self.node.origin))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.deserialize_any(visitor)
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct struct identifier ignored_any
    }
}

fn visit_number<'de, V: Visitor<'de>>(number: &serde_json::Number, visitor: V) -> Result<V::Value, TypeError> {
    if let Some(n) = number.as_u64() {
        return visitor.visit_u64(n);
    }
    if let Some(n) = number.as_i64() {
        return visitor.visit_i64(n);
    }
    match number.as_f64() {
        Some(n) => visitor.visit_f64(n),
        None => Err(TypeError::custom(format_args!("{number} is out of range"))),
    }
}

/// An enum without data is its name in a string.
struct Unit<'a>(de::value::StrDeserializer<'a, TypeError>);

impl<'de, 'a> EnumAccess<'de> for Unit<'a> {
    type Error = TypeError;
    type Variant = <de::value::StrDeserializer<'a, TypeError> as EnumAccess<'de>>::Variant;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), TypeError> {
        self.0.variant_seed(seed)
    }
}

struct Elements<'a> {
    nodes: &'a [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = TypeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TypeError> {
        let Some(node) = self.nodes.get(self.next) else {
            return Ok(None);
        };
        let index = self.next;
        self.next += 1;
        let element = seed.deserialize(At { node, map: false });
        element
            .map(Some)
            .map_err(|e| e.or_at(node.origin).within(Step::Index(index)))
    }
}

struct Members<'a> {
    members: &'a [Member],
    next: usize,
    map: bool,
}

impl Members<'_> {
    fn step(&self, key: &str) -> Step {
        if self.map {
            Step::Key(key.to_owned())
        } else {
            Step::Field(key.to_owned())
        }
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = TypeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TypeError> {
        let Some(member) = self.members.get(self.next) else {
            return Ok(None);
        };
        let key: de::value::StrDeserializer<'_, TypeError> = member.key.as_str().into_deserializer();
        let result = seed.deserialize(key);
        result
            .map(Some)
            .map_err(|e| e.or_at(member.origin).within(self.step(&member.key)))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, TypeError> {
        let member = &self.members[self.next];
        self.next += 1;
        let value = seed.deserialize(At {
            node: &member.node,
            map: false,
        });
        value.map_err(|e| e.or_at(member.node.origin).within(self.step(&member.key)))
    }
}
