//! Whether every port of the demo is free, before anything starts.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, bail};

use super::plan::{Node, Plan};

/// (who listens, what for, where in the configuration).
const LISTENERS: [(&str, &str); 6] = [
    ("catalyst-routed, for its peers", "/peering/listen"),
    ("Envoy, for clients", "/plugins/envoy/ingress"),
    ("Envoy, for local services", "/plugins/envoy/egress"),
    ("Envoy, for other nodes", "/plugins/envoy/peer_listener"),
    ("Envoy, for its administration", "/plugins/envoy/admin"),
    ("catalyst-gateway", "/plugins/graphql/gateway"),
];

/// The first port that Linux gives to outgoing connections, unless net.ipv4.ip_local_port_range says otherwise.
const FIRST_EPHEMERAL: u16 = 32_768;
/// More than all ports of the demo.
const PORTS: u16 = 40;

/// What to say of ports that an outgoing connection may have at any moment, and then only for a moment.
pub(crate) fn warn_of_ephemeral(first: u16) -> Option<String> {
    (first.saturating_add(PORTS) > FIRST_EPHEMERAL).then(|| {
        format!(
            "warning: from {FIRST_EPHEMERAL} on the kernel gives ports to outgoing connections: if the demo finds one of its \
             ports in use, try again, or --ports-from 21000"
        )
    })
}

/// # Errors
/// Names the first port that is in use, who wants it, and the flag that moves it.
pub(crate) fn check_free(plan: &Plan) -> anyhow::Result<()> {
    for node in &plan.nodes {
        for (who, pointer) in LISTENERS {
            let address = node
                .text(pointer)
                .parse()
                .with_context(|| format!("{} of node {}", pointer, node.name))?;
            check(address, who, node)?;
        }
        check(
            node.service.address,
            &format!("the example service {}", node.service.program),
            node,
        )?;
    }
    Ok(())
}

fn check(address: SocketAddr, who: &str, node: &Node) -> anyhow::Result<()> {
    if let Err(error) = TcpListener::bind(address) {
        bail!(
            "node {} needs {address} ({who}): {error}.\nStop what uses it (another demo?), or move the demo to other \
             ports: cargo xtask demo --ports-from 21000",
            node.name
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn ports_of_outgoing_connections_are_warned_of() {
        assert_eq!(warn_of_ephemeral(21_000), None);
        for first in [32_767, 40_000, 65_000] {
            let warning = warn_of_ephemeral(first).expect("a warning");
            assert!(warning.contains("from 32768 on"), "{warning}");
        }
    }

    #[test]
    fn a_busy_port_names_itself_its_user_and_the_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = taken.local_addr().expect("address");
        let plan = Plan::load(&workspace::root().expect("root"), None).expect("plan");
        let error = check(address, "Envoy, for clients", &plan.nodes[0])
            .expect_err("busy")
            .to_string();
        for part in [
            address.to_string().as_str(),
            "node a",
            "Envoy, for clients",
            "--ports-from",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
