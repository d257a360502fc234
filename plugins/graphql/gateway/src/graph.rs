//! Plans a supergraph, and holds the one that serves.

use hive_router::config::HiveRouterConfig;
use hive_router::plugins::hooks::on_supergraph_load::{Supergraph, SupergraphOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

/// Builds planned graphs with the router's options.
#[derive(Clone)]
pub(crate) struct Planner {
    options: SupergraphOptions,
}

impl Planner {
    pub(crate) fn new(config: &HiveRouterConfig) -> Self {
        let mut options = SupergraphOptions::default();
        options.headers = config.headers.clone();
        options.traffic_shaping = (&config.traffic_shaping).into();
        options.error_masking = config.error_masking.clone();
        Self { options }
    }

    /// Plans a composed supergraph.
    ///
    /// # Errors
    /// One sentence. It should not happen: what composes should plan.
    pub(crate) fn plan(&self, name: &str, sdl: &str) -> Result<Arc<Supergraph>, String> {
        // The planner reports some faults of a supergraph by panicking; the graph that serves must outlive that.
        let planned = catch_unwind(AssertUnwindSafe(|| {
            Supergraph::from_sdl(name, sdl, self.options.clone())
        }));
        match planned {
            Ok(Ok(graph)) => Ok(Arc::new(graph)),
            Ok(Err(error)) => Err(format!("the planner refuses the composed graph: {error}")),
            Err(_) => Err("the planner failed on the composed graph".to_owned()),
        }
    }
}

/// The graph that new requests get.
#[derive(Default)]
pub(crate) struct Slot(RwLock<Option<Arc<Supergraph>>>);

impl Slot {
    /// The graph, or `None` while there is none.
    pub(crate) fn current(&self) -> Option<Arc<Supergraph>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the graph; requests under way keep theirs.
    pub(crate) fn replace(&self, graph: Option<Arc<Supergraph>>) {
        let old = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), graph);
        // Freed outside of the lock: a large graph takes a while.
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalyst_compose::{Subgraph, compose};

    fn planner() -> Planner {
        Planner {
            options: SupergraphOptions::default(),
        }
    }

    #[test]
    fn what_the_composer_makes_can_be_planned() {
        let golden = [
            include_str!("../../compose/tests/golden/shop.graphql"),
            include_str!("../../compose/tests/golden/federation1.graphql"),
            include_str!("../../compose/tests/golden/renamed.graphql"),
        ];
        for sdl in golden {
            let graph = planner().plan("test", sdl).expect("a composed graph plans");
            assert!(
                !graph.public_schema.sdl.contains("join__"),
                "{}",
                graph.public_schema.sdl
            );
            assert!(
                !graph.public_schema.sdl.contains("secret"),
                "what is @inaccessible is not shown"
            );
        }
    }

    #[test]
    fn hostile_texts_pass_through_both_parsers() {
        let block = "\"\"\"\n\u{a0} odd\n  \u{2003}indent \\\"\"\" \\ \u{7}\n\"\"\"\ntype Query { x(a: String = \"\"\"\n a\n  b\"\"\"): Int }";
        let supergraph = compose(&[Subgraph::new("a", "http://127.0.0.1:1/", block)]).expect("composes");
        planner().plan("test", &supergraph.sdl).expect("a composed graph plans");
    }

    #[test]
    fn planner_faults_are_errors() {
        assert!(planner().plan("test", "{").is_err());
        assert!(planner().plan("test", "type T { x: Int }").is_err());
    }
}
