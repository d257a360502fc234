//! A program under test.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{LONG, poll};

/// A running program. It is killed when this is dropped, and by the kernel when the thread that started it ends: start
/// processes on the thread of the test.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `program` with its output appended to `FOLDER/NAME.log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(folder: &Path, name: &str, program: &Path, arguments: &[&str]) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .process_group(0);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name} (setpriv is in util-linux)"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// Its process id.
    ///
    /// # Errors
    /// Never on Linux, where an id fits.
    pub fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid()?, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Stops it in its tracks (SIGSTOP), and waits until it does nothing any more.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        let stat = format!("/proc/{}/stat", self.pid()?);
        let what = format!("{} stopped", self.name);
        self.wait_until(&what, || {
            // `PID (NAME) STATE ...`
            let text = std::fs::read_to_string(&stat)?;
            let state = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
            ensure!(state.starts_with('T'), "{state}");
            Ok(())
        })
    }

    /// # Errors
    /// It has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended: {status}", self.name),
        }
    }

    /// Looks until `look` has no error; a process that ends meanwhile ends the wait.
    ///
    /// # Errors
    /// It ended, or [`LONG`] is over.
    pub fn wait_until(&mut self, what: &str, mut look: impl FnMut() -> Result<()>) -> Result<()> {
        poll(what, LONG, || match self.check_alive() {
            Err(ended) => Ok(Err(ended)),
            Ok(()) => look().map(Ok),
        })?
    }

    /// Ends it with -9 and waits until it is gone.
    ///
    /// # Errors
    /// It has ended already.
    pub fn kill(mut self) -> Result<()> {
        self.check_alive()?;
        self.signal(Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end and waits for that.
    ///
    /// # Errors
    /// It takes longer than `limit`.
    pub fn terminate(mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        poll(&format!("the end of {}", self.name), limit, || {
            self.child.try_wait()?.context("it still runs")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
