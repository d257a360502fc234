//! See README.md beside this file.

mod fixed;
mod frames;
mod lab;
mod narrow;
mod refused;
mod restart;
mod rivals;
mod rotation;
mod sealed;
mod stopped;

use anyhow::{Result, ensure};
use catalyst_netns_tests::{LONG, poll, scenario};

use lab::{Lab, ORDERS, SERVICE, SERVICE_6, TUNNEL_B, TUNNEL_B_6, tunnel};

#[test]
fn wg_edges_traffic_takes_the_tunnel() -> Result<()> {
    scenario(|network| {
        let mut lab = Lab::up(network)?;
        let shown = lab.a.ctl_ok(&["show", "tunnels"])?;
        eprintln!("{shown}");
        ensure!(shown.contains("unauthenticated"), "{shown}");
        let row = tunnel(&lab.a, "beta")?;
        ensure!(row["endpoint"] == "198.51.100.1:51820", "{row}");

        for address in [SERVICE.to_string(), SERVICE_6.to_owned()] {
            lab.client.run(&format!("ping -c 5 -i 0.2 -W 20 {address}"))?;
        }
        // What traceroute does.
        for (address, hop) in [(SERVICE.to_string(), TUNNEL_B), (SERVICE_6.to_owned(), TUNNEL_B_6)] {
            let said = lab.client.say(&format!("ping -c 1 -t 2 -W 20 {address}"))?;
            ensure!(said.contains(&format!("From {hop}")), "no {hop} in {said}");
        }

        lab.a.wait_programmed(ORDERS)?;
        poll("an answer by name", LONG, || lab.a.check_answered_by(ORDERS, "service"))?;
        let before = lab.look()?.wireguard;
        for _ in 0..20 {
            lab.a.check_answered_by(ORDERS, "service")?;
        }
        lab.check_sealed()?;
        let seen = &lab.seen;
        eprintln!(
            "underlay: {} WireGuard, {} peering, {} neighbours, {} errors, {} in the clear",
            seen.wireguard,
            seen.peering,
            seen.neighbours,
            seen.errors,
            seen.clear.len()
        );
        ensure!(seen.wireguard >= before + 40, "{before} {seen:?}");
        ensure!(seen.peering > 0, "{seen:?}");

        // The capture sees what is in the clear.
        lab.internet.run("ping -c 1 -W 20 192.0.2.1")?;
        poll("a ping in the clear", LONG, || {
            ensure!(lab.look()?.clear.len() == 2, "{:?}", lab.seen);
            Ok(())
        })
    })
}
