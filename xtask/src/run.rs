//! Running other programs.

use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context, bail};

/// The cargo that runs this xtask, in `folder`, with the environment that it has when a person calls it.
///
/// `cargo run` tells xtask about its own package. Build scripts that look at those variables (that of ring does) would
/// run anew, and a hundred crates of the gateway be built anew, whenever cargo is called by hand after xtask or before.
pub(crate) fn cargo_in(folder: &Path) -> Command {
    program_in(
        Path::new(&std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
        folder,
    )
}

/// A program that calls cargo, likewise.
pub(crate) fn program_in(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs cargo in `folder`, printing the command first.
///
/// # Errors
/// It cannot be started or fails.
pub(crate) fn cargo(folder: &Path, args: &[&str]) -> anyhow::Result<()> {
    visible(cargo_in(folder).args(args))
}

/// Runs `command` with its output on ours, printing the command first.
///
/// # Errors
/// It cannot be started or fails.
pub(crate) fn visible(command: &mut Command) -> anyhow::Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` failed: {status}", spelled(command));
    }
    Ok(())
}

/// Like [`visible`], for those who judge the exit code themselves.
pub(crate) fn status(command: &mut Command) -> anyhow::Result<ExitStatus> {
    eprintln!("$ {}", spelled(command));
    command
        .status()
        .with_context(|| format!("cannot run `{}`", spelled(command)))
}

/// Runs `command` and returns what it prints.
///
/// # Errors
/// It cannot be started or fails; its error output is part of the error.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run `{}`", spelled(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}\n{}", spelled(command), output.status, said.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print UTF-8", spelled(command)))
}

/// Whether `command` runs and succeeds, silently.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The command as a person would type it, with the folder where it matters.
fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_hears_nothing_of_the_package_of_xtask() {
        let command = cargo_in(Path::new("."));
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).collect();
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"] {
            assert!(std::env::var_os(name).is_some(), "cargo test sets {name}");
            assert!(
                removed.iter().any(|(removed, _)| *removed == name),
                "{name}: {removed:?}"
            );
        }
        assert!(!removed.iter().any(|(removed, _)| *removed == "CARGO_HOME"));
    }
}
