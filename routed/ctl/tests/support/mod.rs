//! A catalyst-routed in this process, without data planes, and the catalystctl binary.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use catalyst_routed::config::{Config, Flag, load};
use catalyst_routed::daemon;
use catalyst_routed::driver::{Driver, Goodbye};
use catalyst_routed::reload::Source;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// How long anything may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a run of catalystctl gave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A node.
pub(crate) struct Node {
    pub(crate) addr: String,
    flags: Vec<Flag>,
    dir: TempDir,
    running: Option<Running>,
}

struct Running {
    runtime: Runtime,
    driver: Driver,
    serving: [JoinHandle<anyhow::Result<()>>; 2],
}

pub(crate) fn flags(flags: &[(&str, &str)]) -> Vec<Flag> {
    flags.iter().map(|(name, value)| Flag::new(name, value)).collect()
}

impl Node {
    /// Node `a` of AS 65001 and organisation `acme` at `ip`, unless `more` says otherwise.
    pub(crate) fn start(ip: &str, more: &[(&str, &str)]) -> Self {
        Self::try_start(ip, &flags(more), None).unwrap_or_else(|e| panic!("{e:#}"))
    }

    pub(crate) fn try_start(ip: &str, more: &[Flag], dir: Option<TempDir>) -> anyhow::Result<Self> {
        let dir = dir.unwrap_or_else(|| tempfile::tempdir().unwrap());
        let addr = format!("unix:{}", dir.path().join("routed.sock").display());
        let free = TcpListener::bind((ip, 0))?.local_addr()?.to_string();
        let state = dir.path().join("state").display().to_string();
        let base = [
            ("name", "a"),
            ("as", "65001"),
            ("org", "acme"),
            ("listen", &free),
            ("admin", &addr),
        ];
        let all = [flags(&base), flags(&[("state-dir", &state)]), more.to_vec()].concat();
        let config = load(None, &all)?;
        let source = Source { file: None, flags: all };
        let running = Running::start(config, source)?;
        Ok(Self {
            addr,
            flags: more.to_vec(),
            dir,
            running: Some(running),
        })
    }

    /// `node.state_dir`.
    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.dir.path().join("state")
    }

    /// Ends the daemon; its state stays.
    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        *self = Self::try_start("127.0.0.1", &self.flags.clone(), Some(dir)).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(&self.addr, args)
    }

    pub(crate) fn ctl(&self, args: &[&str]) -> Answer {
        ctl(&self.addr, args)
    }

    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let answer = self.ctl(&[args, &["--output", "json"]].concat());
        assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
        serde_json::from_str(&answer.out).unwrap_or_else(|e| panic!("{e}: {}", answer.out))
    }
}

impl Running {
    fn start(config: Config, source: Source) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let node = runtime.block_on(daemon::Node::start(config, source))?;
        let serving = [node.admin, node.metrics].map(|it| runtime.spawn(it));
        Ok(Self {
            runtime,
            driver: node.driver,
            serving,
        })
    }

    fn stop(self) {
        self.runtime.block_on(self.driver.shutdown(Goodbye::ForNow));
        for serving in self.serving {
            serving.abort();
            drop(self.runtime.block_on(serving));
        }
    }
}

/// Runs catalystctl.
pub(crate) fn ctl(addr: &str, args: &[&str]) -> Answer {
    let output = command(addr, args).output().unwrap();
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn command(addr: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catalystctl"));
    command.env("CATALYST_ADDR", addr).args(args).stdin(Stdio::null());
    command
}

/// A child that does not outlive its test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Waits until `holds`.
#[expect(clippy::disallowed_methods, reason = "polls a condition with a deadline")]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
