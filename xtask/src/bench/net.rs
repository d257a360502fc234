//! The network of the benchmark: feeders and sinks, B and C, each in a network namespace on one bridge. On loopback half
//! of the daemons would refuse the next hops.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use nix::sched::{CloneFlags, setns};

/// What names of namespaces begin with; the id of the process that made them follows.
const PREFIX: &str = "catalyst-bench-";
/// Addresses that speakers of the benchmark have, as the last octet.
const SPEAKERS: std::ops::RangeInclusive<u8> = 100..=254;

/// Who lives in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Our own ends of sessions.
    Speakers,
    /// The daemon under measurement.
    B,
    /// The daemon that learns from B.
    C,
}

impl Place {
    const ALL: [Self; 3] = [Self::Speakers, Self::B, Self::C];

    /// In names of namespaces, files and processes.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Speakers => "a",
            Self::B => "b",
            Self::C => "c",
        }
    }

    fn addresses(self) -> Vec<Ipv4Addr> {
        match self {
            Self::Speakers => SPEAKERS.map(address).collect(),
            Self::B => vec![address(2)],
            Self::C => vec![address(3)],
        }
    }
}

/// The address with this last octet.
pub(super) fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 255, 0, host)
}

/// The namespaces; removed when dropped.
pub(super) struct Net {
    prefix: String,
}

impl Net {
    /// Makes the namespaces, after those that a dead run has left were removed.
    pub(super) fn build() -> anyhow::Result<Self> {
        remove_left_over();
        let net = Self {
            prefix: format!("{PREFIX}{}-", std::process::id()),
        };
        net.make_bridge()?;
        for place in Place::ALL {
            net.make(place)?;
        }
        Ok(net)
    }

    fn make_bridge(&self) -> anyhow::Result<()> {
        let bridge = self.bridge();
        ip(&["netns", "add", &bridge])?;
        ip(&["-n", &bridge, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &bridge, "link", "set", "br0", "up"])
    }

    fn make(&self, place: Place) -> anyhow::Result<()> {
        let (bridge, name) = (self.bridge(), self.name(place));
        let port = format!("v{}", place.label());
        ip(&["netns", "add", &name])?;
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        ip(&[
            "-n", &bridge, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name,
        ])?;
        ip(&["-n", &bridge, "link", "set", &port, "master", "br0", "up"])?;
        ip(&["-n", &name, "link", "set", "eth0", "up"])?;
        for address in place.addresses() {
            ip(&["-n", &name, "addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
        }
        Ok(())
    }

    fn bridge(&self) -> String {
        format!("{}br", self.prefix)
    }

    fn name(&self, place: Place) -> String {
        format!("{}{}", self.prefix, place.label())
    }

    /// A command that runs in a namespace.
    pub(super) fn command(&self, place: Place, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place)]).arg(program);
        command
    }

    /// A connection of one of our own speakers.
    pub(super) fn connect(&self, from: Ipv4Addr, to: SocketAddr) -> anyhow::Result<TcpStream> {
        let namespace = namespaces().join(self.name(Place::Speakers));
        // A thread of its own enters the namespace; what it opens stays there, and it ends.
        let connecting = std::thread::spawn(move || -> anyhow::Result<TcpStream> {
            let file = File::open(&namespace).with_context(|| format!("cannot open {}", namespace.display()))?;
            setns(file, CloneFlags::CLONE_NEWNET)?;
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
            socket.connect(&to.into())?;
            Ok(socket.into())
        });
        connecting
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the connecting thread panicked")))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in Place::ALL
            .map(|place| self.name(place))
            .into_iter()
            .chain([self.bridge()])
        {
            // Not made yet, if building it failed half way.
            drop(ip(&["netns", "del", &name]));
        }
    }
}

fn remove_left_over() {
    let Ok(entries) = std::fs::read_dir(namespaces()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            drop(ip(&["netns", "del", &name]));
        }
    }
}

/// A command that may make namespaces: `program` itself for root, else in a user namespace in which we are root.
pub(crate) fn privileged(program: &Path) -> Command {
    if nix::unistd::Uid::effective().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs tmpfs /run && exec \"$0\" \"$@\"";
    command.args(["--map-root-user", "--mount", "--net", "sh", "-c", script]);
    command.arg(program);
    command
}

/// Where `ip netns` keeps them.
fn namespaces() -> PathBuf {
    PathBuf::from("/run/netns")
}

fn ip(args: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(args)
        .output()
        .context("cannot run `ip` (apt-get install iproute2)")?;
    ensure!(
        output.status.success(),
        "`ip {}` failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
