//! Every value of the wrong type or form, not only the first: what is wrong is left out, and the rest is read again.

use serde::de::DeserializeOwned;

use super::de::from_node;
use super::path::KeyPath;
use super::schema::{self, Kind};
use super::tree::Node;
use super::type_error::TypeError;

/// The keys that the object at a path must have.
pub(super) type Required<'a> = &'a dyn Fn(&KeyPath) -> Vec<String>;

/// Reads a `T`, or gives up to about `limit` errors, in the order of the text. What follows from an error is not told: an
/// object whose key has a wrong value does not lack that key.
pub(super) fn read<T: DeserializeOwned>(
    root: &Node,
    required: Required<'_>,
    limit: usize,
) -> Result<T, Vec<TypeError>> {
    let mut errors = Vec::new();
    let mut left_out: Vec<&Node> = Vec::new();
    loop {
        let error = match from_node(root, &left_out) {
            Ok(value) if errors.is_empty() => return Ok(value),
            Ok(_) => return Err(errors),
            Err(error) => error,
        };
        let culprit = root.find(&error.path());
        errors.extend(causes(error, culprit, required));
        match culprit {
            Some(node) if errors.len() < limit && can_leave_out(node, root, &left_out) => left_out.push(node),
            Some(_) | None => return Err(errors),
        }
    }
}

/// Without the root nothing is left; what was left out already is not to blame again.
fn can_leave_out(node: &Node, root: &Node, left_out: &[&Node]) -> bool {
    !std::ptr::eq(node, root) && !left_out.iter().any(|out| std::ptr::eq(*out, node))
}

/// What an error tells of the text as it was written. serde names the first key that an object lacks, be it in the text
/// or left out since; the text lacks those that the schema requires and that are not written.
fn causes(error: TypeError, object: Option<&Node>, required: Required<'_>) -> Vec<TypeError> {
    let (Some(missing), Some(object)) = (&error.missing, object) else {
        return vec![error];
    };
    let mut keys = required(&error.path());
    if !keys.contains(missing) {
        keys.push(missing.clone());
    }
    keys.retain(|key| object.member(key).is_none());
    keys.iter().map(|key| error.also_missing(key)).collect()
}

/// What the schema of the configuration requires at `path`.
pub(super) fn required_by_schema(path: &KeyPath) -> Vec<String> {
    let Ok(found) = schema::resolve(path) else {
        return Vec::new();
    };
    let section = match schema::kind(found.schema) {
        Kind::Either => schema::long(found.schema),
        Kind::Section | Kind::Map | Kind::List | Kind::String | Kind::Integer | Kind::Bool | Kind::NumberOrString => {
            found.schema
        }
    };
    let keys = section["required"].as_array().into_iter().flatten();
    keys.filter_map(|key| key.as_str().map(str::to_owned)).collect()
}
