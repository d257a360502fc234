//! Starts a program that does WireGuard, as wg-quick does: `PROGRAM DEVICE` makes the device and goes into the background.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::userspace::{read, socket};
use super::{KernelError, unreachable_because};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of the process before may take.
const ENDING: Duration = Duration::from_secs(3);
const INTERVAL: Duration = Duration::from_millis(10);
/// What is read of what a program says when it cannot start.
const SAID_BYTES: u64 = 8192;
/// What is repeated of it.
const REPEATED_CHARS: usize = 300;
/// What tells wireguard-go to stay in the foreground, to take over a device, or to keep our end of its output when it
/// goes into the background: it would end with the daemon, at the next word that nobody reads.
const VARIABLES: [&str; 4] = ["WG_PROCESS_FOREGROUND", "WG_TUN_FD", "WG_UAPI_FD", "LOG_LEVEL"];

/// Waits until nothing is in the way of a process for a device that is gone: the one before ends when it sees that, and
/// takes the socket of its name along.
pub(super) fn vacant(device: &str, port: u16) -> Result<(), KernelError> {
    let mut other = String::new();
    let mut look = || {
        other = match (read(device)?, UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))) {
            (None, Ok(_)) => return Ok(true),
            (None, Err(_)) => format!("UDP port {port} of device {device}"),
            (Some(_), _) => format!("socket {} of a device that is gone", socket(device).display()),
        };
        Ok(false)
    };
    // An error, as of a device in another network namespace, stays.
    let found = poll(Instant::now() + ENDING, || match look() {
        Ok(false) => None,
        done => Some(done.map(drop)),
    });
    found.unwrap_or_else(|| Err(unreachable_because(&other, &"another process has it")))
}

/// Looks until there is something, or the end has come.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the thread that asks the kernel, which waits for answers anyway"
)]
fn poll<T>(end: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= end {
            return found;
        }
        thread::sleep(INTERVAL);
    }
}

/// Starts `program` for a device; returns once it serves it.
///
/// # Errors
/// It does not; in its own words where it has any.
pub(super) fn start(program: &Path, device: &str) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    let (mut said, theirs) = UnixStream::pair()?;
    let also_theirs = theirs.try_clone()?;
    said.set_nonblocking(true)?;
    let mut command = Command::new(program);
    command.arg(device).current_dir("/");
    command
        .stdin(Stdio::null())
        // wireguard-go advises on the one, and says on the other why it cannot start.
        .stdout(OwnedFd::from(also_theirs))
        .stderr(OwnedFd::from(theirs));
    // What ends us by a terminal does not end it.
    command.process_group(0);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    let mut child = command.spawn()?;
    // It holds their end.
    drop(command);
    let status = wait(&mut child, end)?;
    if !status.success() {
        return Err(io::Error::other(format!("{status}: {}", last_words(&mut said))));
    }
    poll(end, || matches!(read(device), Ok(Some(_))).then_some(())).ok_or_else(|| {
        let text = format!("nobody answers at {} after {PATIENCE:?}", socket(device).display());
        io::Error::new(ErrorKind::TimedOut, text)
    })
}

/// Waits until it has gone into the background; one that does not is ended.
fn wait(child: &mut Child, end: Instant) -> io::Result<ExitStatus> {
    if let Some(status) = poll(end, || child.try_wait().transpose()) {
        return status;
    }
    child.kill()?;
    child.wait()?;
    let text = format!("it has not gone into the background within {PATIENCE:?}, as wireguard-go does");
    Err(io::Error::new(ErrorKind::TimedOut, text))
}

/// Ends the process that has a device of this network namespace.
pub(super) fn kill(device: &str) {
    for pid in holders(device) {
        let killed = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        tracing::warn!(%device, pid, ?killed, "its process does not answer and is ended");
    }
}

/// The processes that have this device open, in this network namespace. There is one, or it is not ours to see.
fn holders(device: &str) -> Vec<i32> {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let Some(ours) = namespace("thread-self") else {
        return Vec::new();
    };
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| namespace(&pid.to_string()).as_ref() == Some(&ours) && holds(*pid, device))
        .collect()
}

fn holds(pid: i32, device: &str) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten()
        .flatten();
    let is_it = |text: String| {
        let name = text.lines().find_map(|line| line.strip_prefix("iff:"));
        name.is_some_and(|name| name.trim() == device)
    };
    files.filter_map(|file| fs::read_to_string(file.path()).ok()).any(is_it)
}

/// The last line that it has said: the cause comes after the advice.
fn last_words(said: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    // What there is; it may end by an error, as nothing more is there yet.
    let _ = said.take(SAID_BYTES).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    let line = line.unwrap_or("it says nothing").chars();
    line.filter(|char| !char.is_control()).take(REPEATED_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_last_words_are_a_bounded_line() {
        let words = |text: &[u8]| {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            theirs.write_all(text).unwrap();
            last_words(&mut ours)
        };
        assert_eq!(words(b"advice\n\nERROR: \x1b[1mno device\n\n"), "ERROR: [1mno device");
        assert_eq!(words(b""), "it says nothing");
        assert_eq!(words(&[b'x'; 5000]).len(), REPEATED_CHARS);
        assert_eq!(words(&vec![0xff; 20_000]).chars().count(), REPEATED_CHARS);
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        fs::write(&program, "#!/bin/sh\necho advice >&2; echo \"no $1 here\"; exit 3\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let error = start(&program, "wg0").unwrap_err().to_string();
        assert_eq!(error, "exit status: 3: no wg0 here");
        let error = start(&dir.path().join("missing"), "wg0").unwrap_err().to_string();
        assert!(error.starts_with("No such file"), "{error}");
    }
}
