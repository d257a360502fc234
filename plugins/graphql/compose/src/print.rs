//! The supergraph as text. Descriptions and strings are always quoted, never block strings: every reader takes those.

use crate::merge::{Join, Merged, MergedField};
use crate::model::{self, InputDef, Kind, Notes, Schema};
use apollo_compiler::ast::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

const HEADER: &str = r#"directive @join__enumValue(graph: join__Graph!) repeatable on ENUM_VALUE
directive @join__field(graph: join__Graph, requires: join__FieldSet, provides: join__FieldSet, type: String, external: Boolean, override: String, usedOverridden: Boolean) repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION
directive @join__graph(name: String!, url: String!) on ENUM_VALUE
directive @join__implements(graph: join__Graph!, interface: String!) repeatable on OBJECT | INTERFACE
directive @join__type(graph: join__Graph!, key: join__FieldSet, extension: Boolean! = false, resolvable: Boolean! = true, isInterfaceObject: Boolean! = false) repeatable on OBJECT | INTERFACE | UNION | ENUM | INPUT_OBJECT | SCALAR
directive @join__unionMember(graph: join__Graph!, member: String!) repeatable on UNION
directive @link(url: String, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA
directive @inaccessible on FIELD_DEFINITION | OBJECT | INTERFACE | UNION | ARGUMENT_DEFINITION | SCALAR | ENUM | ENUM_VALUE | INPUT_OBJECT | INPUT_FIELD_DEFINITION

scalar join__FieldSet

scalar link__Import

enum link__Purpose {
  SECURITY
  EXECUTION
}
"#;

const LINKS: &str = r#"  @link(url: "https://specs.apollo.dev/link/v1.0")
  @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION)
  @link(url: "https://specs.apollo.dev/inaccessible/v0.2", for: SECURITY)
"#;

/// Renders the supergraph.
pub(crate) fn supergraph(schemas: &[Schema], types: &BTreeMap<String, Merged>) -> String {
    let mut printer = Printer {
        schemas,
        out: String::new(),
    };
    printer.schema(types);
    printer.line(HEADER);
    if types.values().any(|merged| merged.one_of) {
        printer.line("directive @oneOf on INPUT_OBJECT\n");
    }
    printer.graphs();
    for (name, merged) in types {
        printer.type_definition(name, merged);
    }
    printer.out
}

struct Printer<'a> {
    schemas: &'a [Schema],
    out: String,
}

impl Printer<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn schema(&mut self, types: &BTreeMap<String, Merged>) {
        self.out.push_str("schema\n");
        self.out.push_str(LINKS);
        self.line("{");
        for (operation, name) in [("query", model::QUERY), ("mutation", model::MUTATION)] {
            if types.contains_key(name) {
                self.line(&format!("  {operation}: {name}"));
            }
        }
        self.line("}\n");
    }

    fn graphs(&mut self) {
        self.line("enum join__Graph {");
        for schema in self.schemas {
            let (name, url) = (quote(&schema.service), quote(&schema.url));
            self.line(&format!("  {} @join__graph(name: {name}, url: {url})", schema.graph));
        }
        self.line("}");
    }

    fn type_definition(&mut self, name: &str, merged: &Merged) {
        self.out.push('\n');
        self.description("", &merged.notes);
        let keyword = match merged.kind {
            Kind::Scalar => "scalar",
            Kind::Object => "type",
            Kind::Interface => "interface",
            Kind::Union => "union",
            Kind::Enum => "enum",
            Kind::Input => "input",
        };
        let interfaces = self.interfaces(name, merged);
        let one_of = if merged.one_of { " @oneOf" } else { "" };
        let notes = notes(&merged.notes);
        self.line(&format!("{keyword} {name}{interfaces}{one_of}{notes}"));
        self.type_joins(name, merged);
        self.body(name, merged);
    }

    fn interfaces(&self, name: &str, merged: &Merged) -> String {
        let parts = merged
            .graphs
            .iter()
            .filter_map(|graph| self.schemas[*graph].types.get(name));
        let all: std::collections::BTreeSet<&str> = parts
            .flat_map(|def| def.implements.iter().map(String::as_str))
            .collect();
        if all.is_empty() {
            String::new()
        } else {
            format!(" implements {}", Vec::from_iter(all).join(" & "))
        }
    }

    fn type_joins(&mut self, name: &str, merged: &Merged) {
        let schemas = self.schemas;
        for schema in merged.graphs.iter().map(|graph| &schemas[*graph]) {
            let graph = &schema.graph;
            let Some(def) = schema.types.get(name).filter(|def| def.kind == merged.kind) else {
                self.line(&format!("  @join__type(graph: {graph})"));
                continue;
            };
            for key in &def.keys {
                let (text, resolvable) = (
                    quote(&key.text),
                    if key.resolvable { "" } else { ", resolvable: false" },
                );
                self.line(&format!("  @join__type(graph: {graph}, key: {text}{resolvable})"));
            }
            if def.keys.is_empty() {
                self.line(&format!("  @join__type(graph: {graph})"));
            }
            for interface in &def.implements {
                self.line(&format!(
                    "  @join__implements(graph: {graph}, interface: {})",
                    quote(interface)
                ));
            }
            for member in &def.members {
                self.line(&format!(
                    "  @join__unionMember(graph: {graph}, member: {})",
                    quote(member)
                ));
            }
        }
    }

    fn body(&mut self, name: &str, merged: &Merged) {
        match merged.kind {
            Kind::Scalar => {}
            Kind::Union => self.members(name, merged),
            Kind::Object | Kind::Interface => {
                self.block(&merged.fields, |printer, field| printer.field(name, merged, field));
            }
            Kind::Input => self.block(&merged.inputs, |printer, (name, input)| printer.input(name, input)),
            Kind::Enum => {
                let graphs = &merged.graphs;
                self.block(&merged.values, |printer, (name, notes)| {
                    printer.value(name, notes, graphs);
                });
            }
        }
    }

    fn block<T>(&mut self, items: &[T], print: impl Fn(&mut Self, &T)) {
        self.line("{");
        for item in items {
            print(self, item);
        }
        self.line("}");
    }

    fn members(&mut self, name: &str, merged: &Merged) {
        let parts = merged
            .graphs
            .iter()
            .filter_map(|graph| self.schemas[*graph].types.get(name));
        let all: std::collections::BTreeSet<&str> =
            parts.flat_map(|def| def.members.iter().map(String::as_str)).collect();
        self.line(&format!("  = {}", Vec::from_iter(all).join(" | ")));
    }

    fn field(&mut self, type_name: &str, merged: &Merged, field: &MergedField) {
        self.description("  ", &field.notes);
        let args: Vec<String> = field.args.iter().map(|(name, arg)| input(name, arg)).collect();
        let args = if args.is_empty() {
            String::new()
        } else {
            format!("({})", args.join(", "))
        };
        let mut line = format!("  {}{args}: {}{}", field.name, field.ty, notes(&field.notes));
        let owned_by_type = merged.graphs.len() == 1 && !model::is_root(type_name);
        for join in &field.joins {
            if !(owned_by_type && join.is_default()) {
                line.push_str(&self.join(join));
            }
        }
        self.line(&line);
    }

    fn join(&self, join: &Join) -> String {
        let mut text = format!(" @join__field(graph: {}", self.schemas[join.graph].graph);
        let quoted = [
            ("requires", join.requires.clone()),
            ("provides", join.provides.clone()),
            ("type", join.type_in_graph.as_ref().map(|ty| ty.to_string())),
        ];
        for (name, value) in quoted {
            if let Some(value) = value {
                text.push_str(&format!(", {name}: {}", quote(&value)));
            }
        }
        if join.external {
            text.push_str(", external: true");
        }
        text + ")"
    }

    fn input(&mut self, name: &str, def: &InputDef) {
        self.line(&format!("  {}", input(name, def)));
    }

    fn value(&mut self, name: &str, of: &Notes, graphs: &[usize]) {
        self.description("  ", of);
        let mut line = format!("  {name}{}", notes(of));
        for graph in graphs {
            line.push_str(&format!(" @join__enumValue(graph: {})", self.schemas[*graph].graph));
        }
        self.line(&line);
    }

    fn description(&mut self, indent: &str, notes: &Notes) {
        if let Some(text) = &notes.description {
            self.line(&format!("{indent}{}", quote(text)));
        }
    }
}

impl Join {
    /// Whether it says no more than that the only service of the type has the field.
    fn is_default(&self) -> bool {
        !self.external && self.requires.is_none() && self.provides.is_none() && self.type_in_graph.is_none()
    }
}

fn notes(notes: &Notes) -> String {
    let mut text = String::new();
    if let Some(reason) = &notes.deprecated {
        text.push_str(&format!(" @deprecated(reason: {})", quote(reason)));
    }
    if notes.inaccessible {
        text.push_str(" @inaccessible");
    }
    text
}

fn input(name: &str, def: &InputDef) -> String {
    let description = def
        .notes
        .description
        .as_ref()
        .map(|text| format!("{} ", quote(text)))
        .unwrap_or_default();
    let default = def
        .default
        .as_ref()
        .map(|value| format!(" = {}", literal(value)))
        .unwrap_or_default();
    format!("{description}{name}: {}{default}{}", def.ty, notes(&def.notes))
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Enum(name) => name.to_string(),
        Value::Variable(name) => format!("${name}"),
        Value::String(text) => quote(text),
        Value::Float(number) => number.as_str().to_owned(),
        Value::Int(number) => number.as_str().to_owned(),
        Value::Boolean(flag) => flag.to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| literal(item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", literal(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Writing to a String does not fail.
            c if c.is_control() => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
