//! `cargo xtask guest`: a command in a machine of its own whose kernel has what this one may lack (WireGuard).
//!
//! The guest has the root file system of the host under a layer of memory: every program is there, and nothing that it
//! writes stays, but for what it writes to `target`.

mod kernel;
mod machine;
mod session;
mod settings;
mod shares;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Child, ExitCode};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::builder::FalseyValueParser;

use crate::progress::Progress;
use crate::{apt, workspace};
use machine::Machine;
use session::{Ending, Interrupts, Session};
use settings::Settings;

pub(crate) use session::Outcome;

/// Of shells, for a command that ended by Ctrl-C.
const INTERRUPTED: u8 = 130;
/// The exit code of those who have to install something themselves.
const USAGE: u8 = 2;

/// What to run there.
#[derive(Debug, clap::Args)]
pub(crate) struct GuestArgs {
    #[command(flatten)]
    options: GuestOptions,
    /// Runs as root in the folder of the project, without input; its output and its exit status are ours.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The machine.
#[derive(Debug, clap::Args)]
pub(crate) struct GuestOptions {
    /// Memory, as 3G or 512M; what the guest writes outside of target/ is in there too.
    #[arg(long, default_value = "3G", value_parser = mebibytes, value_name = "SIZE")]
    memory: u32,
    /// Processors.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "COUNT")]
    cpus: u8,
    /// Ends the guest after this time, its boot included.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u32,
    #[command(flatten)]
    emulation: Emulation,
}

/// How the machine is to be made.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Emulation {
    /// Emulates the processors of a guest even where /dev/kvm opens.
    #[arg(long, env = "CATALYST_GUEST_EMULATE", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    emulate: bool,
}

/// Who runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acceleration {
    Kvm,
    Emulated,
}

impl Acceleration {
    fn find(emulation: Emulation) -> Self {
        let opens = || fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
        if !emulation.emulate && opens() {
            Self::Kvm
        } else {
            Self::Emulated
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Kvm => "by KVM",
            Self::Emulated => "emulated",
        }
    }
}

impl GuestOptions {
    /// For a whole test suite.
    pub(crate) fn for_tests(emulation: Emulation) -> Self {
        Self {
            memory: 3 * 1024,
            cpus: 2,
            timeout: 3600,
            emulation,
        }
    }
}

/// Installs what is missing, then runs the command.
pub(crate) fn guest(args: &GuestArgs) -> anyhow::Result<ExitCode> {
    let progress = Progress::start();
    let root = workspace::root()?;
    if !apt::provide(&apt::missing_for_guest(), "a guest needs", &progress)? {
        return Ok(ExitCode::from(USAGE));
    }
    let outcome = run(&root, &args.options, &args.command, &progress)?;
    Ok(match outcome {
        Outcome::Exited(status) => ExitCode::from(status),
        Outcome::Interrupted => ExitCode::from(INTERRUPTED),
    })
}

/// Boots a guest, runs `command` in it, and ends it.
///
/// # Errors
/// It does not come up, or does not end in time.
pub(crate) fn run(
    root: &Path,
    options: &GuestOptions,
    command: &[OsString],
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "a guest needs an x86_64 machine, this one is {}",
            std::env::consts::ARCH
        );
    }
    let kernel = kernel::ensure(root, progress)?;
    let target = workspace::target_dir(root)?;
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    let settings = Settings {
        kernel: &kernel.folder,
        target: &target,
        folder: root,
        command,
    };
    let interrupts = Interrupts::catch()?;
    let mut acceleration = Acceleration::find(options.emulation);
    loop {
        progress.step(format_args!(
            "booting a guest {}, {} MiB, {} processors",
            acceleration.label(),
            options.memory,
            options.cpus
        ));
        let mut machine = Machine::start(&kernel, &settings, options, acceleration)?;
        let session = Session::new(&mut machine, &interrupts, progress)?;
        match session.run(Duration::from_secs(options.timeout.into()))? {
            Ending::NeverUp(why) if acceleration == Acceleration::Kvm => {
                progress.step(format_args!(
                    "/dev/kvm opens, but does not run this kernel; emulating: {why}"
                ));
                acceleration = Acceleration::Emulated;
            }
            Ending::NeverUp(why) => bail!("{why}"),
            Ending::Outcome(outcome) => {
                progress.step(outcome);
                return Ok(outcome);
            }
        }
    }
}

/// Reads `3G` or `512M`.
fn mebibytes(text: &str) -> Result<u32, String> {
    let gibibytes = text.strip_suffix('G').map(|digits| (digits, 1024));
    let Some((digits, factor)) = gibibytes.or_else(|| Some((text.strip_suffix('M')?, 1))) else {
        return Err("a number with G or M".to_owned());
    };
    let size = digits.parse().ok().and_then(|number: u32| number.checked_mul(factor));
    size.filter(|size| (256..=1024 * 1024).contains(size))
        .ok_or_else(|| "between 256M and 1024G".to_owned())
}

/// Ends a process of ours for good.
fn end(process: &mut Child) {
    // An error means that it is gone already.
    let _ = process.kill();
    let _ = process.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_a_unit_and_bounds() {
        assert_eq!(mebibytes("3G"), Ok(3072));
        assert_eq!(mebibytes("512M"), Ok(512));
        for wrong in ["", "3", "G", "3g", "100M", "5000000G", "-1G", "3é"] {
            assert!(mebibytes(wrong).is_err(), "{wrong}");
        }
    }
}
