//! `catalyst-gateway`: one GraphQL endpoint over all graph services, changed while it serves.
//!
//! The plugin of catalyst-routed pushes the set of services by gRPC ([`control`]). The [`engine`] fetches their schemas
//! through Envoy's egress listener ([`fetch`]), composes and plans them ([`choose`], [`graph`]), and publishes the result.
//! Every request pins the graph that is current when it arrives ([`hooks`]), so a swap drops nothing.

// The server is a type nested as deep as its middlewares.
#![recursion_limit = "256"]

mod args;
mod choose;
mod control;
mod engine;
mod entry;
mod fetch;
mod graph;
mod hooks;
mod introspection;
mod listen;
mod page;
mod probes;
mod router;
mod status;

use anyhow::Context as _;
use clap::Parser as _;
use hive_router::{RouterGlobalAllocator, configure_global_allocator, ntex};
use std::process::ExitCode;
use std::sync::Arc;

configure_global_allocator!();

fn main() -> ExitCode {
    match run(&args::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("catalyst-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &args::Args) -> anyhow::Result<()> {
    // Both addresses are taken before anything starts: a busy one is the whole message.
    let http = listen::http(args.listen)?;
    let (control, _socket_file) = listen::control(&args.control)?;
    let config = router::config(args)?.into_static();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .context("starting the control runtime")?;
    let (published, handle) = runtime.block_on(async { engine::start(args.into(), graph::Planner::new(config)) });
    let control_runtime = runtime.handle().clone();
    let name = probes::GatewayName(args.name.as_str().into());
    let served = router::Served {
        name,
        published: Arc::clone(&published),
    };
    let ended = ntex::rt::System::build()
        .name("catalyst-gateway")
        .build(ntex::rt::DefaultRuntime)
        .block_on(router::serve(config, http, served, move || {
            control_runtime.spawn(control::serve(control, handle, published));
        }));
    // Watch streams never end by themselves.
    runtime.shutdown_background();
    ended
}
