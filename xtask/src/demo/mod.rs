//! `cargo xtask demo`: two nodes on loopback, and one GraphQL query that travels through both.
//!
//! ```text
//! client -> Envoy A -> gateway A -> products
//!                                -> Envoy A (egress) -> Envoy B -> reviews
//! ```

mod fleet;
mod interrupt;
mod network;
mod plan;
mod ports;
mod query;

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::progress::Progress;
use crate::{envoy, run, workspace};
use fleet::Fleet;
use interrupt::{Interrupt, Interrupted};
use network::Programs;
use plan::Plan;

/// How to run the demo.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Keep everything running until Ctrl-C.
    #[arg(long)]
    stay: bool,
    /// Use the ports from N on (1024 to 65000) instead of those of examples/two-nodes. Best below 32768: the kernel gives
    /// higher ones to outgoing connections, and one may be taken when its turn comes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    ports_from: Option<u16>,
}

impl DemoArgs {
    /// The same demo, for as long as somebody looks at it.
    fn to_stay(&self) -> String {
        let ports = self.ports_from.map(|first| format!(" --ports-from {first}"));
        format!("cargo xtask demo --stay{}", ports.unwrap_or_default())
    }
}

/// Exit code of a demo that was interrupted before it was up.
const INTERRUPTED: u8 = 130;
/// Where the demo writes, below the root. Relative, as the sockets in it have to fit into 107 bytes.
pub(crate) const FOLDER: &str = "target/demo";

/// Runs the demo and stops all it started, whatever happens.
pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let progress = Progress::start();
    match run_and_stop(args, &interrupt, &progress) {
        // Ctrl-C also ends the cargo that runs at the time, which then is the error.
        Err(error) if error.is::<Interrupted>() || interrupt.pause(Duration::ZERO).is_err() => {
            progress.step("interrupted");
            Ok(ExitCode::from(INTERRUPTED))
        }
        result => result.map(|()| ExitCode::SUCCESS),
    }
}

fn run_and_stop(args: &DemoArgs, interrupt: &Interrupt, progress: &Progress) -> anyhow::Result<()> {
    let root = workspace::root()?;
    let _alone = alone(&root)?;
    let plan = Plan::load(&root, args.ports_from)?;
    if let Some(warning) = args.ports_from.and_then(ports::warn_of_ephemeral) {
        progress.step(warning);
    }
    ports::check_free(&plan)?;
    let programs = build(&root, progress)?;
    // The build may have taken minutes.
    ports::check_free(&plan)?;
    plan.write(&root)?;
    let mut fleet = Fleet::new(&root, interrupt);
    let shown = show(args, &plan, &programs, &mut fleet, progress);
    if shown.as_ref().is_err_and(|error| !error.is::<Interrupted>()) {
        fleet.print_logs();
    }
    progress.step("stopping everything");
    fleet.stop();
    shown
}

/// The lock on [`FOLDER`], held as long as the file is open.
fn alone(root: &Path) -> anyhow::Result<File> {
    let path = root.join(format!("{FOLDER}.lock"));
    // Missing where CARGO_TARGET_DIR has cargo build elsewhere.
    let folder = path.parent().unwrap_or(root);
    let file = std::fs::create_dir_all(folder)
        .and_then(|()| File::create(&path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another demo of this repository is running: stop it first (Ctrl-C in its terminal)")
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn build(root: &Path, progress: &Progress) -> anyhow::Result<Programs> {
    let envoy = envoy::ensure(root, progress)?;
    progress.step("building catalyst-routed, catalystctl and the example services");
    let packages = ["catalyst-routed", "catalystctl", "catalyst-examples"];
    let mut arguments = vec!["build", "--locked", "--bins"];
    arguments.extend(packages.iter().flat_map(|package| ["--package", package]));
    run::cargo(root, &arguments)?;
    let gateway = workspace::gateway(root);
    let binaries = debug_dir(root)?;
    let gateway_binary = debug_dir(&gateway)?.join("catalyst-gateway");
    if gateway_binary.is_file() {
        progress.step("building catalyst-gateway");
    } else {
        progress.step("building catalyst-gateway: 700 crates, the first time takes several minutes");
    }
    run::cargo(&gateway, &["build", "--locked", "--bins"])?;
    Ok(Programs {
        envoy,
        binaries,
        gateway: gateway_binary,
    })
}

fn debug_dir(folder: &Path) -> anyhow::Result<PathBuf> {
    Ok(workspace::target_dir(folder)?.join("debug"))
}

/// Everything from the first process to the answer, and the stay.
fn show(
    args: &DemoArgs,
    plan: &Plan,
    programs: &Programs,
    fleet: &mut Fleet<'_>,
    progress: &Progress,
) -> anyhow::Result<()> {
    network::start(plan, programs, fleet, progress)?;
    progress.step("waiting until the graph of each node holds products (beside node a) and reviews (beside node b)");
    let [a, b] = &plan.nodes;
    let answer = query::wait_for_answer(fleet, &a.graph_url())?;
    query::wait_for_answer(fleet, &b.graph_url())?;
    progress.step("the answer of node a came through both nodes");
    say(&format!("\n$ {}\n{answer}", query::as_curl(&a.graph_url())))?;
    for node in &plan.nodes {
        let routes = programs.ctl(node, &["show", "routes"])?;
        let command = programs.spell_ctl(node, &["show", "routes"]);
        say(&format!("\n$ {command}\n{}", routes.trim_end()))?;
    }
    say(&what_next(args, plan, programs))?;
    if args.stay {
        progress.step("everything keeps running; Ctrl-C stops it");
        fleet.stay()?;
    }
    Ok(())
}

/// Prints a paragraph; a reader that has gone away is an error, not a panic.
fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("cannot print what there is to see")
}

fn what_next(args: &DemoArgs, plan: &Plan, programs: &Programs) -> String {
    let [a, b] = &plan.nodes;
    let first = if args.stay {
        "Try next, in another terminal:".to_owned()
    } else {
        format!("Try next, with `{}` running:", args.to_stay())
    };
    let lines = [
        format!("  open {} in a browser: the graph of node a", a.graph_url()),
        format!("  {}", programs.spell_ctl(a, &["show", "route", &b.service.name])),
        format!("  {}", programs.spell_ctl(b, &["service", "remove", &b.service.name])),
        "    2 s later { topProducts { name price } } still answers, and the graph knows no reviews; to have them back:"
            .to_owned(),
        format!(
            "  {} {} --protocol http:graphql --endpoint http://{}",
            programs.spell_ctl(b, &["service", "add"]),
            b.service.name,
            b.service.address
        ),
        format!("  {}", programs.spell_ctl(a, &["watch", "routes"])),
        format!("  configurations and logs are in {FOLDER}/"),
    ];
    format!("{first}\n{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_try_next_is_on_the_same_ports() {
        let args = |ports_from| DemoArgs {
            stay: false,
            ports_from,
        };
        assert_eq!(args(None).to_stay(), "cargo xtask demo --stay");
        assert_eq!(
            args(Some(40_000)).to_stay(),
            "cargo xtask demo --stay --ports-from 40000"
        );
    }
}
