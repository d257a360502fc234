//! Field sets: the text of `@key(fields: "id owner { id }")` and its like.

use crate::model::{Schema, TypeDef};
use apollo_compiler::ast::{Definition, Selection};
use apollo_compiler::parser::Parser;

const MAX_BYTES: usize = 4096;
const MAX_DEPTH: usize = 16;

/// Parses a field set; the error says what is wrong.
pub(crate) fn parse(text: &str) -> Result<Vec<Selection>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("it is longer than {MAX_BYTES} bytes"));
    }
    let source = format!("{{ {text} }}");
    let document = Parser::new()
        .recursion_limit(MAX_DEPTH)
        .parse_ast(source, "fields")
        .map_err(|_| "it is not a list of fields".to_owned())?;
    match document.definitions.as_slice() {
        [Definition::OperationDefinition(operation)] if plain(&operation.selection_set) => {
            Ok(operation.selection_set.clone())
        }
        _ => Err("it is not a list of fields".to_owned()),
    }
}

/// Only fields, without alias, arguments or directives.
fn plain(selection: &[Selection]) -> bool {
    selection.iter().all(|s| match s {
        Selection::Field(f) => {
            f.alias.is_none() && f.arguments.is_empty() && f.directives.is_empty() && plain(&f.selection_set)
        }
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
    })
}

/// The first field of `selection` that `schema` has not, as `Type.field`.
pub(crate) fn first_missing(schema: &Schema, type_name: &str, selection: &[Selection]) -> Option<String> {
    let def = schema.types.get(type_name);
    fields(selection).find_map(|field| {
        let Some(found) = def.and_then(|def| def.fields.get(field.name.as_str())) else {
            return Some(format!("{type_name}.{}", field.name));
        };
        first_missing(schema, found.ty.inner_named_type(), &field.selection_set)
    })
}

/// Whether `available` says yes for every field of `selection`, at every depth.
pub(crate) fn all(
    schema: &Schema,
    type_name: &str,
    selection: &[Selection],
    available: &impl Fn(&TypeDef, &str) -> bool,
) -> bool {
    let Some(def) = schema.types.get(type_name) else {
        return selection.is_empty();
    };
    fields(selection).all(|field| {
        let name = field.name.as_str();
        let inner = def.fields.get(name).map(|found| found.ty.inner_named_type());
        available(def, name) && inner.is_some_and(|inner| all(schema, inner, &field.selection_set, available))
    })
}

fn fields(selection: &[Selection]) -> impl Iterator<Item = &apollo_compiler::ast::Field> {
    selection.iter().filter_map(|s| s.as_field().map(|f| &**f))
}
