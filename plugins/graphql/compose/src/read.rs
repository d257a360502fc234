//! Text -> [`Schema`].

use crate::definition::{TypeParts, root_operations, type_parts};
use crate::directives::{Directives, Meaning};
use crate::error::{CompositionError, ErrorCode, Errors};
use crate::model::{self, FieldDef, InputDef, Key, Kind, Notes, Schema, Style, TypeDef};
use crate::{MAX_SDL_BYTES, Subgraph, field_set};
use apollo_compiler::ast::{
    Definition, Directive, DirectiveList, Document, EnumValueDefinition, FieldDefinition, InputValueDefinition,
    OperationType, Type,
};
use apollo_compiler::parser::Parser;
use apollo_compiler::{Name, Node};
use std::collections::{BTreeMap, HashMap};

/// A type reference or a default value nests no deeper in any real schema.
const MAX_DEPTH: usize = 64;
const MAX_TOKENS: usize = 500_000;

/// Reads one schema; pushes errors and returns `None` if it cannot take part.
pub(crate) fn schema(subgraph: &Subgraph, graph: String, errors: &mut Errors) -> Option<Schema> {
    let document = parse(subgraph).map_err(|error| errors.push(error)).ok()?;
    let directives = Directives::read(&subgraph.name, &document, errors);
    let roots = Roots::read(&subgraph.name, &document, errors);
    let mut reader = Reader {
        service: &subgraph.name,
        directives,
        roots,
        types: BTreeMap::new(),
        errors,
    };
    for definition in &document.definitions {
        reader.definition(definition);
    }
    reader.finish();
    let style = reader.directives.style;
    let types = reader.types;
    Some(Schema {
        service: subgraph.name.clone(),
        url: subgraph.url.clone(),
        graph,
        style,
        types,
    })
}

fn parse(subgraph: &Subgraph) -> Result<Document, CompositionError> {
    let service = &subgraph.name;
    if subgraph.sdl.len() > MAX_SDL_BYTES {
        let text = format!("the schema of \"{service}\" is longer than {MAX_SDL_BYTES} bytes");
        return Err(CompositionError::new(ErrorCode::LimitExceeded, service, text));
    }
    let mut parser = Parser::new().recursion_limit(MAX_DEPTH).token_limit(MAX_TOKENS);
    parser.parse_ast(subgraph.sdl.as_str(), service).map_err(|failed| {
        let first = failed.errors.iter().next();
        let place = first
            .as_ref()
            .and_then(|d| d.line_column_range())
            .map(|range| range.start);
        let place = place
            .map(|at| format!(" at {}:{}", at.line, at.column))
            .unwrap_or_default();
        let cause = first.map(|d| d.error.to_string()).unwrap_or_default();
        let text = format!("the schema of \"{service}\" does not parse{place}: {cause}");
        CompositionError::new(ErrorCode::InvalidSyntax, service, text)
    })
}

/// The root types' names in the schema -> canonical names.
struct Roots(HashMap<String, &'static str>);

impl Roots {
    fn read(service: &str, document: &Document, errors: &mut Errors) -> Self {
        let mut roots = HashMap::new();
        for definition in &document.definitions {
            let operations = root_operations(definition);
            roots.extend(operations.iter().map(|op| (op.1.to_string(), canonical_root(op.0))));
        }
        let defaults = [model::QUERY, model::MUTATION, model::SUBSCRIPTION];
        let explicit = document
            .definitions
            .iter()
            .any(|d| matches!(d, Definition::SchemaDefinition(_)));
        for name in defaults {
            // Without a schema definition the defaults are the roots; with one, an unlisted `Query` is a mere type.
            if explicit && !roots.contains_key(name) && defines(document, name) {
                let text = format!("\"{service}\": type {name} that is no root type is not supported yet");
                errors.push(CompositionError::new(ErrorCode::Unsupported, service, text).on_type(name));
            } else if !explicit {
                roots.entry(name.to_owned()).or_insert(name);
            }
        }
        Self(roots)
    }

    fn canonical<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).copied().unwrap_or(name)
    }

    fn rename(&self, ty: &Type) -> Type {
        let name = |n: &Name| Name::new_unchecked(self.canonical(n));
        match ty {
            Type::Named(n) => Type::Named(name(n)),
            Type::NonNullNamed(n) => Type::NonNullNamed(name(n)),
            Type::List(inner) => Type::List(Box::new(self.rename(inner))),
            Type::NonNullList(inner) => Type::NonNullList(Box::new(self.rename(inner))),
        }
    }
}

fn canonical_root(operation: OperationType) -> &'static str {
    match operation {
        OperationType::Query => model::QUERY,
        OperationType::Mutation => model::MUTATION,
        OperationType::Subscription => model::SUBSCRIPTION,
    }
}

fn defines(document: &Document, name: &str) -> bool {
    document
        .definitions
        .iter()
        .any(|d| d.as_object_type_definition().is_some_and(|def| def.name == name))
}

struct Reader<'a> {
    service: &'a str,
    directives: Directives,
    roots: Roots,
    types: BTreeMap<String, TypeDef>,
    errors: &'a mut Errors,
}

/// What the directives of one definition say.
#[derive(Default)]
struct Marks {
    keys: Vec<Key>,
    shareable: bool,
    external: bool,
    requires: Option<String>,
    provides: Option<String>,
    notes: Notes,
    one_of: bool,
}

impl Reader<'_> {
    fn definition(&mut self, definition: &Definition) {
        let Some(parts) = type_parts(definition) else {
            if definition.is_executable_definition() {
                self.unsupported(
                    "an operation in a schema",
                    definition.name().map_or("", |name| name),
                    None,
                );
            }
            return;
        };
        let name = self.roots.canonical(parts.name).to_owned();
        if self.is_machinery(&name) {
            return;
        }
        let Some(marks) = self.open(&name, &parts) else { return };
        self.fields(&name, parts.fields, &marks);
        self.inputs(&name, parts.inputs);
        self.values(&name, parts.values);
        if let Some(def) = self.types.get_mut(&name) {
            def.implements.extend(parts.implements.iter().map(|n| n.to_string()));
            def.members.extend(parts.members.iter().map(|n| n.to_string()));
        }
    }

    /// Types of the federation protocol itself and of introspection.
    fn is_machinery(&self, name: &str) -> bool {
        let federation = matches!(name, "_Any" | "_Entity" | "_Service" | "_FieldSet" | "FieldSet")
            || ["federation__", "link__", "join__"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
        name.starts_with("__") || federation && self.directives.style != Style::Plain
    }

    /// Finds or makes the type, and folds in what its directives say.
    fn open(&mut self, name: &str, parts: &TypeParts<'_>) -> Option<Marks> {
        let kind = parts.kind;
        let mut marks = self.marks(parts.directives, name, None);
        let known = self.types.get(name).map_or(kind, |def| def.kind);
        if known != kind {
            let (here, there) = (known.describe(), kind.describe());
            let text = format!("\"{}\" defines {name} as {here} and as {there}", self.service);
            self.errors
                .push(CompositionError::new(ErrorCode::TypeKindMismatch, self.service, text).on_type(name));
            return None;
        }
        if kind == Kind::Interface && !marks.keys.is_empty() {
            self.unsupported(&format!("@key on interface {name}"), name, None);
        }
        let def = self.types.entry(name.to_owned()).or_insert_with(|| TypeDef::new(kind));
        def.keys.append(&mut marks.keys);
        def.one_of |= marks.one_of;
        def.notes.inaccessible |= marks.notes.inaccessible;
        def.notes.description = parts.description.map(str::to_owned).or(def.notes.description.take());
        Some(marks)
    }

    /// `marks` are those of the definition: `@shareable` and `@external` on a type are meant for its fields here.
    fn fields(&mut self, name: &str, fields: &[Node<FieldDefinition>], marks: &Marks) {
        for field in fields {
            self.add_field(name, field, marks.shareable, marks.external);
        }
    }

    fn add_field(&mut self, type_name: &str, field: &FieldDefinition, shareable: bool, external: bool) {
        if type_name == model::QUERY && matches!(field.name.as_str(), "_service" | "_entities") {
            return;
        }
        let marks = self.marks(&field.directives, type_name, Some(&field.name));
        let mut notes = marks.notes;
        notes.description = field.description.as_ref().map(|d| d.to_string());
        let mut args = indexmap::IndexMap::new();
        for arg in &field.arguments {
            let def = self.input(arg, type_name, &field.name);
            if args.insert(arg.name.to_string(), def).is_some() {
                self.twice(
                    type_name,
                    &format!("argument {type_name}.{}({}:)", field.name, arg.name),
                    &field.name,
                );
            }
        }
        let def = FieldDef {
            notes,
            ty: self.roots.rename(&field.ty),
            args,
            external: marks.external || external,
            shareable: marks.shareable || shareable,
            requires: marks.requires,
            provides: marks.provides,
        };
        let Some(owner) = self.types.get_mut(type_name) else {
            return;
        };
        if owner.fields.insert(field.name.to_string(), def).is_some() {
            self.twice(type_name, &format!("{type_name}.{}", field.name), &field.name);
        }
    }

    fn inputs(&mut self, type_name: &str, fields: &[Node<InputValueDefinition>]) {
        for field in fields {
            let def = self.input(field, type_name, &field.name);
            let Some(owner) = self.types.get_mut(type_name) else {
                return;
            };
            if owner.inputs.insert(field.name.to_string(), def).is_some() {
                self.twice(type_name, &format!("{type_name}.{}", field.name), &field.name);
            }
        }
    }

    fn input(&mut self, value: &InputValueDefinition, type_name: &str, field: &str) -> InputDef {
        let mut notes = self.marks(&value.directives, type_name, Some(field)).notes;
        notes.description = value.description.as_ref().map(|d| d.to_string());
        let default = value.default_value.as_ref().map(|v| (**v).clone());
        InputDef {
            notes,
            ty: self.roots.rename(&value.ty),
            default,
        }
    }

    fn values(&mut self, type_name: &str, values: &[Node<EnumValueDefinition>]) {
        for value in values {
            let mut notes = self.marks(&value.directives, type_name, Some(&value.value)).notes;
            notes.description = value.description.as_ref().map(|d| d.to_string());
            let Some(owner) = self.types.get_mut(type_name) else {
                return;
            };
            if owner.values.insert(value.value.to_string(), notes).is_some() {
                self.twice(type_name, &format!("{type_name}.{}", value.value), &value.value);
            }
        }
    }

    fn marks(&mut self, directives: &DirectiveList, type_name: &str, field: Option<&str>) -> Marks {
        let mut marks = Marks::default();
        for directive in directives.iter() {
            match directive.name.as_str() {
                "deprecated" => marks.notes.deprecated = Some(deprecation(directive)),
                "oneOf" => marks.one_of = true,
                _ => self.mark(&mut marks, directive, type_name, field),
            }
        }
        marks
    }

    fn mark(&mut self, marks: &mut Marks, directive: &Directive, type_name: &str, field: Option<&str>) {
        match self.directives.meaning(directive) {
            None | Some(Meaning::Ignored | Meaning::Extends) => {}
            Some(Meaning::Key) => marks.keys.extend(self.key(directive, type_name)),
            Some(Meaning::Shareable) => marks.shareable = true,
            Some(Meaning::External) => marks.external = true,
            Some(Meaning::Inaccessible) => marks.notes.inaccessible = true,
            Some(Meaning::Requires) => marks.requires = self.field_set(directive, type_name, field),
            Some(Meaning::Provides) => marks.provides = self.field_set(directive, type_name, field),
            Some(Meaning::Unsupported) => {
                let why = self.directives.why_unsupported(directive);
                self.unsupported(&why, type_name, field);
            }
        }
    }

    fn key(&mut self, directive: &Directive, type_name: &str) -> Option<Key> {
        let text = self.field_set(directive, type_name, None)?;
        let resolvable = directive
            .specified_argument_by_name("resolvable")
            .and_then(|v| v.to_bool())
            .unwrap_or(true);
        let selection = field_set::parse(&text).ok()?;
        Some(Key {
            text,
            selection,
            resolvable,
        })
    }

    fn field_set(&mut self, directive: &Directive, type_name: &str, field: Option<&str>) -> Option<String> {
        let text = directive.specified_argument_by_name("fields").and_then(|v| v.as_str());
        let checked = text
            .ok_or_else(|| "it has no text `fields`".to_owned())
            .and_then(field_set::parse);
        if let Err(why) = &checked {
            let place = place(type_name, field);
            let text = format!("\"{}\": @{} on {place}: {why}", self.service, directive.name);
            let error = CompositionError::new(ErrorCode::InvalidFieldSet, self.service, text);
            self.errors.push(on(error, type_name, field));
        }
        text.filter(|_| checked.is_ok()).map(str::to_owned)
    }

    fn unsupported(&mut self, what: &str, type_name: &str, field: Option<&str>) {
        let verdict = if what.starts_with("directive") {
            ""
        } else {
            " is not supported yet"
        };
        let text = format!("\"{}\": {}: {what}{verdict}", self.service, place(type_name, field));
        let error = CompositionError::new(ErrorCode::Unsupported, self.service, text);
        self.errors.push(on(error, type_name, field));
    }

    fn twice(&mut self, type_name: &str, what: &str, field: &str) {
        let text = format!("\"{}\" defines {what} twice", self.service);
        let error = CompositionError::new(ErrorCode::DuplicateDefinition, self.service, text);
        self.errors.push(error.on_field(type_name, field));
    }

    /// What only the whole schema can tell.
    fn finish(&mut self) {
        // Before federation 2 there was no `@shareable`: equal types are shared.
        let unlinked = self.directives.style != Style::Federation2;
        for (name, def) in &mut self.types {
            let key_fields: Vec<String> = def.fields.keys().filter(|f| def.is_key_field(f)).cloned().collect();
            for key_field in key_fields {
                let Some(field) = def.fields.get_mut(&key_field) else {
                    continue;
                };
                // The key arrives with the representation, so this service can answer it, whatever `@external` says.
                field.external = false;
                field.shareable = true;
            }
            let value_type = unlinked && !model::is_root(name);
            def.fields.values_mut().for_each(|field| field.shareable |= value_type);
        }
        if self.types.contains_key(model::SUBSCRIPTION) {
            self.unsupported("root type Subscription", model::SUBSCRIPTION, None);
        }
    }
}

fn deprecation(directive: &Directive) -> String {
    let reason = directive.specified_argument_by_name("reason").and_then(|v| v.as_str());
    reason.unwrap_or("No longer supported").to_owned()
}

fn place(type_name: &str, field: Option<&str>) -> String {
    field.map_or_else(|| type_name.to_owned(), |field| format!("{type_name}.{field}"))
}

fn on(error: CompositionError, type_name: &str, field: Option<&str>) -> CompositionError {
    match field {
        Some(field) => error.on_field(type_name, field),
        None => error.on_type(type_name),
    }
}
