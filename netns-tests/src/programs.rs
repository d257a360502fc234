//! Where the programs under test are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folder of the programs, instead of the one that this test was built into.
const BIN_DIR: &str = "CATALYST_BIN_DIR";
/// The Envoy to use, instead of the one that `cargo xtask install` fetches.
const ENVOY: &str = "CATALYST_ENVOY";

/// A program of the root workspace.
///
/// # Errors
/// It is not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    first_file(&[bin_dir()?.join(name)], name)
}

/// The gateway, from its own workspace.
pub(crate) fn gateway() -> Result<PathBuf> {
    let name = "catalyst-gateway";
    let own = root().join("plugins/graphql/gateway/target/debug").join(name);
    first_file(&[bin_dir()?.join(name), own], name)
}

/// Envoy.
pub(crate) fn envoy() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(ENVOY) {
        return Ok(path.into());
    }
    let fetched = root().join("target/tools/envoy-1.40.0/envoy");
    if fetched.is_file() {
        return Ok(fetched);
    }
    on_path("envoy").context("no Envoy: run `cargo xtask install`, or name one in CATALYST_ENVOY")
}

/// A program that the machine brings.
pub(crate) fn on_path(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    let found = candidates.find(|file| file.is_file());
    found.with_context(|| format!("{name} is not on PATH: `cargo xtask test` installs it"))
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// `target/debug` for a test at `target/debug/deps/NAME-HASH`.
fn bin_dir() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(BIN_DIR) {
        return Ok(folder.into());
    }
    let own = std::env::current_exe()?;
    let folder = own
        .parent()
        .and_then(Path::parent)
        .context("the test program lies in no folder")?;
    Ok(folder.to_owned())
}

fn first_file(candidates: &[PathBuf], name: &str) -> Result<PathBuf> {
    if let Some(found) = candidates.iter().find(|file| file.is_file()) {
        return Ok(found.clone());
    }
    bail!("{name} is not built (looked for {candidates:?}): run `cargo xtask test`, or name its folder in {BIN_DIR}")
}
