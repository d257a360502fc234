//! One service's schema, read and normalised: canonical root names, no federation machinery, extensions folded in.

use apollo_compiler::ast::{Selection, Type, Value};
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet};

/// The three root types under their canonical names.
pub(crate) const QUERY: &str = "Query";
pub(crate) const MUTATION: &str = "Mutation";
pub(crate) const SUBSCRIPTION: &str = "Subscription";

/// One service's schema.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) service: String,
    pub(crate) url: String,
    /// Its value in `enum join__Graph`.
    pub(crate) graph: String,
    pub(crate) style: Style,
    pub(crate) types: BTreeMap<String, TypeDef>,
}

/// How a service takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// It links a federation 2 spec.
    Federation2,
    /// It uses federation directives without a link.
    Federation1,
    /// It knows nothing of federation: its type names mean only what it says.
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Object,
    Interface,
    Union,
    Enum,
    Input,
}

impl Kind {
    /// With its article, for error messages.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Scalar => "a scalar",
            Self::Object => "an object",
            Self::Interface => "an interface",
            Self::Union => "a union",
            Self::Enum => "an enum",
            Self::Input => "an input",
        }
    }
}

/// A type; only the parts that its kind has are filled.
#[derive(Debug)]
pub(crate) struct TypeDef {
    pub(crate) kind: Kind,
    pub(crate) notes: Notes,
    pub(crate) keys: Vec<Key>,
    pub(crate) implements: BTreeSet<String>,
    /// Of objects and interfaces.
    pub(crate) fields: IndexMap<String, FieldDef>,
    /// Of inputs.
    pub(crate) inputs: IndexMap<String, InputDef>,
    /// Of unions.
    pub(crate) members: BTreeSet<String>,
    /// Of enums.
    pub(crate) values: IndexMap<String, Notes>,
    /// `@oneOf` of inputs.
    pub(crate) one_of: bool,
}

impl TypeDef {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            notes: Notes::default(),
            keys: Vec::new(),
            implements: BTreeSet::new(),
            fields: IndexMap::new(),
            inputs: IndexMap::new(),
            members: BTreeSet::new(),
            values: IndexMap::new(),
            one_of: false,
        }
    }

    /// Whether `field` is at the top level of one of the keys.
    pub(crate) fn is_key_field(&self, field: &str) -> bool {
        let named = |s: &Selection| matches!(s, Selection::Field(f) if f.name == field);
        self.keys.iter().any(|key| key.selection.iter().any(named))
    }
}

/// What every definition may carry.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Notes {
    pub(crate) description: Option<String>,
    pub(crate) inaccessible: bool,
    /// The reason of `@deprecated`.
    pub(crate) deprecated: Option<String>,
}

/// One `@key`.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) selection: Vec<Selection>,
    pub(crate) resolvable: bool,
}

#[derive(Debug)]
pub(crate) struct FieldDef {
    pub(crate) notes: Notes,
    pub(crate) ty: Type,
    pub(crate) args: IndexMap<String, InputDef>,
    pub(crate) external: bool,
    pub(crate) shareable: bool,
    pub(crate) requires: Option<String>,
    pub(crate) provides: Option<String>,
}

/// An argument or a field of an input.
#[derive(Debug, Clone)]
pub(crate) struct InputDef {
    pub(crate) notes: Notes,
    pub(crate) ty: Type,
    pub(crate) default: Option<Value>,
}

/// Whether `name` is one of the root types.
pub(crate) fn is_root(name: &str) -> bool {
    matches!(name, QUERY | MUTATION | SUBSCRIPTION)
}

/// Whether `name` needs no definition.
pub(crate) fn is_built_in(name: &str) -> bool {
    matches!(name, "String" | "Int" | "Float" | "Boolean" | "ID")
}

/// Assigns values of `enum join__Graph`, which must be unique GraphQL names.
#[derive(Debug, Default)]
pub(crate) struct GraphNames(BTreeSet<String>);

impl GraphNames {
    pub(crate) fn assign(&mut self, service: &str) -> String {
        let stem = Self::stem(service);
        let mut name = stem.clone();
        let mut count = 1;
        while !self.0.insert(name.clone()) {
            count += 1;
            name = format!("{stem}__{count}");
        }
        name
    }

    fn stem(service: &str) -> String {
        let upper = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        };
        let stem: String = service.chars().map(upper).collect();
        // A name must not begin with a digit, and two leading underscores are reserved.
        if stem.starts_with(|c: char| c.is_ascii_uppercase()) {
            stem
        } else {
            format!("G_{stem}")
        }
    }
}
