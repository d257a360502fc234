//! What happens between the start of a machine and its end.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::machine::Machine;
use crate::progress::Progress;

/// How qemu spells that KVM gave up.
const KVM_COMPLAINTS: [&str; 4] = [
    "KVM internal error",
    "KVM: entry failed",
    "failed to initialize kvm",
    // Of a processor that a hypervisor below ours shows, and does not let set.
    "failed to set MSR",
];
/// The longest time to come up: emulated on a busy machine it takes half a minute.
const BOOT: Duration = Duration::from_secs(300);

/// What there is to wait for.
enum Event {
    /// A line from init.sh.
    Reported(String),
    /// One of the two pipes from qemu is at its end.
    Closed,
    /// KVM does not run this guest.
    NoKvm(String),
    /// Output was passed on.
    Passed { stream: usize, bytes: u64 },
    /// Output cannot be passed on.
    Lost(io::Error),
    /// The user had enough.
    Interrupted,
}

/// Ctrl-C and its like, for whichever session there is.
#[derive(Default, Clone)]
pub(super) struct Interrupts(Arc<Mutex<Option<Sender<Event>>>>);

impl Interrupts {
    /// Catches them from now on. Once per process.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let interrupts = Self::default();
        let caught = interrupts.clone();
        let handler = move || {
            if let Some(session) = &*caught.0.lock().unwrap_or_else(PoisonError::into_inner) {
                // The other end is gone once the guest is.
                let _ = session.send(Event::Interrupted);
            }
        };
        ctrlc::set_handler(handler).context("cannot catch Ctrl-C")?;
        Ok(interrupts)
    }

    fn send_to(&self, session: Sender<Event>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }
}

/// How a session ended.
pub(super) enum Ending {
    Outcome(Outcome),
    /// The command never began, for this reason.
    NeverUp(String),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command ended with this status.
    Exited(u8),
    /// By Ctrl-C or another signal to us.
    Interrupted,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "the command in the guest ended with status {status}"),
            Self::Interrupted => f.write_str("interrupted: the guest is ended"),
        }
    }
}

/// The last report.
#[derive(Debug, PartialEq, Eq)]
struct Exit {
    status: u8,
    /// How long each stream of output is.
    lengths: [u64; 2],
}

/// A machine and what has come of it.
pub(super) struct Session<'a> {
    machine: &'a Machine,
    progress: &'a Progress,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// From qemu, and not at their end.
    pipes: u8,
    up: bool,
    passed: [u64; 2],
    exit: Option<Exit>,
}

impl<'a> Session<'a> {
    /// Begins to listen.
    pub(super) fn new(
        machine: &'a mut Machine,
        interrupts: &Interrupts,
        progress: &'a Progress,
    ) -> anyhow::Result<Self> {
        let (sender, events) = channel();
        interrupts.send_to(sender.clone());
        let (reports, complaints) = (machine.reports()?, machine.complaints()?);
        let (reported, complained) = (sender.clone(), sender.clone());
        std::thread::spawn(move || hear_reports(reports, &reported));
        std::thread::spawn(move || hear_complaints(complaints, &complained));
        Ok(Self {
            machine,
            progress,
            sender,
            events,
            pipes: 2,
            up: false,
            passed: [0; 2],
            exit: None,
        })
    }

    /// Passes output on until the command has ended and all of it is out.
    ///
    /// # Errors
    /// The guest ended by itself or not in time; carries what it logged.
    pub(super) fn run(mut self, timeout: Duration) -> anyhow::Result<Ending> {
        let start = Instant::now();
        loop {
            if let Some(exit) = self.exit.take_if(|exit| exit.lengths == self.passed) {
                return Ok(Ending::Outcome(Outcome::Exited(exit.status)));
            }
            let limit = if self.up { timeout } else { timeout.min(BOOT) };
            let left = limit.saturating_sub(start.elapsed());
            match self.events.recv_timeout(left) {
                Ok(Event::Interrupted) => return Ok(Ending::Outcome(Outcome::Interrupted)),
                Ok(Event::NoKvm(why)) if !self.up => return Ok(Ending::NeverUp(why)),
                Ok(Event::NoKvm(why)) => bail!("{why}{}", self.machine.last_words()),
                Ok(Event::Reported(line)) => self.on_report(&line)?,
                Ok(Event::Passed { stream, bytes }) => self.passed[stream] += bytes,
                Ok(Event::Lost(error)) => return Err(error).context("cannot pass on the output of the guest"),
                Ok(Event::Closed) if self.pipes > 1 => self.pipes -= 1,
                Ok(Event::Closed) => {
                    let why = format!("the guest ended by itself{}", self.machine.last_words());
                    if !self.up {
                        return Ok(Ending::NeverUp(why));
                    }
                    bail!(why)
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) if !self.up => {
                    let words = self.machine.last_words();
                    return Ok(Ending::NeverUp(format!(
                        "the guest did not come up in {limit:?}{words}"
                    )));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => bail!(
                    "the guest was ended after {limit:?}: its command did not end{}",
                    self.machine.last_words()
                ),
            }
        }
    }

    fn on_report(&mut self, line: &str) -> anyhow::Result<()> {
        if let Some(facts) = line.strip_prefix("up ") {
            self.progress
                .step(format_args!("the guest is up (its own clock and kernel: {facts})"));
            self.up = true;
            for (stream, source) in self.machine.output()?.into_iter().enumerate() {
                let sender = self.sender.clone();
                std::thread::spawn(move || pass_on(stream, source, &sender));
            }
        } else if let Some(exit) = parse_exit(line) {
            self.exit = Some(exit);
        } else {
            bail!("the guest reported {line:?}{}", self.machine.last_words());
        }
        Ok(())
    }
}

/// Reads `exit STATUS LENGTH LENGTH`.
fn parse_exit(line: &str) -> Option<Exit> {
    let mut words = line.strip_prefix("exit ")?.split_whitespace();
    let exit = Exit {
        status: words.next()?.parse().ok()?,
        lengths: [words.next()?.parse().ok()?, words.next()?.parse().ok()?],
    };
    words.next().is_none().then_some(exit)
}

fn hear_reports(reports: impl Read, events: &Sender<Event>) {
    for line in BufReader::new(reports).lines().map_while(Result::ok) {
        // An error means that nobody waits any more, here and below.
        let _ = events.send(Event::Reported(line));
    }
    let _ = events.send(Event::Closed);
}

/// A KVM that opens may yet lack what a kernel like this one needs, inside of other machines above all. qemu says so and
/// keeps the halted guest.
fn hear_complaints(complaints: impl Read, events: &Sender<Event>) {
    for line in BufReader::new(complaints).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if KVM_COMPLAINTS.iter().any(|complaint| line.contains(complaint)) {
            let _ = events.send(Event::NoKvm(line.into_owned()));
        }
    }
    let _ = events.send(Event::Closed);
}

fn pass_on(stream: usize, mut source: UnixStream, events: &Sender<Event>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = source.read(&mut buffer) {
        let written = match stream {
            0 => write(&mut io::stdout().lock(), &buffer[..length]),
            _ => write(&mut io::stderr().lock(), &buffer[..length]),
        };
        let _ = events.send(match written {
            Ok(()) => Event::Passed {
                stream,
                bytes: length as u64,
            },
            Err(error) => Event::Lost(error),
        });
    }
}

fn write(target: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    target.write_all(bytes)?;
    target.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_report_is_read_whole_or_not_at_all() {
        let exit = Exit {
            status: 3,
            lengths: [10, 0],
        };
        assert_eq!(parse_exit("exit 3 10 0"), Some(exit));
        for other in ["exit 3 10", "exit 300 1 1", "exit 3 10 0 1", "up 1", "exit"] {
            assert_eq!(parse_exit(other), None, "{other}");
        }
    }
}
