//! catalyst-routed, without data planes.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};

use super::{Daemon, Neighbour, Router, Running, answered, printed};
use crate::bench::names::{Catalyst, ORGANISATION};
use crate::bench::speaker::{PREFERRED, Who};

/// catalyst-routed and catalystctl of a release build.
pub(in crate::bench) struct CatalystDaemon {
    binaries: PathBuf,
}

impl CatalystDaemon {
    pub(in crate::bench) fn new(binaries: &Path) -> Self {
        Self {
            binaries: binaries.to_owned(),
        }
    }

    fn ctl(&self, router: &Router<'_>) -> Command {
        let mut command = Command::new(self.binaries.join("catalystctl"));
        command.args(["--addr", &admin(router)]);
        command
    }
}

fn admin(router: &Router<'_>) -> String {
    format!("unix:{}", router.file("admin.sock").display())
}

fn peer(router: &Router<'_>, neighbour: &Neighbour) -> Value {
    json!({
        "address": SocketAddr::new(IpAddr::V4(neighbour.ip), CatalystDaemon::PORT),
        "as": neighbour.asn,
        "passive": router.is_passive(),
        "source": router.ip(),
        "insecure": true,
        "import": "preferred",
        "export": if neighbour.export { "accept" } else { "reject" },
    })
}

fn config(router: &Router<'_>) -> Value {
    let peers: Map<String, Value> = router
        .neighbours
        .iter()
        .map(|neighbour| (neighbour.name.clone(), peer(router, neighbour)))
        .collect();
    let [asn, value] = PREFERRED;
    json!({
        "node": { "name": router.place.label(), "as": router.asn(), "organisation": ORGANISATION },
        "peering": {
            "listen": SocketAddr::new(IpAddr::V4(router.ip()), CatalystDaemon::PORT),
            "hold_time": "180s",
            "insecure": true,
        },
        "peers": peers,
        "policies": { "preferred": { "statements": [
            {
                "match": { "community": format!("{asn}:{value}") },
                "then": { "set_local_pref": 200, "verdict": "accept" },
            },
            { "then": "accept" },
        ] } },
        "admin": { "listen": admin(router) },
    })
}

impl Daemon for CatalystDaemon {
    type Dialect = Catalyst;
    const NAME: &'static str = "catalyst";
    const PORT: u16 = 1790;

    fn dialect(&self, who: Who) -> Catalyst {
        Catalyst {
            node: format!("speaker-{}", who.ip.octets()[3]),
        }
    }

    fn start(&self, router: &Router<'_>) -> anyhow::Result<Running> {
        let file = router.write("config.json", &format!("{:#}", config(router)))?;
        let mut command = router.command(&self.binaries.join("catalyst-routed"));
        command.arg("-c").arg(file);
        Ok(router.start("catalyst-routed", command)?.into())
    }

    fn received(&self, router: &Router<'_>) -> anyhow::Result<u64> {
        let text = printed(self.ctl(router).args(["--output", "json", "show", "peers"]))?;
        let peers: Value = serde_json::from_str(&text).unwrap_or_default();
        let received = |peer: &Value| peer["received"].as_u64().unwrap_or(0);
        Ok(peers.as_array().into_iter().flatten().map(received).sum())
    }

    fn show_peers(&self, router: &Router<'_>) -> anyhow::Result<String> {
        answered(printed(self.ctl(router).args(["show", "peers"]))?, router)
    }
}
