//! Merges normalised schemas type by type. Each kind has its rules; every difference that they do not allow is an error.

mod fields;
mod shared;

use crate::error::{CompositionError, ErrorCode, Errors};
use crate::model::{self, InputDef, Kind, Notes, Schema, Style, TypeDef};
use apollo_compiler::ast::Type;
use std::collections::{BTreeMap, BTreeSet};

/// A type of the supergraph.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) kind: Kind,
    pub(crate) notes: Notes,
    pub(crate) one_of: bool,
    /// The indices of the schemas that define it.
    pub(crate) graphs: Vec<usize>,
    pub(crate) fields: Vec<MergedField>,
    pub(crate) inputs: Vec<(String, InputDef)>,
    pub(crate) values: Vec<(String, Notes)>,
}

/// A field of an object or interface.
#[derive(Debug)]
pub(crate) struct MergedField {
    pub(crate) name: String,
    pub(crate) notes: Notes,
    pub(crate) ty: Type,
    pub(crate) args: Vec<(String, InputDef)>,
    pub(crate) joins: Vec<Join>,
}

/// How one service takes part in a field: one `@join__field`.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) graph: usize,
    pub(crate) external: bool,
    pub(crate) requires: Option<String>,
    pub(crate) provides: Option<String>,
    /// The type in that service, where it is not the merged one.
    pub(crate) type_in_graph: Option<Type>,
}

/// One service's definition of a type.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) graph: usize,
    pub(crate) schema: &'a Schema,
    pub(crate) def: &'a TypeDef,
}

impl Part<'_> {
    fn service(&self) -> &str {
        &self.schema.service
    }
}

/// Merges all types, by name.
pub(crate) fn merge(schemas: &[Schema], errors: &mut Errors) -> BTreeMap<String, Merged> {
    let names: BTreeSet<&String> = schemas.iter().flat_map(|schema| schema.types.keys()).collect();
    let mut merged = BTreeMap::new();
    for name in names {
        let parts: Vec<Part<'_>> = parts(schemas, name);
        if same_kind(name, &parts, errors) && shared::check(name, &parts, errors) {
            merged.insert(name.clone(), merge_type(name, &parts, schemas.len(), errors));
        }
    }
    if merged.get(model::QUERY).is_none_or(|query| query.fields.is_empty()) {
        let text = "no service has a query field".to_owned();
        let mut error = CompositionError::new(ErrorCode::NoQueries, "", text).on_type(model::QUERY);
        error.services = schemas.iter().map(|schema| schema.service.clone()).collect();
        errors.push(error);
    }
    merged
}

fn parts<'a>(schemas: &'a [Schema], name: &str) -> Vec<Part<'a>> {
    let part = |(graph, schema): (usize, &'a Schema)| schema.types.get(name).map(|def| Part { graph, schema, def });
    schemas.iter().enumerate().filter_map(part).collect()
}

fn same_kind(name: &str, parts: &[Part<'_>], errors: &mut Errors) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        return false;
    };
    let Some(other) = rest.iter().find(|part| part.def.kind != first.def.kind) else {
        return true;
    };
    let (a, b) = (first.service(), other.service());
    let (here, there) = (first.def.kind.describe(), other.def.kind.describe());
    let text = format!("{name} is {here} in \"{a}\" and {there} in \"{b}\"");
    errors.push(
        CompositionError::new(ErrorCode::TypeKindMismatch, b, text)
            .and_service(a)
            .on_type(name),
    );
    false
}

fn merge_type(name: &str, parts: &[Part<'_>], schema_count: usize, errors: &mut Errors) -> Merged {
    // The planner starts in any service, so the query root is part of all of them.
    let everywhere = name == model::QUERY;
    let graphs = if everywhere {
        (0..schema_count).collect()
    } else {
        parts.iter().map(|part| part.graph).collect()
    };
    let inputs = parts.first().map(|part| part.def.inputs.clone()).unwrap_or_default();
    let values = parts.first().map(|part| part.def.values.clone()).unwrap_or_default();
    Merged {
        kind: parts.first().map_or(Kind::Object, |part| part.def.kind),
        notes: merge_notes(parts.iter().map(|part| &part.def.notes)),
        one_of: parts.iter().all(|part| part.def.one_of),
        graphs,
        fields: fields::merge(name, parts, errors),
        inputs: inputs.into_iter().collect(),
        values: values.into_iter().collect(),
    }
}

/// The first description stands; hidden or deprecated anywhere is hidden or deprecated.
fn merge_notes<'a>(mut all: impl Iterator<Item = &'a Notes>) -> Notes {
    let mut merged = all.next().cloned().unwrap_or_default();
    for notes in all {
        merged.inaccessible |= notes.inaccessible;
        merged.description = merged.description.or_else(|| notes.description.clone());
        merged.deprecated = merged.deprecated.or_else(|| notes.deprecated.clone());
    }
    merged
}

/// Whether any service treats the type as an entity.
pub(crate) fn is_entity(parts: &[Part<'_>]) -> bool {
    parts.iter().any(|part| !part.def.keys.is_empty())
}

pub(crate) fn is_plain(part: &Part<'_>) -> bool {
    part.schema.style == Style::Plain
}
