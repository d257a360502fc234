//! The namespaces, and what runs in them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use catalyst_netns_tests::{Capture, Client, LONG, Namespace, Network, Node, Process, poll};
use serde_json::{Value, json};

use crate::frames::Seen;

pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 10);
pub(crate) const SERVICE_6: &str = "fd00:2::10";
/// The tunnel addresses of edge B.
pub(crate) const TUNNEL_B: &str = "10.255.0.2";
pub(crate) const TUNNEL_B_6: &str = "fd00:255::2";
/// A name that edge B offers.
pub(crate) const ORDERS: &str = "orders.beta";
const PORT: u16 = 4103;
const PORT_6: u16 = 4104;

/// See README.md.
pub(crate) struct Lab {
    pub(crate) a: Node,
    pub(crate) b: Node,
    pub(crate) client: Namespace,
    pub(crate) internet: Namespace,
    pub(crate) service: Namespace,
    pub(crate) seen: Seen,
    capture: Capture,
    _services: [Process; 2],
}

impl Lab {
    /// Everything but the edges runs.
    pub(crate) fn new(network: &mut Network) -> Result<Self> {
        let folder = network.folder().to_owned();
        let make = |name: &str| Namespace::new(&folder, name);
        let (client, edge_a, internet, edge_b, service) = (
            make("client")?,
            make("edge-a")?,
            make("internet")?,
            make("edge-b")?,
            make("service")?,
        );
        connect(&client, "lan-a", ("10.1.0.10", "10.1.0.1"), Some("fd00:1::"), &edge_a)?;
        connect(&edge_a, "wan-a", ("192.0.2.1", "192.0.2.254"), None, &internet)?;
        connect(&edge_b, "wan-b", ("198.51.100.1", "198.51.100.254"), None, &internet)?;
        connect(&service, "lan-b", ("10.2.0.10", "10.2.0.1"), Some("fd00:2::"), &edge_b)?;
        for router in [&edge_a, &internet, &edge_b] {
            router.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")?;
        }
        for (host, gateway, gateway_6) in [
            (&client, "10.1.0.1", Some("fd00:1::1")),
            (&service, "10.2.0.1", Some("fd00:2::1")),
            (&edge_a, "192.0.2.254", None),
            (&edge_b, "198.51.100.254", None),
        ] {
            host.run(&format!("ip route add default via {gateway}"))?;
            if let Some(gateway) = gateway_6 {
                host.run(&format!("ip -6 route add default via {gateway}"))?;
            }
        }
        // What leaks must have a way to leak by.
        internet.run("ip route add 10.2.0.0/15 via 198.51.100.1")?;
        internet.run("ip route add 10.255.0.2/32 via 198.51.100.1")?;
        edge_a.run("ip -6 route add default dev wan-a")?;
        edge_b.run("ip -6 route add default dev wan-b")?;
        let services = [
            hello(&service, &folder, SocketAddr::from((SERVICE, PORT)))?,
            hello(&service, &folder, format!("[{SERVICE_6}]:{PORT_6}").parse()?)?,
        ];
        let capture = edge_a.capture("wan-a")?;
        Ok(Self {
            a: node(network, "acme", "acme", 65001, edge_a)?,
            b: node(network, "beta", "beta", 65002, edge_b)?,
            client,
            internet,
            seen: Seen::default(),
            capture,
            service,
            _services: services,
        })
    }

    /// Another organisation, gamma, with a tunnel of its own to edge A and the same prefixes as beta. Runs nothing yet.
    pub(crate) fn rival(&mut self, network: &mut Network) -> Result<Node> {
        let edge = Namespace::new(network.folder(), "edge-c")?;
        connect(&edge, "wan-c", ("203.0.113.1", "203.0.113.254"), None, &self.internet)?;
        edge.run("ip route add default via 203.0.113.254")?;
        let mut gamma = node(network, "beta", "gamma", 65003, edge)?;
        gamma.config = like_gamma(&gamma.config)?;
        let a = &mut self.a.config;
        for section in ["/peers", "/plugins/envoy/peer_listeners", "/plugins/wireguard/tunnels"] {
            let section = a.pointer_mut(section).context("a section")?;
            section["gamma"] = like_gamma(&section["beta"])?;
        }
        let ours = &mut a["plugins"]["wireguard"]["tunnels"]["gamma"];
        ours["listen_port"] = json!(51821);
        ours["endpoint"] = json!("192.0.2.1:51821");
        ours["second"] = json!({ "listen_port": 51831 });
        Ok(gamma)
    }

    /// Both edges run, and their tunnel is up.
    pub(crate) fn up(network: &mut Network) -> Result<Self> {
        let mut lab = Self::new(network)?;
        lab.start()?;
        Ok(lab)
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        self.a.start()?;
        self.b.start()?;
        self.wait_up()
    }

    /// Writes the configuration of a node anew and has it read.
    pub(crate) fn reload(node: &Node) -> Result<()> {
        node.write_config()?;
        node.ctl_ok(&["reload"]).map(drop)
    }

    /// A flood of pings from the client, or another namespace, that goes on until it is dropped.
    pub(crate) fn flood(&self, log: &str, from: &Namespace, address: &str, more: &[&str]) -> Result<Process> {
        let arguments = [more, &["-q", "-i", "0.02", address]].concat();
        from.start(self.a.folder(), log, Path::new("/usr/bin/ping"), &arguments)
    }

    /// Waits for the end of a flood of so many packets, [`Lab::flood`] with this log; what ping says of it.
    ///
    /// # Errors
    /// A packet was lost.
    pub(crate) fn check_nothing_lost(&self, log: &str, packets: &str) -> Result<String> {
        let path = self.a.folder().join(format!("{log}.log"));
        let said = poll("the end of the flood", LONG * 2, || {
            let said = fs::read_to_string(&path)?;
            ensure!(said.contains("packets transmitted"), "it goes on");
            Ok(said)
        })?;
        let summary = said.lines().find(|line| line.contains("transmitted"));
        let summary = summary.context("a summary")?;
        ensure!(summary.contains(&format!(" {packets} received")), "{log}: {summary}");
        Ok(summary.to_owned())
    }

    pub(crate) fn edge_a(&self) -> Result<&Namespace> {
        self.a.namespace.as_deref().context("edge A has a namespace")
    }

    /// Waits until both ends call the tunnel up and traffic passes.
    pub(crate) fn wait_up(&self) -> Result<()> {
        for (node, peer) in [(&self.a, "beta"), (&self.b, "acme")] {
            wait_state(node, peer, "up")?;
        }
        self.wait_answers()
    }

    /// Waits until traffic passes, in both families.
    pub(crate) fn wait_answers(&self) -> Result<()> {
        poll("an answer from the service", LONG, || self.call())?;
        poll("an answer from the service by IPv6", LONG, || self.call_6())
    }

    /// A request of the client to the service, by TCP through the tunnel.
    pub(crate) fn call(&self) -> Result<()> {
        self.call_at(SocketAddr::from((SERVICE, PORT)))
    }

    pub(crate) fn call_6(&self) -> Result<()> {
        self.call_at(format!("[{SERVICE_6}]:{PORT_6}").parse()?)
    }

    fn call_at(&self, address: SocketAddr) -> Result<()> {
        let answer = self.client.inside(|| Client::default().get(address, "service", "/"))?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }

    /// Takes what has passed the underlay.
    pub(crate) fn look(&mut self) -> Result<&Seen> {
        self.seen.add(&self.capture)?;
        Ok(&self.seen)
    }

    /// # Errors
    /// Something has passed the underlay in the clear.
    pub(crate) fn check_sealed(&mut self) -> Result<()> {
        let seen = self.look()?;
        ensure!(seen.clear.is_empty(), "in the clear: {:#?}", seen.clear);
        Ok(())
    }
}

/// The row of `show tunnels`.
pub(crate) fn tunnel(node: &Node, peer: &str) -> Result<Value> {
    let shown = node.ctl_json(&["show", "tunnels"])?;
    let rows = shown["tunnels"].as_array().context("tunnels")?;
    let found = rows.iter().find(|row| row["peer"] == peer).cloned();
    found.with_context(|| format!("{} has no tunnel to {peer}: {shown}", node.name))
}

pub(crate) fn wait_state(node: &Node, peer: &str, state: &str) -> Result<()> {
    poll(&format!("tunnel of {} to {peer} {state}", node.name), LONG, || {
        let row = tunnel(node, peer)?;
        ensure!(row["state"] == state, "{row}");
        Ok(())
    })
}

/// A file with a secret in a node's folder, that nobody else may read.
pub(crate) fn write_secret(node: &Node, name: &str, secret: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(node.folder().join(name))?;
    Ok(file.write_all(secret)?)
}

fn connect(
    host: &Namespace,
    interface: &str,
    (ours, theirs): (&str, &str),
    subnet: Option<&str>,
    router: &Namespace,
) -> Result<()> {
    host.connect(interface, [ours.parse()?, theirs.parse()?], router)?;
    if let Some(subnet) = subnet {
        // A router asks for its neighbours from its link-local address.
        for (end, number) in [(host, 10), (router, 1)] {
            end.run(&format!("ip address add {subnet}{number}/64 dev {interface} nodad"))?;
            end.run(&format!("ip address add fe80::{number}/64 dev {interface} nodad"))?;
        }
    }
    Ok(())
}

fn hello(namespace: &Namespace, folder: &Path, address: SocketAddr) -> Result<Process> {
    let listen = address.to_string();
    let log = format!("hello-{}", address.port());
    let program = catalyst_netns_tests::binary("hello-http")?;
    let mut process = namespace.start(folder, &log, &program, &["--listen", &listen, "--name", "service"])?;
    process.wait_until("the service", || {
        namespace
            .inside(|| Client::default().get(address, "service", "/"))
            .map(drop)
    })?;
    Ok(process)
}

/// As the example says, but for where its files are.
fn node(network: &mut Network, example: &str, name: &str, asn: u32, namespace: Namespace) -> Result<Node> {
    let file = format!("../examples/two-organisations-tunnel/{example}.json");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    config["node"]["state_dir"] = json!("state");
    config["admin"]["listen"] = json!("unix:routed.sock");
    config["plugins"]["envoy"]["xds"] = json!("unix:xds.sock");
    // Silence is noticed sooner than by default.
    config["plugins"]["wireguard"]["keepalive"] = json!("2s");
    Ok(network.node(name, asn, name)?.in_namespace(Arc::new(namespace), config))
}

/// A piece of configuration of or about beta, for gamma.
fn like_gamma(beta: &Value) -> Result<Value> {
    let mut text = beta.to_string();
    for (of_beta, of_gamma) in [
        ("beta", "gamma"),
        ("65002", "65003"),
        ("198.51.100.1", "203.0.113.1"),
        ("10.255.0.", "10.255.1."),
        ("fd00:255::", "fd00:255:1::"),
    ] {
        text = text.replace(of_beta, of_gamma);
    }
    Ok(serde_json::from_str(&text)?)
}
