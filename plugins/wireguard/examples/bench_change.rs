//! What one change costs among many peers, in CPU time of this process:
//! `cargo run --release -p catalyst-wireguard --example bench_change [fake|kernel] [PEERS]`.
//!
//! `fake` is everything but the kernel, all on one thread. Under `valgrind --tool=callgrind --toggle-collect='*one_change*'` it
//! is 1.0 million instructions a change among 1,000 peers and 0.8 million among 10, nearly all for the one peer's own up to
//! 100 prefixes. `kernel` is the real one, as root in a network of its own (`unshare --net`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement ends where it cannot be made"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::{Change, Handle, Prefix, Report, RouteUpdate, Selected, spawn};
use catalyst_wireguard::WireguardPlane;
use catalyst_wireguard::kernel::Kernel;
use catalyst_wireguard::kernel::fake::{FakeKernel, World};
use catalyst_wireguard::kernel::netlink::NetlinkKernel;
use support::{many_peers, via};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

const PEERS: u16 = 1000;
/// So many are measured together: some kernels count in ticks.
const CHANGES: u8 = 100;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let kernel = arguments.next().unwrap_or_else(|| "fake".to_owned());
    let peers = arguments
        .next()
        .map_or(PEERS, |text| text.parse().expect("a number of peers"));
    match kernel.as_str() {
        "fake" => measure(FakeKernel(Arc::new(World::default())), peers),
        "kernel" => measure(NetlinkKernel::open().expect("netlink"), peers),
        other => panic!("fake or kernel, not {other}"),
    }
}

fn measure<K: Kernel>(kernel: K, peers: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut config, routes) = many_peers(peers);
    // Without the regular looks.
    config.keepalive = Duration::from_secs(600);
    let plane = WireguardPlane::new(config, kernel).unwrap();
    let (sender, reports) = mpsc::channel(1024);
    let handle = runtime.block_on(async { spawn(plane, sender) });
    let mut run = Run {
        runtime,
        handle,
        reports,
        version: 1,
    };
    let before = cpu();
    run.send(RouteUpdate::Reset {
        version: 1,
        routes: routes.into_iter().map(Selected::from).collect(),
        settled: true,
    });
    println!("{peers} peers made: {:?}", cpu() - before);
    let before = cpu();
    (0..CHANGES).for_each(|number| run.one_change(number, peers));
    println!(
        "one change: {:?}, the mean of {CHANGES}",
        (cpu() - before) / u32::from(CHANGES)
    );
}

struct Run {
    runtime: Runtime,
    handle: Handle,
    reports: mpsc::Receiver<Report>,
    version: u64,
}

impl Run {
    /// A prefix is learned from one of the peers.
    #[inline(never)]
    fn one_change(&mut self, number: u8, peers: u16) {
        let prefix = Prefix::new([10, 2, number, 0].into(), 24).unwrap();
        let [high, low] = (peers / 2).to_be_bytes();
        let route = via(prefix, &format!("10.254.{high}.{low}"));
        let from = self.version;
        self.version += 1;
        let change = Change {
            destination: prefix.into(),
            route: Some(Selected::from(route)),
        };
        self.send(RouteUpdate::Delta {
            from,
            to: self.version,
            changes: vec![change],
            settled: true,
        });
    }

    fn send(&mut self, update: RouteUpdate) {
        self.handle.feed.send(update);
        let (wanted, reports) = (self.version, &mut self.reports);
        self.runtime.block_on(async {
            loop {
                let report = reports.recv().await.expect("the loop runs");
                if let Report::Plane { version, statuses } = report {
                    assert!(statuses.is_empty(), "{statuses:?}");
                    if version == wanted {
                        return;
                    }
                }
            }
        });
    }
}

/// CPU time of this process, all threads.
fn cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = threads.map(|thread| {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        stat.split(' ')
            .next()
            .and_then(|nanos| nanos.parse::<u64>().ok())
            .unwrap()
    });
    Duration::from_nanos(nanos.sum())
}
