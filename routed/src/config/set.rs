//! `--set PATH=VALUE`: one value laid over the tree.

use super::path::{KeyPath, Step};
use super::tree::{Member, Node, Origin, Value};

/// A value given by a flag.
#[derive(Debug, Clone)]
pub struct Override {
    /// The flag as it was given, for error messages.
    pub flag: String,
    /// The key.
    pub path: KeyPath,
    /// Its value; `None` deletes the key.
    pub value: Option<Node>,
}

/// Lays an override over the tree; what it writes is said to come from flag `index`.
pub(super) fn apply(root: &mut Node, one: &Override, index: usize) -> Result<(), String> {
    let origin = Origin::Flag(index);
    let Some((last, parents)) = one.path.0.split_last() else {
        return Err("the path is empty".to_owned());
    };
    let mut node = root;
    for step in parents {
        let Some(next) = descend(node, step, origin, one.value.is_some())? else {
            return Ok(());
        };
        node = next;
    }
    match &one.value {
        None => remove(node, last),
        Some(value) => {
            let place = descend(node, last, origin, true)?.ok_or("nothing to set here")?;
            *place = value.clone();
            place.attribute_to(origin);
            mark(node, last, origin);
            Ok(())
        }
    }
}

/// The value below `step`, made if it is not there and `create`.
fn descend<'a>(node: &'a mut Node, step: &Step, origin: Origin, create: bool) -> Result<Option<&'a mut Node>, String> {
    if create && matches!(node.value, Value::Null) {
        node.value = if step.key().is_some() {
            Value::Object(Vec::new())
        } else {
            Value::Array(Vec::new())
        };
    }
    let fresh = || Node {
        origin,
        value: Value::Null,
    };
    match (step, &mut node.value) {
        (Step::Field(key) | Step::Key(key), Value::Object(members)) => {
            let at = members.iter().position(|m| m.key == *key);
            if at.is_none() && create {
                members.push(Member {
                    key: key.clone(),
                    origin,
                    node: fresh(),
                });
            }
            let at = at.unwrap_or(members.len().wrapping_sub(1));
            Ok(members.get_mut(at).filter(|m| m.key == *key).map(|m| &mut m.node))
        }
        (Step::Index(index), Value::Array(nodes)) => {
            if *index == nodes.len() && create {
                nodes.push(fresh());
            }
            let count = nodes.len();
            match nodes.get_mut(*index) {
                Some(node) => Ok(Some(node)),
                None if create => Err(format!("the list has {count} elements; the next is [{count}]")),
                None => Ok(None),
            }
        }
        (Step::Index(_), _) => Err("expected a key here, found [NUMBER]: this is no list".to_owned()),
        (_, _) => Err("this has no keys".to_owned()),
    }
}

fn remove(node: &mut Node, last: &Step) -> Result<(), String> {
    match (last, &mut node.value) {
        (Step::Field(key) | Step::Key(key), Value::Object(members)) => members.retain(|m| m.key != *key),
        (Step::Index(index), Value::Array(nodes)) if *index < nodes.len() => {
            nodes.remove(*index);
        }
        (_, _) => {}
    }
    Ok(())
}

/// The key itself was written by the flag, too.
fn mark(node: &mut Node, last: &Step, origin: Origin) {
    let Value::Object(members) = &mut node.value else {
        return;
    };
    if let Some(member) = members.iter_mut().find(|m| Some(m.key.as_str()) == last.key()) {
        member.origin = origin;
    }
}
