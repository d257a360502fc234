//! GoBGP (`apt-get install gobgpd`).

use std::path::PathBuf;

use serde_json::Value;

use super::{Daemon, Neighbour, Router, Running, answered, bgp, find, printed};
use crate::bench::Part;
use crate::bench::bgp::Bgp;
use crate::bench::speaker::{PREFERRED, Who};

/// The programs `gobgpd` and `gobgp`.
pub(in crate::bench) struct GoBgp {
    program: PathBuf,
}

impl GoBgp {
    /// If it is installed.
    pub(in crate::bench) fn find() -> Option<Self> {
        let program = find(&["/usr/bin/gobgpd", "/usr/local/bin/gobgpd"])?;
        Some(Self { program })
    }

    /// Its API listens on TCP in the namespace.
    fn ask(&self, router: &Router<'_>, question: &[&str]) -> anyhow::Result<String> {
        printed(router.command(&self.program.with_file_name("gobgp")).args(question))
    }
}

fn neighbour(router: &Router<'_>, neighbour: &Neighbour) -> String {
    format!(
        "[[neighbors]]\n\
         [neighbors.config]\nneighbor-address = \"{}\"\npeer-as = {}\n\
         [neighbors.transport.config]\nlocal-address = \"{}\"\npassive-mode = {}\n\
         [neighbors.timers.config]\nconnect-retry = 1\nhold-time = 180\nkeepalive-interval = 60\n\
         [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n",
        neighbour.ip,
        neighbour.asn,
        router.ip(),
        router.is_passive(),
    )
}

/// Neighbours to which nothing is exported; the set must not be empty.
fn silent(router: &Router<'_>) -> String {
    let silent = router.neighbours.iter().filter(|neighbour| !neighbour.export);
    let mut list: Vec<String> = silent.map(|neighbour| format!("\"{}\"", neighbour.ip)).collect();
    list.push("\"192.0.2.1\"".into());
    list.join(", ")
}

fn config(router: &Router<'_>) -> String {
    let [asn, value] = PREFERRED;
    let neighbours: String = router.neighbours.iter().map(|it| neighbour(router, it)).collect();
    format!(
        "[global.config]\nas = {}\nrouter-id = \"{}\"\n\
         [global.apply-policy.config]\nimport-policy-list = [\"imp\"]\nexport-policy-list = [\"exp\"]\n\
         default-import-policy = \"accept-route\"\ndefault-export-policy = \"accept-route\"\n\
         {neighbours}\
         [[defined-sets.neighbor-sets]]\nneighbor-set-name = \"silent\"\nneighbor-info-list = [{}]\n\
         [[defined-sets.bgp-defined-sets.community-sets]]\ncommunity-set-name = \"preferred\"\n\
         community-list = [\"{asn}:{value}\"]\n\
         [[policy-definitions]]\nname = \"imp\"\n[[policy-definitions.statements]]\nname = \"imp1\"\n\
         [policy-definitions.statements.conditions.bgp-conditions.match-community-set]\n\
         community-set = \"preferred\"\nmatch-set-options = \"any\"\n\
         [policy-definitions.statements.actions]\nroute-disposition = \"accept-route\"\n\
         [policy-definitions.statements.actions.bgp-actions]\nset-local-pref = 200\n\
         [[policy-definitions]]\nname = \"exp\"\n[[policy-definitions.statements]]\nname = \"exp1\"\n\
         [policy-definitions.statements.conditions.match-neighbor-set]\nneighbor-set = \"silent\"\n\
         match-set-options = \"any\"\n\
         [policy-definitions.statements.actions]\nroute-disposition = \"reject-route\"\n",
        router.asn(),
        router.ip(),
        silent(router),
    )
}

impl Daemon for GoBgp {
    type Dialect = Bgp;
    const NAME: &'static str = "gobgp";
    const LEAVES_OUT: &'static [Part] = &[Part::Large, Part::FanOut];

    fn dialect(&self, who: Who) -> Bgp {
        bgp(who)
    }

    fn start(&self, router: &Router<'_>) -> anyhow::Result<Running> {
        let file = router.write("gobgpd.toml", &config(router))?;
        let mut command = router.command(&self.program);
        command.arg("-f").arg(file);
        Ok(router.start("gobgpd", command)?.into())
    }

    fn received(&self, router: &Router<'_>) -> anyhow::Result<u64> {
        let text = self.ask(router, &["neighbor", "-j"])?;
        let peers: Value = serde_json::from_str(&text).unwrap_or_default();
        let families = peers
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|peer| peer["afi_safis"].as_array());
        Ok(families
            .flatten()
            .filter_map(|it| it["state"]["accepted"].as_u64())
            .sum())
    }

    fn show_peers(&self, router: &Router<'_>) -> anyhow::Result<String> {
        answered(self.ask(router, &["neighbor"])?, router)
    }
}
