//! `cargo xtask check`: everything that judges the sources without running them.

use std::path::Path;
use std::process::ExitCode;

use crate::progress::Progress;
use crate::{arrows, run, workspace};

/// Runs every check in both workspaces; the first that fails ends it.
pub(crate) fn check() -> anyhow::Result<ExitCode> {
    let progress = Progress::start();
    let root = workspace::root()?;
    progress.step("arrows between crates");
    arrows::check(&root)?;
    for folder in workspace::all(&root) {
        let place = folder.strip_prefix(&root).unwrap_or(&folder).display();
        progress.step(format_args!("./{place}: format, lints, documentation"));
        check_workspace(&folder)?;
    }
    progress.step("all good");
    Ok(ExitCode::SUCCESS)
}

fn check_workspace(folder: &Path) -> anyhow::Result<()> {
    run::cargo(folder, &["fmt", "--check"])?;
    run::cargo(
        folder,
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    let mut doc = run::cargo_in(folder);
    doc.args(["doc", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings");
    run::visible(&mut doc)
}
