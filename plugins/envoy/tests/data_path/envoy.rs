//! A real Envoy process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::client;

/// How long anything in these tests may take before it counts as hung.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Envoy {
    process: Child,
    log: PathBuf,
}

impl Envoy {
    /// Starts Envoy with a bootstrap; it need not be ready yet.
    pub(crate) fn start(bootstrap: &str, dir: &Path) -> Self {
        let config = dir.join("bootstrap.json");
        std::fs::write(&config, bootstrap).unwrap();
        let log = dir.join("envoy.log");
        let output = std::fs::File::create(&log).unwrap();
        let process = Command::new(binary())
            .args(["--disable-hot-restart", "--concurrency", "1", "-l", "warn", "-c"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { process, log }
    }

    /// Waits until `/ready` of the admin interface says LIVE.
    pub(crate) async fn wait_ready(&mut self, admin: SocketAddr) {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Ok(reply) = client::try_get(admin, "admin", "/ready").await
                && reply.body.trim() == "LIVE"
            {
                return;
            }
            assert!(
                self.process.try_wait().unwrap().is_none(),
                "Envoy ended:\n{}",
                self.log()
            );
            assert!(Instant::now() < end, "Envoy is not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What Envoy has written so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }
}

/// `CATALYST_ENVOY`, else what `cargo xtask` installed, else an Envoy on PATH.
pub(crate) fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("CATALYST_ENVOY") {
        return named.into();
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/envoy-1.40.0/envoy");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("envoy"));
    let found = std::iter::once(installed.clone())
        .chain(on_path)
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "no Envoy: neither CATALYST_ENVOY nor {} nor on PATH; `cargo xtask test` installs it",
            installed.display()
        )
    })
}
