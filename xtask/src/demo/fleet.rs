//! The processes of the demo: started in groups of their own, watched, stopped together.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::FOLDER;
use super::interrupt::Interrupt;

/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);
/// How long a process may take to end after SIGTERM.
const GOODBYE: Duration = Duration::from_secs(5);
/// Lines of a log that are printed.
const TAIL_LINES: usize = 15;
/// Lines of it that an error repeats, which is what a person sees last.
const LAST_LINES: usize = 3;

struct Member {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Member {
    /// How it ended, where its log is, and what it said last.
    fn epitaph(&self, status: ExitStatus) -> String {
        let log = self.log.display();
        let last: Vec<String> = tail(&self.log)
            .lines()
            .rev()
            .take(LAST_LINES)
            .map(|line| format!("    {line}"))
            .collect();
        let last: Vec<String> = last.into_iter().rev().collect();
        format!(
            "{} ended: {status}; its log is {log}, which ends in\n{}",
            self.name,
            last.join("\n")
        )
    }
}

/// Every process that the demo started.
pub(crate) struct Fleet<'a> {
    root: &'a Path,
    interrupt: &'a Interrupt,
    members: Vec<Member>,
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(root: &'a Path, interrupt: &'a Interrupt) -> Self {
        Self {
            root,
            interrupt,
            members: Vec::new(),
        }
    }

    /// Starts `program` with its output in `target/demo/NAME.log`.
    pub(crate) fn start(&mut self, name: &str, program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
        let log = self.root.join(FOLDER).join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // The kernel ends it should this process be killed with no time to clean up.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM"])
            .arg(program)
            .args(arguments)
            .current_dir(self.root);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name} (setpriv is in util-linux)"))?;
        self.members.push(Member {
            name: name.to_owned(),
            child,
            log,
            ended: None,
        });
        Ok(())
    }

    /// Looks until `look` has what it wants; its error says what is missing yet.
    ///
    /// # Errors
    /// `limit` is over, a process of the fleet ended, or the user interrupted.
    pub(crate) fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let missing = match look() {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            };
            self.check_alive()?;
            if Instant::now() > deadline {
                return Err(missing.context(format!("{what} took longer than {} s", limit.as_secs())));
            }
            self.interrupt.pause(LOOK)?;
        }
    }

    /// Returns at the first signal.
    ///
    /// # Errors
    /// A process of the fleet ended.
    pub(crate) fn stay(&mut self) -> anyhow::Result<()> {
        while self.interrupt.pause(LOOK).is_ok() {
            self.check_alive()?;
        }
        Ok(())
    }

    fn check_alive(&mut self) -> anyhow::Result<()> {
        for member in &mut self.members {
            member.ended = member.child.try_wait()?;
            if let Some(status) = member.ended {
                bail!("{}", member.epitaph(status));
            }
        }
        Ok(())
    }

    /// Prints the end of the log of each process that ended, or of all if none did.
    pub(crate) fn print_logs(&self) {
        let dead = self.members.iter().filter(|member| member.ended.is_some()).count();
        for member in self.members.iter().filter(|member| dead == 0 || member.ended.is_some()) {
            eprintln!(
                "--- {} (the end of {})\n{}",
                member.name,
                member.log.display(),
                tail(&member.log)
            );
        }
    }

    /// Ends every process, the last one first: by SIGTERM, by SIGKILL those that take too long.
    pub(crate) fn stop(&mut self) {
        for member in self.members.iter().rev() {
            signal_group(member, Signal::SIGTERM);
        }
        let deadline = Instant::now() + GOODBYE;
        for member in &mut self.members {
            while Instant::now() < deadline && matches!(member.child.try_wait(), Ok(None)) {
                // A second Ctrl-C has nothing to hurry: the deadline is near.
                let _ = self.interrupt.pause(LOOK);
            }
            signal_group(member, Signal::SIGKILL);
            let _ = member.child.wait();
        }
        self.members.clear();
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A group that is gone already is what we want.
fn signal_group(member: &Member, signal: Signal) {
    if let Ok(group) = i32::try_from(member.child.id()) {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

fn tail(log: &Path) -> String {
    let text = match fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("(cannot be read: {error})"),
    };
    if text.is_empty() {
        return "(it is empty)".to_owned();
    }
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_ended_is_told_of_with_its_log_and_last_words() {
        let child = Command::new("false").spawn().expect("starts");
        let log = std::env::temp_dir().join(format!("catalyst-fleet-{}.log", child.id()));
        fs::write(&log, "one\ntwo\nthree\nthe port is taken\n").expect("writes");
        let mut member = Member {
            name: "a-routed".to_owned(),
            child,
            log: log.clone(),
            ended: None,
        };
        let status = member.child.wait().expect("ends");
        let told = member.epitaph(status);
        fs::remove_file(&log).expect("removes");
        let expected = format!(
            "a-routed ended: exit status: 1; its log is {}, which ends in\n    two\n    three\n    the port is taken",
            log.display()
        );
        assert_eq!(told, expected);
    }
}
