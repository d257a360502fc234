//! The two workspaces of this repository: the root, and the gateway with a lock file of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::run;

/// The folder of the gateway's workspace, below the root.
const GATEWAY: &str = "plugins/graphql/gateway";

/// The root of the repository, from wherever `cargo xtask` was called.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let root = manifest.parent().context("xtask has no parent folder")?;
    if !root.join("Cargo.toml").is_file() {
        bail!(
            "{} holds no Cargo.toml: run this as `cargo xtask` inside the repository",
            root.display()
        );
    }
    Ok(root.to_owned())
}

/// The workspace of the gateway.
pub(crate) fn gateway(root: &Path) -> PathBuf {
    root.join(GATEWAY)
}

/// Both workspaces, the root first.
pub(crate) fn all(root: &Path) -> [PathBuf; 2] {
    [root.to_owned(), gateway(root)]
}

/// What `cargo metadata` says of the workspace in `folder`; with the whole graph of packages only if `graph`.
pub(crate) fn metadata(folder: &Path, graph: bool) -> anyhow::Result<Value> {
    let mut command = run::cargo_in(folder);
    command.args(["metadata", "--format-version", "1", "--locked"]);
    if !graph {
        command.arg("--no-deps");
    }
    let output = run::output(&mut command)?;
    serde_json::from_str(&output).with_context(|| format!("cargo metadata in {}", folder.display()))
}

/// Where cargo puts what it builds from the workspace in `folder`.
pub(crate) fn target_dir(folder: &Path) -> anyhow::Result<PathBuf> {
    let metadata = metadata(folder, false)?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target_directory")?;
    Ok(target.into())
}
