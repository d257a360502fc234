//! The client that writes its whole table at a time, against the daemon's end over a socket.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use catalyst_external::{Client, Destination, ExternalPlane, PlaneSpec, Protocol, Route, Selected, Target};
use catalyst_plugin::{Handle, PlaneStatus, Report, RouteUpdate, Table};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnixListenerStream;

/// Far longer than anything takes here.
const LONG: Duration = Duration::from_secs(60);

/// One run of the daemon. Its connections end with it.
struct Daemon {
    handle: Handle,
    reports: mpsc::Receiver<Report>,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<()>,
}

impl Daemon {
    fn start(socket: &Path) -> Self {
        let spec = PlaneSpec {
            name: "hosts".into(),
            protocols: vec![Protocol::Http],
            ipv4: false,
            ipv6: false,
        };
        let (sender, reports) = mpsc::channel(64);
        let (plane, handle) = ExternalPlane::spawn(spec, sender);
        let listener = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            let served = plane.router().serve_with_incoming_shutdown(listener, stopped).await;
            served.unwrap();
        });
        Self {
            handle,
            reports,
            stop,
            server,
        }
    }

    fn reset(&self, version: u64, routes: &[(&str, &str)]) {
        self.handle.feed.send(RouteUpdate::Reset {
            version,
            routes: routes.iter().map(|(name, path)| route(name, path)).collect(),
            settled: true,
        });
    }

    /// What is said of the names once a version is done; empty: all are programmed.
    async fn statuses(&mut self, version: u64) -> Vec<(Destination, PlaneStatus)> {
        let mut said = Vec::new();
        loop {
            let report = tokio::time::timeout(LONG, self.reports.recv()).await.unwrap().unwrap();
            if let Report::Plane { version: at, statuses } = report {
                said.extend(statuses);
                if at >= version {
                    return said;
                }
            } else {
                assert_eq!(report, Report::Up);
            }
        }
    }

    async fn end(self, socket: &Path) {
        std::fs::remove_file(socket).unwrap();
        drop(self.handle.feed);
        self.stop.send(()).unwrap();
        self.server.await.unwrap();
    }
}

fn route(name: &str, path: &str) -> Selected {
    let route = Route {
        name: name.parse().unwrap(),
        protocol: Protocol::Http,
        path: Some(path.into()),
        table: Table::Internal,
        origin: None,
        target: Target::Discard,
        exported_to: Arc::default(),
    };
    Arc::new(route).into()
}

fn name(text: &str) -> Destination {
    text.parse().unwrap()
}

fn socket() -> (tempfile::TempDir, PathBuf, Client) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plane.sock");
    let client = Client::new(&format!("unix:{}", path.display()), "hosts").unwrap();
    (dir, path, client)
}

#[tokio::test]
async fn what_is_refused_stays_refused_across_a_restart_of_the_daemon() {
    let (_dir, socket, mut client) = socket();
    let mut daemon = Daemon::start(&socket);
    daemon.reset(1, &[("a", "/1"), ("b", "/1")]);
    client.next().await.unwrap();
    client.serves_but([(name("a"), "no".to_owned())]).await;
    let refused = [(name("a"), PlaneStatus::Rejected("no".into()))];
    assert_eq!(daemon.statuses(1).await, refused);
    daemon.end(&socket).await;

    let mut daemon = Daemon::start(&socket);
    daemon.reset(1, &[("a", "/1"), ("b", "/1")]);
    tokio::select! {
        view = client.next() => panic!("the same table again: {view:?}"),
        statuses = daemon.statuses(1) => assert_eq!(statuses, refused),
    }
}

#[tokio::test]
async fn what_is_refused_stays_refused_while_nothing_newer_can_be_served() {
    let (_dir, socket, mut client) = socket();
    let mut daemon = Daemon::start(&socket);
    daemon.reset(1, &[("a", "/1"), ("b", "/1")]);
    client.next().await.unwrap();
    client.serves_but([(name("a"), "no".to_owned())]).await;
    assert_eq!(
        daemon.statuses(1).await,
        [(name("a"), PlaneStatus::Rejected("no".into()))]
    );
    daemon.reset(2, &[("a", "/1"), ("b", "/2")]);
    client.next().await.unwrap();
    client.serves_none("disk full").await;
    // A Reset has everything said again that is not programmed.
    let disk_full = PlaneStatus::Pending("disk full".into());
    assert_eq!(
        daemon.statuses(2).await,
        [(name("a"), PlaneStatus::Rejected("no".into())), (name("b"), disk_full)]
    );
}
