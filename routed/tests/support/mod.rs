//! Real daemons, without data planes, and a client of their admin API.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use catalyst_proto::admin::v1::admin_client::AdminClient;
use catalyst_proto::admin::v1::reload_event::Event;
use catalyst_proto::admin::v1::{GetPeerRequest, Peer, ReloadRequest};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::transport::Channel;

/// How long anything may take on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
const CONFIG: &str = "routed.json";
const LOG: &str = "routed.log";

/// A running catalyst-routed in a folder of its own.
pub(crate) struct Daemon {
    child: Child,
    folder: TempDir,
    admin: AdminClient<Channel>,
    runtime: Runtime,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(config: &Value) -> Self {
        let (folder, child) = spawn(config);
        let runtime = Runtime::new().unwrap();
        let admin = format!("http://{}", config["admin"]["listen"].as_str().unwrap());
        let channel = {
            let _inside = runtime.enter();
            Channel::from_shared(admin).unwrap().connect_lazy()
        };
        let mut daemon = Self {
            child,
            folder,
            admin: AdminClient::new(channel),
            runtime,
        };
        let deadline = Instant::now() + DEADLINE;
        while !log(daemon.folder()).contains("ready:") {
            let ended = daemon.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{ended:?}: {}",
                log(daemon.folder())
            );
            pause();
        }
        daemon
    }

    /// Starts one that is to end by itself; gives what it said.
    pub(crate) fn fail(config: &Value) -> (ExitStatus, String) {
        let (folder, mut child) = spawn(config);
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (status, log(folder.path()));
            }
            if Instant::now() >= deadline {
                child.kill().unwrap();
                panic!("it runs: {}", log(folder.path()));
            }
            pause();
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Another configuration, for the next reload.
    pub(crate) fn write(&self, config: &Value) {
        std::fs::write(self.folder().join(CONFIG), config.to_string()).unwrap();
    }

    pub(crate) fn peer(&self, name: &str) -> Option<Peer> {
        let request = GetPeerRequest { name: name.to_owned() };
        match self.runtime.block_on(self.admin.clone().get_peer(request)) {
            Ok(answer) => Some(answer.into_inner()),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{status}: {}", log(self.folder())),
        }
    }

    /// What a reload says at last.
    pub(crate) fn reload(&self) -> Option<Event> {
        let mut admin = self.admin.clone();
        self.runtime.block_on(async {
            let mut events = admin.reload(ReloadRequest::default()).await.unwrap().into_inner();
            let mut last = None;
            while let Some(event) = events.message().await.unwrap() {
                last = event.event;
            }
            last
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(config: &Value) -> (TempDir, Child) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
    let log = File::create(folder.path().join(LOG)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_catalyst-routed"));
    command.args(["-c", CONFIG]).current_dir(folder.path());
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    (folder, command.spawn().unwrap())
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join(LOG)).unwrap()
}

/// Waits until `holds`.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "polls a condition with a deadline")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
