//! The data planes: starts them, feeds them the selected table, brings their reports to the Speaker.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use catalyst_core::event::{Event, PlaneReport};
use catalyst_core::route::RouteUpdate;
use catalyst_envoy::config::EnvoyConfig;
use catalyst_envoy::plane::{EnvoyPlane, EnvoySettings};
use catalyst_external::ExternalPlane;
use catalyst_graphql::GraphqlPlane;
use catalyst_plugin::{Handle, Report, RouteFeed, spawn, spawn_after};
use catalyst_wireguard::kernel::netlink::NetlinkKernel;
use catalyst_wireguard::{ConfigError, WireguardConfig, WireguardPlane, WireguardSettings};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::handle::{Gone, Input, SpeakerHandle};
use crate::admin::Shown;
use crate::config::Config;
use crate::listen::Listener;
use crate::tunnels::OwnTunnels;

/// Reports of a data plane that may wait for the Speaker.
const REPORTS: usize = 64;
/// How long the GraphQL plane waits for Envoy to have a name before its schema is fetched.
const ENVOY_FIRST: Duration = Duration::from_secs(1);

/// The data planes of this daemon, running.
pub struct Planes {
    /// Where the selected table goes.
    pub feeds: PlaneFeeds,
    /// Their loops.
    pub loops: PlaneLoops,
    /// What they show.
    pub shown: Shown,
    /// What can change of their configuration.
    pub settings: PlaneSettings,
}

/// Changes what the running data planes were configured with.
#[derive(Debug, Clone, Default)]
pub struct PlaneSettings {
    envoy: Option<EnvoySettings>,
    wireguard: Option<WireguardSettings>,
}

impl PlaneSettings {
    /// Has Envoy listen for the organisations of `new` and, where no address is in the way, still for those of `old`:
    /// before peers are told of anything.
    pub(crate) async fn widen(&self, old: &Config, new: &Config) {
        let (Some(before), Some(mut config)) = (old.envoy(), new.envoy()) else {
            return;
        };
        for (organisation, address) in before.peer_listeners {
            if !config.peer_listeners.values().any(|taken| *taken == address) {
                config.peer_listeners.entry(organisation).or_insert(address);
            }
        }
        self.set(config).await;
    }

    /// Has the data planes go by `new` alone.
    pub(crate) async fn settle(&self, new: &Config) {
        if let Some(config) = new.envoy() {
            self.set(config).await;
        }
    }

    /// Has the tunnels go by a configuration, their guards first.
    pub(crate) async fn set_wireguard(&self, config: WireguardConfig) {
        let Some(wireguard) = &self.wireguard else { return };
        if let Err(error) = wireguard.set(config).await {
            tracing::error!(%error, "the tunnels stay as they are: a bug, this was to be found when the configuration was read");
        }
    }

    /// Has the tunnels begin a change of our key.
    ///
    /// # Errors
    /// A peer is changing its key; nothing is changed.
    pub(crate) async fn begin_rotation(&self, config: WireguardConfig) -> Result<(), ConfigError> {
        match &self.wireguard {
            Some(wireguard) => wireguard.set(config).await,
            None => Ok(()),
        }
    }

    async fn set(&self, config: EnvoyConfig) {
        if let Some(envoy) = &self.envoy {
            envoy.set(config).await;
        }
    }
}

/// The reconcile loops of the data planes.
pub struct PlaneLoops(JoinSet<(Arc<str>, Result<(), JoinError>)>);

impl PlaneLoops {
    /// Waits for a loop to end, which happens only by a bug: the daemon then ends too, and whoever restarts it gets one
    /// that works. Without data planes it waits for ever.
    ///
    /// # Errors
    /// Always; names the data plane.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        match self.0.join_next().await {
            Some(Ok((plane, Err(error)))) => anyhow::bail!("the data plane {plane} failed: {error}"),
            Some(Ok((plane, Ok(())))) => anyhow::bail!("the data plane {plane} ended"),
            Some(Err(error)) => anyhow::bail!("a data plane failed: {error}"),
            None => std::future::pending().await,
        }
    }
}

/// Where the selected table goes.
pub struct PlaneFeeds(Vec<(Arc<str>, RouteFeed)>);

impl PlaneFeeds {
    /// Hands an update to every data plane; never blocks.
    pub(super) fn send(&self, update: &RouteUpdate) {
        for (_, feed) in &self.0 {
            feed.send(update.clone());
        }
    }

    /// Hands an update to one data plane.
    pub(super) fn send_to(&self, plane: &str, update: RouteUpdate) {
        if let Some((_, feed)) = self.0.iter().find(|(name, _)| **name == *plane) {
            feed.send(update);
        }
    }
}

/// Starts the data planes of the configuration on the current runtime.
///
/// # Errors
/// A data plane's address cannot be bound.
pub async fn start_planes(
    config: &Config,
    tunnels: Option<&OwnTunnels>,
    speaker: &SpeakerHandle,
) -> anyhow::Result<Planes> {
    let mut feeds = Vec::new();
    let mut loops = JoinSet::new();
    let mut shown = Shown::default();
    let mut envoy_settled = None;
    let mut settings = PlaneSettings::default();
    if let Some(envoy) = config.envoy() {
        let bound = EnvoyPlane::bind(envoy).await;
        // Its text holds the cause already.
        let plane = bound.map_err(|error| anyhow::anyhow!("plugins.envoy.xds: {error}"))?;
        shown.local_ports = plane.local_ports();
        shown.envoy = Some(plane.stats());
        settings.envoy = Some(plane.settings());
        let (sender, reports) = mpsc::channel(REPORTS);
        let Handle { feed, settled, join } = spawn(plane, sender);
        envoy_settled = Some(settled);
        loops.spawn(async { ("envoy".into(), join.await) });
        feeds.push(connect("envoy", feed, reports, speaker));
    }
    if let Some(wireguard) = tunnels.and_then(|tunnels| tunnels.wireguard(config)) {
        let userspace = config.plugins.wireguard.as_ref().and_then(|it| it.userspace.clone());
        let kernel = NetlinkKernel::open(userspace).context("plugins.wireguard")?;
        let mut plane = WireguardPlane::new(wireguard, kernel).context("plugins.wireguard")?;
        plane.adopt().await;
        shown.wireguard = Some(plane.stats());
        settings.wireguard = Some(plane.settings());
        let (sender, reports) = mpsc::channel(REPORTS);
        let Handle { feed, join, .. } = spawn(plane, sender);
        loops.spawn(async { ("wireguard".into(), join.await) });
        feeds.push(connect("wireguard", feed, reports, speaker));
    }
    if let Some(graphql) = config.graphql() {
        let plane = GraphqlPlane::new(graphql);
        let (sender, reports) = mpsc::channel(REPORTS);
        let Handle { feed, join, .. } = match envoy_settled {
            Some(settled) => spawn_after(plane, sender, settled, ENVOY_FIRST),
            None => spawn(plane, sender),
        };
        loops.spawn(async { ("graphql".into(), join.await) });
        feeds.push(connect("graphql", feed, reports, speaker));
    }
    for (spec, listen) in config.external() {
        let name = Arc::clone(&spec.name);
        let listener = Listener::bind(&listen)
            .await
            .with_context(|| format!("plugins.external.{name}.listen: cannot listen on {listen}"))?;
        let (sender, reports) = mpsc::channel(REPORTS);
        let (plane, Handle { feed, join, .. }) = ExternalPlane::spawn(spec, sender);
        let server = tokio::spawn(serve_external(Arc::clone(&name), listener, plane));
        loops.spawn(either_ends(Arc::clone(&name), join, server));
        feeds.push(connect(&name, feed, reports, speaker));
    }
    Ok(Planes {
        feeds: PlaneFeeds(feeds),
        loops: PlaneLoops(loops),
        shown,
        settings,
    })
}

async fn serve_external(name: Arc<str>, listener: Listener, plane: ExternalPlane) {
    if let Err(error) = listener.serve(plane.router()).await {
        tracing::error!(plane = %name, %error, "the socket of a data plane has ended");
    }
}

async fn either_ends(
    name: Arc<str>,
    join: JoinHandle<()>,
    server: JoinHandle<()>,
) -> (Arc<str>, Result<(), JoinError>) {
    let ended = tokio::select! {
        ended = join => ended,
        ended = server => ended,
    };
    (name, ended)
}

fn connect(
    name: &str,
    feed: RouteFeed,
    reports: mpsc::Receiver<Report>,
    speaker: &SpeakerHandle,
) -> (Arc<str>, RouteFeed) {
    let name: Arc<str> = name.into();
    tokio::spawn(forward(Arc::clone(&name), reports, speaker.clone()));
    (name, feed)
}

/// Brings reports to the Speaker until either side ends.
async fn forward(plane: Arc<str>, mut reports: mpsc::Receiver<Report>, speaker: SpeakerHandle) {
    while let Some(report) = reports.recv().await {
        if let Err(Gone) = speaker.send(input(&plane, report)).await {
            return;
        }
    }
}

fn input(plane: &Arc<str>, report: Report) -> Input {
    let plane = Arc::clone(plane);
    Input::Event(match report {
        Report::Plane { version, statuses } => Event::PlaneReport(PlaneReport {
            plane,
            version,
            statuses,
        }),
        Report::Up => Event::PlaneUp(plane),
        Report::Down => Event::PlaneDown(plane),
        Report::NextHop { address, usable } => Event::NextHop { address, usable },
        Report::Tunnel { address, up } => Event::Tunnel { address, up },
        Report::Listeners { closed } => Event::Listeners {
            plane,
            closed: closed.into_iter().collect(),
        },
        Report::NeedReset => return Input::NeedReset(plane),
    })
}
