//! Which schemas make the graph when not all of them fit together. Pure.

use catalyst_compose::{CompositionError, Subgraph, Supergraph, compose};
use std::collections::BTreeMap;

/// One service with a schema.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) url: String,
    /// The newest schema.
    pub(crate) latest: String,
    /// The one in the serving graph, if any.
    pub(crate) good: Option<String>,
}

impl Candidate {
    fn changed(&self) -> bool {
        self.good.as_ref() != Some(&self.latest)
    }
}

/// What to serve.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// `None` if nothing composes, or there is nothing.
    pub(crate) supergraph: Option<Supergraph>,
    /// The schema that each service takes part with.
    pub(crate) used: BTreeMap<String, String>,
    /// Why the newest schema of a service is not used.
    pub(crate) rejected: BTreeMap<String, String>,
    /// Why the newest schemas together do not compose.
    pub(crate) errors: Vec<String>,
}

/// Takes the newest schema of every service; while they conflict, the one to blame goes back to its last good schema,
/// or out. What serves is preferred to what is new, so that a newcomer cannot break what works.
pub(crate) fn choose(candidates: &[Candidate]) -> Choice {
    let mut picks: BTreeMap<&str, Pick<'_>> = candidates.iter().map(|c| (c.name.as_str(), Pick::latest(c))).collect();
    let mut choice = Choice::default();
    while !picks.is_empty() {
        let subgraphs: Vec<Subgraph> = picks.values().map(Pick::subgraph).collect();
        match compose(&subgraphs) {
            Ok(supergraph) => {
                choice.supergraph = Some(supergraph);
                choice.used = subgraphs
                    .into_iter()
                    .map(|subgraph| (subgraph.name, subgraph.sdl))
                    .collect();
                return choice;
            }
            Err(errors) => step_back(&mut picks, &errors, &mut choice),
        }
    }
    choice
}

/// A service in the attempt under way.
#[derive(Clone, Copy)]
struct Pick<'a> {
    candidate: &'a Candidate,
    sdl: &'a str,
}

impl<'a> Pick<'a> {
    fn latest(candidate: &'a Candidate) -> Self {
        Self {
            candidate,
            sdl: &candidate.latest,
        }
    }

    fn is_new(&self) -> bool {
        self.candidate.changed() && self.sdl == self.candidate.latest
    }

    fn subgraph(&self) -> Subgraph {
        Subgraph::new(&self.candidate.name, &self.candidate.url, self.sdl)
    }

    fn step_back(&self) -> Option<Self> {
        let good = self.candidate.good.as_deref().filter(|_| self.is_new())?;
        Some(Self {
            candidate: self.candidate,
            sdl: good,
        })
    }
}

fn step_back<'a>(picks: &mut BTreeMap<&'a str, Pick<'a>>, errors: &[CompositionError], choice: &mut Choice) {
    if choice.errors.is_empty() {
        choice.errors = errors.iter().map(ToString::to_string).collect();
    }
    let Some(culprit) = blame(picks, errors) else {
        return picks.clear();
    };
    choice
        .rejected
        .entry(culprit.to_owned())
        .or_insert_with(|| reason(culprit, errors));
    let back = picks.get(culprit).and_then(Pick::step_back);
    match back {
        Some(pick) => drop(picks.insert(culprit, pick)),
        None => drop(picks.remove(culprit)),
    }
}

/// Of the services that the errors name, the first that changed, else the first; else any.
fn blame<'a>(picks: &BTreeMap<&'a str, Pick<'a>>, errors: &[CompositionError]) -> Option<&'a str> {
    let names = || errors.iter().flat_map(|error| &error.services);
    let named = || names().filter_map(|name| picks.get_key_value(name.as_str()));
    let new = named().find(|(_, pick)| pick.is_new());
    new.or_else(|| named().next())
        .or_else(|| picks.iter().next_back())
        .map(|(name, _)| *name)
}

/// The errors that name the service, or all if none does.
fn reason(service: &str, errors: &[CompositionError]) -> String {
    let own: Vec<String> = errors
        .iter()
        .filter(|error| error.services.iter().any(|name| name == service))
        .map(ToString::to_string)
        .collect();
    let all = || errors.iter().map(ToString::to_string).collect();
    let lines: Vec<String> = if own.is_empty() { all() } else { own };
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, latest: &str, good: Option<&str>) -> Candidate {
        let link = "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.0\", import: [\"@key\", \"@shareable\", \"@external\", \"@requires\"]) ";
        let sdl = |text: &str| format!("{link}{text}");
        Candidate {
            name: name.into(),
            url: "http://127.0.0.1:1/".into(),
            latest: sdl(latest),
            good: good.map(sdl),
        }
    }

    fn used(choice: &Choice) -> Vec<&str> {
        choice.used.keys().map(String::as_str).collect()
    }

    const A: &str = "type Query { a: M } type M @shareable { x: Int }";
    const B: &str = "type Query { b: M } type M @shareable { x: Int }";
    const B_BAD: &str = "type Query { b: M } type M @shareable { x: String }";

    #[test]
    fn all_fit() {
        let choice = choose(&[candidate("a", A, None), candidate("b", B, Some(B))]);
        assert_eq!(used(&choice), ["a", "b"]);
        assert!(choice.rejected.is_empty() && choice.errors.is_empty() && choice.supergraph.is_some());
    }

    #[test]
    fn changed_schema_goes_back_to_its_good_one() {
        let choice = choose(&[candidate("a", A, Some(A)), candidate("b", B_BAD, Some(B))]);
        assert_eq!(used(&choice), ["a", "b"]);
        assert_eq!(choice.used["b"], candidate("b", B, None).latest);
        assert!(
            choice.rejected["b"].contains("M.x is String in \"b\" and Int in \"a\""),
            "{choice:?}"
        );
        assert_eq!(choice.errors.len(), 1);
    }

    #[test]
    fn newcomer_that_conflicts_stays_out_whatever_its_name() {
        let choice = choose(&[
            candidate("a", B_BAD, None),
            candidate("b", B, Some(B)),
            candidate("c", A, Some(A)),
        ]);
        assert_eq!(used(&choice), ["b", "c"]);
        assert!(choice.rejected["a"].starts_with("FIELD_TYPE_MISMATCH: "), "{choice:?}");
    }

    #[test]
    fn service_that_needs_a_withdrawn_one_goes_out() {
        let needy = "type Query { n: T } type T @key(fields: \"id\") { id: ID! x: Int @external y: Int @requires(fields: \"x\") }";
        let choice = choose(&[candidate("a", A, Some(A)), candidate("needy", needy, Some(needy))]);
        assert_eq!(used(&choice), ["a"]);
        assert!(
            choice.rejected["needy"].contains("no other service resolves it"),
            "{choice:?}"
        );
    }

    #[test]
    fn nothing_composes_or_nothing_is_there() {
        let choice = choose(&[candidate("a", "type T { x: Int }", None)]);
        assert!(choice.supergraph.is_none());
        assert!(
            choice.rejected["a"].contains("no service has a query field"),
            "{choice:?}"
        );
        let empty = choose(&[]);
        assert!(empty.supergraph.is_none() && empty.errors.is_empty());
    }

    #[test]
    fn all_broken_ends() {
        let choice = choose(&[
            candidate("a", "{", None),
            candidate("b", "{", Some("{")),
            candidate("c", A, None),
        ]);
        assert_eq!(used(&choice), ["c"]);
        assert_eq!(choice.rejected.len(), 2);
    }
}
