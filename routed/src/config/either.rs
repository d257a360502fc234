//! Values with a short and a long spelling: one value or a list of them, a word or an object.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A plain value, or a list or an object. It is printed as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The short spelling: a string or a number.
    Short(A),
    /// The long spelling: a list or an object.
    Long(B),
}

/// One value, or a list of them.
pub type Many<T> = Either<T, Vec<T>>;

impl<T> Many<T> {
    /// The values, in order.
    #[must_use]
    pub fn items(&self) -> &[T] {
        match self {
            Self::Short(one) => std::slice::from_ref(one),
            Self::Long(list) => list,
        }
    }

    /// The key of an element, below the key of the whole: a value that is no list has no index.
    pub(super) fn place(&self, path: &super::path::KeyPath, index: usize) -> super::path::KeyPath {
        match self {
            Self::Short(_) => path.clone(),
            Self::Long(_) => path.index(index),
        }
    }
}

impl<A: Serialize, B: Serialize> Serialize for Either<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Short(value) => value.serialize(serializer),
            Self::Long(value) => value.serialize(serializer),
        }
    }
}

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Deserialize<'de> for Either<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherVisitor(PhantomData))
    }
}

struct EitherVisitor<A, B>(PhantomData<(A, B)>);

/// Each kind of value goes to the spelling that it can only be; errors are then that spelling's own.
impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Visitor<'de> for EitherVisitor<A, B> {
    type Value = Either<A, B>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        A::deserialize(value.into_deserializer()).map(Either::Short)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        A::deserialize(value.into_deserializer()).map(Either::Short)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        A::deserialize(value.into_deserializer()).map(Either::Short)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        A::deserialize(value.into_deserializer()).map(Either::Short)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        A::deserialize(value.into_deserializer()).map(Either::Short)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        A::deserialize(().into_deserializer()).map(Either::Short)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, elements: S) -> Result<Self::Value, S::Error> {
        B::deserialize(SeqAccessDeserializer::new(elements)).map(Either::Long)
    }

    fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<Self::Value, M::Error> {
        B::deserialize(MapAccessDeserializer::new(members)).map(Either::Long)
    }
}

impl<A: JsonSchema, B: JsonSchema> JsonSchema for Either<A, B> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}_or_{}", A::schema_name(), B::schema_name()).into()
    }

    /// The short spelling first: [`Kind::Either`](super::schema::Kind) counts on it.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (short, long) = (generator.subschema_for::<A>(), generator.subschema_for::<B>());
        json_schema!({ "oneOf": [short, long] })
    }
}
