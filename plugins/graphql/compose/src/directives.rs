//! Which directive of a schema is which federation directive, through `@link`'s imports and renames.

use crate::definition::type_parts;
use crate::error::{CompositionError, ErrorCode, Errors};
use crate::model::Style;
use apollo_compiler::ast::{Definition, Directive, Document, Value};
use std::collections::{HashMap, HashSet};

const FEDERATION: &str = "https://specs.apollo.dev/federation/";
/// Sub-specs that may be linked on their own; the directive has the same name as the spec.
const SPECS: &str = "https://specs.apollo.dev/";

/// A directive by its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Key,
    Shareable,
    External,
    Requires,
    Provides,
    Inaccessible,
    Extends,
    /// Without effect on the graph: `@tag`.
    Ignored,
    /// It changes the meaning of a graph in a way that is not built yet.
    Unsupported,
}

/// Federation 1 knew only these.
const FEDERATION_1: [&str; 6] = ["key", "external", "requires", "provides", "extends", "tag"];
const FEDERATION_2: [&str; 18] = [
    "key",
    "external",
    "requires",
    "provides",
    "extends",
    "tag",
    "shareable",
    "inaccessible",
    "override",
    "interfaceObject",
    "composeDirective",
    "authenticated",
    "requiresScopes",
    "policy",
    "context",
    "fromContext",
    "cost",
    "listSize",
];

fn meaning(canonical: &str) -> Meaning {
    match canonical {
        "key" => Meaning::Key,
        "shareable" => Meaning::Shareable,
        "external" => Meaning::External,
        "requires" => Meaning::Requires,
        "provides" => Meaning::Provides,
        "inaccessible" => Meaning::Inaccessible,
        "extends" => Meaning::Extends,
        "tag" => Meaning::Ignored,
        _ => Meaning::Unsupported,
    }
}

/// The federation vocabulary of one schema.
#[derive(Debug)]
pub(crate) struct Directives {
    pub(crate) style: Style,
    /// Name in the schema -> canonical name.
    names: HashMap<String, String>,
    /// Federation names used bare though a link did not import them.
    not_imported: HashSet<String>,
}

impl Directives {
    /// Reads the links of a schema.
    pub(crate) fn read(service: &str, document: &Document, errors: &mut Errors) -> Self {
        let links: Vec<Link> = schema_directives(document)
            .filter(|d| d.name == "link")
            .map(Link::read)
            .collect();
        if links.iter().any(|link| link.url.starts_with(FEDERATION)) {
            Self::linked(service, &links, document, errors)
        } else {
            Self::unlinked(document)
        }
    }

    /// What `directive` means; `None` for the service's own directives, which are not part of the graph.
    pub(crate) fn meaning(&self, directive: &Directive) -> Option<Meaning> {
        if self.not_imported.contains(directive.name.as_str()) {
            return Some(Meaning::Unsupported);
        }
        self.names
            .get(directive.name.as_str())
            .map(|canonical| meaning(canonical))
    }

    /// Why [`Meaning::Unsupported`].
    pub(crate) fn why_unsupported(&self, directive: &Directive) -> String {
        if self.not_imported.contains(directive.name.as_str()) {
            return format!(
                "directive @{0} is used but its @link does not import \"@{0}\"",
                directive.name
            );
        }
        format!("directive @{} is not supported yet", directive.name)
    }

    fn linked(service: &str, links: &[Link], document: &Document, errors: &mut Errors) -> Self {
        let mut names = HashMap::new();
        for link in links {
            link.add_names(service, &mut names, errors);
        }
        let own: HashSet<&str> = document
            .definitions
            .iter()
            .filter_map(|d| d.as_directive_definition())
            .map(|d| d.name.as_str())
            .collect();
        let bare = FEDERATION_2
            .iter()
            .filter(|name| !names.contains_key(**name) && !own.contains(**name));
        let not_imported = bare.map(|name| (*name).to_owned()).collect();
        Self {
            style: Style::Federation2,
            names,
            not_imported,
        }
    }

    fn unlinked(document: &Document) -> Self {
        let used = used_directives(document);
        let federated = FEDERATION_1.iter().any(|name| used.contains(*name)) || has_federation_query(document);
        let style = if federated { Style::Federation1 } else { Style::Plain };
        let vocabulary: &[&str] = if federated { &FEDERATION_1 } else { &[] };
        let names = vocabulary
            .iter()
            .chain(&["inaccessible"])
            .map(|n| ((*n).to_owned(), (*n).to_owned()))
            .collect();
        Self {
            style,
            names,
            not_imported: HashSet::new(),
        }
    }
}

/// One `@link`.
struct Link {
    url: String,
    prefix: Option<String>,
    /// (canonical, name in the schema), directives only, without `@`.
    imports: Vec<(String, String)>,
}

impl Link {
    fn read(directive: &Directive) -> Self {
        let text = |name| {
            directive
                .specified_argument_by_name(name)
                .and_then(|v| v.as_str())
                .map(str::to_owned)
        };
        let imports = directive
            .specified_argument_by_name("import")
            .and_then(|v| v.as_list())
            .unwrap_or_default();
        Self {
            url: text("url").unwrap_or_default(),
            prefix: text("as"),
            imports: imports.iter().filter_map(|import| read_import(import)).collect(),
        }
    }

    fn add_names(&self, service: &str, names: &mut HashMap<String, String>, errors: &mut Errors) {
        if let Some(version) = self.url.strip_prefix(FEDERATION) {
            if !version.starts_with("v2") {
                let text = format!("\"{service}\": federation {version} is not supported yet");
                errors.push(CompositionError::new(ErrorCode::Unsupported, service, text));
            }
            self.add_federation(names);
        } else if let Some(spec) = self.url.strip_prefix(SPECS).and_then(|rest| rest.split('/').next())
            && FEDERATION_2.contains(&spec)
        {
            names.insert(self.prefix.clone().unwrap_or_else(|| spec.to_owned()), spec.to_owned());
            names.extend(
                self.imports
                    .iter()
                    .map(|(canonical, local)| (local.clone(), canonical.clone())),
            );
        }
    }

    fn add_federation(&self, names: &mut HashMap<String, String>) {
        let prefix = self.prefix.as_deref().unwrap_or("federation");
        for canonical in FEDERATION_2 {
            names.insert(format!("{prefix}__{canonical}"), canonical.to_owned());
        }
        // An import of something unknown to this list is refused where it is used.
        names.extend(
            self.imports
                .iter()
                .map(|(canonical, local)| (local.clone(), canonical.clone())),
        );
    }
}

/// `"@key"` or `{ name: "@key", as: "@primaryKey" }`; types are not needed.
fn read_import(import: &Value) -> Option<(String, String)> {
    if let Some(name) = import.as_str() {
        let name = name.strip_prefix('@')?;
        return Some((name.to_owned(), name.to_owned()));
    }
    let object = import.as_object()?;
    let get = |key: &str| {
        object
            .iter()
            .find(|(name, _)| name == key)
            .and_then(|(_, value)| value.as_str())
    };
    let name = get("name")?.strip_prefix('@')?;
    let local = get("as")
        .unwrap_or_else(|| get("name").unwrap_or_default())
        .trim_start_matches('@');
    Some((name.to_owned(), local.to_owned()))
}

fn schema_directives(document: &Document) -> impl Iterator<Item = &Directive> {
    let of_schema = |d: &&Definition| matches!(d, Definition::SchemaDefinition(_) | Definition::SchemaExtension(_));
    document
        .definitions
        .iter()
        .filter(of_schema)
        .flat_map(|d| d.directives().iter().map(|d| &**d))
}

/// The names of all directives that types and fields carry.
fn used_directives(document: &Document) -> HashSet<&str> {
    let types = document.definitions.iter().filter_map(type_parts);
    let lists = types.flat_map(|parts| parts.fields.iter().map(|f| &f.directives).chain([parts.directives]));
    lists
        .flat_map(|list| list.iter().map(|directive| directive.name.as_str()))
        .collect()
}

fn has_federation_query(document: &Document) -> bool {
    let mut fields = document
        .definitions
        .iter()
        .filter_map(type_parts)
        .flat_map(|parts| parts.fields);
    fields.any(|field| field.name == "_service" || field.name == "_entities")
}
