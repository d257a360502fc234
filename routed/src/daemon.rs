//! The daemon from start to end: data planes, routing thread, admin API, signals.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::{self, Store};
use crate::config::Config;
use crate::driver::{Driver, DriverChannel, DriverConfig, start_planes};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Something that the configuration asks for cannot be had (an address in use), or the routing thread failed.
pub fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("planes")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(config));
    // Nothing that still runs may delay the exit: the data planes serve on without us.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut end = End::install()?;
    let channel = DriverChannel::new();
    let handle = channel.handle();
    say_who_we_are(&config);
    let mut planes = start_planes(&config, &handle).await?;
    let store = Store::open(&config.node.state_dir);
    let driver = driver_config(&config, &store);
    let admin = admin::serve(&config, store, handle, planes.local_ports).await?;
    let mut driver = Driver::start(driver, channel, planes.feeds)?;
    let signal = tokio::select! {
        name = end.wait() => name,
        result = admin => return result.context("the admin API ended"),
        result = planes.loops.ended() => return result,
        result = driver.ended() => return result,
    };
    tracing::info!(signal, "stopping: saying goodbye to peers, the data planes serve on");
    driver.shutdown().await;
    Ok(())
}

fn driver_config(config: &Config, store: &Store) -> DriverConfig {
    let source = |(name, peer): (&String, &crate::config::Peer)| Some((Arc::from(name.as_str()), peer.source?.0));
    DriverConfig {
        speaker: config.speaker(),
        services: admin::initial_services(config, store),
        listen: Some(*config.peering.listen),
        sources: config.peers.iter().filter_map(source).collect::<BTreeMap<_, _>>(),
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
        "starting"
    );
    if config.plugins.envoy.is_none() {
        tracing::warn!(
            "no data plane: routes are exchanged, but this node serves no traffic (plugins.envoy is not configured)"
        );
    }
    for (name, peer) in config.peers.iter().filter(|(_, peer)| !peer.address.ip().is_loopback()) {
        tracing::warn!(peer = %name, address = %*peer.address, "this session is neither encrypted nor authenticated");
    }
}

/// The signals that end the daemon.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    fn install() -> anyhow::Result<Self> {
        let install = |kind| signal(kind).context("cannot install a signal handler");
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
