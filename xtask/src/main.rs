//! `cargo xtask`: everything that a developer runs, on a machine with nothing but the Rust toolchain and python3-pip.

mod apt;
mod arrows;
mod bench;
mod check;
mod demo;
mod envoy;
mod fuzz;
mod guest;
mod progress;
mod run;
mod test;
mod wireguard;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use progress::Progress;

/// Tasks of the Catalyst workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Starts two nodes on loopback, sends one GraphQL query through both, and prints what happened.
    Demo(demo::DemoArgs),
    /// Installs what tests need, builds both workspaces, and runs every test.
    Test(test::TestArgs),
    /// Runs a command in a guest machine, whose kernel has WireGuard whatever that of this machine has.
    Guest(guest::GuestArgs),
    /// Format, lints, documentation and the arrows between crates, in both workspaces.
    Check,
    /// Fuzzes the core: bytes to frames, messages, and whole sessions (needs a C++ compiler).
    Fuzz(fuzz::FuzzArgs),
    /// Fetches the tools (Envoy) into target/tools and prints where they are.
    Install,
    /// Measures.
    #[command(subcommand)]
    Bench(Bench),
    /// Simulates whole networks of Speakers; `--help` says how.
    #[command(disable_help_flag = true)]
    Simulate {
        /// As catalyst-sim takes them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// The routing core over real sockets, beside BIRD, GoBGP, OpenBGPD and FRR where they are installed.
    Core(bench::BenchArgs),
}

fn main() -> ExitCode {
    match perform(Args::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Demo(args) => demo::demo(&args),
        Task::Test(args) => test::test(&args),
        Task::Guest(args) => guest::guest(&args),
        Task::Check => check::check(),
        Task::Fuzz(args) => fuzz::fuzz(&args),
        Task::Install => install(),
        Task::Bench(Bench::Core(args)) => bench_core(&args),
        Task::Simulate { args } => simulate(&args),
    }
}

fn install() -> anyhow::Result<ExitCode> {
    let progress = Progress::start();
    println!("{}", envoy::ensure(&workspace::root()?, &progress)?.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds what is measured and what measures for release, then has that do it.
fn bench_core(args: &bench::BenchArgs) -> anyhow::Result<ExitCode> {
    let root = workspace::root()?;
    let binaries = workspace::target_dir(&root)?.join("release");
    if !cfg!(debug_assertions) {
        bench::core(args, &binaries, &root.join("target/bench"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let packages = ["catalyst-routed", "catalystctl", "xtask"];
    let mut build = vec!["build", "--release", "--locked"];
    build.extend(packages.iter().flat_map(|package| ["--package", package]));
    run::cargo(&root, &build)?;
    let mut again = bench::privileged(&binaries.join("xtask"));
    again.args(std::env::args_os().skip(1));
    let status = again.status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// In a release build: a simulation is as long as the CPU lets it be.
fn simulate(args: &[String]) -> anyhow::Result<ExitCode> {
    let root = workspace::root()?;
    let mut command = vec![
        "run",
        "--release",
        "--quiet",
        "--locked",
        "--package",
        "catalyst-sim",
        "--",
    ];
    command.extend(args.iter().map(String::as_str));
    run::cargo(&root, &command)?;
    Ok(ExitCode::SUCCESS)
}
