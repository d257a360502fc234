//! One node: its configuration, its processes, and what a user sees of it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::config;
use crate::{Client, Namespace, Process, programs};

const ENVOY_ARGUMENTS: [&str; 7] = [
    "-c",
    "envoy.json",
    "--disable-hot-restart",
    "--concurrency",
    "1",
    "--log-level",
    "info",
];

/// An example service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// The products subgraph.
    Products,
    /// The reviews subgraph.
    Reviews,
    /// Plain HTTP.
    Http,
    /// gRPC.
    Grpc,
    /// Lines over TCP.
    Tcp,
}

impl Example {
    fn program(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Reviews => "reviews",
            Self::Http => "hello-http",
            Self::Grpc => "hello-grpc",
            Self::Tcp => "echo-tcp",
        }
    }

    /// Whether it takes `--name`.
    fn named(self) -> bool {
        !matches!(self, Self::Products | Self::Reviews)
    }

    /// The service as a configuration spells it, answering at `address`.
    #[must_use]
    pub fn service(self, address: SocketAddr) -> Value {
        let (protocol, scheme) = match self {
            Self::Products | Self::Reviews => ("http:graphql", "http"),
            Self::Http => ("http", "http"),
            Self::Grpc => ("http:grpc", "http"),
            Self::Tcp => ("tcp", "tcp"),
        };
        json!({ "protocol": protocol, "endpoints": [{ "url": format!("{scheme}://{address}") }] })
    }
}

/// A node of a [`crate::Network`].
#[derive(Debug)]
pub struct Node {
    /// Its name, and the name that its peers configure it by.
    pub name: String,
    /// Its AS.
    pub asn: u32,
    /// Its organisation.
    pub organisation: String,
    /// Its own address.
    pub ip: Ipv4Addr,
    /// Its configuration; written when catalyst-routed starts.
    pub config: Value,
    /// Where it runs: configuration, sockets, logs.
    pub folder: PathBuf,
    /// catalyst-routed, while it runs.
    pub routed: Option<Process>,
    /// Envoy, while it runs.
    pub envoy: Option<Process>,
    /// catalyst-gateway, while it runs.
    pub gateway: Option<Process>,
    /// Where its programs run; `None`: with us.
    pub namespace: Option<Arc<Namespace>>,
    examples: Vec<Process>,
    pub(crate) client: Client,
}

impl Node {
    pub(crate) fn new(name: &str, asn: u32, organisation: &str, ip: Ipv4Addr, folder: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            asn,
            organisation: organisation.to_owned(),
            ip,
            config: config::base(name, asn, organisation, ip),
            folder,
            routed: None,
            envoy: None,
            gateway: None,
            namespace: None,
            examples: Vec::new(),
            client: Client::default(),
        }
    }

    /// Puts it into a namespace, with a configuration of your own. Its address is the loopback of the namespace; those in
    /// the configuration may be others. Before anything of it runs.
    #[must_use]
    pub fn in_namespace(mut self, namespace: Arc<Namespace>, config: Value) -> Self {
        self.ip = Ipv4Addr::LOCALHOST;
        self.namespace = Some(namespace);
        self.config = config;
        self
    }

    /// Turns the Envoy plugin on. Before peers of other organisations are added: they need a listener each.
    #[must_use]
    pub fn with_envoy(mut self) -> Self {
        self.config["plugins"]["envoy"] = config::envoy(self.ip);
        self
    }

    /// Turns the GraphQL plugin on.
    #[must_use]
    pub fn with_gateway(mut self) -> Self {
        self.config["plugins"]["graphql"] = config::graphql(self.ip);
        self
    }

    /// Sets the hold time that this node offers, such as `3s`.
    #[must_use]
    pub fn hold_time(mut self, hold_time: &str) -> Self {
        self.config["peering"]["hold_time"] = json!(hold_time);
        self
    }

    /// Makes it a route reflector.
    #[must_use]
    pub fn reflector(mut self) -> Self {
        self.config["node"]["reflector"] = json!(true);
        self
    }

    /// Adds a service to the configuration.
    pub fn offer(&mut self, name: &str, service: Value) {
        self.config["services"][name] = service;
    }

    /// Starts an example service on this node and waits until it listens. `called` is what it calls itself.
    ///
    /// # Errors
    /// It does not come up.
    pub fn run(&mut self, example: Example, called: &str) -> Result<SocketAddr> {
        let port = config::SERVICES + u16::try_from(self.examples.len())?;
        self.run_at(example, called, port)
    }

    /// The same at a port of your choice.
    ///
    /// # Errors
    /// It does not come up.
    pub fn run_at(&mut self, example: Example, called: &str, port: u16) -> Result<SocketAddr> {
        let address = SocketAddr::from((self.ip, port));
        let listen = address.to_string();
        let mut arguments = vec!["--listen", &listen];
        if example.named() {
            arguments.extend(["--name", called]);
        }
        let program = programs::binary(example.program())?;
        let log = format!("{}-{called}", example.program());
        let mut process = self.spawn(&log, &program, &arguments)?;
        self.wait_for_port(&mut process, address)?;
        self.examples.push(process);
        Ok(address)
    }

    /// Starts an example service and adds it to the configuration as `name`; it calls itself after this node.
    ///
    /// # Errors
    /// It does not come up.
    pub fn run_and_offer(&mut self, example: Example, name: &str) -> Result<SocketAddr> {
        let called = format!("{name}@{}", self.name);
        let address = self.run(example, &called)?;
        self.offer(name, example.service(address));
        Ok(address)
    }

    /// Starts any program of the workspace in this node's folder.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run_program(&self, program: &str, log: &str, arguments: &[&str]) -> Result<Process> {
        self.spawn(log, &programs::binary(program)?, arguments)
    }

    /// Starts catalyst-routed, and Envoy and the gateway as far as their plugins are on.
    ///
    /// # Errors
    /// One of them does not come up.
    pub fn start(&mut self) -> Result<()> {
        self.start_routed()?;
        if self.config["plugins"]["envoy"].is_object() {
            self.start_envoy()?;
        }
        if self.config["plugins"]["graphql"].is_object() {
            self.start_gateway()?;
        }
        Ok(())
    }

    /// Writes the configuration, for a daemon that is to start or to read it again.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_config(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.config)?;
        Ok(fs::write(self.folder.join("routed.json"), text)?)
    }

    /// Writes the configuration, starts catalyst-routed and waits until it answers catalystctl.
    ///
    /// # Errors
    /// It ends or does not answer.
    pub fn start_routed(&mut self) -> Result<()> {
        self.write_config()?;
        let program = programs::binary("catalyst-routed")?;
        let arguments = ["-c", "routed.json", "--log", config::LOG];
        let mut process = self.spawn("routed", &program, &arguments)?;
        let what = format!("the start of catalyst-routed {}", self.name);
        process.wait_until(&what, || self.ctl_json(&["show", "peers"]).map(drop))?;
        self.routed = Some(process);
        Ok(())
    }

    /// Starts Envoy with the bootstrap that catalyst-routed prints and waits until it takes clients.
    ///
    /// # Errors
    /// It ends or does not take them.
    pub fn start_envoy(&mut self) -> Result<()> {
        let bootstrap = self.routed_ok(&["envoy-bootstrap", "-c", "routed.json"])?;
        fs::write(self.folder.join("envoy.json"), bootstrap)?;
        let mut process = self.spawn("envoy", &programs::envoy()?, &ENVOY_ARGUMENTS)?;
        self.wait_for_port(&mut process, self.ingress())?;
        self.envoy = Some(process);
        Ok(())
    }

    /// Starts catalyst-gateway and waits until it listens.
    ///
    /// # Errors
    /// It ends or does not listen.
    pub fn start_gateway(&mut self) -> Result<()> {
        let address = SocketAddr::from((self.ip, config::GATEWAY));
        let listen = address.to_string();
        let arguments = [
            "--listen",
            &listen,
            "--control",
            "unix:gateway.sock",
            "--name",
            &self.name,
        ];
        let mut process = self.spawn("gateway", &programs::gateway()?, &arguments)?;
        self.wait_for_port(&mut process, address)?;
        self.gateway = Some(process);
        Ok(())
    }

    /// catalyst-routed.
    ///
    /// # Errors
    /// It does not run.
    pub fn routed(&self) -> Result<&Process> {
        self.routed.as_ref().context("catalyst-routed does not run")
    }

    /// # Errors
    /// A process of this node ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        let parts = [&mut self.routed, &mut self.envoy, &mut self.gateway];
        parts.into_iter().flatten().try_for_each(Process::check_alive)
    }

    /// Ends catalyst-routed with -9.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_routed(&mut self) -> Result<()> {
        self.routed.take().context("catalyst-routed does not run")?.kill()
    }

    /// Ends Envoy with -9.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_envoy(&mut self) -> Result<()> {
        self.envoy.take().context("Envoy does not run")?.kill()
    }

    /// Where its peers come in.
    #[must_use]
    pub fn peering(&self) -> SocketAddr {
        (self.ip, config::PEERING).into()
    }

    /// Where clients come in.
    #[must_use]
    pub fn ingress(&self) -> SocketAddr {
        (self.ip, config::INGRESS).into()
    }

    /// Where local services call others.
    #[must_use]
    pub fn egress(&self) -> SocketAddr {
        (self.ip, config::EGRESS).into()
    }

    fn spawn(&self, log: &str, program: &Path, arguments: &[&str]) -> Result<Process> {
        match &self.namespace {
            Some(namespace) => namespace.start(&self.folder, log, program, arguments),
            None => Process::start(&self.folder, log, program, arguments),
        }
    }

    /// What `act` gives where its programs run.
    ///
    /// # Errors
    /// What `act` fails with.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match &self.namespace {
            Some(namespace) => namespace.inside(act),
            None => act(),
        }
    }

    fn wait_for_port(&self, process: &mut Process, address: SocketAddr) -> Result<()> {
        process.wait_until(&format!("a listener at {address}"), || {
            let connect = || TcpStream::connect(address).map(drop);
            self.inside(|| connect().with_context(|| format!("nothing listens at {address}")))
        })
    }

    /// The folder of its logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Starts Envoy with `envoy.json` of `folder`.
///
/// # Errors
/// It cannot be started.
pub fn start_envoy(folder: &Path) -> Result<Process> {
    Process::start(folder, "envoy", &programs::envoy()?, &ENVOY_ARGUMENTS)
}
