//! `cargo xtask test`: every test of both workspaces, on real parts.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

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
    let mut on_host = Some(0);
    for folder in workspace::all(&root) {
        progress.step(format_args!("testing {}", folder.display()));
        let ran = suite.run(&folder)?;
        on_host = on_host.zip(ran).map(|(before, ran)| before + ran);
    }
    let in_guest = if here {
        0
    } else {
        wireguard::run_in_guest(&root, &envoy, suite.filter, args.emulation, &progress)?
    };
    if on_host == Some(0) && in_guest == 0 {
        bail!(
            "no test has a name that contains {:?}",
            args.filter.as_deref().unwrap_or_default()
        );
    }
    let on_host = on_host.map_or("an uncounted number".to_owned(), |count| count.to_string());
    progress.step(format_args!(
        "all tests passed: {on_host} on this kernel{}, {in_guest} in a guest",
        if here { " (WireGuard included)" } else { "" }
    ));
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
    /// Runs the tests of the workspace in `folder`. Returns how many that were; doc tests, and those that only cargo test
    /// knows of, are not counted.
    fn run(&self, folder: &Path) -> anyhow::Result<Option<usize>> {
        if !self.nextest {
            self.cargo_test(folder)?;
            return Ok(None);
        }
        let mut profile: &[&str] = &[];
        if self.left_for_guest(folder)? {
            profile = &["--profile", wireguard::PROFILE_WITHOUT];
        }
        let count = self.count(folder, profile)?;
        if count > 0 {
            let mut command = self.command(folder, &["nextest", "run"]);
            run::visible(command.args(profile).args(self.filter))?;
        }
        if self.filter.is_none() {
            self.doc_tests(folder)?;
        }
        Ok(Some(count))
    }

    /// How many tests nextest would run.
    fn count(&self, folder: &Path, profile: &[&str]) -> anyhow::Result<usize> {
        let mut command = self.command(folder, &["nextest", "list"]);
        command
            .args(profile)
            .args(["--message-format", "json"])
            .args(self.filter);
        let list = serde_json::from_str(&run::output(&mut command)?).context("nextest lists no JSON")?;
        Ok(count_matches(&list))
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

fn count_matches(list: &serde_json::Value) -> usize {
    let suites = list["rust-suites"].as_object().into_iter().flatten();
    let tests = suites.flat_map(|(_, suite)| suite["testcases"].as_object().into_iter().flatten());
    tests
        .filter(|(_, test)| test["filter-match"]["status"] == "matches")
        .count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_tests_that_match_are_counted() {
        let (yes, no) = (
            json!({ "status": "matches" }),
            json!({ "status": "mismatch", "reason": "string" }),
        );
        let list = json!({ "rust-suites": {
            "a": { "testcases": { "one": { "filter-match": yes }, "two": { "filter-match": no } } },
            "b": { "testcases": { "one": { "filter-match": yes } } },
            "wg-kernel": { "testcases": {} },
        } });
        assert_eq!(count_matches(&list), 2);
    }
}
