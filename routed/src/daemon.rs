//! The daemon from start to end: data planes, routing thread, admin API, signals.

use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc};

use crate::admin::{self, Store};
use crate::config::Config;
use crate::descriptors;
use crate::driver::{Driver, DriverChannel, DriverConfig, Goodbye, PlaneLoops, start_planes};
use crate::metrics::{self, TunnelSource};
use crate::reload::{LiveConfig, Outcome, Reloader, Request, Source};
use crate::state_dir;
use crate::tunnels::{OwnTunnels, Rotator};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Something that the configuration asks for cannot be had (an address in use), or the routing thread failed.
pub fn run(config: Config, source: Source) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("planes")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(config, source));
    // Nothing that still runs may delay the exit: the data planes serve on without us.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, source: Source) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    if let Err(error) = descriptors::raise_limit() {
        tracing::warn!(%error, "the limit of file descriptors stays as it is");
    }
    say_who_we_are(&config);
    let mut node = Node::start(config, source).await?;
    tracing::info!("ready: peers and catalystctl are served");
    let goodbye = tokio::select! {
        signal = signals.end(&node.reloader) => {
            tracing::info!(signal, "stopping, to come back: saying goodbye to peers, the data planes serve on");
            Goodbye::ForNow
        }
        Some(words) = node.stop.recv() => {
            tracing::info!(%words, "shutting down: saying goodbye to peers, the data planes serve on");
            Goodbye::ForGood(words)
        }
        result = &mut node.admin => return result.context("the admin API ended"),
        result = &mut node.metrics => return result.context("the metrics ended"),
        result = node.loops.ended() => return result,
        result = node.driver.ended() => return result,
    };
    node.driver.shutdown(goodbye).await;
    Ok(())
}

/// A node, running.
pub struct Node {
    /// The administration API; it serves while it is polled.
    pub admin: Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>,
    /// The metrics; they are served while it is polled. Where they are off, it waits for ever.
    pub metrics: Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>,
    /// The routing thread.
    pub driver: Driver,
    /// The loops of the data planes.
    pub loops: PlaneLoops,
    /// Changes the configuration.
    pub reloader: Arc<Reloader>,
    /// An operator's wish to end the daemon, with the words for the peers.
    pub stop: mpsc::Receiver<Arc<str>>,
}

impl Node {
    /// Starts everything that the configuration asks for on the current runtime.
    ///
    /// # Errors
    /// Something cannot be had: an address is in use.
    pub async fn start(config: Config, source: Source) -> anyhow::Result<Self> {
        let channel = DriverChannel::new();
        let handle = channel.handle();
        let tunnels = OwnTunnels::open(&config)?;
        let planes = start_planes(&config, tunnels.as_ref(), &handle).await?;
        let store = Store::open(&config.node.state_dir);
        let mut speaker = config.speaker();
        if let Some(tunnels) = &tunnels {
            tunnels.announce(&config, &mut speaker);
        }
        let driver_config = DriverConfig {
            speaker,
            offers: store.over(config.local_routes()),
            listen: Some(*config.peering.listen),
            transports: config.transports(),
            callers: config.callers(),
        };
        let store = Arc::new(Mutex::new(store));
        let live = LiveConfig::new(config);
        let running = live.get();
        let parts = (handle.clone(), Arc::clone(&store), planes.settings, tunnels.clone());
        let reloader = Arc::new(Reloader::new(source, live, parts));
        let rotator = tunnels.zip(planes.shown.wireguard.clone());
        let rotator = rotator.map(|(tunnels, stats)| Rotator::start(tunnels, stats, &reloader));
        let shown = &planes.shown;
        let tunnels = shown.wireguard.clone().zip(rotator.clone());
        let tunnels = tunnels.map(|(stats, rotator)| TunnelSource { stats, rotator });
        let source = metrics::Source::new(&running, handle.clone(), shown.envoy.clone(), tunnels);
        let metrics = metrics::serve(&running, source).await?;
        let (stopper, stop) = mpsc::channel(1);
        let operator = (rotator, stopper);
        let admin = admin::serve(Arc::clone(&reloader), store, handle, planes.shown, operator).await?;
        Ok(Self {
            admin: Box::pin(admin),
            metrics,
            driver: Driver::start(driver_config, channel, planes.feeds)?,
            loops: planes.loops,
            reloader,
            stop,
        })
    }
}

fn say_who_we_are(config: &Config) {
    let identity = config.identity();
    tracing::info!(
        node = %identity.router_id,
        organisation = %identity.organisation,
        listen = %*config.peering.listen,
        peers = config.peers.len(),
        services = config.services.len(),
        prefixes = config.prefixes.len(),
        "starting"
    );
    if let Err(error) = state_dir::check(&config.node.state_dir) {
        tracing::warn!(
            node.state_dir = %config.node.state_dir.display(), %error,
            "nothing can be kept: `service add` is refused, and tcp services may get other ports with the next start"
        );
    }
    if config.plugins.envoy.is_none() {
        tracing::warn!(
            "no data plane: routes are exchanged, but this node serves no traffic (plugins.envoy is not configured)"
        );
    }
    let dynamic = config.dynamic_peers.iter();
    for (name, dynamic) in dynamic.filter(|(_, dynamic)| !dynamic.prefix.0.address().is_loopback()) {
        tracing::warn!(dynamic_peers = %name, prefix = %dynamic.prefix, "these sessions are neither encrypted nor authenticated");
    }
    for (name, peer) in config.peers.iter().filter(|(_, peer)| !peer.address.ip().is_loopback()) {
        tracing::warn!(peer = %name, address = %*peer.address, "this session is neither encrypted nor authenticated");
    }
}

/// The signals that the daemon listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> anyhow::Result<Self> {
        let install = |kind| signal(kind).context("cannot install a signal handler");
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
            hangup: install(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop. SIGHUP has the configuration read again.
    async fn end(&mut self, reloader: &Arc<Reloader>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => drop(tokio::spawn(reload(Arc::clone(reloader)))),
            }
        }
    }
}

async fn reload(reloader: Arc<Reloader>) {
    tracing::info!("SIGHUP: reading the configuration again");
    // Everything else the reload says itself, as it does of one by catalystctl.
    if matches!(
        reloader.reload(Request::default(), |_| {}).await,
        Ok(Outcome::Unchanged)
    ) {
        tracing::info!("the configuration has not changed");
    }
}
