//! Changes of our key: asked for, or due by its age; one at a time, step by step as the tunnels follow.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use catalyst_wireguard::{Phase, PublicKey, Rotation, TunnelStatus, WireguardStats};
use tokio::sync::{Mutex, Notify};

use super::{OwnTunnels, unix_seconds};
use crate::config::{Config, Wireguard};
use crate::reload::Reloader;

/// How often is looked while a change is under way.
const WATCH: Duration = Duration::from_millis(100);
/// How often is looked whether the key has become too old, and a change that failed is tried again.
const SCHEDULE: Duration = Duration::from_secs(60);
/// How often is said what a change waits for.
const SAY: Duration = Duration::from_secs(600);

/// Why the key is not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RotateError {
    /// Not now, or not with this configuration.
    #[error("{0}")]
    Refused(String),
    /// The files of `node.state_dir`.
    #[error("{0}")]
    Failed(String),
}

/// What there is to see of changes of our key.
#[derive(Debug, Clone, Default)]
pub struct RotationShown {
    /// How far the one that is under way is.
    pub phase: Option<&'static str>,
    /// The peers that it waits for.
    pub missing: Vec<Arc<str>>,
    /// Why the last one failed.
    pub failure: Option<String>,
}

/// Changes our key.
#[derive(Debug)]
pub struct Rotator {
    tunnels: OwnTunnels,
    stats: WireguardStats,
    reloader: Weak<Reloader>,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    rotation: Rotation,
    failure: Option<String>,
    said_at: Instant,
}

impl Rotator {
    /// For these tunnels; goes on with a change that an earlier run began, until `reloader` is gone.
    #[must_use]
    pub fn start(tunnels: OwnTunnels, stats: WireguardStats, reloader: &Arc<Reloader>) -> Arc<Self> {
        let now = Instant::now();
        let drain = drain(&reloader.live().get());
        let phase = tunnels.phase();
        if phase != Phase::Rest {
            tracing::info!(phase = word(phase), "the change of our tunnels' key goes on");
        }
        let rotator = Arc::new(Self {
            tunnels,
            stats,
            reloader: Arc::downgrade(reloader),
            state: Mutex::new(State {
                rotation: Rotation::new(phase, drain, now),
                failure: None,
                said_at: now,
            }),
            wake: Notify::new(),
        });
        tokio::spawn(Arc::clone(&rotator).run());
        rotator
    }

    /// Makes the next key, or tells of the one that is there.
    ///
    /// # Errors
    /// A change is under way, or the key is not ours to change.
    pub async fn prepare(&self) -> Result<PublicKey, RotateError> {
        let state = self.state.lock().await;
        let reloader = self.reloader()?;
        may_be_changed(&reloader.live().get(), &self.tunnels)?;
        if state.rotation.phase() != Phase::Rest {
            return refuse("a change of our key is under way, to the key that was prepared");
        }
        self.tunnels.prepare().map_err(failed)
    }

    /// Begins a change to the next key; gives that.
    ///
    /// # Errors
    /// A change is under way at either end, a part that it needs is not configured, or the key is not ours to change.
    pub async fn rotate(&self) -> Result<PublicKey, RotateError> {
        let mut state = self.state.lock().await;
        let reloader = self.reloader()?;
        let config = reloader.live().get();
        let tunnels = self.stats.tunnels();
        may_be_changed(&config, &self.tunnels)?;
        may_begin(&config, &state.rotation, &tunnels)?;
        self.tunnels.prepare().map_err(failed)?;
        if let Some(changing) = self.tunnels.foresee_change(&config) {
            // The tunnels themselves know it best: a peer may just have begun.
            let begun = reloader.begin_rotation(changing).await;
            begun.map_err(|error| RotateError::Refused(error.to_string()))?;
        }
        let now = Instant::now();
        let begun = self.tunnels.begin();
        if begun.is_err() {
            // The tunnels have begun already, and peers have heard nothing.
            self.go_by_it(&reloader).await;
        }
        let public_key = begun.map_err(failed)?;
        *state = State {
            rotation: Rotation::new(Phase::Moving, drain(&config), now),
            failure: None,
            said_at: now,
        };
        tracing::info!(%public_key, "changing the key of our tunnels");
        self.go_by_it(&reloader).await;
        self.wake.notify_one();
        Ok(public_key)
    }

    /// What there is to see.
    pub async fn shown(&self) -> RotationShown {
        let state = self.state.lock().await;
        let phase = state.rotation.phase();
        let tunnels = self.stats.tunnels();
        RotationShown {
            phase: (phase != Phase::Rest).then(|| word(phase)),
            missing: state.rotation.missing(&tunnels).into_iter().cloned().collect(),
            failure: state.failure.clone(),
        }
    }

    fn reloader(&self) -> Result<Arc<Reloader>, RotateError> {
        let gone = || RotateError::Refused("the daemon is stopping".to_owned());
        self.reloader.upgrade().ok_or_else(gone)
    }

    async fn run(self: Arc<Self>) {
        loop {
            let changing = self.state.lock().await.rotation.phase() != Phase::Rest;
            let pause = if changing { WATCH } else { SCHEDULE };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => continue,
            }
            let Some(reloader) = self.reloader.upgrade() else {
                return;
            };
            if changing {
                self.step(&reloader).await;
            } else {
                self.rotate_if_due(&reloader).await;
            }
        }
    }

    async fn step(&self, reloader: &Arc<Reloader>) {
        let mut state = self.state.lock().await;
        let sight = self.stats.sight();
        let now = Instant::now();
        let mut next = state.rotation.clone();
        if !next.step(&sight, now) {
            // It may have noted since when all is well.
            state.rotation = next;
            state.say_what_is_missing(&sight.tunnels, now);
            return;
        }
        if let Err(error) = self.tunnels.enter(next.phase()) {
            if now.duration_since(state.said_at) >= SCHEDULE || state.failure.is_none() {
                state.said_at = now;
                tracing::error!(
                    error = format!("{error:#}"),
                    "the change of our key does not go on; trying again"
                );
            }
            state.failure = Some(format!("{error:#}"));
            return;
        }
        state.note(next.phase(), &sight.tunnels);
        (state.rotation, state.said_at) = (next, now);
        self.go_by_it(reloader).await;
    }

    async fn rotate_if_due(&self, reloader: &Arc<Reloader>) {
        let config = reloader.live().get();
        let every = config
            .plugins
            .wireguard
            .as_ref()
            .and_then(|wireguard| wireguard.rotate_every);
        let (Some(every), Some(since)) = (every, self.tunnels.key_since()) else {
            return;
        };
        let is_due = unix_seconds().saturating_sub(since) >= every.as_secs();
        if !is_due || self.was_said_lately().await {
            return;
        }
        if let Err(error) = self.rotate().await {
            let mut state = self.state.lock().await;
            (state.failure, state.said_at) = (Some(error.to_string()), Instant::now());
            tracing::error!(%error, "the key of our tunnels is older than plugins.wireguard.rotate_every and cannot be changed now; trying again");
        }
    }

    /// After a failure there is a pause.
    async fn was_said_lately(&self) -> bool {
        let state = self.state.lock().await;
        state.failure.is_some() && state.said_at.elapsed() < SAY
    }

    /// The devices and the peers go by the phase.
    async fn go_by_it(&self, reloader: &Arc<Reloader>) {
        // Gone: the daemon is stopping, and the next start goes on.
        drop(reloader.apply_again().await);
    }
}

impl State {
    fn note(&mut self, phase: Phase, tunnels: &[TunnelStatus]) {
        match phase {
            Phase::Abandoning => {
                let missing = self.rotation.missing(tunnels);
                let names: Vec<&str> = missing.into_iter().map(AsRef::as_ref).collect();
                let why = format!(
                    "by the new key there is no tunnel to {}: the old one stays",
                    names.join(", ")
                );
                tracing::error!("{why}");
                self.failure = Some(why);
            }
            // What failed is known until the next change begins.
            Phase::Rest if self.rotation.phase() == Phase::Abandoning => {}
            Phase::Rest => {
                self.failure = None;
                tracing::info!("the key of our tunnels is changed");
            }
            Phase::Moving | Phase::Parting | Phase::Returning => self.failure = None,
        }
    }

    fn say_what_is_missing(&mut self, tunnels: &[TunnelStatus], now: Instant) {
        if now.duration_since(self.said_at) < SAY {
            return;
        }
        self.said_at = now;
        let missing = self.rotation.missing(tunnels);
        tracing::error!(
            phase = word(self.rotation.phase()),
            ?missing,
            "the change of our key waits for peers"
        );
    }
}

/// The phase, for people and programs.
fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Rest => "none",
        Phase::Moving => "moving to the second device",
        Phase::Parting => "taking down the first device",
        Phase::Returning => "moving back to the first device",
        Phase::Abandoning => "going back to the old key",
    }
}

fn drain(config: &Config) -> Duration {
    let keepalive = config.plugins.wireguard.as_ref().map(|wireguard| *wireguard.keepalive);
    catalyst_wireguard::drain(keepalive.unwrap_or_default())
}

fn refuse<T>(why: impl Into<String>) -> Result<T, RotateError> {
    Err(RotateError::Refused(why.into()))
}

#[allow(clippy::needless_pass_by_value, reason = "what an error is mapped by")]
fn failed(error: anyhow::Error) -> RotateError {
    RotateError::Failed(format!("{error:#}"))
}

/// Whether the key is one that this node may change.
fn may_be_changed(config: &Config, tunnels: &OwnTunnels) -> Result<(), RotateError> {
    let Some(wireguard) = &config.plugins.wireguard else {
        return refuse("the wireguard plugin is off");
    };
    if !tunnels.has_own_key() {
        return refuse(
            "plugins.wireguard.private_key_file names the key, which is not this node's to change: without it the key is made, kept and changed in node.state_dir",
        );
    }
    if let Some(name) = wireguard.fixed.keys().next() {
        return refuse(format!(
            "plugins.wireguard.static[{name:?}]: its other end has our key by hand and would not hear of the change"
        ));
    }
    Ok(())
}

fn may_begin(config: &Config, rotation: &Rotation, tunnels: &[TunnelStatus]) -> Result<(), RotateError> {
    let own = config.plugins.wireguard.as_ref().map(without_second);
    if let Some(Some(organisation)) = own {
        return refuse(format!(
            "set plugins.wireguard.tunnels[{organisation:?}].second: the device that there is for the time of the change needs a port"
        ));
    }
    if rotation.phase() != Phase::Rest {
        return refuse(format!("a change of our key is under way: {}", word(rotation.phase())));
    }
    let changing = tunnels.iter().find(|tunnel| tunnel.second.is_some());
    match changing {
        Some(tunnel) => refuse(format!(
            "peer {} is changing its key, or has not come back from that yet: try again when `show tunnels` calls it up alone",
            tunnel.peer
        )),
        None => Ok(()),
    }
}

fn without_second(wireguard: &Wireguard) -> Option<&String> {
    let mut without = wireguard.tunnels.iter().filter(|(_, own)| own.second.is_none());
    without.next().map(|(organisation, _)| organisation)
}
