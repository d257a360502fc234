//! What a user sees of a node: catalystctl, answers, Envoy's own numbers.

use std::net::SocketAddr;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{Answer, LONG, Node, config, poll, programs};

impl Node {
    /// What catalyst-routed prints when it is called for something else than to run.
    ///
    /// # Errors
    /// It fails; carries its words.
    pub fn routed_ok(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(programs::binary("catalyst-routed")?);
        words(command.args(arguments).current_dir(&self.folder))
    }

    /// Runs catalystctl against this node.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.ctl_command(arguments)?.output()?)
    }

    fn ctl_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(programs::binary("catalystctl")?);
        command
            .args(["--addr", "unix:routed.sock"])
            .args(arguments)
            .current_dir(&self.folder);
        Ok(command)
    }

    /// What catalystctl prints.
    ///
    /// # Errors
    /// It fails; carries its words.
    pub fn ctl_ok(&self, arguments: &[&str]) -> Result<String> {
        words(&mut self.ctl_command(arguments)?)
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
        let flags = flags(service)?;
        let mut words = vec!["service", "add", name];
        words.extend(flags.iter().map(String::as_str));
        self.ctl_ok(&words).map(drop)
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
        self.inside(|| self.client.get(self.egress(), host, path))
    }

    /// GET through the ingress listener.
    ///
    /// # Errors
    /// No answer.
    pub fn get_ingress(&self, host: &str, path: &str) -> Result<Answer> {
        self.inside(|| self.client.get(self.ingress(), host, path))
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
        let ingress = self.ingress();
        let answer = self.inside(|| self.client.post(ingress, &ingress.to_string(), "/graphql", &body))?;
        answer.json()
    }

    /// What Envoy's own administration interface says at `path`.
    ///
    /// # Errors
    /// No answer.
    pub fn envoy_admin(&self, path: &str) -> Result<String> {
        let address = SocketAddr::from((self.ip, config::ENVOY_ADMIN));
        let answer = self.inside(|| self.client.get(address, "admin", path))?;
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

    /// Resources that catalyst-routed has sent to its Envoys and taken back from them, as all its runs have logged it.
    ///
    /// # Errors
    /// There is no log.
    pub fn resources_sent(&self) -> Result<u64> {
        let log = std::fs::read_to_string(self.folder.join("routed.log"))?;
        let sent = log.lines().filter(|line| line.contains("TRACE sending"));
        sent.map(|line| {
            let count = line.split_once("resources=").map(|(_, count)| count);
            count
                .and_then(|count| count.parse::<u64>().ok())
                .with_context(|| line.to_owned())
        })
        .sum()
    }

    /// The local port of a tcp service, as Envoy has it.
    ///
    /// # Errors
    /// Envoy has no listener for it.
    pub fn tcp_address(&self, name: &str) -> Result<SocketAddr> {
        let listeners: Value = serde_json::from_str(&self.envoy_admin("/listeners?format=json")?)?;
        let all = listeners["listener_statuses"].as_array().context("listener_statuses")?;
        let ours = all.iter().find(|listener| {
            listener["name"]
                .as_str()
                .is_some_and(|text| text == format!("tcp/{name}"))
        });
        let Some(listener) = ours else {
            bail!("no listener for {name} in {listeners}")
        };
        let socket = &listener["local_address"]["socket_address"];
        let (Some(ip), Some(port)) = (socket["address"].as_str(), socket["port_value"].as_u64()) else {
            bail!("no address in {listener}")
        };
        Ok(SocketAddr::new(ip.parse()?, u16::try_from(port)?))
    }
}

/// A service of a configuration as the flags of `catalystctl service add`.
fn flags(service: &Value) -> Result<Vec<String>> {
    let mut flags = Vec::new();
    for (key, value) in service.as_object().context("a service is an object")? {
        match key.as_str() {
            "endpoints" => flags.extend(items(value).map(endpoint_flag)),
            "communities" => flags.extend(items(value).map(|community| format!("--community={}", bare(community)))),
            key => flags.push(format!("--{key}={}", bare(value))),
        }
    }
    Ok(flags)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn endpoint_flag(endpoint: &Value) -> String {
    let weight = endpoint["weight"].as_u64().unwrap_or(1);
    format!("--endpoint={}={weight}", bare(&endpoint["url"]))
}

/// A string without quotes, anything else as JSON.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What `command` prints, if it succeeds.
fn words(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {} {said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
