//! The tests that need a kernel with WireGuard: on this one if it has it, else in one guest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;
use serde_json::Value;

use crate::guest::{self, Emulation, GuestOptions, Outcome};
use crate::progress::Progress;
use crate::{envoy, run};

/// What the names of their test programs begin with, in .config/nextest.toml too.
const PREFIX: &str = "wg-";
/// Of .config/nextest.toml: leaves them out.
pub(crate) const PROFILE_WITHOUT: &str = "no-wireguard";
/// Runs test programs one after another, each in the folder that cargo would run it in and which stands before it, all of
/// them even if one fails. The networks of two tests at once would starve each other.
const EACH: &str = r#"
status=0
filter=$1
shift
while [ $# -gt 0 ]; do
    (cd "$1" && exec "$2" --test-threads 1 ${filter:+"$filter"}) || status=1
    shift 2
done
exit $status
"#;

/// A test program that needs WireGuard.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TestProgram {
    /// Of its package: where cargo would run it.
    folder: PathBuf,
    path: PathBuf,
}

/// Whether this process may make WireGuard devices on this kernel. Tried in a network that is gone right after.
pub(crate) fn kernel_has_it() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--net", "ip", "link", "add", "probe", "type", "wireguard"]);
    run::succeeds(&mut probe)
}

/// Runs those whose name contains `filter` in a guest; they are built. Returns how many that were; for none there is no
/// guest.
///
/// # Errors
/// A test failed, or the guest did.
pub(crate) fn run_in_guest(
    root: &Path,
    envoy: &Path,
    filter: Option<&str>,
    emulation: Emulation,
    progress: &Progress,
) -> anyhow::Result<usize> {
    let mut programs = Vec::new();
    let mut tests = 0;
    for program in built(root)? {
        let count = count(&program.path, filter)?;
        if count > 0 {
            tests += count;
            programs.push(program);
        }
    }
    if tests == 0 {
        return Ok(0);
    }
    progress.step(format_args!(
        "{tests} tests need WireGuard, which this kernel lacks: running them in a guest"
    ));
    let command = command(envoy, filter, programs);
    match guest::run(root, &GuestOptions::for_tests(emulation), &command, progress)? {
        Outcome::Exited(0) => Ok(tests),
        Outcome::Exited(_) => bail!("tests failed in the guest"),
        Outcome::Interrupted => bail!("interrupted"),
    }
}

/// Whether a workspace has tests that need WireGuard, going by its metadata.
pub(crate) fn has_tests(metadata: &Value) -> bool {
    tests(metadata).any(|name| name.starts_with(PREFIX))
}

/// The test programs that do not.
pub(crate) fn other_tests(metadata: &Value) -> Vec<String> {
    tests(metadata)
        .filter(|name| !name.starts_with(PREFIX))
        .map(str::to_owned)
        .collect()
}

fn tests(metadata: &Value) -> impl Iterator<Item = &str> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    targets
        .filter(|target| target["kind"][0] == "test")
        .filter_map(|target| target["name"].as_str())
}

fn command(envoy: &Path, filter: Option<&str>, programs: Vec<TestProgram>) -> Vec<OsString> {
    let mut variable = OsString::from(envoy::VARIABLE);
    variable.push("=");
    variable.push(envoy);
    let mut words: Vec<OsString> = vec!["env".into(), variable, "sh".into(), "-c".into(), EACH.into()];
    words.extend(["tests".into(), filter.unwrap_or_default().into()]);
    words.extend((programs.into_iter()).flat_map(|program| [program.folder.into(), program.path.into()]));
    words
}

/// The test programs that need WireGuard, as the build of everything left them.
fn built(root: &Path) -> anyhow::Result<Vec<TestProgram>> {
    let mut build = run::cargo_in(root);
    build.args(["build", "--workspace", "--all-targets", "--locked", "--quiet"]);
    build.args(["--message-format", "json"]);
    let messages = run::output(&mut build)?;
    let mut programs: Vec<_> = messages.lines().filter_map(test_program).collect();
    programs.sort();
    Ok(programs)
}

/// The program that a message of cargo tells of, if it is one of ours.
fn test_program(message: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    let target = &message["target"];
    let is_test = target["kind"][0] == "test";
    let ours = is_test && target["name"].as_str()?.starts_with(PREFIX);
    if !ours {
        return None;
    }
    Some(TestProgram {
        folder: Path::new(message["manifest_path"].as_str()?).parent()?.to_owned(),
        path: message["executable"].as_str()?.into(),
    })
}

/// How many tests of `program` have a name that contains `filter`.
fn count(program: &Path, filter: Option<&str>) -> anyhow::Result<usize> {
    let list = run::output(Command::new(program).args(["--list", "--format", "terse"]).args(filter))?;
    Ok(list.lines().filter(|line| line.ends_with(": test")).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_what_cargo_says() {
        let message = |kind: &str, name: &str| {
            format!(
                r#"{{"target":{{"kind":["{kind}"],"name":"{name}"}},"executable":"/t/{name}-0","manifest_path":"/p/Cargo.toml"}}"#
            )
        };
        assert_eq!(
            test_program(&message("test", "wg-kernel")),
            Some(TestProgram {
                folder: "/p".into(),
                path: "/t/wg-kernel-0".into()
            })
        );
        assert_eq!(test_program(&message("test", "line")), None);
        assert_eq!(test_program(&message("bin", "wg-kernel")), None);
        assert_eq!(test_program(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(test_program("warning: not JSON"), None);
    }
}
