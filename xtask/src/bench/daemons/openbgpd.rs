//! OpenBGPD (`apt-get install openbgpd`).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use super::{Daemon, Neighbour, Router, Running, answered, bgp, find, printed};
use crate::bench::bgp::Bgp;
use crate::bench::speaker::{PREFERRED, Who};

/// The programs `bgpd` and `bgpctl`.
pub(in crate::bench) struct OpenBgpd {
    program: PathBuf,
}

impl OpenBgpd {
    /// If it is installed.
    pub(in crate::bench) fn find() -> Option<Self> {
        let program = find(&["/usr/sbin/bgpd"])?;
        Some(Self { program })
    }

    fn ask(&self, router: &Router<'_>, question: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.program.with_file_name("bgpctl"));
        command.arg("-s").arg(router.file("bgpd.sock")).args(question);
        printed(&mut command)
    }
}

fn neighbour(router: &Router<'_>, neighbour: &Neighbour) -> String {
    let Neighbour { name, ip, asn, .. } = neighbour;
    let passive = if router.is_passive() { " passive\n" } else { "" };
    format!(
        "neighbor {ip} {{\n remote-as {asn}\n local-address {}\n descr {name}\n enforce neighbor-as no\n{passive} \
         announce IPv4 unicast\n}}\n",
        router.ip()
    )
}

fn config(router: &Router<'_>) -> String {
    let [asn, value] = PREFERRED;
    let neighbours: String = router.neighbours.iter().map(|it| neighbour(router, it)).collect();
    let exports = router.neighbours.iter().map(|neighbour| {
        let verdict = if neighbour.export { "allow" } else { "deny" };
        format!("{verdict} to {}\n", neighbour.ip)
    });
    format!(
        "AS {}\nrouter-id {ip}\nfib-update no\nlisten on {ip}\nholdtime 180\nsocket \"{}\"\n{neighbours}\
         allow from any\nmatch from any community {asn}:{value} set localpref 200\n{}",
        router.asn(),
        router.file("bgpd.sock").display(),
        exports.collect::<String>(),
        ip = router.ip(),
    )
}

impl Daemon for OpenBgpd {
    type Dialect = Bgp;
    const NAME: &'static str = "openbgpd";

    fn dialect(&self, who: Who) -> Bgp {
        bgp(who)
    }

    /// It wants a folder for its control socket in /run and a home of its user that it can call its root: both in a
    /// mount namespace, so that nothing of the machine is touched.
    fn start(&self, router: &Router<'_>) -> anyhow::Result<Running> {
        let file = router.write("bgpd.conf", &config(router))?;
        fs::set_permissions(&file, Permissions::from_mode(0o600)).context("cannot protect bgpd.conf")?;
        let script = format!(
            "mount -t tmpfs tmpfs /run -o mode=755 && mkdir -p /run/openbgpd && mount -t tmpfs tmpfs /var/lib && \
             exec {} -d -f {}",
            self.program.display(),
            file.display()
        );
        let mut command = router.command(Path::new("unshare"));
        command.args(["-m", "sh", "-c", &script]);
        Ok(router.start("bgpd", command)?.into())
    }

    fn received(&self, router: &Router<'_>) -> anyhow::Result<u64> {
        let text = self.ask(router, &["-j", "show", "neighbor"])?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let neighbours = answer["neighbors"].as_array().into_iter().flatten();
        Ok(neighbours
            .filter_map(|it| it["stats"]["prefixes"]["received"].as_u64())
            .sum())
    }

    fn show_peers(&self, router: &Router<'_>) -> anyhow::Result<String> {
        answered(self.ask(router, &["show"])?, router)
    }
}
