//! Reads typed values out of [`Node`]s. The first error is kept with the place and the key path where it arose; `recover`
//! finds the others.

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};

use super::path::Step;
use super::tree::{Member, Node, Value};
use super::type_error::TypeError;

/// Reads a `T` as if the nodes `left_out` (list elements, or members with their keys) were not there.
pub(super) fn from_node<T: de::DeserializeOwned>(node: &Node, left_out: &[&Node]) -> Result<T, TypeError> {
    let at = At {
        node,
        map: false,
        left_out,
    };
    T::deserialize(at).map_err(|e| e.or_at(node.origin))
}

/// A node being read; `map` says that its keys are names, not fields of a section.
#[derive(Clone, Copy)]
struct At<'a> {
    node: &'a Node,
    map: bool,
    left_out: &'a [&'a Node],
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => visit_number(n, visitor),
            Value::String(s) => visitor.visit_str(s),
            Value::Array(nodes) => visitor.visit_seq(Elements {
                nodes,
                next: 0,
                left_out: self.left_out,
            }),
            Value::Object(members) => visitor.visit_map(Members {
                members,
                next: 0,
                map: self.map,
                left_out: self.left_out,
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

    /// serde would take a list for a section, its keys by position.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        match &self.node.value {
            Value::Array(_) => Err(TypeError::invalid_type(Unexpected::Seq, &visitor).or_at(self.node.origin)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.deserialize_any(visitor)
            }
        }
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
        tuple_struct identifier ignored_any
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

/// By identity: the same content elsewhere is another node.
fn is_left_out(node: &Node, left_out: &[&Node]) -> bool {
    left_out.iter().any(|out| std::ptr::eq(*out, node))
}

struct Elements<'a> {
    nodes: &'a [Node],
    next: usize,
    left_out: &'a [&'a Node],
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = TypeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TypeError> {
        let mut rest = self.nodes.iter().enumerate().skip(self.next);
        let Some((index, node)) = rest.find(|(_, node)| !is_left_out(node, self.left_out)) else {
            return Ok(None);
        };
        self.next = index + 1;
        let element = seed.deserialize(At {
            node,
            map: false,
            left_out: self.left_out,
        });
        element
            .map(Some)
            .map_err(|e| e.or_at(node.origin).within(Step::Index(index)))
    }
}

struct Members<'a> {
    members: &'a [Member],
    next: usize,
    map: bool,
    left_out: &'a [&'a Node],
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
        while self
            .members
            .get(self.next)
            .is_some_and(|member| is_left_out(&member.node, self.left_out))
        {
            self.next += 1;
        }
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
            left_out: self.left_out,
        });
        value.map_err(|e| e.or_at(member.node.origin).within(self.step(&member.key)))
    }
}
