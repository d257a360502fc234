//! A network namespace of a test's own, and a running plane in it.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::{Change, Destination, Handle, PlaneStatus, Prefix, PrefixRoute, Report, RouteUpdate, Selected};
use catalyst_wireguard::kernel::netlink::NetlinkKernel;
use catalyst_wireguard::{WireguardConfig, WireguardPlane, WireguardSettings, WireguardStats};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The longest wait for a condition.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// Set in the process that has the namespace to itself.
const INSIDE: &str = "WGT_INSIDE";

/// Runs a test in a namespace of its own: the test starts itself once more, there. Namespaces end with the process.
pub(crate) fn isolated<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    if std::env::var_os(INSIDE).is_none() {
        let exe = std::env::current_exe().unwrap();
        let done = Command::new("unshare")
            .args(["--net", "--mount", "--"])
            .arg(exe)
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(INSIDE, "1")
            .status();
        let done = done.expect("unshare (util-linux) makes the test's namespace");
        assert!(done.success(), "{name}: {done}");
        return;
    }
    sh(
        "ip link set lo up; mount -t tmpfs run /run/netns 2>/dev/null || { mkdir -p /run/netns && mount -t tmpfs run /run/netns; }",
    );
    let probe = Command::new("ip")
        .args(["link", "add", "wg-probe", "type", "wireguard"])
        .output()
        .unwrap();
    assert!(
        probe.status.success(),
        "no WireGuard in this kernel, or not root (run it by `cargo xtask guest`): {}",
        String::from_utf8_lossy(&probe.stderr)
    );
    sh("ip link del wg-probe");
    tracing_subscriber::fmt()
        .with_env_filter("info")
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test());
}

/// Runs a script; gives its output. Fails with what it said.
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{script}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Whether a script succeeds.
pub(crate) fn succeeds(script: &str) -> bool {
    Command::new("sh")
        .args(["-ec", script])
        .output()
        .unwrap()
        .status
        .success()
}

/// Polls until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Our part of the kernel as the usual tools show it, without what changes by itself.
pub(crate) fn shown() -> String {
    sh("for f in -4 -6; do
            echo \"# ip $f\"; ip $f route show table 1790 2>/dev/null | sort; ip $f rule show | grep 1790 || true
        done
        for d in $(ip -o link show type wireguard | cut -d: -f2 | sort); do
            echo \"# $d\"; ip -d link show $d | grep -oE 'mtu [0-9]+|alias .*|[<,]UP[,>]'
            ip -o addr show $d | awk '{print $3, $4}' | sort; cat /proc/sys/net/ipv4/conf/$d/rp_filter
            wg show $d listen-port; wg show $d public-key
            wg show $d preshared-keys | sort; wg show $d persistent-keepalive | sort
            wg show $d allowed-ips | while read -r k a; do echo $k $(echo $a | tr ' ' '\\n' | sort); done | sort
        done
        echo '# nft'; nft list table inet catalyst_1790 2>/dev/null | sed 's/packets [0-9]* bytes [0-9]*//' || true")
}

/// A plane that runs under the reconcile loop, and what it reports.
pub(crate) struct Run {
    handle: Handle,
    reports: mpsc::Receiver<Report>,
    pub(crate) stats: WireguardStats,
    pub(crate) settings: WireguardSettings,
    version: u64,
    done: u64,
    pub(crate) statuses: BTreeMap<Destination, PlaneStatus>,
    pub(crate) tunnels: BTreeMap<IpAddr, bool>,
}

impl Run {
    pub(crate) async fn start(config: WireguardConfig, routes: Vec<Arc<PrefixRoute>>) -> Self {
        let plane = WireguardPlane::new(config, NetlinkKernel::open().unwrap()).unwrap();
        let (stats, settings) = (plane.stats(), plane.settings());
        let (sender, reports) = mpsc::channel(1024);
        let mut run = Self {
            handle: catalyst_plugin::spawn(plane, sender),
            reports,
            stats,
            settings,
            version: 1,
            done: 0,
            statuses: BTreeMap::new(),
            tunnels: BTreeMap::new(),
        };
        let routes = routes.into_iter().map(Selected::from).collect();
        run.handle.feed.send(RouteUpdate::Reset {
            version: 1,
            routes,
            settled: true,
        });
        run.settle().await;
        run
    }

    /// Changes routes, and waits until that is done.
    pub(crate) async fn change(&mut self, changes: Vec<(Prefix, Option<Arc<PrefixRoute>>)>) {
        let from = self.version;
        self.version += 1;
        let changes = changes.into_iter().map(|(prefix, route)| {
            self.statuses.remove(&prefix.into());
            Change {
                destination: prefix.into(),
                route: route.map(Selected::from),
            }
        });
        let changes = changes.collect();
        self.handle.feed.send(RouteUpdate::Delta {
            from,
            to: self.version,
            changes,
            settled: true,
        });
        self.settle().await;
    }

    async fn settle(&mut self) {
        let version = self.version;
        self.reported("the table is applied", |run| run.done == version).await;
    }

    /// Takes reports until a condition holds.
    pub(crate) async fn reported(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !holds(self) {
            let report = tokio::time::timeout_at(deadline, self.reports.recv()).await;
            let report = report.unwrap_or_else(|_| panic!("not in time: {what}; {:?}", self.statuses));
            match report.expect("the loop runs") {
                Report::Plane { version, statuses } => {
                    self.done = version;
                    self.statuses.extend(statuses);
                }
                Report::Tunnel { address, up } => drop(self.tunnels.insert(address, up)),
                Report::Up | Report::Down | Report::NextHop { .. } | Report::Listeners { .. } | Report::NeedReset => {}
            }
        }
    }

    /// Ends it at once, as kill -9 does.
    pub(crate) async fn kill(self) {
        self.handle.join.abort();
        assert!(self.handle.join.await.is_err_and(|error| error.is_cancelled()));
    }
}
