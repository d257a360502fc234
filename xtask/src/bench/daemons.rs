//! The daemons under measurement: how to start B and C, and how to ask them what they have installed.
//!
//! All of it on loopback, unprivileged: B and C have an address of 127.0.0.0/8 each, no kernel routes are written.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::bgp::Bgp;
use super::catalyst::{Catalyst, ORGANISATION};
use super::process::Process;
use super::speaker::Dialect;

pub(super) const FEEDER_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 0, 1));
pub(super) const SINK_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 0, 4));
pub(super) const FEEDER_ASN: u32 = 64_901;
pub(super) const SINK_ASN: u32 = 64_904;
const B_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 0, 2));
const C_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 0, 3));
const B_ASN: u32 = 64_902;
const C_ASN: u32 = 64_903;
const CATALYST_PORT: u16 = 31_790;
const BIRD_PORT: u16 = 31_179;

/// A routing daemon that can be measured.
pub(super) trait Daemon {
    /// Its protocol.
    type Dialect: Dialect;
    /// Its name in progress lines.
    const NAME: &'static str;
    /// Where B listens.
    const B: SocketAddr;
    /// The protocol, for our end called `node`.
    fn dialect(&self, node: &'static str) -> Self::Dialect;
    /// B: accepts the feeder, C and the sink; everything is imported and exported.
    fn start_b(&self) -> anyhow::Result<Process>;
    /// C: dials B.
    fn start_c(&self) -> anyhow::Result<Process>;
    /// Routes that B holds.
    fn installed_at_b(&self) -> anyhow::Result<u64>;
    /// Routes that C holds; 0 while it is not up.
    fn installed_at_c(&self) -> anyhow::Result<u64>;
}

/// catalyst-routed, without data planes.
pub(super) struct CatalystDaemon {
    binaries: PathBuf,
    work: PathBuf,
}

impl CatalystDaemon {
    pub(super) fn new(binaries: &Path, work: &Path) -> Self {
        Self {
            binaries: binaries.to_owned(),
            work: work.to_owned(),
        }
    }

    fn start(&self, name: &str, ip: IpAddr, asn: u32, peers: &serde_json::Value) -> anyhow::Result<Process> {
        let config = serde_json::json!({
            "node": { "name": name, "as": asn, "organisation": ORGANISATION },
            "peering": { "listen": SocketAddr::new(ip, CATALYST_PORT), "hold_time": "180s" },
            "peers": peers,
            "admin": { "listen": format!("unix:{}", self.socket(name).display()) },
        });
        let file = self.work.join(format!("{name}.json"));
        fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
        let mut command = Command::new(self.binaries.join("catalyst-routed"));
        command.arg("-c").arg(&file);
        Process::start(name, command, &self.work.join(format!("{name}.log")))
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.work.join(format!("{name}.sock"))
    }

    fn received(&self, daemon: &str, peer: &str) -> anyhow::Result<u64> {
        let address = format!("unix:{}", self.socket(daemon).display());
        let output = Command::new(self.binaries.join("catalystctl"))
            .args(["--addr", &address, "--output", "json", "show", "peer", peer])
            .output()?;
        if !output.status.success() {
            return Ok(0);
        }
        let peer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        peer["received"].as_u64().context("show peer prints no `received`")
    }
}

impl Daemon for CatalystDaemon {
    type Dialect = Catalyst;
    const NAME: &'static str = "catalyst";
    const B: SocketAddr = SocketAddr::new(B_IP, CATALYST_PORT);

    fn dialect(&self, node: &'static str) -> Catalyst {
        Catalyst { node }
    }

    fn start_b(&self) -> anyhow::Result<Process> {
        let peer =
            |ip, asn| serde_json::json!({ "address": SocketAddr::new(ip, CATALYST_PORT), "as": asn, "passive": true });
        let peers = serde_json::json!({
            "feeder": peer(FEEDER_IP, FEEDER_ASN), "c": peer(C_IP, C_ASN), "sink": peer(SINK_IP, SINK_ASN),
        });
        self.start("b", B_IP, B_ASN, &peers)
    }

    fn start_c(&self) -> anyhow::Result<Process> {
        let peers = serde_json::json!({ "b": { "address": Self::B, "as": B_ASN, "source": C_IP } });
        self.start("c", C_IP, C_ASN, &peers)
    }

    fn installed_at_b(&self) -> anyhow::Result<u64> {
        self.received("b", "feeder")
    }

    fn installed_at_c(&self) -> anyhow::Result<u64> {
        self.received("c", "b")
    }
}

/// BIRD 2, without a kernel protocol.
pub(super) struct BirdDaemon {
    program: PathBuf,
    work: PathBuf,
}

/// The `bird` binary, if it is installed (its folder is not always on PATH).
pub(super) fn find_bird() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    folders
        .into_iter()
        .map(|folder| folder.join("bird"))
        .find(|file| file.is_file())
}

impl BirdDaemon {
    pub(super) fn new(program: &Path, work: &Path) -> Self {
        Self {
            program: program.to_owned(),
            work: work.to_owned(),
        }
    }

    fn start(&self, name: &str, ip: IpAddr, asn: u32, neighbours: &str) -> anyhow::Result<Process> {
        let file = self.work.join(format!("{name}.conf"));
        let text = format!("router id {ip};\nprotocol device {{}}\n{neighbours}");
        fs::write(
            &file,
            text.replace("@LOCAL@", &format!("{ip} port {BIRD_PORT} as {asn}")),
        )?;
        let mut command = Command::new(&self.program);
        command
            .arg("-f")
            .arg("-c")
            .arg(&file)
            .arg("-s")
            .arg(self.work.join(format!("{name}.ctl")));
        Process::start(name, command, &self.work.join(format!("{name}.log")))
    }

    fn routes(&self, name: &str) -> anyhow::Result<u64> {
        let birdc = self.program.with_file_name("birdc");
        let socket = self.work.join(format!("{name}.ctl"));
        let output = Command::new(birdc)
            .arg("-s")
            .arg(socket)
            .args(["show", "route", "count"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let count = text.lines().find_map(|line| line.split(" of ").next()?.parse().ok());
        Ok(count.unwrap_or(0))
    }
}

fn neighbour(name: &str, ip: IpAddr, asn: u32, passive: bool) -> String {
    let passive = if passive {
        "passive yes;"
    } else {
        "connect delay time 1;"
    };
    format!(
        "protocol bgp {name} {{ local @LOCAL@; neighbor {ip} port {BIRD_PORT} as {asn}; multihop; strict bind yes; \
         {passive} ipv4 {{ import all; export all; next hop self; }}; }}\n"
    )
}

impl Daemon for BirdDaemon {
    type Dialect = Bgp;
    const NAME: &'static str = "bird";
    const B: SocketAddr = SocketAddr::new(B_IP, BIRD_PORT);

    fn dialect(&self, node: &'static str) -> Bgp {
        Bgp {
            router_id: if node == "feeder" {
                [127, 9, 0, 1]
            } else {
                [127, 9, 0, 4]
            },
        }
    }

    fn start_b(&self) -> anyhow::Result<Process> {
        ensure!(self.program.is_file(), "{} is gone", self.program.display());
        let neighbours = [
            neighbour("feeder", FEEDER_IP, FEEDER_ASN, true),
            neighbour("c", C_IP, C_ASN, true),
            neighbour("sink", SINK_IP, SINK_ASN, true),
        ];
        self.start("bird-b", B_IP, B_ASN, &neighbours.concat())
    }

    fn start_c(&self) -> anyhow::Result<Process> {
        self.start("bird-c", C_IP, C_ASN, &neighbour("b", B_IP, B_ASN, false))
    }

    fn installed_at_b(&self) -> anyhow::Result<u64> {
        self.routes("bird-b")
    }

    fn installed_at_c(&self) -> anyhow::Result<u64> {
        self.routes("bird-c")
    }
}
