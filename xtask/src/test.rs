//! `cargo xtask test`: every test of both workspaces, on real parts.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::bail;

use crate::guest::Emulation;
use crate::progress::Progress;
use crate::{apt, envoy, run, wireguard, workspace};

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Run only the tests whose name contains this (doc tests are left out then).
    filter: Option<String>,
    #[command(flatten)]
    emulation: Emulation,
}

/// The exit code of those who have to install something themselves.
const USAGE: u8 = 2;
/// nextest: no test has a name that matches.
const NO_TESTS_RUN: i32 = 4;

/// Installs, builds, runs.
pub(crate) fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let progress = Progress::start();
    let root = workspace::root()?;
    if !install_packages(&root, &progress)? {
        return Ok(ExitCode::from(USAGE));
    }
    let here = wireguard::kernel_has_it();
    if !here && !apt::provide(&apt::missing_for_guest(), "tests need", &progress)? {
        return Ok(ExitCode::from(USAGE));
    }
    let envoy = envoy::ensure(&root, &progress)?;
    let suite = Suite {
        envoy: &envoy,
        nextest: have_nextest(&root),
        wireguard: here,
        filter: args.filter.as_deref(),
    };
    for folder in workspace::all(&root) {
        progress.step(format_args!("building {}", folder.display()));
        // Programs and tests in one go: built apart, they would see other features of the same crates, built twice.
        run::cargo(&folder, &["build", "--workspace", "--all-targets", "--locked"])?;
    }
    let mut any = false;
    for folder in workspace::all(&root) {
        progress.step(format_args!("testing {}", folder.display()));
        any |= suite.run(&folder)?;
    }
    let ran = if here {
        "those that need WireGuard on this kernel, as all others".to_owned()
    } else {
        let in_guest = wireguard::run_in_guest(&root, &envoy, suite.filter, args.emulation, &progress)?;
        any |= in_guest > 0;
        format!("{in_guest} that need WireGuard in a guest, all others on this kernel")
    };
    if !any {
        bail!(
            "no test has a name that contains {:?}",
            args.filter.as_deref().unwrap_or_default()
        );
    }
    progress.step(format_args!("all tests passed: {ran}"));
    Ok(ExitCode::SUCCESS)
}

/// False: packages are missing and may not be installed from here; the line to type was printed.
fn install_packages(root: &Path, progress: &Progress) -> anyhow::Result<bool> {
    apt::provide(&apt::missing(envoy::find(root)?.is_some()), "tests need", progress)
}

fn have_nextest(root: &Path) -> bool {
    run::succeeds(run::cargo_in(root).args(["nextest", "--version"]))
}

/// How tests run.
struct Suite<'a> {
    envoy: &'a Path,
    nextest: bool,
    /// Whether this kernel has it. Tests that need it are left out otherwise.
    wireguard: bool,
    filter: Option<&'a str>,
}

impl Suite<'_> {
    /// Runs the tests of the workspace in `folder`. False: nextest found none that match the filter.
    fn run(&self, folder: &Path) -> anyhow::Result<bool> {
        if !self.nextest {
            self.cargo_test(folder)?;
            return Ok(true);
        }
        let mut command = self.command(folder, &["nextest", "run"]);
        if self.left_for_guest(folder)? {
            command.args(["--profile", wireguard::PROFILE_WITHOUT]);
        }
        let status = run::status(command.args(self.filter))?;
        if status.code() == Some(NO_TESTS_RUN) && self.filter.is_some() {
            return Ok(false);
        }
        if !status.success() {
            bail!("tests failed in {}", folder.display());
        }
        if self.filter.is_none() {
            self.doc_tests(folder)?;
        }
        Ok(true)
    }

    fn cargo_test(&self, folder: &Path) -> anyhow::Result<()> {
        let mut command = self.command(folder, &["test"]);
        if self.left_for_guest(folder)? {
            command.args(["--lib", "--bins", "--examples"]);
            for name in wireguard::other_tests(&workspace::metadata(folder, false)?) {
                command.args(["--test", &name]);
            }
            run::visible(command.args(self.filter))?;
            return match self.filter {
                None => self.doc_tests(folder),
                Some(_) => Ok(()),
            };
        }
        if let Some(filter) = self.filter {
            command.args(["--all-targets", filter]);
        }
        run::visible(&mut command)
    }

    /// Whether the workspace in `folder` has tests that this kernel cannot run.
    fn left_for_guest(&self, folder: &Path) -> anyhow::Result<bool> {
        Ok(!self.wireguard && wireguard::has_tests(&workspace::metadata(folder, false)?))
    }

    /// nextest leaves doc tests out.
    fn doc_tests(&self, folder: &Path) -> anyhow::Result<()> {
        let metadata = workspace::metadata(folder, false)?;
        if !has_library(&metadata) {
            return Ok(());
        }
        run::visible(self.command(folder, &["test"]).arg("--doc"))
    }

    fn command(&self, folder: &Path, task: &[&str]) -> Command {
        let mut command = run::cargo_in(folder);
        command
            .args(task)
            .args(["--workspace", "--locked"])
            .env(envoy::VARIABLE, self.envoy);
        command
    }
}

/// `cargo test --doc` refuses a workspace without any library.
fn has_library(metadata: &serde_json::Value) -> bool {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    targets.any(|target| target["doctest"] == true)
}
