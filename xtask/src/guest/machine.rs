//! The machine: its hardware, and the channels between it and us.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::kernel::Kernel;
use super::settings::Settings;
use super::shares::Share;
use super::{Acceleration, GuestOptions};

const QEMU: &str = "qemu-system-x86_64";
/// With all messages, which say where a guest hung; no test of ciphers that nobody asked for, no calibration of clocks.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 panic=-1 mitigations=off nokaslr cryptomgr.notests tsc=reliable \
                                no_timer_check root=root rootfstype=virtiofs ro";
const INIT: &str = "init";
const CONSOLE: &str = "console.log";
const QEMU_LOG: &str = "qemu.log";
/// Lines of each log that an error carries.
const TAIL_LINES: usize = 20;

/// A running guest. All of it is gone once this is dropped; if we are killed, the kernel ends its processes.
pub(super) struct Machine {
    qemu: Child,
    // In the order of dropping: the folder is the last.
    _shares: [Share; 2],
    stdout: UnixListener,
    stderr: UnixListener,
    folder: TempDir,
}

impl Machine {
    /// Starts it.
    pub(super) fn start(
        kernel: &Kernel,
        settings: &Settings<'_>,
        options: &GuestOptions,
        acceleration: Acceleration,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("catalyst-guest-").tempdir()?;
        let place = folder.path();
        check_plain(place)?;
        check_plain(settings.target)?;
        let init = place.join(INIT);
        fs::write(&init, include_bytes!("init.sh"))?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
        fs::write(place.join("settings"), settings.spell(std::env::vars_os()))?;
        let shares = [
            Share::start(place, "root", Path::new("/"), "always")?,
            Share::start(place, "target", settings.target, "auto")?,
        ];
        let stdout = UnixListener::bind(place.join("stdout"))?;
        let stderr = UnixListener::bind(place.join("stderr"))?;
        let qemu = qemu(place, kernel, options, acceleration)?;
        Ok(Self {
            qemu,
            _shares: shares,
            stdout,
            stderr,
            folder,
        })
    }

    /// What the guest reports. Ends with the machine.
    pub(super) fn reports(&mut self) -> anyhow::Result<impl Read + Send + use<>> {
        self.qemu.stdout.take().context("somebody listens to qemu already")
    }

    /// What qemu complains of, kept in its log as it is read. Ends with the machine.
    pub(super) fn complaints(&mut self) -> anyhow::Result<impl Read + Send + use<>> {
        let log = File::create(self.folder.path().join(QEMU_LOG))?;
        let source = self.qemu.stderr.take().context("somebody listens to qemu already")?;
        Ok(Copied { source, log })
    }

    /// Standard output and standard error of the command. For a guest that is up: its machine has connected both.
    pub(super) fn output(&self) -> anyhow::Result<[UnixStream; 2]> {
        Ok([self.stdout.accept()?.0, self.stderr.accept()?.0])
    }

    /// The end of everything that was logged, for an error.
    pub(super) fn last_words(&self) -> String {
        let logs = [CONSOLE, QEMU_LOG, "root.log", "target.log"];
        let tails = logs.map(|name| tail(&self.folder.path().join(name), name));
        tails.join("")
    }
}

/// Writes down what is read.
struct Copied<S> {
    source: S,
    log: File,
}

impl<S: Read> Read for Copied<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.log.write_all(&buffer[..length])?;
        Ok(length)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        super::end(&mut self.qemu);
    }
}

fn qemu(folder: &Path, kernel: &Kernel, options: &GuestOptions, acceleration: Acceleration) -> anyhow::Result<Child> {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", QEMU]);
    command.args(hardware(options, acceleration));
    for tag in ["root", "target"] {
        command.arg("-chardev").arg(format!("socket,id={tag},path={}", at(tag)));
        command
            .arg("-device")
            .arg(format!("vhost-user-fs-pci,chardev={tag},tag={tag}"));
    }
    command.args(["-device", "virtio-serial-pci"]);
    command.args(["-chardev", "stdio,id=control,signal=off"]);
    for name in ["stdout", "stderr"] {
        command
            .arg("-chardev")
            .arg(format!("socket,id={name},path={}", at(name)));
    }
    // The numbers that init.sh knows them by.
    for (port, name) in (1..).zip(["control", "stdout", "stderr"]) {
        command
            .arg("-device")
            .arg(format!("virtserialport,chardev={name},nr={port}"));
    }
    command.arg("-serial").arg(format!("file:{}", at(CONSOLE)));
    command.arg("-kernel").arg(&kernel.image);
    command
        .arg("-append")
        .arg(format!("{KERNEL_ARGUMENTS} init={}", at(INIT)));
    command
        // Ctrl-C is for us, who end it in order.
        .process_group(0)
        // Held open as long as the machine: the end of it would tell the guest that nobody listens.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {QEMU}"))
}

fn hardware(options: &GuestOptions, acceleration: Acceleration) -> Vec<String> {
    let memory = format!("{}M", options.memory);
    let (accelerator, cpu) = match acceleration {
        Acceleration::Kvm => ("kvm", "host"),
        // An old model: newer ones have instructions that are slow to emulate.
        Acceleration::Emulated => ("tcg,thread=multi,tb-size=256", "Nehalem"),
    };
    let words = [
        ["-machine", "q35"],
        ["-accel", accelerator],
        ["-cpu", cpu],
        ["-smp", &options.cpus.to_string()],
        ["-m", &memory],
        // virtiofsd reads and writes the memory of the guest.
        [
            "-object",
            &format!("memory-backend-memfd,id=memory,size={memory},share=on"),
        ],
        ["-numa", "node,memdev=memory"],
        ["-display", "none"],
    ];
    let mut words: Vec<_> = words.into_iter().flatten().map(str::to_owned).collect();
    words.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(str::to_owned));
    words
}

/// Paths go into the command lines of qemu and of the kernel, each with a syntax of its own.
fn check_plain(path: &Path) -> anyhow::Result<()> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@%~".contains(letter);
    let text = path.to_str().filter(|text| text.chars().all(plain));
    if text.is_none() {
        bail!("{} has a letter that qemu does not take in a path", path.display());
    }
    Ok(())
}

fn tail(log: &Path, name: &str) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    if lines.is_empty() {
        return String::new();
    }
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!("\n--- the end of {name}\n{}", last.join("\n"))
}
