//! Networks of the kernel's own: namespaces, and what passes over an interface.

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::sockopt::{RcvBufForce, RxqOvfl};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt,
    socket,
};

use crate::{Process, programs};

/// What a capture may hold before it is looked at.
const CAPTURE_BYTES: usize = 64 << 20;

/// A network namespace with an interface `lo`. It is that of a process that does nothing, and gone with it, however the
/// test ends.
#[derive(Debug)]
pub struct Namespace {
    /// What its interfaces are called by in errors.
    pub name: String,
    /// `/proc/PID/ns/net`.
    path: PathBuf,
    holder: Process,
}

impl Namespace {
    /// Makes it; the log of its process goes into `folder`.
    ///
    /// # Errors
    /// We are not root.
    pub fn new(folder: &Path, name: &str) -> Result<Self> {
        let unshare = programs::on_path("unshare")?;
        let mut holder = Process::start(folder, name, &unshare, &["--net", "sleep", "infinity"])?;
        let path = PathBuf::from(format!("/proc/{}/ns/net", holder.pid()?));
        let ours = fs::read_link("/proc/self/ns/net")?;
        holder.wait_until("a namespace", || {
            let its = fs::read_link(&path)?;
            ensure!(its != ours, "{} is in {}", path.display(), its.display());
            Ok(())
        })?;
        let namespace = Self {
            name: name.to_owned(),
            path,
            holder,
        };
        namespace.run("ip link set lo up")?;
        Ok(namespace)
    }

    /// Runs a command of words without blanks in it and returns what it prints.
    ///
    /// # Errors
    /// It fails; carries what it said.
    pub fn run(&self, command: &str) -> Result<String> {
        let output = self.command(command).output()?;
        ensure!(
            output.status.success(),
            "`{command}` in {}: {}\n{}{}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What a command prints, whether it succeeds or not.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn say(&self, command: &str) -> Result<String> {
        let output = self.command(command).output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(self.net_argument());
        command.args(words.split_whitespace());
        command
    }

    fn net_argument(&self) -> String {
        format!("--net={}", self.path.display())
    }

    /// Starts a program in it; see [`Process::start`].
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, folder: &Path, log: &str, program: &Path, arguments: &[&str]) -> Result<Process> {
        let net = self.net_argument();
        let program = program.to_str().context("the path of a program is no UTF-8")?;
        let arguments = [&[&*net, program], arguments].concat();
        Process::start(folder, log, &programs::on_path("nsenter")?, &arguments)
    }

    /// What `act` gives on a thread in it: sockets that it opens stay there.
    ///
    /// # Errors
    /// What `act` fails with, or the namespace is gone.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = &self.path;
        let acting = || -> Result<T> {
            let namespace = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            act()
        };
        // A thread of its own enters the namespace, and ends.
        let joined = std::thread::scope(|scope| scope.spawn(acting).join());
        joined.unwrap_or_else(|_| bail!("the thread in {} panicked", self.name))
    }

    /// Connects it to `other`: an interface in each, with an address of the same /24. Both know each other's address on the
    /// link already, and neither tells of itself by IPv6: nothing passes but what is sent.
    ///
    /// # Errors
    /// There are such interfaces already.
    pub fn connect(&self, interface: &str, [ours, theirs]: [Ipv4Addr; 2], other: &Self) -> Result<()> {
        let (mac, their_mac) = (link_address(ours), link_address(theirs));
        let pid = other.holder.pid()?;
        self.run(&format!(
            "ip link add {interface} address {mac} type veth peer name {interface} address {their_mac} netns {pid}"
        ))?;
        for (end, address, neighbour, mac) in [(self, ours, theirs, their_mac), (other, theirs, ours, mac)] {
            end.run(&format!("ip link set {interface} addrgenmode none up"))?;
            end.run(&format!("ip address add {address}/24 dev {interface}"))?;
            end.run(&format!(
                "ip neighbour add {neighbour} lladdr {mac} dev {interface} nud permanent"
            ))?;
        }
        Ok(())
    }

    /// Sees every frame on `interface` from now on, in both directions.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn capture(&self, interface: &str) -> Result<Capture> {
        let link = self.run(&format!("ip -oneline link show dev {interface}"))?;
        let (index, _) = link.split_once(':').with_context(|| format!("no index in {link:?}"))?;
        let index = index.parse()?;
        let socket = self.inside(|| {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
            setsockopt(&socket, RcvBufForce, &CAPTURE_BYTES)?;
            setsockopt(&socket, RxqOvfl, &1)?;
            Ok(socket)
        })?;
        Ok(Capture { socket, index })
    }
}

/// Locally administered, and of the IPv4 address.
fn link_address(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// What passes over an interface.
#[derive(Debug)]
pub struct Capture {
    socket: OwnedFd,
    index: usize,
}

impl Capture {
    /// The frames, from the Ethernet header on, that have passed and were not taken yet.
    ///
    /// # Errors
    /// The kernel says one.
    pub fn take(&self) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        let mut buffer = vec![0; 65_536];
        let mut control = cmsg_space!(u32);
        loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let received = recvmsg::<LinkAddr>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                MsgFlags::empty(),
            );
            let (length, from, lost) = match received {
                Err(Errno::EAGAIN) => return Ok(frames),
                Err(error) => return Err(io::Error::from(error)).context("cannot capture"),
                Ok(message) => {
                    let mut said = message.cmsgs()?;
                    let lost = said.find_map(|said| {
                        if let ControlMessageOwned::RxqOvfl(lost) = said {
                            Some(lost)
                        } else {
                            None
                        }
                    });
                    (message.bytes, message.address, lost)
                }
            };
            ensure!(
                lost.is_none_or(|lost| lost == 0),
                "{lost:?} frames were lost to the capture"
            );
            if from.is_some_and(|from| from.ifindex() == self.index) {
                frames.push(buffer[..length].to_vec());
            }
        }
    }
}
