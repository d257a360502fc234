//! The one task that owns the set of services: it starts their fetches, composes, swaps the graph, and says so.

use crate::choose::{Candidate, Choice, choose};
use crate::entry::{Entry, target};
use crate::fetch::{FetchError, Fetcher, Target};
use crate::graph::{Planner, Slot};
use catalyst_proto::gateway::v1::state::Graph;
use catalyst_proto::gateway::v1::subgraph_state::Phase;
use catalyst_proto::gateway::v1::{State, Subgraph, SubgraphState};
use hive_router::plugins::hooks::on_supergraph_load::Supergraph;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// A fetch that failed is repeated after this long, doubling up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
const QUEUE: usize = 256;

/// What the command line says about fetching.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) refresh_interval: Duration,
    pub(crate) fetch_timeout: Duration,
}

/// What the engine shows to the outside.
pub(crate) struct Published {
    pub(crate) slot: Slot,
    pub(crate) state: watch::Receiver<State>,
}

/// Sends the engine its orders.
#[derive(Debug, Clone)]
pub(crate) struct Handle(mpsc::Sender<Input>);

impl Handle {
    /// Stores a change of the set; `None` if the engine is gone.
    pub(crate) async fn apply(&self, upsert: Vec<Subgraph>, remove: Vec<String>) -> Option<()> {
        let (done, stored) = oneshot::channel();
        self.0.send(Input::Apply { upsert, remove, done }).await.ok()?;
        stored.await.ok()
    }

    /// The set as it is stored; `None` if the engine is gone.
    pub(crate) async fn observe(&self) -> Option<Vec<Subgraph>> {
        let (reply, set) = oneshot::channel();
        self.0.send(Input::Observe { reply }).await.ok()?;
        set.await.ok()
    }
}

#[derive(Debug)]
enum Input {
    Apply {
        upsert: Vec<Subgraph>,
        remove: Vec<String>,
        done: oneshot::Sender<()>,
    },
    Observe {
        reply: oneshot::Sender<Vec<Subgraph>>,
    },
    Fetched {
        name: String,
        fetch: u64,
        outcome: Result<String, FetchError>,
    },
}

struct Engine {
    settings: Settings,
    fetcher: Fetcher,
    planner: Planner,
    published: Arc<Published>,
    state: watch::Sender<State>,
    inputs: mpsc::Sender<Input>,
    entries: BTreeMap<String, Entry>,
    fetches: u64,
    /// The SDL of the serving graph.
    serving: Option<String>,
    generation: u64,
    errors: Vec<String>,
    /// Something changed that the graph depends on.
    dirty: bool,
}

/// Starts the engine on the current tokio runtime.
pub(crate) fn start(settings: Settings, planner: Planner) -> (Arc<Published>, Handle) {
    let (inputs, queue) = mpsc::channel(QUEUE);
    let (state, receiver) = watch::channel(State {
        graph: Graph::Waiting.into(),
        ..State::default()
    });
    let published = Arc::new(Published {
        slot: Slot::default(),
        state: receiver,
    });
    let engine = Engine {
        settings,
        fetcher: Fetcher::new(settings.fetch_timeout),
        planner,
        published: Arc::clone(&published),
        state,
        inputs: inputs.clone(),
        entries: BTreeMap::new(),
        fetches: 0,
        serving: None,
        generation: 0,
        errors: Vec::new(),
        dirty: false,
    };
    tokio::spawn(engine.run(queue));
    (published, Handle(inputs))
}

impl Engine {
    async fn run(mut self, mut queue: mpsc::Receiver<Input>) {
        while let Some(input) = queue.recv().await {
            self.on_input(input);
            // Whatever else is waiting goes into the same composition.
            while let Ok(input) = queue.try_recv() {
                self.on_input(input);
            }
            if std::mem::take(&mut self.dirty) {
                self.recompose().await;
            }
            self.publish();
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Apply { upsert, remove, done } => {
                remove.iter().for_each(|name| self.on_remove(name));
                upsert.into_iter().for_each(|spec| self.on_upsert(spec));
                // A caller that is gone needs no answer.
                done.send(()).ok();
            }
            Input::Observe { reply } => {
                reply
                    .send(self.entries.values().map(|entry| entry.spec.clone()).collect())
                    .ok();
            }
            Input::Fetched { name, fetch, outcome } => self.on_fetched(&name, fetch, outcome),
        }
    }

    fn on_remove(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name) {
            tracing::info!(service = name, "service withdrawn");
            self.dirty |= entry.good.is_some() || entry.latest.is_some();
        }
    }

    fn on_upsert(&mut self, spec: Subgraph) {
        let name = spec.name.clone();
        let target = target(&spec);
        let mut known = self.entries.remove(&name);
        if let Some(mut entry) = known.take_if(|entry| entry.target() == target) {
            entry.spec = spec;
            self.entries.insert(name, entry);
            return;
        }
        tracing::info!(
            service = name,
            url = target.url,
            "service {}",
            if known.is_some() { "moved" } else { "added" }
        );
        let entry = self.start_fetching(spec, target, known);
        self.dirty |= entry.latest.is_some();
        self.entries.insert(name, entry);
    }

    /// A service that moved keeps its schema until the new place has answered.
    fn start_fetching(&mut self, spec: Subgraph, target: Target, mut moved: Option<Entry>) -> Entry {
        self.fetches += 1;
        let fetch = self.fetches;
        let task = tokio::spawn(keep_fetching(
            self.fetcher.clone(),
            target,
            fetch,
            self.settings,
            self.inputs.clone(),
        ));
        let latest = moved.as_mut().and_then(|entry| entry.latest.take());
        let good = moved.as_mut().and_then(|entry| entry.good.take());
        Entry {
            spec,
            fetch,
            task,
            latest,
            good,
            failed: None,
            rejected: None,
        }
    }

    fn on_fetched(&mut self, name: &str, fetch: u64, outcome: Result<String, FetchError>) {
        let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.fetch == fetch) else {
            return;
        };
        match outcome {
            Ok(sdl) => {
                entry.failed = None;
                if entry.latest.as_ref() != Some(&sdl) {
                    tracing::info!(service = name, bytes = sdl.len(), "schema fetched");
                    entry.latest = Some(sdl);
                    self.dirty = true;
                }
            }
            Err(error) => {
                if entry.failed.as_ref() != Some(&error) {
                    tracing::warn!(service = name, %error, "no schema");
                }
                entry.failed = Some(error);
            }
        }
    }

    async fn recompose(&mut self) {
        let candidates: Vec<Candidate> = self.entries.values().filter_map(Entry::candidate).collect();
        let (planner, serving) = (self.planner.clone(), self.serving.clone());
        // Composing and planning take milliseconds to seconds of CPU: not on the thread that answers RPCs.
        let work = move || compose_and_plan(&candidates, &planner, serving.as_deref());
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok((choice, graph))) => self.on_composed(choice, graph),
            Ok(Err(error)) => self.on_composition_failed(error),
            Err(_) => self.on_composition_failed("the composer failed".to_owned()),
        }
    }

    fn on_composed(&mut self, mut choice: Choice, graph: Change) {
        for (name, entry) in &mut self.entries {
            entry.good = choice.used.remove(name);
            entry.rejected = choice.rejected.remove(name);
        }
        self.errors = choice.errors;
        for error in &self.errors {
            tracing::warn!(error, "schemas conflict");
        }
        match graph {
            Change::None => {}
            Change::Empty => {
                self.serving = None;
                self.published.slot.replace(None);
                tracing::info!("no graph to serve");
            }
            Change::New { sdl, graph } => {
                self.serving = Some(sdl);
                self.generation += 1;
                self.published.slot.replace(Some(graph));
                tracing::info!(generation = self.generation, "graph serves");
            }
        }
    }

    /// Nobody is to blame, so the graph stays as it is.
    fn on_composition_failed(&mut self, error: String) {
        tracing::error!(error, "the graph stays as it is");
        self.errors = vec![error];
    }

    fn publish(&self) {
        let state = self.current_state();
        self.state.send_if_modified(|published| {
            let changed = *published != state;
            *published = state;
            changed
        });
    }

    fn current_state(&self) -> State {
        let subgraphs: Vec<SubgraphState> = self.entries.values().map(Entry::state).collect();
        let all_serve = self.errors.is_empty() && subgraphs.iter().all(|s| s.phase() == Phase::Serving);
        let graph = match (&self.serving, all_serve) {
            (None, _) => Graph::Waiting,
            (Some(_), true) => Graph::Serving,
            (Some(_), false) => Graph::Degraded,
        };
        State {
            graph: graph.into(),
            generation: self.generation,
            errors: self.errors.clone(),
            subgraphs,
        }
    }
}

/// What happens to the serving graph.
enum Change {
    None,
    Empty,
    New { sdl: String, graph: Arc<Supergraph> },
}

fn compose_and_plan(
    candidates: &[Candidate],
    planner: &Planner,
    serving: Option<&str>,
) -> Result<(Choice, Change), String> {
    let mut choice = choose(candidates);
    let change = match (choice.supergraph.take(), serving) {
        (None, None) => Change::None,
        (None, Some(_)) => Change::Empty,
        (Some(new), Some(old)) if new.sdl == old => Change::None,
        (Some(new), _) => Change::New {
            graph: planner.plan("catalyst", &new.sdl)?,
            sdl: new.sdl,
        },
    };
    Ok((choice, change))
}

/// Fetches a schema again and again: soon while it fails, every refresh interval once it is there.
async fn keep_fetching(fetcher: Fetcher, target: Target, fetch: u64, settings: Settings, to: mpsc::Sender<Input>) {
    let mut backoff = MIN_BACKOFF;
    loop {
        let outcome = fetcher.fetch(&target).await;
        let pause = if outcome.is_ok() {
            settings.refresh_interval
        } else {
            backoff
        };
        backoff = if outcome.is_ok() {
            MIN_BACKOFF
        } else {
            (backoff * 2).min(MAX_BACKOFF)
        };
        if to
            .send(Input::Fetched {
                name: target.name.clone(),
                fetch,
                outcome,
            })
            .await
            .is_err()
        {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}
