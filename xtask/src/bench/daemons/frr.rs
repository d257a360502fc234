//! FRR's bgpd (`apt-get install frr`), with the zebra that it needs to resolve next hops; zebra is not measured.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Daemon, Neighbour, Router, Running, answered, bgp, find, printed};
use crate::bench::bgp::Bgp;
use crate::bench::process::poll;
use crate::bench::speaker::{PREFERRED, Who};

const SUMMARY: &str = "show bgp ipv4 unicast summary";

/// The programs `bgpd` and `zebra`.
pub(in crate::bench) struct Frr {
    program: PathBuf,
}

impl Frr {
    /// If it is installed.
    pub(in crate::bench) fn find() -> Option<Self> {
        let program = find(&["/usr/lib/frr/bgpd"])?;
        Some(Self { program })
    }

    /// Root has to be of FRR's group of terminal users, which it is in a mount namespace.
    fn command(&self, router: &Router<'_>, program: &str, config: &Path) -> anyhow::Result<Command> {
        let groups = router.write("group", &with_root_in_frrvty(&fs::read_to_string("/etc/group")?))?;
        let mut command = router.command(Path::new("unshare"));
        command.args(["-m", "sh", "-c", "mount --bind \"$0\" /etc/group && exec \"$@\""]);
        command.arg(groups).arg(self.program.with_file_name(program));
        command.arg("-f").arg(config);
        command.arg("-i").arg(router.file(&format!("{program}.pid")));
        command.args(["-u", "root", "-g", "root", "-A", "127.0.0.1"]);
        command.arg("--vty_socket").arg(router.file(""));
        command.arg("-z").arg(router.file("zserv.api"));
        Ok(command)
    }
}

fn with_root_in_frrvty(groups: &str) -> String {
    let with_root = |line: &str| match line.strip_prefix("frrvty:") {
        Some(rest) if rest.ends_with(':') => format!("frrvty:{rest}root\n"),
        Some(rest) => format!("frrvty:{rest},root\n"),
        None => format!("{line}\n"),
    };
    groups.lines().map(with_root).collect()
}

fn neighbour(router: &Router<'_>, neighbour: &Neighbour) -> String {
    let Neighbour { ip, asn, .. } = neighbour;
    let passive = if router.is_passive() {
        format!(" neighbor {ip} passive\n")
    } else {
        String::new()
    };
    format!(
        " neighbor {ip} remote-as {asn}\n neighbor {ip} timers connect 1\n neighbor {ip} update-source {}\n{passive}",
        router.ip()
    )
}

fn policies(neighbour: &Neighbour) -> String {
    let Neighbour { ip, export, .. } = neighbour;
    let out = if *export { "ALL" } else { "NONE" };
    format!("  neighbor {ip} activate\n  neighbor {ip} route-map IMP in\n  neighbor {ip} route-map {out} out\n")
}

fn config(router: &Router<'_>) -> String {
    let [asn, value] = PREFERRED;
    let neighbours: String = router.neighbours.iter().map(|it| neighbour(router, it)).collect();
    let policies: String = router.neighbours.iter().map(policies).collect();
    format!(
        "hostname {}\nbgp community-list standard PREFERRED permit {asn}:{value}\n\
         route-map IMP permit 10\n match community PREFERRED\n set local-preference 200\nroute-map IMP permit 20\n\
         route-map NONE deny 10\nroute-map ALL permit 10\n\
         router bgp {}\n bgp router-id {}\n no bgp default ipv4-unicast\n timers bgp 60 180\n{neighbours} \
         address-family ipv4 unicast\n{policies} exit-address-family\n",
        router.place.label(),
        router.asn(),
        router.ip(),
    )
}

/// Asks over the socket that vtysh would use, which spares the wait for routes a program each time.
fn ask(router: &Router<'_>, question: &str) -> std::io::Result<String> {
    let mut socket = UnixStream::connect(router.file("bgpd.vty"))?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    exchange(&mut socket, "enable")?;
    exchange(&mut socket, question)
}

/// An answer ends with three zeroes and a status.
fn exchange(socket: &mut UnixStream, question: &str) -> std::io::Result<String> {
    socket.write_all(question.as_bytes())?;
    socket.write_all(&[0])?;
    let (mut answer, mut part) = (Vec::new(), [0; 1 << 16]);
    loop {
        if let [text @ .., 0, 0, 0, _] = answer.as_slice() {
            return Ok(String::from_utf8_lossy(text).into_owned());
        }
        let count = socket.read(&mut part)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        answer.extend(&part[..count]);
    }
}

impl Daemon for Frr {
    type Dialect = Bgp;
    const NAME: &'static str = "frr";

    fn dialect(&self, who: Who) -> Bgp {
        bgp(who)
    }

    fn start(&self, router: &Router<'_>) -> anyhow::Result<Running> {
        let file = router.write("zebra.conf", "hostname z\n")?;
        let zebra = router.start("zebra", self.command(router, "zebra", &file)?)?;
        let socket = router.file("zserv.api");
        poll("zebra to listen", Duration::from_secs(10), || Ok(socket.exists()))?;
        let file = router.write("bgpd.conf", &config(router))?;
        let mut command = self.command(router, "bgpd", &file)?;
        // No routes for the kernel, and no other user.
        command.args(["-n", "-S"]);
        Ok(Running {
            process: router.start("bgpd", command)?,
            _beside: Some(zebra),
        })
    }

    fn received(&self, router: &Router<'_>) -> anyhow::Result<u64> {
        // Nobody listens while it starts.
        let text = ask(router, &format!("{SUMMARY} json")).unwrap_or_default();
        let answer: Value = serde_json::from_str(text.trim()).unwrap_or_default();
        let peers = answer["peers"].as_object().into_iter().flatten();
        Ok(peers.filter_map(|(_, peer)| peer["pfxRcd"].as_u64()).sum())
    }

    /// By vtysh, as an operator asks: a question over its socket would be spared the start of a program.
    fn show_peers(&self, router: &Router<'_>) -> anyhow::Result<String> {
        let mut command = Command::new("vtysh");
        command.arg("--vty_socket").arg(router.file(""));
        command.args(["-d", "bgpd", "-c", SUMMARY]);
        answered(printed(&mut command)?, router)
    }
}
