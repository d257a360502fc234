//! A measured child process: CPU nanoseconds and resident bytes as the kernel accounts them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);
/// A daemon is idle when it used no CPU for this long.
const IDLE: Duration = Duration::from_millis(150);

/// A daemon under measurement; killed when dropped.
pub(super) struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `command` with its output in `log`.
    pub(super) fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let out = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
        })
    }

    /// CPU time used so far by all threads, in nanoseconds (`schedstat`; `stat` counts in steps of 10 ms).
    pub(super) fn cpu_ns(&self) -> anyhow::Result<u64> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split_ascii_whitespace().next().context("schedstat is empty")?;
            total += first.parse::<u64>()?;
        }
        Ok(total)
    }

    /// Resident memory in bytes.
    pub(super) fn rss_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// Waits until the process has used no CPU for a while, so that nothing of the last step is still to come.
    pub(super) fn settle(&self) -> anyhow::Result<()> {
        let (mut last, mut since) = (self.cpu_ns()?, Instant::now());
        poll(
            &format!("{} to become idle", self.name),
            Duration::from_secs(60),
            || {
                let now = self.cpu_ns()?;
                if now.saturating_sub(last) > 500_000 {
                    (last, since) = (now, Instant::now());
                }
                Ok(since.elapsed() >= IDLE)
            },
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; nothing is left to do then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Looks at `condition` until it holds or `limit` has passed.
pub(super) fn poll(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    while !condition()? {
        if start.elapsed() > limit {
            bail!("waited {limit:?} for {what}");
        }
        pause();
    }
    Ok(())
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place where the benchmark waits between two looks"
)]
fn pause() {
    std::thread::sleep(LOOK);
}
