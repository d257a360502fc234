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
