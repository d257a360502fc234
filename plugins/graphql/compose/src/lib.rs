//! Composes the schemas of GraphQL services into one supergraph (join v0.3), or says exactly why they do not fit.
//!
//! Pure: text in, text out. It knows nothing of Catalyst and is usable on its own.
//!
//! Understood so far: Federation 2 subgraphs, Federation 1 subgraphs (no `@link`) and plain services; entities with any
//! number of `@key`s, `@shareable`, `@external`, `@requires`, `@provides`, `@inaccessible`, root fields under renamed
//! root types. Types that several services share and that are no entities must be equal. Whatever else changes the
//! meaning of a graph (`@override`, `@interfaceObject`, subscriptions, ...) is refused by name, never dropped.
//!
//! ```
//! use catalyst_compose::{Subgraph, compose};
//!
//! let hello = Subgraph::new("hello", "http://127.0.0.1:4001/graphql", "type Query { hello: String }");
//! let supergraph = compose(&[hello]).expect("one service has no conflicts");
//! assert!(supergraph.sdl.contains("hello: String @join__field(graph: HELLO)"));
//! ```

mod check;
mod definition;
mod directives;
mod error;
mod field_set;
mod merge;
mod model;
mod print;
mod read;

pub use error::{CompositionError, ErrorCode};

use error::Errors;
use model::Schema;

/// The longest schema that is read, in bytes.
pub const MAX_SDL_BYTES: usize = 2 * 1024 * 1024;
/// The largest number of services in one graph.
pub const MAX_SUBGRAPHS: usize = 1000;

/// One service's part of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subgraph {
    /// Unique name; it appears in errors and in the supergraph.
    pub name: String,
    /// Where the executor sends its requests.
    pub url: String,
    /// Its schema: what `_service { sdl }` returns, or a plain schema.
    pub sdl: String,
}

impl Subgraph {
    /// A subgraph of these three parts.
    pub fn new(name: impl Into<String>, url: impl Into<String>, sdl: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            sdl: sdl.into(),
        }
    }
}

/// The composed graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supergraph {
    /// Schema with `@join__*` directives (join v0.3). The same subgraphs give the same bytes, in whatever order.
    pub sdl: String,
}

/// Composes `subgraphs`, in any order.
///
/// # Errors
/// Every conflict that was found, each naming service, type and field where it has them.
pub fn compose(subgraphs: &[Subgraph]) -> Result<Supergraph, Vec<CompositionError>> {
    let mut errors = Errors::default();
    let schemas = read_all(subgraphs, &mut errors);
    errors.stop_if_any()?;
    check::each_schema(&schemas, &mut errors);
    errors.stop_if_any()?;
    let merged = merge::merge(&schemas, &mut errors);
    errors.stop_if_any()?;
    check::entities(&schemas, &mut errors);
    errors.stop_if_any()?;
    let sdl = print::supergraph(&schemas, &merged);
    check::supergraph(&sdl, &schemas, &mut errors);
    errors.stop_if_any()?;
    Ok(Supergraph { sdl })
}

fn read_all(subgraphs: &[Subgraph], errors: &mut Errors) -> Vec<Schema> {
    let mut sorted: Vec<&Subgraph> = subgraphs.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    if sorted.len() > MAX_SUBGRAPHS {
        let text = format!(
            "{} services are more than the {MAX_SUBGRAPHS} that one graph may have",
            sorted.len()
        );
        errors.push(CompositionError::new(
            ErrorCode::LimitExceeded,
            &sorted[MAX_SUBGRAPHS].name,
            text,
        ));
        return Vec::new();
    }
    for pair in sorted.windows(2).filter(|pair| pair[0].name == pair[1].name) {
        let text = format!("\"{}\" is given twice", pair[0].name);
        errors.push(CompositionError::new(ErrorCode::DuplicateService, &pair[0].name, text));
    }
    let mut graphs = model::GraphNames::default();
    sorted
        .into_iter()
        .filter_map(|subgraph| read::schema(subgraph, graphs.assign(&subgraph.name), errors))
        .collect()
}

#[cfg(test)]
mod tests;
