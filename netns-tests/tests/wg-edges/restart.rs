//! catalyst-routed is killed and started again under a flood.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use catalyst_netns_tests::{scenario, stays};
use std::time::Duration;

use crate::lab::{Lab, SERVICE};

#[test]
fn wg_edges_a_restart_writes_nothing_and_loses_nothing() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::up(network)?;
        lab.a.wait_established("beta")?;
        let folder = lab.a.folder().to_owned();
        let arguments = ["monitor", "link", "address", "route", "rule"];
        let _monitor = lab
            .edge_a()?
            .start(&folder, "monitor", Path::new("/usr/sbin/ip"), &arguments)?;
        let _flood = lab.flood("flood", &lab.client, &SERVICE.to_string(), &["-c", "1000"])?;
        lab.a.kill_routed()?;
        lab.a.start_routed()?;
        lab.a.wait_established("beta")?;
        let summary = lab.check_nothing_lost("flood", "1000")?;
        // Past the time that a start waits for its peers.
        stays(Duration::from_secs(3), || Ok(()))?;
        let shown = lab.a.ctl_json(&["show", "tunnels"])?;
        let monitored = fs::read_to_string(folder.join("monitor.log"))?;
        eprintln!("{summary}\n{shown:#}\nmonitor: {monitored:?}");
        ensure!(shown["writes"] == 0 && shown["drift_repairs"] == 0, "{shown:#}");
        ensure!(monitored.trim().is_empty(), "{monitored}");
        lab.wait_up()?;
        lab.check_sealed()
    })
}
