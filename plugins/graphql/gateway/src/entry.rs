//! One service of the set: where it is, its schemas, and how it stands.

use crate::choose::Candidate;
use crate::fetch::{FetchError, Target};
use catalyst_proto::gateway::v1::subgraph_state::Phase;
use catalyst_proto::gateway::v1::{Subgraph, SubgraphState};
use tokio::task::JoinHandle;

/// One service.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) spec: Subgraph,
    /// Tells outcomes of this fetch loop from those of an earlier one under the same name.
    pub(crate) fetch: u64,
    pub(crate) task: JoinHandle<()>,
    /// The newest schema.
    pub(crate) latest: Option<String>,
    /// The schema in the serving graph.
    pub(crate) good: Option<String>,
    /// Why the last fetch failed.
    pub(crate) failed: Option<FetchError>,
    /// Why `latest` is not in the graph.
    pub(crate) rejected: Option<String>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Entry {
    /// What Watch and /health say of it.
    pub(crate) fn state(&self) -> SubgraphState {
        let (phase, reason) = self.phase();
        let earlier = if self.good.is_some() && !reason.is_empty() {
            " (its last good schema serves on)"
        } else {
            ""
        };
        SubgraphState {
            name: self.spec.name.clone(),
            phase: phase.into(),
            reason: format!("{reason}{earlier}"),
        }
    }

    fn phase(&self) -> (Phase, String) {
        match (&self.failed, &self.rejected, &self.latest) {
            (Some(FetchError::Invalid(reason)), ..) => (Phase::Rejected, reason.clone()),
            (Some(FetchError::Unavailable(reason)), ..) => (Phase::Waiting, reason.clone()),
            (None, Some(reason), _) => (Phase::Rejected, reason.clone()),
            (None, None, None) => (Phase::Waiting, "its schema is being fetched".to_owned()),
            (None, None, Some(_)) => (Phase::Serving, String::new()),
        }
    }

    /// Its part in a composition, once it has a schema.
    pub(crate) fn candidate(&self) -> Option<Candidate> {
        let Target { name, url } = self.target();
        Some(Candidate {
            name,
            url,
            latest: self.latest.clone()?,
            good: self.good.clone(),
        })
    }

    pub(crate) fn target(&self) -> Target {
        target(&self.spec)
    }
}

/// Where a service is reached.
pub(crate) fn target(spec: &Subgraph) -> Target {
    Target {
        name: spec.name.clone(),
        url: format!("http://{}{}", spec.egress, spec.path),
    }
}
