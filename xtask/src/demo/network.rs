//! Starting both nodes.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::fleet::Fleet;
use super::plan::{Node, Plan};
use crate::progress::Progress;
use crate::{run, workspace};

/// How long one process may take until it serves.
const START: Duration = Duration::from_secs(30);

/// Every program of the demo.
pub(crate) struct Programs {
    pub(crate) envoy: PathBuf,
    /// The folder of catalyst-routed, catalystctl and the examples.
    pub(crate) binaries: PathBuf,
    pub(crate) gateway: PathBuf,
}

impl Programs {
    fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// What `catalystctl` prints for `node`.
    pub(crate) fn ctl(&self, node: &Node, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.binary("catalystctl"));
        command
            .args(["--addr", node.text("/admin/listen")])
            .args(arguments)
            .current_dir(workspace::root()?);
        run::output(&mut command)
    }

    /// The same as a person types it in the root of the repository.
    pub(crate) fn spell_ctl(&self, node: &Node, arguments: &[&str]) -> String {
        let program = self.binary("catalystctl");
        let here = workspace::root().unwrap_or_default();
        let program = program.strip_prefix(&here).unwrap_or(&program).display();
        format!(
            "{program} --addr {} {}",
            node.text("/admin/listen"),
            arguments.join(" ")
        )
    }
}

/// Starts every process, in the order in which they need each other.
pub(crate) fn start(
    plan: &Plan,
    programs: &Programs,
    fleet: &mut Fleet<'_>,
    progress: &Progress,
) -> anyhow::Result<()> {
    for node in &plan.nodes {
        let (name, service) = (node.name, &node.service);
        progress.step(format_args!(
            "node {name}: the example service {} at {}",
            service.program, service.address
        ));
        start_service(node, programs, fleet)?;
        progress.step(format_args!(
            "node {name}: catalyst-routed at {}",
            node.text("/peering/listen")
        ));
        start_routed(node, programs, fleet)?;
        progress.step(format_args!(
            "node {name}: Envoy at {}",
            node.text("/plugins/envoy/ingress")
        ));
        start_envoy(node, programs, fleet)?;
        progress.step(format_args!(
            "node {name}: catalyst-gateway at {}",
            node.text("/plugins/graphql/gateway")
        ));
        start_gateway(node, programs, fleet)?;
    }
    progress.step("waiting until the nodes are peers");
    fleet.wait("the session between the nodes", START, || established(plan, programs))
}

fn start_service(node: &Node, programs: &Programs, fleet: &mut Fleet<'_>) -> anyhow::Result<()> {
    let service = &node.service;
    let listen = service.address.to_string();
    fleet.start(
        &format!("{}-{}", node.name, service.program),
        &programs.binary(service.program),
        &["--listen", &listen],
    )?;
    wait_for_port(fleet, service.program, &listen)
}

fn start_routed(node: &Node, programs: &Programs, fleet: &mut Fleet<'_>) -> anyhow::Result<()> {
    let config = node.config_path();
    fleet.start(
        &format!("{}-routed", node.name),
        &programs.binary("catalyst-routed"),
        &["-c", &config],
    )?;
    fleet.wait("the start of catalyst-routed", START, || {
        programs.ctl(node, &["show", "peers"]).map(drop)
    })
}

fn start_envoy(node: &Node, programs: &Programs, fleet: &mut Fleet<'_>) -> anyhow::Result<()> {
    let bootstrap = format!("{}/envoy.json", node.folder());
    let mut command = Command::new(programs.binary("catalyst-routed"));
    let root = workspace::root()?;
    command
        .args(["envoy-bootstrap", "-c", &node.config_path()])
        .current_dir(&root);
    let text = run::output(&mut command)?;
    fs::write(root.join(&bootstrap), text).with_context(|| format!("cannot write {bootstrap}"))?;
    let arguments = [
        "-c",
        &bootstrap,
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--log-level",
        "warning",
    ];
    fleet.start(&format!("{}-envoy", node.name), &programs.envoy, &arguments)?;
    wait_for_port(fleet, "Envoy", node.text("/plugins/envoy/ingress"))
}

fn start_gateway(node: &Node, programs: &Programs, fleet: &mut Fleet<'_>) -> anyhow::Result<()> {
    let listen = node.text("/plugins/graphql/gateway");
    let arguments = [
        "--listen",
        listen,
        "--control",
        node.text("/plugins/graphql/control"),
        "--name",
        node.name,
    ];
    fleet.start(&format!("{}-gateway", node.name), &programs.gateway, &arguments)?;
    wait_for_port(fleet, "catalyst-gateway", listen)
}

fn wait_for_port(fleet: &mut Fleet<'_>, who: &str, address: &str) -> anyhow::Result<()> {
    let address: SocketAddr = address.parse().with_context(|| format!("{who} at {address:?}"))?;
    fleet.wait(&format!("the start of {who}"), START, || {
        TcpStream::connect(address)
            .map(drop)
            .with_context(|| format!("{who} does not listen on {address}"))
    })
}

fn established(plan: &Plan, programs: &Programs) -> anyhow::Result<()> {
    let text = programs.ctl(&plan.nodes[0], &["show", "peers", "--output", "json"])?;
    let peers: Value = serde_json::from_str(&text).context("catalystctl show peers --output json")?;
    let states: Vec<_> = peers
        .as_array()
        .into_iter()
        .flatten()
        .map(|peer| &peer["state"])
        .collect();
    if states.is_empty() || states.iter().any(|state| *state != "Established") {
        bail!("the peers of node a are {states:?}");
    }
    Ok(())
}
