//! The configuration changes while the daemon runs: SIGHUP, `catalystctl reload`, its confirmation and its undoing.
//!
//! One reload at a time: the new configuration is read whole, the difference is worked out and told, then applied as one
//! batch of the Speaker's queue. A configuration that is bad, or that needs a restart, changes nothing.

mod difference;
mod live;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalyst_core::event::SpeakerConfig;
use catalyst_wireguard::WireguardConfig;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::AbortHandle;

use crate::admin::SharedStore;
use crate::config::{Config, ConfigError, ConfigErrors, Flag, key_changes, load_with_warnings, without_restart};
use crate::driver::{Gone, PlaneSettings, Reconfiguration, SpeakerHandle};
use crate::tunnels::OwnTunnels;
pub use difference::{Difference, OfferAction, OfferChanges};
pub use live::LiveConfig;

/// Where the configuration is read from: as the daemon was started.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file.
    pub file: Option<PathBuf>,
    /// Flags laid over it.
    pub flags: Vec<Flag>,
}

/// What a reload is to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request {
    /// Only say what would change.
    pub dry_run: bool,
    /// Apply what can change now although other keys need a restart.
    pub partial: bool,
    /// Undo it after this time unless it is confirmed.
    pub confirm: Option<Duration>,
    /// Go back to the configuration before the last reload instead of reading one.
    pub undo: bool,
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The new configuration is in force; undone after this time unless it is confirmed.
    Applied(Option<Duration>),
    /// Nothing differs.
    Unchanged,
    /// Only asked.
    DryRun,
    /// Keys differ that need a restart: nothing was changed.
    Refused(String),
}

/// Why there is nothing to say of a difference.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration is bad.
    #[error("{0}")]
    Bad(#[from] ConfigErrors),
    /// Not now.
    #[error("{0}")]
    Refused(String),
    /// The daemon is stopping.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Changes the configuration that is in force.
pub struct Reloader {
    source: Source,
    live: LiveConfig,
    store: SharedStore,
    speaker: SpeakerHandle,
    planes: PlaneSettings,
    tunnels: Option<OwnTunnels>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Before the last reload.
    previous: Option<Arc<Config>>,
    waiting: Option<Waiting>,
}

/// A reload that is undone unless it is confirmed.
struct Waiting {
    until: Instant,
    undo: AbortHandle,
}

impl Waiting {
    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Reloader {
    /// For a daemon that runs `live`, read from `source`, and is made of these parts.
    #[must_use]
    pub fn new(
        source: Source,
        live: LiveConfig,
        (speaker, store, planes, tunnels): (SpeakerHandle, SharedStore, PlaneSettings, Option<OwnTunnels>),
    ) -> Self {
        Self {
            source,
            live,
            store,
            speaker,
            planes,
            tunnels,
            state: Mutex::new(State::default()),
        }
    }

    /// The configuration that is in force.
    #[must_use]
    pub fn live(&self) -> &LiveConfig {
        &self.live
    }

    /// Reads the configuration, says what differs, and applies it. To be run to its end: in a task of its own.
    ///
    /// # Errors
    /// The configuration is bad, a reload waits to be confirmed, there is nothing to undo, or the daemon is stopping.
    pub async fn reload(
        self: &Arc<Self>,
        request: Request,
        told: impl FnOnce(&Difference) + Send,
    ) -> Result<Outcome, ReloadError> {
        let done = self.try_reload(&request, told).await;
        if !request.dry_run {
            log_refused(&done);
        }
        done
    }

    async fn try_reload(
        self: &Arc<Self>,
        request: &Request,
        told: impl FnOnce(&Difference) + Send,
    ) -> Result<Outcome, ReloadError> {
        let mut state = self.state.lock().await;
        let old = self.live.get();
        let (read, warnings) = self.wanted(request, &state).await?;
        let new = if request.partial {
            Arc::new(without_restart(&old, &read)?)
        } else {
            Arc::clone(&read)
        };
        let offers = self.offer_changes(&new).await?;
        let mut difference =
            Difference::foresee((&old, &new), self.foreseen(&old, &new), offers, &self.speaker).await?;
        difference.warnings = warnings;
        if request.partial {
            difference.keys = key_changes(&old, &read);
        }
        told(&difference);
        if let Some(outcome) = verdict(request, &difference) {
            if request.undo && !request.dry_run && outcome == Outcome::Unchanged {
                // There is nothing left to confirm, and nothing to undo.
                state.stop_waiting();
                state.previous = None;
            }
            return Ok(outcome);
        }
        log(&difference);
        self.apply(&new).await?;
        log_applied(&difference);
        state.previous = (!request.undo).then_some(old);
        state.stop_waiting();
        if let Some(time) = request.confirm {
            state.waiting = Some(self.undo_later(time));
        }
        Ok(Outcome::Applied(request.confirm))
    }

    /// Keeps what was applied.
    ///
    /// # Errors
    /// No reload waits to be confirmed.
    pub async fn confirm(&self) -> Result<(), ReloadError> {
        if self.state.lock().await.stop_waiting() {
            tracing::info!("the reload was confirmed");
            return Ok(());
        }
        Err(ReloadError::Refused("no reload waits to be confirmed".to_owned()))
    }

    /// In what time the last reload is undone; `None`: it stays.
    pub async fn undone_in(&self) -> Option<Duration> {
        self.state.lock().await.waiting.as_ref().map(Waiting::left)
    }

    async fn wanted(
        &self,
        request: &Request,
        state: &MutexGuard<'_, State>,
    ) -> Result<(Arc<Config>, Vec<ConfigError>), ReloadError> {
        if request.undo {
            let nothing = || ReloadError::Refused("there is no reload to undo".to_owned());
            let previous = state.previous.clone().ok_or_else(nothing)?;
            return Ok((previous, Vec::new()));
        }
        if let (Some(waiting), false) = (&state.waiting, request.dry_run) {
            return Err(ReloadError::Refused(format!(
                "the last reload is undone in {} s unless it is confirmed: `catalystctl confirm` or `catalystctl reload --undo` first",
                waiting.left().as_secs()
            )));
        }
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || load_with_warnings(source.file.as_deref(), &source.flags));
        let read = read.await.map_err(|error| ReloadError::Refused(error.to_string()))?;
        let (config, warnings) = read?;
        Ok((Arc::new(config), warnings))
    }

    /// What the Speaker runs on before and after.
    fn foreseen(&self, old: &Config, new: &Config) -> [SpeakerConfig; 2] {
        [old, new].map(|config| {
            let mut speaker = config.speaker();
            if let Some(tunnels) = &self.tunnels {
                tunnels.foresee(config, &mut speaker);
            }
            speaker
        })
    }

    async fn offer_changes(&self, new: &Config) -> Result<OfferChanges, Gone> {
        let wanted = self.store.lock().await.over(new.local_routes());
        let offered = self.speaker.query(|speaker, _| speaker.local_routes()).await?;
        Ok(OfferChanges::between(offered, wanted))
    }

    /// Has the tunnels begin a change of our key, of which peers are not told yet.
    pub(crate) async fn begin_rotation(&self, config: WireguardConfig) -> Result<(), catalyst_wireguard::ConfigError> {
        self.planes.begin_rotation(config).await
    }

    /// Applies the configuration that is in force once more, since what it is applied with has changed: the key of our
    /// tunnels.
    pub(crate) async fn apply_again(&self) -> Result<(), Gone> {
        let _state = self.state.lock().await;
        self.apply(&self.live.get()).await
    }

    async fn apply(&self, new: &Arc<Config>) -> Result<(), Gone> {
        // Held, so that no service is added in between.
        let store = self.store.lock().await;
        let wanted = store.over(new.local_routes());
        let offered = self.speaker.query(|speaker, _| speaker.local_routes()).await?;
        let offers = OfferChanges::between(offered, wanted).into_events();
        let mut speaker = new.speaker();
        if let Some(tunnels) = &self.tunnels {
            tunnels.announce(new, &mut speaker);
        }
        let change = Reconfiguration {
            speaker,
            transports: new.transports(),
            callers: new.callers(),
            offers,
        };
        let old = self.live.get();
        if old.envoy() != new.envoy() {
            self.planes.widen(&old, new).await;
        }
        // Guards stand before anything that is to be behind them comes.
        if let Some(wireguard) = self.tunnels.as_ref().and_then(|tunnels| tunnels.wireguard(new)) {
            self.planes.set_wireguard(wireguard).await;
        }
        self.speaker.reconfigure(change).await?;
        if old.envoy() != new.envoy() {
            self.planes.settle(new).await;
        }
        self.live.set(Arc::clone(new));
        Ok(())
    }

    fn undo_later(self: &Arc<Self>, time: Duration) -> Waiting {
        let this = Arc::clone(self);
        let until = Instant::now() + time;
        let task = tokio::spawn(async move {
            tokio::time::sleep_until(until.into()).await;
            this.undo_unconfirmed(until, time).await;
        });
        Waiting {
            until,
            undo: task.abort_handle(),
        }
    }

    async fn undo_unconfirmed(&self, until: Instant, time: Duration) {
        let mut state = self.state.lock().await;
        // Confirmed or undone while this waited for its turn.
        if state.waiting.as_ref().is_none_or(|waiting| waiting.until != until) {
            return;
        }
        state.waiting = None;
        let Some(previous) = state.previous.take() else {
            return;
        };
        tracing::warn!(?time, "the reload was not confirmed: undoing it");
        // Gone: the daemon is stopping, there is nothing left to undo.
        drop(self.apply(&previous).await);
    }
}

impl State {
    /// Whether a reload waited.
    fn stop_waiting(&mut self) -> bool {
        let waiting = self.waiting.take();
        if let Some(waiting) = &waiting {
            waiting.undo.abort();
        }
        waiting.is_some()
    }
}

/// What there is to say of a difference that is not applied; `None`: it is.
fn verdict(request: &Request, difference: &Difference) -> Option<Outcome> {
    if difference.is_empty() {
        return Some(Outcome::Unchanged);
    }
    let fixed = difference.restart_keys();
    let only_fixed = difference.offers.0.is_empty() && difference.keys.iter().all(|change| change.needs_restart);
    if !fixed.is_empty() && (only_fixed || !request.partial) {
        let partial = if only_fixed { "" } else { "; --partial applies the rest" };
        return Some(Outcome::Refused(format!(
            "{fixed} can only change with a restart{partial}"
        )));
    }
    request.dry_run.then_some(Outcome::DryRun)
}

/// Whoever asked is told as well, and may be another one than who reads the log.
fn log_refused(done: &Result<Outcome, ReloadError>) {
    match done {
        Ok(Outcome::Refused(reason)) => tracing::warn!(%reason, "the configuration is not applied"),
        Err(error) => tracing::warn!(%error, "the configuration is not applied"),
        Ok(Outcome::Applied(_) | Outcome::Unchanged | Outcome::DryRun) => {}
    }
}

/// One line that says it is done, and how much it was.
fn log_applied(difference: &Difference) {
    let keys = difference.keys.iter().filter(|change| !change.needs_restart).count();
    let [mut services, mut prefixes] = [0, 0];
    for destination in difference.offers.0.keys() {
        *(if destination.prefix().is_some() {
            &mut prefixes
        } else {
            &mut services
        }) += 1;
    }
    let peers = difference.peers.len();
    tracing::info!(keys, peers, services, prefixes, "configuration reloaded");
}

fn log(difference: &Difference) {
    for warning in &difference.warnings {
        tracing::warn!("{warning}");
    }
    for change in &difference.keys {
        if change.needs_restart {
            tracing::warn!(key = %change.path, "this key differs and needs a restart");
        } else {
            tracing::info!(key = %change.path, "changing");
        }
    }
    for peer in &difference.peers {
        tracing::info!(peer = %peer.name, action = ?peer.action, keys = ?peer.keys, "changing");
    }
    for (destination, (action, _)) in &difference.offers.0 {
        tracing::info!(offer = %destination, action = action.as_str(), "changing");
    }
}
