//! What the gateway is doing, for Watch and /health.

use catalyst_proto::gateway::v1::state::Graph;
use catalyst_proto::gateway::v1::subgraph_state::Phase;
use catalyst_proto::gateway::v1::{State, SubgraphState};
use serde_json::{Value, json};

/// The state as /health prints it.
pub(crate) fn to_json(name: &str, state: &State) -> Value {
    let subgraphs: serde_json::Map<String, Value> = state.subgraphs.iter().map(subgraph).collect();
    json!({
        "name": name,
        "state": graph_word(state.graph()),
        "generation": state.generation,
        "subgraphs": subgraphs,
        "errors": state.errors,
    })
}

fn subgraph(of: &SubgraphState) -> (String, Value) {
    let mut value = json!({ "state": phase_word(of.phase()) });
    if !of.reason.is_empty() {
        value["reason"] = json!(of.reason);
    }
    (of.name.clone(), value)
}

fn graph_word(graph: Graph) -> &'static str {
    match graph {
        Graph::Unspecified | Graph::Waiting => "waiting",
        Graph::Serving => "serving",
        Graph::Degraded => "degraded",
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Unspecified | Phase::Waiting => "waiting",
        Phase::Serving => "serving",
        Phase::Rejected => "rejected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_text() {
        let down = SubgraphState {
            name: "b".into(),
            phase: Phase::Rejected.into(),
            reason: "why".into(),
        };
        let state = State {
            graph: Graph::Degraded.into(),
            generation: 3,
            errors: vec!["E".into()],
            subgraphs: vec![down],
        };
        let expected = json!({
            "name": "a", "state": "degraded", "generation": 3,
            "subgraphs": { "b": { "state": "rejected", "reason": "why" } }, "errors": ["E"],
        });
        assert_eq!(to_json("a", &state), expected);
    }
}
