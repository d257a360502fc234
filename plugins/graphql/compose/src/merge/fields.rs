//! Fields of objects and interfaces: who resolves them, and of what type.

use super::{Join, MergedField, Part, merge_notes};
use crate::error::{CompositionError, ErrorCode, Errors};
use crate::model::{FieldDef, InputDef, Kind};
use apollo_compiler::ast::Type;
use indexmap::{IndexMap, IndexSet};

/// One service's definition of a field.
#[derive(Clone, Copy)]
struct FieldPart<'a> {
    graph: usize,
    service: &'a str,
    kind: Kind,
    def: &'a FieldDef,
}

/// Merges the fields of one type, in the order of the services' names and of their definitions.
pub(super) fn merge(type_name: &str, parts: &[Part<'_>], errors: &mut Errors) -> Vec<MergedField> {
    let names: IndexSet<&String> = parts.iter().flat_map(|part| part.def.fields.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| merge_field(type_name, name, &field_parts(parts, name), errors))
        .collect()
}

fn field_parts<'a>(parts: &[Part<'a>], name: &str) -> Vec<FieldPart<'a>> {
    let of = |part: &Part<'a>| {
        let def = part.def.fields.get(name)?;
        Some(FieldPart {
            graph: part.graph,
            service: &part.schema.service,
            kind: part.def.kind,
            def,
        })
    };
    parts.iter().filter_map(of).collect()
}

fn merge_field(type_name: &str, name: &str, parts: &[FieldPart<'_>], errors: &mut Errors) -> Option<MergedField> {
    check_external(type_name, name, parts, errors)?;
    check_sharing(type_name, name, parts, errors);
    check_arguments(type_name, name, parts, errors);
    let ty = merge_types(type_name, name, parts, errors)?;
    let first = parts.iter().find(|part| !part.def.external).or(parts.first())?;
    Some(MergedField {
        name: name.to_owned(),
        notes: merge_notes(parts.iter().map(|part| &part.def.notes)),
        args: first
            .def
            .args
            .iter()
            .map(|(name, arg)| (name.clone(), arg.clone()))
            .collect(),
        joins: parts.iter().map(|part| join(part, &ty)).collect(),
        ty,
    })
}

fn join(part: &FieldPart<'_>, merged: &Type) -> Join {
    Join {
        graph: part.graph,
        external: part.def.external,
        requires: part.def.requires.clone(),
        provides: part.def.provides.clone(),
        type_in_graph: (part.def.ty != *merged).then(|| part.def.ty.clone()),
    }
}

/// Somebody must resolve a field that others mark `@external`.
fn check_external(type_name: &str, name: &str, parts: &[FieldPart<'_>], errors: &mut Errors) -> Option<()> {
    if parts.iter().any(|part| !part.def.external) {
        return Some(());
    }
    let service = parts.first()?.service;
    let text = format!("{type_name}.{name} is @external in \"{service}\" and no other service resolves it");
    errors.push(CompositionError::new(ErrorCode::ExternalMissingOnBase, service, text).on_field(type_name, name));
    None
}

/// All that resolve a field of an object must agree to share it.
fn check_sharing(type_name: &str, name: &str, parts: &[FieldPart<'_>], errors: &mut Errors) {
    let resolving: Vec<_> = parts
        .iter()
        .filter(|p| !p.def.external && p.kind == Kind::Object)
        .collect();
    if resolving.len() < 2 {
        return;
    }
    let Some(unshared) = resolving.iter().find(|part| !part.def.shareable) else {
        return;
    };
    let Some(other) = resolving.iter().find(|part| part.graph != unshared.graph) else {
        return;
    };
    let (a, b) = (unshared.service, other.service);
    let text = format!("{type_name}.{name} is resolved by \"{a}\" and by \"{b}\", but it is not @shareable in \"{a}\"");
    let error = CompositionError::new(ErrorCode::InvalidFieldSharing, a, text).and_service(b);
    errors.push(error.on_field(type_name, name));
}

fn check_arguments(type_name: &str, name: &str, parts: &[FieldPart<'_>], errors: &mut Errors) {
    let Some((first, rest)) = parts.split_first() else {
        return;
    };
    for part in rest {
        if let Some(difference) = first_difference(&first.def.args, &part.def.args) {
            let (a, b) = (part.service, first.service);
            let text = format!("argument {type_name}.{name}({difference}:) is not the same in \"{a}\" and in \"{b}\"");
            let error = CompositionError::new(ErrorCode::FieldArgumentMismatch, a, text).and_service(b);
            errors.push(error.on_field(type_name, name));
        }
    }
}

/// The first name that is in one only, or has another type or default.
pub(super) fn first_difference(a: &IndexMap<String, InputDef>, b: &IndexMap<String, InputDef>) -> Option<String> {
    let same = |x: &InputDef, y: &InputDef| x.ty == y.ty && x.default == y.default;
    let differs = |name: &&String| match (a.get(*name), b.get(*name)) {
        (Some(x), Some(y)) => !same(x, y),
        _ => true,
    };
    a.keys().chain(b.keys()).find(differs).cloned()
}

fn merge_types(type_name: &str, name: &str, parts: &[FieldPart<'_>], errors: &mut Errors) -> Option<Type> {
    let (first, rest) = parts.split_first()?;
    let mut merged = first.def.ty.clone();
    for part in rest {
        let Some(wider) = wider(&merged, &part.def.ty) else {
            let (a, b) = (part.service, first.service);
            let text = format!(
                "{type_name}.{name} is {} in \"{a}\" and {} in \"{b}\"",
                part.def.ty, first.def.ty
            );
            let error = CompositionError::new(ErrorCode::FieldTypeMismatch, a, text).and_service(b);
            errors.push(error.on_field(type_name, name));
            return None;
        };
        merged = wider;
    }
    Some(merged)
}

/// The type that holds values of both: equal but for nullability, and nullable wherever one is.
fn wider(a: &Type, b: &Type) -> Option<Type> {
    let nullable = !(a.is_non_null() && b.is_non_null());
    let ty = match (a, b) {
        (Type::Named(x) | Type::NonNullNamed(x), Type::Named(y) | Type::NonNullNamed(y)) => {
            if x != y {
                return None;
            }
            Type::Named(x.clone())
        }
        (Type::List(x) | Type::NonNullList(x), Type::List(y) | Type::NonNullList(y)) => {
            Type::List(Box::new(wider(x, y)?))
        }
        _ => return None,
    };
    Some(if nullable { ty } else { ty.non_null() })
}
