//! A kernel with WireGuard: Debian's for clouds, which can mount its root by virtiofs without an initial RAM disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::progress::Progress;
use crate::{apt, run};

/// Tried first, so that everyone tests on the same kernel; a mirror forgets it once it is superseded.
const PINNED: &str = "linux-image-6.12.117+deb12-cloud-amd64";
const PREFIX: &str = "linux-image-";
const SUFFIX: &str = "-cloud-amd64";

/// An unpacked kernel package. Nothing of it is installed.
pub(super) struct Kernel {
    pub(super) package: String,
    /// Holds `boot` and `lib/modules`.
    pub(super) folder: PathBuf,
    pub(super) image: PathBuf,
}

/// The kernel in `target/tools`, fetched by apt if there is none.
///
/// # Errors
/// apt has no kernel to offer, or what it offers cannot be unpacked.
pub(super) fn ensure(root: &Path, progress: &Progress) -> anyhow::Result<Kernel> {
    let tools = root.join("target/tools");
    let kernel = match unpacked(&tools) {
        Some(package) => open(&tools, package)?,
        None => fetch(&tools, progress)?,
    };
    progress.step(format_args!(
        "guest kernel {} in {}",
        kernel.package,
        kernel.folder.display()
    ));
    Ok(kernel)
}

/// The pinned one if it is here, else the newest that is.
fn unpacked(tools: &Path) -> Option<String> {
    if tools.join(PINNED).is_dir() {
        return Some(PINNED.to_owned());
    }
    let entries = fs::read_dir(tools).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    newest(names)
}

fn open(tools: &Path, package: String) -> anyhow::Result<Kernel> {
    let folder = tools.join(&package);
    let boot = folder.join("boot");
    let files = fs::read_dir(&boot).with_context(|| format!("cannot read {}", boot.display()))?;
    let mut paths = files.flatten().map(|entry| entry.path());
    let image = paths
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
        })
        .with_context(|| format!("no vmlinuz in {}", boot.display()))?;
    Ok(Kernel { package, folder, image })
}

fn fetch(tools: &Path, progress: &Progress) -> anyhow::Result<Kernel> {
    let pinned = try_package(tools, PINNED, progress);
    let Err(mut why) = pinned else { return pinned };
    // The lists of packages may be older than the mirror, or there may be none yet.
    if apt::update()? {
        match try_package(tools, PINNED, progress) {
            Err(again) => why = again,
            fetched => return fetched,
        }
    }
    progress.step(format_args!("{PINNED} is not to be had: {why:#}"));
    let found =
        run::output(Command::new("apt-cache").args(["search", "--names-only", "^linux-image-.*-cloud-amd64$"]))?;
    let names = found.lines().filter_map(|line| line.split_whitespace().next());
    let Some(package) = newest(names.map(str::to_owned)) else {
        return Err(why.context(format!("apt offers no {PREFIX}*{SUFFIX}")));
    };
    try_package(tools, &package, progress)
}

fn try_package(tools: &Path, package: &str, progress: &Progress) -> anyhow::Result<Kernel> {
    progress.step(format_args!("fetching {package} by apt"));
    let unpacking = tools.join(format!("unpack-{}", std::process::id()));
    let done = unpack(package, &unpacking).and_then(|tree| {
        let place = tools.join(package);
        fs::rename(&tree, &place).with_context(|| format!("cannot move it to {}", place.display()))
    });
    fs::remove_dir_all(&unpacking).with_context(|| format!("cannot remove {}", unpacking.display()))?;
    done.with_context(|| format!("cannot fetch {package}"))?;
    open(tools, package.to_owned())
}

/// Downloads `package` into `folder` and returns the tree of its files, modules indexed.
fn unpack(package: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    run::output(
        Command::new("apt-get")
            .args(["download", "--quiet", package])
            .current_dir(folder),
    )?;
    let tree = folder.join("tree");
    run::output(Command::new("dpkg").arg("--extract").arg(archive(folder)?).arg(&tree))?;
    if !tree.join("lib").exists() && tree.join("usr/lib").exists() {
        std::os::unix::fs::symlink("usr/lib", tree.join("lib"))?;
    }
    let version = package.trim_start_matches(PREFIX);
    run::output(Command::new("/sbin/depmod").arg("--basedir").arg(&tree).arg(version))?;
    Ok(tree)
}

fn archive(folder: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get left no package in {}", folder.display())
}

/// The newest of the kernels in `names`; everything else is passed over.
fn newest(names: impl Iterator<Item = String>) -> Option<String> {
    names
        .filter_map(|name| Some((version(&name)?, name)))
        .max()
        .map(|(_, name)| name)
}

/// The numbers of a kernel package's version, in order. None for packages that only refer to others, whose version is
/// short (`linux-image-6.12-cloud-amd64`).
fn version(package: &str) -> Option<Vec<u32>> {
    let version = package.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let release = version.split(['+', '-']).next()?;
    if release.split('.').count() < 3 {
        return None;
    }
    let numbers = version.split(|letter: char| !letter.is_ascii_digit());
    numbers
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_that_of_the_highest_numbers() {
        let names = [
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-6.12.99+deb12-cloud-amd64",
            "linux-image-6.12.118+deb12-rt-amd64",
            "linux-image-cloud-amd64",
            "envoy-1.40.0",
        ];
        let newest = newest(names.into_iter().map(str::to_owned));
        assert_eq!(newest.as_deref(), Some("linux-image-6.12.117+deb12-cloud-amd64"));
        assert!(version(PINNED).is_some(), "{PINNED}");
    }
}
