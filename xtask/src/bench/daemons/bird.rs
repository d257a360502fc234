//! BIRD 2, without a kernel protocol (`apt-get install bird2`).

use std::path::PathBuf;
use std::process::Command;

use super::{Daemon, Neighbour, Router, Running, answered, bgp, find, printed};
use crate::bench::bgp::Bgp;
use crate::bench::speaker::{PREFERRED, Who};

/// The programs `bird` and `birdc`.
pub(in crate::bench) struct Bird {
    program: PathBuf,
}

impl Bird {
    /// If it is installed.
    pub(in crate::bench) fn find() -> Option<Self> {
        let program = find(&["/usr/sbin/bird", "/usr/local/sbin/bird"])?;
        Some(Self { program })
    }

    fn ask(&self, router: &Router<'_>, question: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.program.with_file_name("birdc"));
        command.arg("-s").arg(router.file("bird.ctl")).args(question);
        printed(&mut command)
    }
}

fn protocol(router: &Router<'_>, neighbour: &Neighbour) -> String {
    let Neighbour { name, ip, asn, export } = neighbour;
    let (own_ip, own_asn) = (router.ip(), router.asn());
    let start = if router.is_passive() {
        "passive yes;"
    } else {
        "connect delay time 1;"
    };
    let export = if *export { "all" } else { "none" };
    format!(
        "protocol bgp {name} {{ local {own_ip} as {own_asn}; neighbor {ip} as {asn}; direct; {start} \
         ipv4 {{ import filter imp; export {export}; }}; }}\n"
    )
}

fn config(router: &Router<'_>) -> String {
    let [asn, value] = PREFERRED;
    let protocols: String = router
        .neighbours
        .iter()
        .map(|neighbour| protocol(router, neighbour))
        .collect();
    format!(
        "router id {};\nprotocol device {{}}\n\
         filter imp {{ if ({asn},{value}) ~ bgp_community then bgp_local_pref = 200; accept; }}\n{protocols}",
        router.ip()
    )
}

impl Daemon for Bird {
    type Dialect = Bgp;
    const NAME: &'static str = "bird";

    fn dialect(&self, who: Who) -> Bgp {
        bgp(who)
    }

    fn start(&self, router: &Router<'_>) -> anyhow::Result<Running> {
        let file = router.write("bird.conf", &config(router))?;
        let mut command = router.command(&self.program);
        command.arg("-f").arg("-c").arg(file);
        command.arg("-s").arg(router.file("bird.ctl"));
        command.arg("-P").arg(router.file("bird.pid"));
        Ok(router.start("bird", command)?.into())
    }

    fn received(&self, router: &Router<'_>) -> anyhow::Result<u64> {
        let text = self.ask(router, &["show", "route", "count"])?;
        let count = text.lines().find_map(|line| line.split(" of ").next()?.parse().ok());
        Ok(count.unwrap_or(0))
    }

    fn show_peers(&self, router: &Router<'_>) -> anyhow::Result<String> {
        answered(self.ask(router, &["show", "protocols", "all"])?, router)
    }
}
