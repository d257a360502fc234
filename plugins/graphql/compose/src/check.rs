//! Checks that need more than one definition: known types, field sets, reachable entities, a valid result.

use crate::error::{CompositionError, ErrorCode, Errors};
use crate::field_set;
use crate::model::{self, FieldDef, Schema, Style, TypeDef};
use std::collections::{BTreeMap, BTreeSet};

/// What each schema must satisfy on its own.
pub(crate) fn each_schema(schemas: &[Schema], errors: &mut Errors) {
    for schema in schemas {
        for (name, def) in &schema.types {
            known_types(schema, name, def, errors);
            keys(schema, name, def, errors);
            field_sets(schema, name, def, errors);
        }
    }
}

fn known_types(schema: &Schema, name: &str, def: &TypeDef, errors: &mut Errors) {
    let mut uses: Vec<(String, String)> = Vec::new();
    for (field, def) in &def.fields {
        uses.push((field.clone(), def.ty.inner_named_type().to_string()));
        uses.extend(
            def.args
                .values()
                .map(|arg| (field.clone(), arg.ty.inner_named_type().to_string())),
        );
    }
    uses.extend(
        def.inputs
            .iter()
            .map(|(field, input)| (field.clone(), input.ty.inner_named_type().to_string())),
    );
    uses.extend(
        def.members
            .iter()
            .chain(&def.implements)
            .map(|used| (String::new(), used.clone())),
    );
    for (field, used) in uses {
        if !model::is_built_in(&used) && !schema.types.contains_key(&used) {
            let place = if field.is_empty() {
                name.to_owned()
            } else {
                format!("{name}.{field}")
            };
            let text = format!(
                "{place} in \"{}\" names {used}, which that service does not define",
                schema.service
            );
            let error = CompositionError::new(ErrorCode::UnknownType, &schema.service, text);
            errors.push(if field.is_empty() {
                error.on_type(name)
            } else {
                error.on_field(name, &field)
            });
        }
    }
}

fn keys(schema: &Schema, name: &str, def: &TypeDef, errors: &mut Errors) {
    for key in &def.keys {
        if let Some(missing) = field_set::first_missing(schema, name, &key.selection) {
            let text = format!(
                "\"{}\": @key(fields: \"{}\") on {name}: no field {missing}",
                schema.service, key.text
            );
            errors.push(CompositionError::new(ErrorCode::InvalidFieldSet, &schema.service, text).on_type(name));
        }
    }
}

fn field_sets(schema: &Schema, name: &str, def: &TypeDef, errors: &mut Errors) {
    for (field_name, field) in &def.fields {
        let target = field.ty.inner_named_type().as_str();
        let sets = [
            ("requires", name, &field.requires),
            ("provides", target, &field.provides),
        ];
        for (directive, owner, text) in sets {
            let Some(selection) = text.as_ref().and_then(|text| field_set::parse(text).ok()) else {
                continue;
            };
            if let Some(missing) = field_set::first_missing(schema, owner, &selection) {
                let text = format!(
                    "\"{}\": @{directive} on {name}.{field_name}: no field {missing}",
                    schema.service
                );
                let error = CompositionError::new(ErrorCode::InvalidFieldSet, &schema.service, text);
                errors.push(error.on_field(name, field_name));
            }
        }
    }
}

/// For each entity: from every service that has it, each field of every other must be reachable by keys.
pub(crate) fn entities(schemas: &[Schema], errors: &mut Errors) {
    let mut by_type: BTreeMap<&str, Vec<&Schema>> = BTreeMap::new();
    for schema in schemas.iter().filter(|schema| schema.style != Style::Plain) {
        for name in schema.types.keys().filter(|name| !model::is_root(name)) {
            by_type.entry(name).or_default().push(schema);
        }
    }
    for (name, owners) in by_type {
        let entity = owners.iter().any(|schema| !schema.types[name].keys.is_empty());
        for from in owners.iter().filter(|_| entity && owners.len() > 1) {
            reachable(name, from, &owners, errors);
        }
    }
}

fn reachable(name: &str, from: &Schema, owners: &[&Schema], errors: &mut Errors) {
    let reached = reach(name, from, owners);
    let available = |field: &str| reached.iter().any(|i| resolves(owners[*i], name, field));
    for target in owners {
        let lost = target.types[name]
            .fields
            .iter()
            .find(|(field, def)| !def.external && !available(field));
        let Some((field, _)) = lost else { continue };
        let (a, b) = (&from.service, &target.service);
        let text = format!(
            "{name}.{field} of \"{b}\" cannot be reached from \"{a}\": \"{b}\" has no @key on {name} that \"{a}\" can fill"
        );
        let error = CompositionError::new(ErrorCode::Unsatisfiable, a, text).and_service(b);
        errors.push(error.on_field(name, field));
    }
}

/// The indices of the services that can be reached by keys, starting with the fields of `from`.
fn reach(name: &str, from: &Schema, owners: &[&Schema]) -> BTreeSet<usize> {
    let start = owners.iter().position(|schema| schema.service == from.service);
    let mut reached: BTreeSet<usize> = start.into_iter().collect();
    loop {
        let can_enter = |to: &Schema| {
            let keys = to.types[name].keys.iter().filter(|key| key.resolvable);
            keys.into_iter()
                .any(|key| reached.iter().any(|i| can_fill(owners[*i], name, key)))
        };
        let next = (0..owners.len()).find(|i| !reached.contains(i) && can_enter(owners[*i]));
        match next {
            Some(index) => reached.insert(index),
            None => return reached,
        };
    }
}

fn can_fill(schema: &Schema, type_name: &str, key: &model::Key) -> bool {
    let has = |def: &TypeDef, field: &str| def.fields.get(field).is_some_and(|found| !found.external);
    field_set::all(schema, type_name, &key.selection, &has)
}

fn resolves(schema: &Schema, type_name: &str, field: &str) -> bool {
    let found: Option<&FieldDef> = schema.types.get(type_name).and_then(|def| def.fields.get(field));
    found.is_some_and(|def| !def.external)
}

/// The result must be a valid schema: what the rules above let through is caught here, not by a query.
pub(crate) fn supergraph(sdl: &str, schemas: &[Schema], errors: &mut Errors) {
    let Err(failed) = apollo_compiler::Schema::parse_and_validate(sdl, "supergraph") else {
        return;
    };
    for diagnostic in failed.errors.iter() {
        let text = format!("the merged schema is not valid: {}", diagnostic.error);
        let mut error = CompositionError::new(ErrorCode::InvalidGraphql, "", text);
        error.services = schemas.iter().map(|schema| schema.service.clone()).collect();
        errors.push(error);
    }
}
