//! A measured daemon: CPU nanoseconds and resident bytes of its processes as the kernel accounts them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);
/// A daemon is idle when it used next to no CPU for this long.
const IDLE: Duration = Duration::from_millis(150);
/// What an idle daemon may use in that time.
const IDLE_NS: u64 = 500_000;

/// A daemon under measurement, with the processes that it starts; killed when dropped.
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

    fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.child.id()];
        let mut next = 0;
        while let Some(&pid) = pids.get(next) {
            pids.extend(children(pid));
            next += 1;
        }
        pids
    }

    /// CPU time used so far by all threads, in nanoseconds (`schedstat`; `stat` counts in steps of 10 ms).
    pub(super) fn cpu_ns(&self) -> anyhow::Result<u64> {
        Ok(self
            .pids()
            .into_iter()
            .flat_map(threads)
            .map(|thread| thread_ns(&thread))
            .sum())
    }

    /// Resident memory in bytes.
    pub(super) fn rss_bytes(&self) -> anyhow::Result<u64> {
        let kib: u64 = self.pids().into_iter().filter_map(rss_kib).sum();
        Ok(kib * 1024)
    }

    /// Waits until the daemon has used no CPU for a while, so that nothing of the last step is still to come.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        let (mut last, mut since) = (self.cpu_ns()?, Instant::now());
        let what = format!("{} to become idle", self.name);
        poll(&what, Duration::from_secs(300), || {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} has ended: {status}", self.name);
            }
            let now = self.cpu_ns()?;
            if now.saturating_sub(last) > IDLE_NS {
                (last, since) = (now, Instant::now());
            }
            Ok(since.elapsed() >= IDLE)
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for pid in self.pids() {
            // It may have ended already; nothing is left to do then.
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).ok();
        }
        drop(self.child.wait());
    }
}

fn threads(pid: u32) -> Vec<std::path::PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    tasks.flatten().map(|task| task.path()).collect()
}

fn children(pid: u32) -> Vec<u32> {
    let lists = threads(pid)
        .into_iter()
        .filter_map(|task| fs::read_to_string(task.join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// 0 for a thread that is gone.
fn thread_ns(task: &Path) -> u64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split_ascii_whitespace()
        .next()
        .and_then(|ns| ns.parse().ok())
        .unwrap_or(0)
}

fn rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
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
