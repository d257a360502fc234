//! WireGuard by a program, wireguard-go or another that keeps to the same protocol: one process for each device, which it makes
//! itself (a tun device), and which ends when the device is removed. It is asked by its socket, whose name is the
//! device's, and outlives us: whoever starts next finds it there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use socket2::{Domain, SockAddr, Socket, Type};

use super::uapi::{self, Fault};
use super::{KernelError, PeerChange, Read, process, unreachable_because};
use crate::resource::Device;

/// Where the sockets are: of the whole host, whatever network namespace a device is in.
const FOLDER: &str = "/var/run/wireguard";
/// How long an answer may take. A device is made anew once three in a row took longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A process that lasts longer than this does not keep ending.
const STEADY: Duration = Duration::from_secs(60);
/// The pause before a process that has ended is started for the third time; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Linux: it takes connections (__SO_ACCEPTCON, in /proc/net/unix).
const LISTENS: &str = "00010000";

/// Starts the processes.
pub(in super::super) struct Userspace {
    program: PathBuf,
    starts: BTreeMap<Arc<str>, Starts>,
}

/// The starts for one device.
#[derive(Debug, Clone, Copy)]
struct Starts {
    last: Instant,
    /// How many there were, none long after the other.
    in_a_row: u32,
}

impl Userspace {
    pub(super) fn new(program: PathBuf) -> Self {
        Self {
            program,
            starts: BTreeMap::new(),
        }
    }

    /// Makes a device: starts its process. There is none of the name.
    pub(in super::super) fn make(&mut self, name: &Arc<str>, port: u16) -> Result<(), KernelError> {
        let now = Instant::now();
        let starts = self.starts.get(name).copied();
        if let Some(pause) = starts.and_then(|starts| starts.pause(now)) {
            let why = format!("it has ended several times, and is started again in {pause:.1?}");
            return Err(unreachable_because(&self.what(name), &why));
        }
        process::vacant(name, port)?;
        self.starts.insert(name.clone(), Starts::next(starts, now));
        process::start(&self.program, name).map_err(|error| unreachable_because(&self.what(name), &error))
    }

    fn what(&self, name: &str) -> String {
        format!(
            "start {} for {name} (plugins.wireguard.userspace)",
            self.program.display()
        )
    }
}

impl Starts {
    fn next(before: Option<Self>, now: Instant) -> Self {
        let soon = before.filter(|before| now.saturating_duration_since(before.last) < STEADY);
        Self {
            last: now,
            in_a_row: soon.map_or(1, |before| before.in_a_row.saturating_add(1)),
        }
    }

    /// How long the next one has to wait. One that was killed, or whose device somebody deleted, is back at once.
    fn pause(self, now: Instant) -> Option<Duration> {
        let doublings = self.in_a_row.checked_sub(2)?;
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(MAX_PAUSE);
        pause
            .checked_sub(now.saturating_duration_since(self.last))
            .filter(|left| !left.is_zero())
    }
}

/// `None`: no process has such a device.
pub(super) fn read(device: &str) -> Result<Option<Read>, KernelError> {
    let what = format!("peers of {device}");
    let Some(conversation) = connect(device)? else {
        return Ok(None);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let read = conversation.say(uapi::GET).and_then(|answer| uapi::read(answer, now));
    read.map(Some).map_err(|fault| error(&what, fault))
}

/// The key and the port of a device.
pub(super) fn configure(name: &str, device: &Device) -> Result<(), KernelError> {
    set(name, &format!("configure device {name}"), &uapi::configure(device))
}

/// Peers of a device.
pub(super) fn change(device: &str, changes: &[PeerChange<'_>]) -> Result<(), KernelError> {
    set(device, &format!("change peers of {device}"), &uapi::change(changes))
}

fn set(device: &str, what: &str, request: &str) -> Result<(), KernelError> {
    let gone = || unreachable_because(what, &"the process of the device has ended");
    let conversation = connect(device)?.ok_or_else(gone)?;
    let done = conversation.say(request).and_then(uapi::done);
    done.map_err(|fault| error(what, fault))
}

fn error(what: &str, fault: Fault) -> KernelError {
    match fault {
        Fault::Io(error) => unreachable_because(what, &error),
        Fault::Refused(errno) => KernelError::Refused {
            what: what.into(),
            errno,
        },
    }
}

/// The socket of a device.
pub(super) fn socket(device: &str) -> PathBuf {
    [FOLDER, &format!("{device}.sock")].iter().collect()
}

/// `None`: nobody is there.
///
/// # Errors
/// Somebody is who has nothing to do with a device of ours, and must never see our key.
fn connect(device: &str) -> Result<Option<Conversation>, KernelError> {
    let path = socket(device);
    let what = format!("socket {}", path.display());
    let connected = Conversation::open(&path);
    let stream = match connected {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        connected => connected.map_err(|error| unreachable_because(&what, &error))?,
    };
    let here = listens_here(device).map_err(|error| unreachable_because("/proc/thread-self/net/unix", &error))?;
    if here {
        return Ok(Some(stream));
    }
    let why = "it belongs to a device in another network namespace of this host, which is left alone; choose another \
               name in plugins.wireguard.tunnels.ORGANISATION.device";
    Err(unreachable_because(&what, &why))
}

/// Whether the socket of a device was opened in the network namespace that this thread is in.
fn listens_here(device: &str) -> io::Result<bool> {
    let ending = format!("/wireguard/{device}.sock");
    for line in BufReader::new(File::open("/proc/thread-self/net/unix")?).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        // Num RefCount Protocol Flags Type St Inode Path
        let mut words = line.split_ascii_whitespace();
        if words.nth(3) == Some(LISTENS) && words.nth(3).is_some_and(|path| path.ends_with(&ending)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One request and its answer, in time.
struct Conversation {
    stream: Socket,
    end: Instant,
}

impl Conversation {
    fn open(path: &std::path::Path) -> io::Result<Self> {
        let stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Also for connecting: whoever does not take connections has a full queue of them.
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.connect(&SockAddr::unix(path)?)?;
        Ok(Self {
            stream,
            end: Instant::now() + PATIENCE,
        })
    }

    /// Says it; what is read from then on is the answer.
    fn say(mut self, request: &str) -> Result<Self, Fault> {
        self.stream.write_all(request.as_bytes())?;
        Ok(self)
    }
}

impl io::Read for Conversation {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}"));
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(into).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_keeps_ending_is_started_ever_more_rarely() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = Starts::next(None, at(0));
        assert_eq!(first.pause(at(0)), None, "once is no habit");
        let mut starts = Starts::next(Some(first), at(0));
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(starts.pause(at(0)), Some(Duration::from_secs(pause)));
            assert_eq!(starts.pause(at(pause)), None);
            starts = Starts::next(Some(starts), at(0));
        }
        let later = Starts::next(Some(starts), at(60));
        assert_eq!(later.pause(at(60)), None, "it was steady");
    }

    #[test]
    fn a_name_that_nobody_serves_is_nobodys() {
        assert!(matches!(read("no-such-device"), Ok(None)));
        assert!(!listens_here("no-such-device").unwrap());
    }
}
