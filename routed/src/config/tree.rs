//! A JSON document that remembers where each part of it was written.

use serde_json::Number;

use super::path::{KeyPath, Step};

/// Where a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// In the text, at this line and column (both from 1; columns count characters).
    Text {
        /// The line.
        line: u32,
        /// The column.
        column: u32,
    },
    /// By a flag of the command line: its index in the list of overrides.
    Flag(usize),
    /// Nowhere: the document was started empty.
    Nowhere,
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where.
    pub(super) origin: Origin,
    /// What.
    pub(super) value: Value,
}

/// A JSON value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number, undecided between integer and float.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Node>),
    /// An object, in the order of the text; keys are unique.
    Object(Vec<Member>),
}

/// A key of an object and its value.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The key.
    pub(super) key: String,
    /// Where the key was written.
    pub(super) origin: Origin,
    /// The value.
    pub(super) node: Node,
}

impl Node {
    /// An empty object that nobody wrote.
    pub(super) fn empty() -> Self {
        Self {
            origin: Origin::Nowhere,
            value: Value::Object(Vec::new()),
        }
    }

    /// The member of an object.
    pub(super) fn member(&self, key: &str) -> Option<&Member> {
        match &self.value {
            Value::Object(members) => members.iter().find(|m| m.key == key),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
        }
    }

    fn element(&self, index: usize) -> Option<&Self> {
        match &self.value {
            Value::Array(nodes) => nodes.get(index),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
        }
    }

    /// The value at `path`.
    pub(super) fn find(&self, path: &KeyPath) -> Option<&Self> {
        path.0.iter().try_fold(self, |node, step| match step {
            Step::Field(key) | Step::Key(key) => node.member(key).map(|member| &member.node),
            Step::Index(index) => node.element(*index),
        })
    }

    /// Where `path` was written: the key where there is one, or the nearest part around it that was written at all.
    pub(super) fn locate(&self, path: &KeyPath) -> Origin {
        let mut node = self;
        let mut origin = self.origin;
        for step in &path.0 {
            let next = match step {
                Step::Field(key) | Step::Key(key) => node.member(key).map(|m| (m.origin, &m.node)),
                Step::Index(index) => node.element(*index).map(|n| (n.origin, n)),
            };
            let Some((at, below)) = next else { break };
            origin = at;
            node = below;
        }
        origin
    }

    /// Says of this value and all below it that they were written at `origin`.
    pub(super) fn attribute_to(&mut self, origin: Origin) {
        self.origin = origin;
        match &mut self.value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            Value::Array(nodes) => nodes.iter_mut().for_each(|n| n.attribute_to(origin)),
            Value::Object(members) => members.iter_mut().for_each(|m| {
                m.origin = origin;
                m.node.attribute_to(origin);
            }),
        }
    }
}
