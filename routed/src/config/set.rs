//! Flags as overrides of the tree: `--set PATH=VALUE` and the short flags that stand for it.

use super::parse;
use super::path::{KeyPath, Step};
use super::schema::{Kind, kind, resolve, short};
use super::tree::{Member, Node, Origin, Value};
use super::type_error::quote;

/// A value given by a flag.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub(super) path: KeyPath,
    /// `None` deletes the key.
    pub(super) value: Option<Node>,
}

/// Why a flag cannot be used: the key, as far as it was understood, and one line.
pub(super) type FlagError = (KeyPath, String);

impl Override {
    /// Reads `PATH=VALUE`.
    pub(super) fn parse(assignment: &str) -> Result<Self, FlagError> {
        let nowhere = |message: String| (KeyPath::default(), message);
        let split = split_at_equals(assignment).ok_or_else(|| nowhere("expected PATH=VALUE".to_owned()))?;
        let path = KeyPath::parse(split.0).map_err(nowhere)?;
        Self::new(&path, split.1)
    }

    /// Reads the value of the key at `path` by the schema's type.
    pub(super) fn new(path: &KeyPath, text: &str) -> Result<Self, FlagError> {
        let found = resolve(path)?;
        let value = match text {
            "null" => None,
            _ => Some(read(found.schema, text).map_err(|message| (found.path.clone(), message))?),
        };
        Ok(Self {
            path: found.path,
            value: value.map(|value| Node {
                origin: Origin::Nowhere,
                value,
            }),
        })
    }
}

/// Splits at the first `=` that is not part of a quoted key.
fn split_at_equals(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'=' if !quoted => return Some((&text[..at], &text[at + 1..])),
            b'"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && byte == b'\\' && !escaped;
    }
    None
}

fn read(schema: &serde_json::Value, text: &str) -> Result<Value, String> {
    Ok(match kind(schema) {
        Kind::String => Value::String(read_string(text)),
        Kind::Integer => match text.parse::<u64>() {
            Ok(number) => Value::Number(number.into()),
            Err(_) => return Err(format!("expected a whole number, found {}", quote(text))),
        },
        Kind::Bool => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(format!("expected true or false, found {}", quote(text))),
        },
        Kind::NumberOrString => match text.parse::<u64>() {
            Ok(number) => Value::Number(number.into()),
            Err(_) => Value::String(read_string(text)),
        },
        // A plain value may begin like JSON without being it: `[0-9]+`.
        Kind::Either if text.starts_with(['[', '{']) => match parse::parse(text) {
            Ok(node) => node.value,
            Err(_) => read(short(schema), text)?,
        },
        Kind::Either => read(short(schema), text)?,
        kind @ (Kind::Section | Kind::Map | Kind::List) => read_json(kind, text)?,
    })
}

/// A string stands as it is; in double quotes it is JSON (the only way to write the string `null`).
fn read_string(text: &str) -> String {
    let json = text.starts_with('"').then(|| serde_json::from_str(text).ok()).flatten();
    json.unwrap_or_else(|| text.to_owned())
}

fn read_json(kind: Kind, text: &str) -> Result<Value, String> {
    let expected = if kind == Kind::List { "a list" } else { "an object" };
    parse::parse(text).map(|node| node.value).map_err(|e| {
        let column = match e.origin {
            Origin::Text { column, .. } => column,
            Origin::Flag(_) | Origin::Nowhere => 1,
        };
        format!(
            "expected {expected} in JSON, found {}: column {column} of the value: {}",
            quote(text),
            e.message
        )
    })
}

/// A value that has a short and a long spelling stands there in its short one.
const NOTHING_BELOW: &str = "what stands there so far is a plain value: set the whole list or object";

/// Lays an override over the tree; what it writes is said to come from flag `index`.
pub(super) fn apply(root: &mut Node, one: &Override, index: usize) -> Result<(), FlagError> {
    let origin = Origin::Flag(index);
    let fail = |message: &str| (one.path.clone(), message.to_owned());
    let Some((last, parents)) = one.path.0.split_last() else {
        return Err(fail("the path is empty"));
    };
    let mut node = root;
    for step in parents {
        let below = if one.value.is_some() {
            make(node, step, origin)
        } else {
            Ok(find(node, step))
        };
        let Some(below) = below.map_err(|message| (one.path.clone(), message))? else {
            return if one.value.is_some() {
                Err(fail(NOTHING_BELOW))
            } else {
                Ok(())
            };
        };
        node = below;
    }
    let Some(value) = &one.value else {
        remove(node, last);
        return Ok(());
    };
    let made = make(node, last, origin).map_err(|message| (one.path.clone(), message))?;
    let place = made.ok_or_else(|| fail(NOTHING_BELOW))?;
    *place = value.clone();
    place.attribute_to(origin);
    credit(node, last, origin);
    Ok(())
}

fn find<'a>(node: &'a mut Node, step: &Step) -> Option<&'a mut Node> {
    match (step, &mut node.value) {
        (Step::Field(key) | Step::Key(key), Value::Object(members)) => {
            members.iter_mut().find(|m| m.key == *key).map(|m| &mut m.node)
        }
        (Step::Index(index), Value::Array(nodes)) => nodes.get_mut(*index),
        (_, _) => None,
    }
}

/// As [`find`]; what is missing is made.
fn make<'a>(node: &'a mut Node, step: &Step, origin: Origin) -> Result<Option<&'a mut Node>, String> {
    let fresh = Node {
        origin,
        value: Value::Null,
    };
    if matches!(node.value, Value::Null) {
        node.value = if step.key().is_some() {
            Value::Object(Vec::new())
        } else {
            Value::Array(Vec::new())
        };
    }
    match (step, &mut node.value) {
        (Step::Field(key) | Step::Key(key), Value::Object(members)) if members.iter().all(|m| m.key != *key) => {
            members.push(Member {
                key: key.clone(),
                origin,
                node: fresh,
            });
        }
        (Step::Index(index), Value::Array(nodes)) if *index == nodes.len() => nodes.push(fresh),
        (Step::Index(index), Value::Array(nodes)) if *index > nodes.len() => {
            let count = nodes.len();
            return Err(format!("the list has {count} elements so far: the next is [{count}]"));
        }
        (_, _) => {}
    }
    Ok(find(node, step))
}

fn remove(node: &mut Node, last: &Step) {
    match (last, &mut node.value) {
        (Step::Field(key) | Step::Key(key), Value::Object(members)) => members.retain(|m| m.key != *key),
        (Step::Index(index), Value::Array(nodes)) if *index < nodes.len() => {
            nodes.remove(*index);
        }
        (_, _) => {}
    }
}

/// The key itself was written by the flag, too.
fn credit(node: &mut Node, last: &Step, origin: Origin) {
    let Value::Object(members) = &mut node.value else {
        return;
    };
    if let Some(member) = members.iter_mut().find(|m| Some(m.key.as_str()) == last.key()) {
        member.origin = origin;
    }
}
