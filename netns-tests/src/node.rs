//! One node: its configuration, its processes, and what a user sees of it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::config;
use crate::{Answer, Client, LONG, Process, poll, programs};

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
    examples: Vec<Process>,
    client: Client,
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
            examples: Vec::new(),
            client: Client::default(),
        }
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
        let address = SocketAddr::from((self.ip, port));
        let listen = address.to_string();
        let mut arguments = vec!["--listen", &listen];
        if example.named() {
            arguments.extend(["--name", called]);
        }
        let program = programs::binary(example.program())?;
        let log = format!("{}-{called}", example.program());
        let mut process = Process::start(&self.folder, &log, &program, &arguments)?;
        wait_for_port(&mut process, address)?;
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

    /// Writes the configuration, starts catalyst-routed and waits until it answers catalystctl.
    ///
    /// # Errors
    /// It ends or does not answer.
    pub fn start_routed(&mut self) -> Result<()> {
        fs::write(
            self.folder.join("routed.json"),
            serde_json::to_string_pretty(&self.config)?,
        )?;
        let program = programs::binary("catalyst-routed")?;
        let mut process = Process::start(&self.folder, "routed", &program, &["-c", "routed.json"])?;
        poll(&format!("the start of catalyst-routed {}", self.name), LONG, || {
            process.check_alive()?;
            self.ctl_json(&["show", "peers"]).map(drop)
        })?;
        self.routed = Some(process);
        Ok(())
    }

    /// Starts Envoy with the bootstrap that catalyst-routed prints and waits until it takes clients.
    ///
    /// # Errors
    /// It ends or does not take them.
    pub fn start_envoy(&mut self) -> Result<()> {
        let program = programs::binary("catalyst-routed")?;
        let bootstrap = Command::new(program)
            .args(["envoy-bootstrap", "-c", "routed.json"])
            .current_dir(&self.folder)
            .output()?;
        ensure!(
            bootstrap.status.success(),
            "envoy-bootstrap: {}",
            String::from_utf8_lossy(&bootstrap.stderr)
        );
        fs::write(self.folder.join("envoy.json"), bootstrap.stdout)?;
        let arguments = [
            "-c",
            "envoy.json",
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "info",
        ];
        let mut process = Process::start(&self.folder, "envoy", &programs::envoy()?, &arguments)?;
        wait_for_port(&mut process, self.ingress())?;
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
        let mut process = Process::start(&self.folder, "gateway", &programs::gateway()?, &arguments)?;
        wait_for_port(&mut process, address)?;
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

    /// Runs catalystctl against this node.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(programs::binary("catalystctl")?);
        command
            .args(["--addr", "unix:routed.sock"])
            .args(arguments)
            .current_dir(&self.folder);
        Ok(command.output()?)
    }

    /// What catalystctl prints.
    ///
    /// # Errors
    /// It fails; carries its words.
    pub fn ctl_ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.ctl(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "catalystctl {arguments:?}: {} {said}",
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What catalystctl prints with `--output json`.
    ///
    /// # Errors
    /// It fails, or prints no JSON.
    pub fn ctl_json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.ctl_ok(&[&["--output", "json"], arguments].concat())?;
        serde_json::from_str(&text).with_context(|| format!("catalystctl {arguments:?} printed {text:?}"))
    }

    /// Every path of every name.
    ///
    /// # Errors
    /// See [`Node::ctl_json`].
    pub fn routes(&self) -> Result<Vec<Value>> {
        let routes = self.ctl_json(&["show", "routes"])?;
        Ok(routes.as_array().context("show routes prints an array")?.clone())
    }

    /// The selected path of `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn selected(&self, name: &str) -> Result<Value> {
        let routes = self.routes()?;
        let found = routes
            .into_iter()
            .find(|route| route["name"] == name && route["selected"] == true);
        found.with_context(|| format!("node {} has no selected route to {name}", self.name))
    }

    /// # Errors
    /// `name` is not programmed in every data plane that serves it.
    pub fn check_programmed(&self, name: &str) -> Result<()> {
        let route = self.selected(name)?;
        let planes = route["data_planes"].as_object().context("data_planes is an object")?;
        ensure!(!planes.is_empty(), "no data plane serves {name} yet");
        for (plane, status) in planes {
            ensure!(
                status == "programmed",
                "{name} in {plane} of node {}: {status}",
                self.name
            );
        }
        Ok(())
    }

    /// Waits until `name` is programmed.
    ///
    /// # Errors
    /// It never is.
    pub fn wait_programmed(&self, name: &str) -> Result<()> {
        poll(&format!("{name} programmed at {}", self.name), LONG, || {
            self.check_programmed(name)
        })
    }

    /// Waits until `name` is in no table of this node.
    ///
    /// # Errors
    /// It stays.
    pub fn wait_gone(&self, name: &str) -> Result<()> {
        poll(&format!("{name} gone from {}", self.name), LONG, || {
            let held: Vec<_> = self
                .routes()?
                .into_iter()
                .filter(|route| route["name"] == name)
                .collect();
            ensure!(held.is_empty(), "{held:?}");
            Ok(())
        })
    }

    /// Waits until the session to `peer` is up.
    ///
    /// # Errors
    /// It never is.
    pub fn wait_established(&self, peer: &str) -> Result<()> {
        poll(&format!("session {} to {peer}", self.name), LONG, || {
            let shown = self.peer(peer)?;
            ensure!(shown["state"] == "Established", "{shown}");
            Ok(())
        })
    }

    /// What `show peer` says.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn peer(&self, name: &str) -> Result<Value> {
        self.ctl_json(&["show", "peer", name])
    }

    /// Offers a service at run time.
    ///
    /// # Errors
    /// It is refused.
    pub fn add_service(&self, name: &str, service: &Value) -> Result<()> {
        self.ctl_ok(&["service", "add", name, "--json", &service.to_string()])
            .map(drop)
    }

    /// Takes a service back at run time.
    ///
    /// # Errors
    /// It is not offered.
    pub fn remove_service(&self, name: &str) -> Result<()> {
        self.ctl_ok(&["service", "remove", name]).map(drop)
    }

    /// GET through the egress listener.
    ///
    /// # Errors
    /// No answer.
    pub fn get(&self, host: &str, path: &str) -> Result<Answer> {
        self.client.get(self.egress(), host, path)
    }

    /// GET through the ingress listener.
    ///
    /// # Errors
    /// No answer.
    pub fn get_ingress(&self, host: &str, path: &str) -> Result<Answer> {
        self.client.get(self.ingress(), host, path)
    }

    /// # Errors
    /// A GET through egress is not answered by the instance that calls itself `by`.
    pub fn check_answered_by(&self, host: &str, by: &str) -> Result<()> {
        let answer = self.get(host, "/")?;
        ensure!(
            answer.status == 200 && answer.json()?["name"] == by,
            "{host} at {}: {answer:?}",
            self.name
        );
        Ok(())
    }

    /// Sends a query to the graph as a client of ingress.
    ///
    /// # Errors
    /// No answer, or none in JSON.
    pub fn graphql(&self, query: &str) -> Result<Value> {
        let body = json!({ "query": query }).to_string();
        let answer = self
            .client
            .post(self.ingress(), &self.ingress().to_string(), "/graphql", &body)?;
        answer.json()
    }

    /// What Envoy's own administration interface says at `path`.
    ///
    /// # Errors
    /// No answer.
    pub fn envoy_admin(&self, path: &str) -> Result<String> {
        let address = SocketAddr::from((self.ip, config::ENVOY_ADMIN));
        let answer = self.client.get(address, "admin", path)?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.body)
    }

    /// A number from Envoy's statistics; 0 where it does not exist yet.
    ///
    /// # Errors
    /// No answer.
    pub fn envoy_stat(&self, name: &str) -> Result<u64> {
        let text = self.envoy_admin(&format!("/stats?filter=^{name}$"))?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
        Ok(value.unwrap_or(0))
    }

    /// The local port of a tcp service, as Envoy has it.
    ///
    /// # Errors
    /// Envoy has no listener for it.
    pub fn tcp_address(&self, name: &str) -> Result<SocketAddr> {
        let listeners: Value = serde_json::from_str(&self.envoy_admin("/listeners?format=json")?)?;
        let all = listeners["listener_statuses"].as_array().context("listener_statuses")?;
        let ours = all
            .iter()
            .find(|listener| listener["name"].as_str().is_some_and(|text| text.ends_with(name)));
        let Some(listener) = ours else {
            bail!("no listener for {name} in {listeners}")
        };
        let socket = &listener["local_address"]["socket_address"];
        let (Some(ip), Some(port)) = (socket["address"].as_str(), socket["port_value"].as_u64()) else {
            bail!("no address in {listener}")
        };
        Ok(SocketAddr::new(ip.parse()?, u16::try_from(port)?))
    }

    /// The folder of its logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn wait_for_port(process: &mut Process, address: SocketAddr) -> Result<()> {
    poll(&format!("a listener at {address}"), LONG, || {
        process.check_alive()?;
        TcpStream::connect(address)
            .map(drop)
            .with_context(|| format!("nothing listens at {address}"))
    })
}
