//! The conformance suite of data planes through the whole path: daemon's end, gRPC over a socket, client, reconcile loop.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use catalyst_external::{ExternalPlane, PlaneSpec, client};
use catalyst_plugin::conformance::Harness;
use catalyst_plugin::conformance::memory::{MemoryHarness, MemoryPlane};
use catalyst_plugin::{DataPlane, Handle, Protocol, Report, Route, ServiceName};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnixListenerStream;

/// The reference plane in what stands for a process of its own.
struct External {
    memory: MemoryHarness,
    dir: tempfile::TempDir,
    runs: AtomicUsize,
}

async fn start() -> External {
    External {
        memory: MemoryHarness::new(),
        dir: tempfile::tempdir().unwrap(),
        runs: AtomicUsize::new(0),
    }
}

impl Harness for External {
    type Plane = MemoryPlane;

    async fn plane(&mut self) -> MemoryPlane {
        self.memory.plane().await
    }

    /// The daemon's end and the other one; both end with the task, as if both were killed.
    fn spawn<P: DataPlane>(&mut self, plane: P, reports: mpsc::Sender<Report>) -> Handle {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.path().join(format!("{run}.sock"));
        let spec = PlaneSpec {
            name: "memory".into(),
            protocols: vec![Protocol::Http],
            ipv4: false,
            ipv6: false,
        };
        let (external, handle) = ExternalPlane::spawn(spec, reports);
        let listener = UnixListener::bind(&path).unwrap();
        let server = external.router().serve_with_incoming(UnixListenerStream::new(listener));
        let address = format!("unix:{}", path.display());
        let Handle { feed, settled, join } = handle;
        let both = async move {
            let mut join = Aborted(join);
            tokio::select! {
                ended = &mut join.0 => ended.unwrap(),
                ended = server => panic!("the server ended: {ended:?}"),
                ended = client::run(plane, &address, "memory") => panic!("the client ended: {ended:?}"),
            }
        };
        Handle {
            feed,
            settled,
            join: tokio::spawn(both),
        }
    }

    fn route(&self, name: &ServiceName, variant: u32) -> Arc<Route> {
        self.memory.route(name, variant)
    }

    fn bad_route(&self, name: &ServiceName) -> Arc<Route> {
        self.memory.bad_route(name)
    }

    async fn serves(&mut self) -> BTreeMap<ServiceName, u32> {
        self.memory.serves().await
    }

    async fn writes(&mut self) -> u64 {
        self.memory.writes().await
    }

    async fn restart(&mut self) {
        self.memory.restart().await;
    }
}

struct Aborted(tokio::task::JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

catalyst_plugin::conformance_suite!(start);
