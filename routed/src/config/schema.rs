//! The JSON Schema of the configuration: generated from the types, and asked by everything that must know a key's type
//! before there is a value.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::nearest::unknown_key;
use super::path::{KeyPath, Step};
use super::types::Config;

static SCHEMA: LazyLock<Value> = LazyLock::new(generate);

/// The schema of the whole configuration, without references.
#[must_use]
pub fn schema() -> &'static Value {
    &SCHEMA
}

fn generate() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    refuse_null(&mut schema);
    schema
}

/// schemars allows `null` where a key may be left out. The reader does not: there is one way to leave a key out.
fn refuse_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(refuse_null),
        Value::Object(object) => {
            if let Some(choices) = object.get_mut("enum").and_then(Value::as_array_mut) {
                choices.retain(|c| !c.is_null());
            }
            if let Some(types) = object.get_mut("type").and_then(Value::as_array_mut) {
                types.retain(|t| t != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(any)) = object.remove("anyOf") {
                let inner = any
                    .into_iter()
                    .filter(|s| s["type"] != "null")
                    .filter_map(|s| s.as_object().cloned());
                inner.flatten().for_each(|(key, value)| {
                    object.entry(key).or_insert(value);
                });
            }
            object.values_mut().for_each(refuse_null);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a schema allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An object with known keys.
    Section,
    /// An object whose keys are names.
    Map,
    /// A list.
    List,
    /// A string.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Bool,
    /// A whole number or a string.
    NumberOrString,
    /// A plain value ([`short`]), or a list or section ([`long`]).
    Either,
}

/// The kind of a (sub)schema.
#[must_use]
pub fn kind(schema: &Value) -> Kind {
    if schema["oneOf"].is_array() {
        return Kind::Either;
    }
    if schema["type"].is_array() {
        return Kind::NumberOrString;
    }
    match schema["type"].as_str() {
        Some("string") => Kind::String,
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Bool,
        Some("array") => Kind::List,
        Some(_) | None if schema["additionalProperties"].is_object() => Kind::Map,
        Some(_) | None => Kind::Section,
    }
}

/// The plain spelling of a [`Kind::Either`].
#[must_use]
pub fn short(schema: &Value) -> &Value {
    &schema["oneOf"][0]
}

/// The list or section of a [`Kind::Either`].
#[must_use]
pub fn long(schema: &Value) -> &Value {
    &schema["oneOf"][1]
}

/// A key of the configuration as the schema knows it.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The path, its steps told apart into fields and names.
    pub path: KeyPath,
    /// The schema of the value.
    pub schema: &'static Value,
}

/// Finds a key.
///
/// # Errors
/// Where the path leaves the schema: the part of it up to there, and one line that says what could stand there.
pub fn resolve(path: &KeyPath) -> Result<Resolved, (KeyPath, String)> {
    let mut found = Resolved {
        path: KeyPath::default(),
        schema: schema(),
    };
    for step in &path.0 {
        found = below(&found, step).map_err(|message| (found.path.with_step(step.clone()), message))?;
    }
    Ok(found)
}

fn below(found: &Resolved, step: &Step) -> Result<Resolved, String> {
    let at = |step: Step, schema| {
        Ok(Resolved {
            path: found.path.with_step(step),
            schema,
        })
    };
    match (kind(found.schema), step) {
        (Kind::Either, _) => {
            let schema = long(found.schema);
            let found = found.path.clone();
            below(&Resolved { path: found, schema }, step)
        }
        (Kind::Section, Step::Field(key) | Step::Key(key)) => match found.schema["properties"].get(key) {
            Some(schema) => at(Step::Field(key.clone()), schema),
            None => Err(unknown_key(key, &keys(found.schema))),
        },
        (Kind::Map, Step::Field(key) | Step::Key(key)) => {
            at(Step::Key(key.clone()), &found.schema["additionalProperties"])
        }
        (Kind::List, Step::Index(_)) => at(step.clone(), &found.schema["items"]),
        (Kind::List, Step::Field(_) | Step::Key(_)) => Err("this is a list: its elements are [0], [1] ..".to_owned()),
        (Kind::Section | Kind::Map, Step::Index(_)) => Err("this is no list: its keys have names".to_owned()),
        (Kind::String | Kind::Integer | Kind::Bool | Kind::NumberOrString, _) => {
            Err("this is a plain value, nothing is below it".to_owned())
        }
    }
}

/// The keys of a section.
#[must_use]
pub fn keys(section: &Value) -> Vec<&str> {
    section["properties"]
        .as_object()
        .map(|p| p.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// The same path as error messages print it, as far as the schema knows it.
pub(super) fn spell(path: &KeyPath) -> KeyPath {
    let mut spelled = KeyPath::default();
    for (at, step) in path.0.iter().enumerate() {
        match resolve(&KeyPath(path.0[..=at].to_vec())) {
            Ok(found) => spelled = found.path,
            Err(_) => spelled = spelled.with_step(step.clone()),
        }
    }
    spelled
}
