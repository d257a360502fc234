//! WireGuard by the kernel, by a program, and by the kernel again.

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{LONG, scenario};
use serde_json::json;

use crate::lab::{Lab, SERVICE, SERVICE_6, TUNNEL_B};

const PROGRAM: &str = "/usr/bin/wireguard-go";

#[test]
fn wg_edges_the_kernel_and_a_program_take_turns() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::up(network)?;
        let edge = lab.a.namespace.clone().context("edge A has a namespace")?;
        let kind = || edge.run("ip -d link show wg-beta");
        ensure!(kind()?.contains(" wireguard "), "{}", kind()?);
        let _floods = [
            lab.flood("flood", &lab.client, &SERVICE.to_string(), &[])?,
            lab.flood("flood-6", &lab.client, SERVICE_6, &[])?,
            lab.flood("flood-tunnel", &edge, TUNNEL_B, &[])?,
        ];
        for (program, expected) in [(Some(PROGRAM), " tun type tun "), (None, " wireguard ")] {
            let routed = lab.a.routed.take().context("catalyst-routed does not run")?;
            let status = routed.terminate(LONG)?;
            ensure!(status.success(), "{status}");
            let wireguard = lab.a.config["plugins"]["wireguard"].as_object_mut();
            let wireguard = wireguard.context("the plugin")?;
            match program {
                Some(program) => drop(wireguard.insert("userspace".to_owned(), json!(program))),
                None => drop(wireguard.remove("userspace")),
            }
            lab.a.start_routed()?;
            lab.wait_up().context(expected)?;
            ensure!(kind()?.contains(expected), "{}", kind()?);
            lab.check_sealed().context(expected)?;
        }
        Ok(())
    })
}
