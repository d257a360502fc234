//! From the gateway's state to verdicts on subgraphs.

use catalyst_plugin::{ServiceName, Verdict};
use catalyst_proto::gateway::v1::state::Graph;
use catalyst_proto::gateway::v1::subgraph_state::Phase;
use catalyst_proto::gateway::v1::{State, SubgraphState};

const FETCHING: &str = "its schema is being fetched";

/// The verdict on every subgraph that the gateway speaks of. Names that are no service names were not ours.
pub(crate) fn verdicts(state: &State) -> Vec<(ServiceName, Verdict)> {
    let known = |subgraph: &SubgraphState| ServiceName::parse(&subgraph.name).ok();
    state
        .subgraphs
        .iter()
        .filter_map(|subgraph| Some((known(subgraph)?, verdict(state, subgraph))))
        .collect()
}

/// The verdict on a subgraph that was just stored and that the gateway has not spoken of yet.
pub(crate) fn unheard() -> Verdict {
    Verdict::Pending(FETCHING.into())
}

fn verdict(state: &State, subgraph: &SubgraphState) -> Verdict {
    let reason = reason(state, subgraph);
    match subgraph.phase() {
        Phase::Rejected if reason.is_empty() => Verdict::Rejected("its schema was refused".into()),
        Phase::Rejected => Verdict::Rejected(reason.into()),
        Phase::Serving if state.graph() != Graph::Waiting => Verdict::Programmed,
        // It has a schema, but there is no graph that it could be in.
        Phase::Serving if reason.is_empty() => Verdict::Pending("the graph is being composed".into()),
        Phase::Waiting | Phase::Unspecified if reason.is_empty() => unheard(),
        Phase::Serving | Phase::Waiting | Phase::Unspecified => Verdict::Pending(reason.into()),
    }
}

/// Its own reason, then what is wrong with the graph as far as it is concerned.
fn reason(state: &State, subgraph: &SubgraphState) -> String {
    let own = Some(subgraph.reason.as_str()).filter(|reason| !reason.is_empty());
    let of_graph = state
        .errors
        .iter()
        .map(String::as_str)
        .filter(|line| concerns(line, subgraph, state));
    let mut parts: Vec<&str> = own.into_iter().collect();
    // Often the gateway has put the conflict into the subgraph's own reason already.
    parts.extend(of_graph.filter(|line| !subgraph.reason.contains(line)));
    parts.join("; ")
}

/// A conflict concerns the services that it names; one that names nobody concerns them all.
fn concerns(line: &str, subgraph: &SubgraphState, state: &State) -> bool {
    names(line, &subgraph.name) || !state.subgraphs.iter().any(|other| names(line, &other.name))
}

/// Whether the line has the name as a whole: `b.acme` is not in `a.b.acme`.
fn names(line: &str, name: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        // A dot ends a sentence as well; it belongs to the name only if the name goes on behind it.
        let goes_on = after.strip_prefix('.').unwrap_or(after).starts_with(inside);
        !before.ends_with(|c| inside(c) || c == '.') && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subgraph(name: &str, phase: Phase, reason: &str) -> SubgraphState {
        SubgraphState {
            name: name.into(),
            phase: phase.into(),
            reason: reason.into(),
        }
    }

    fn state(graph: Graph, errors: &[&str], subgraphs: Vec<SubgraphState>) -> State {
        let errors = errors.iter().map(ToString::to_string).collect();
        State {
            graph: graph.into(),
            generation: 1,
            errors,
            subgraphs,
        }
    }

    fn words(state: &State) -> Vec<Verdict> {
        verdicts(state).into_iter().map(|(_, verdict)| verdict).collect()
    }

    #[test]
    fn phases_become_verdicts() {
        let state = state(
            Graph::Degraded,
            &[],
            vec![
                subgraph("a.acme", Phase::Serving, ""),
                subgraph("b.acme", Phase::Waiting, "503 from its Envoy"),
                subgraph("c.acme", Phase::Waiting, ""),
                subgraph("d.acme", Phase::Rejected, "line 3: unexpected }"),
                subgraph("no name", Phase::Rejected, ""),
            ],
        );
        let expected = [
            Verdict::Programmed,
            Verdict::Pending("503 from its Envoy".into()),
            Verdict::Pending(FETCHING.into()),
            Verdict::Rejected("line 3: unexpected }".into()),
        ];
        assert_eq!(words(&state), expected);
    }

    #[test]
    fn a_conflict_is_told_to_those_it_names() {
        let conflict = "Product.price: Int in b.acme, Float in a.b.acme.";
        let state = state(
            Graph::Degraded,
            &[conflict],
            vec![
                subgraph("a.b.acme", Phase::Serving, ""),
                subgraph("b.acme", Phase::Rejected, ""),
                subgraph("c.acme", Phase::Waiting, ""),
            ],
        );
        let expected = [
            Verdict::Programmed,
            Verdict::Rejected(conflict.into()),
            Verdict::Pending(FETCHING.into()),
        ];
        assert_eq!(words(&state), expected);
    }

    #[test]
    fn a_conflict_that_is_in_the_reason_already_is_not_repeated() {
        let reason = "conflict with b.acme (its last good schema serves on)";
        let rejected = vec![subgraph("a.acme", Phase::Rejected, reason)];
        let state = state(Graph::Degraded, &["conflict with b.acme"], rejected);
        assert_eq!(words(&state), [Verdict::Rejected(reason.into())]);
    }

    #[test]
    fn without_a_graph_nothing_is_programmed() {
        let one = || vec![subgraph("a.acme", Phase::Serving, "")];
        let failed = state(Graph::Waiting, &["the composer failed"], one());
        assert_eq!(words(&failed), [Verdict::Pending("the composer failed".into())]);
        let composing = state(Graph::Waiting, &[], one());
        assert_eq!(
            words(&composing),
            [Verdict::Pending("the graph is being composed".into())]
        );
    }

    #[test]
    fn names_are_found_as_a_whole() {
        for (line, found) in [
            ("b.acme", true),
            ("in b.acme, and", true),
            ("ends with b.acme.", true),
            ("\"b.acme\"", true),
            ("a.b.acme", false),
            ("ab.acme", false),
            ("b.acme.org", false),
            ("b.acme-2", false),
            ("x a.b.acme and b.acme", true),
        ] {
            assert_eq!(names(line, "b.acme"), found, "{line}");
        }
    }
}
