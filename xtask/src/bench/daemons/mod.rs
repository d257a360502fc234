//! The daemons under measurement: how each is configured and started, and asked what it has.
//!
//! All do the same: import sets LOCAL_PREF 200 on routes with the community 65000:100 and accepts everything; export is
//! everything or nothing, by neighbour. Nothing is written to the kernel.

mod bird;
mod catalyst;
mod frr;
mod gobgp;
mod openbgpd;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

pub(super) use bird::Bird;
pub(super) use catalyst::CatalystDaemon;
pub(super) use frr::Frr;
pub(super) use gobgp::GoBgp;
pub(super) use openbgpd::OpenBgpd;

use super::Part;
use super::bgp::Bgp;
use super::net::{Net, Place, address};
use super::process::Process;
use super::speaker::{Dialect, Who};

const B_ASN: u32 = 64_902;
const C_ASN: u32 = 64_903;
/// The port of BGP.
const BGP_PORT: u16 = 179;

/// A neighbour of a daemon.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    pub(super) name: String,
    pub(super) ip: Ipv4Addr,
    pub(super) asn: u32,
    /// Whether it gets everything, or nothing.
    pub(super) export: bool,
}

impl Neighbour {
    /// One of our own speakers.
    pub(super) fn speaker(name: &str, who: Who, export: bool) -> Self {
        Self {
            name: name.to_owned(),
            ip: who.ip,
            asn: who.asn,
            export,
        }
    }
}

/// What an instance of a daemon is to be.
pub(super) struct Router<'a> {
    pub(super) net: &'a Net,
    pub(super) place: Place,
    pub(super) neighbours: Vec<Neighbour>,
    /// Configuration, log, sockets; its own.
    folder: PathBuf,
}

impl<'a> Router<'a> {
    /// B: waits for its neighbours, of which C is one.
    pub(super) fn b(net: &'a Net, work: &Path, daemon: &str, mut neighbours: Vec<Neighbour>) -> anyhow::Result<Self> {
        neighbours.push(Neighbour {
            name: "c".into(),
            ip: address(3),
            asn: C_ASN,
            export: true,
        });
        Self::at(net, Place::B, work, daemon, neighbours)
    }

    /// C: dials B.
    pub(super) fn c(net: &'a Net, work: &Path, daemon: &str) -> anyhow::Result<Self> {
        let b = Neighbour {
            name: "b".into(),
            ip: address(2),
            asn: B_ASN,
            export: false,
        };
        Self::at(net, Place::C, work, daemon, vec![b])
    }

    fn at(net: &'a Net, place: Place, work: &Path, daemon: &str, neighbours: Vec<Neighbour>) -> anyhow::Result<Self> {
        let folder = work.join(format!("{daemon}-{}", place.label()));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self {
            net,
            place,
            neighbours,
            folder,
        })
    }

    /// Whether it waits for its neighbours to dial.
    fn is_passive(&self) -> bool {
        self.place == Place::B
    }

    fn ip(&self) -> Ipv4Addr {
        address(if self.place == Place::B { 2 } else { 3 })
    }

    fn asn(&self) -> u32 {
        if self.place == Place::B { B_ASN } else { C_ASN }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let file = self.file(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    fn command(&self, program: &Path) -> Command {
        self.net.command(self.place, program)
    }

    fn start(&self, name: &str, command: Command) -> anyhow::Result<Process> {
        Process::start(name, command, &self.file(&format!("{name}.log")))
    }
}

/// A running instance.
pub(super) struct Running {
    /// What is measured.
    pub(super) process: Process,
    /// What it needs beside, which is not.
    _beside: Option<Process>,
}

impl From<Process> for Running {
    fn from(process: Process) -> Self {
        Self { process, _beside: None }
    }
}

/// A routing daemon that can be measured.
pub(super) trait Daemon {
    /// Its protocol.
    type Dialect: Dialect;
    /// Its name, which is its column.
    const NAME: &'static str;
    /// Where it listens.
    const PORT: u16 = BGP_PORT;
    /// Measurements that take it minutes.
    const LEAVES_OUT: &'static [Part] = &[];

    /// The protocol, for one of our own speakers.
    fn dialect(&self, who: Who) -> Self::Dialect;
    /// Starts an instance.
    fn start(&self, router: &Router<'_>) -> anyhow::Result<Running>;
    /// Routes that an instance has taken in from all neighbours; 0 while it is not up.
    fn received(&self, router: &Router<'_>) -> anyhow::Result<u64>;
    /// Asks an instance for the list of its neighbours, as an operator would: with the program that comes with it, from
    /// the start of the program to the last byte of its answer.
    fn show_peers(&self, router: &Router<'_>) -> anyhow::Result<String>;

    /// The address of B.
    fn b() -> SocketAddr {
        SocketAddr::new(IpAddr::V4(address(2)), Self::PORT)
    }
}

/// BGP-4 by a speaker whose router id is its address.
fn bgp(who: Who) -> Bgp {
    Bgp {
        router_id: who.ip.octets(),
    }
}

/// A program of Debian, wherever it lies.
fn find(candidates: &[&str]) -> Option<PathBuf> {
    candidates.iter().map(PathBuf::from).find(|file| file.is_file())
}

/// What a command prints; an empty text where it fails, as it does while a daemon is not up.
fn printed(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let text = if output.status.success() {
        output.stdout
    } else {
        Vec::new()
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The answer of a daemon that must be up, and must name the neighbours: an error is an answer, too.
fn answered(text: String, router: &Router<'_>) -> anyhow::Result<String> {
    let names = |neighbour: &Neighbour| text.contains(&neighbour.name) || text.contains(&neighbour.ip.to_string());
    ensure!(
        router.neighbours.iter().all(names),
        "the list of neighbours lacks some of them: {text:?}"
    );
    Ok(text)
}
