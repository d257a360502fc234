//! Running other programs.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context, bail};

/// The cargo that runs this xtask.
pub(crate) fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs cargo in `folder`, printing the command first.
///
/// # Errors
/// It cannot be started or fails.
pub(crate) fn cargo(folder: &Path, args: &[&str]) -> anyhow::Result<()> {
    visible(Command::new(cargo_program()).args(args).current_dir(folder))
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
