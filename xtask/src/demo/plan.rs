//! The two nodes of the demo: examples/two-nodes, on the ports that the user wants.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use super::FOLDER;

/// How many ports `--ports-from` sets aside for tcp services.
const TCP_PORTS: u16 = 10;

/// The only service of a node.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// The example that serves it.
    pub(crate) program: &'static str,
}

/// One node.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) config: Value,
    pub(crate) service: Service,
}

/// Both nodes.
pub(crate) struct Plan {
    pub(crate) nodes: [Node; 2],
}

impl Plan {
    /// Reads the example configurations; moves their ports to `ports_from` and up.
    pub(crate) fn load(root: &Path, ports_from: Option<u16>) -> anyhow::Result<Self> {
        let mut configs = [read(root, "a")?, read(root, "b")?];
        if let Some(first) = ports_from {
            let ports: BTreeSet<u16> = configs.iter().flat_map(ports_of).collect();
            let moved = ports.into_iter().zip(first..).collect();
            configs.iter_mut().for_each(|config| renumber(config, &moved, first));
        }
        let [a, b] = configs;
        Ok(Self {
            nodes: [Node::new("a", a, "products")?, Node::new("b", b, "reviews")?],
        })
    }

    /// Writes each configuration to `target/demo/NAME/routed.json`, in place of all that an earlier demo left.
    pub(crate) fn write(&self, root: &Path) -> anyhow::Result<()> {
        let folder = root.join(FOLDER);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        for node in &self.nodes {
            let file = root.join(node.config_path());
            fs::create_dir_all(root.join(node.folder()))?;
            let text = serde_json::to_string_pretty(&node.config)?;
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }
}

impl Node {
    fn new(name: &'static str, config: Value, program: &'static str) -> anyhow::Result<Self> {
        let services = config["services"].as_object().context("no services")?;
        let (service, settings) = services.iter().next().context("no service")?;
        let url = settings["endpoints"][0]["url"].as_str().context("no endpoint")?;
        let address = url
            .trim_start_matches("http://")
            .parse()
            .with_context(|| format!("endpoint {url}"))?;
        let service = Service {
            name: service.clone(),
            address,
            program,
        };
        Ok(Self { name, config, service })
    }

    /// Its folder, below the root.
    pub(crate) fn folder(&self) -> String {
        format!("{FOLDER}/{}", self.name)
    }

    pub(crate) fn config_path(&self) -> String {
        format!("{}/routed.json", self.folder())
    }

    /// Where clients reach its graph.
    pub(crate) fn graph_url(&self) -> String {
        format!("http://{}/graphql", self.text("/plugins/envoy/ingress"))
    }

    /// The string at a JSON pointer; empty if there is none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.config.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

fn read(root: &Path, name: &str) -> anyhow::Result<Value> {
    let file = root.join(format!("examples/two-nodes/{name}.json"));
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let config: Value = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    if !config.is_object() {
        bail!("{} holds no object", file.display());
    }
    Ok(config)
}

/// Every port of an `IP:PORT`, with or without `http://` before it.
fn ports_of(config: &Value) -> Vec<u16> {
    match config {
        Value::String(text) => address_in(text).map(|address| address.port()).into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(ports_of).collect(),
        Value::Object(fields) => fields.values().flat_map(ports_of).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn address_in(text: &str) -> Option<SocketAddr> {
    text.strip_prefix("http://").unwrap_or(text).parse().ok()
}

/// Puts `moved` ports in place of their own; the ports of tcp services come after the last of them.
fn renumber(config: &mut Value, moved: &BTreeMap<u16, u16>, first: u16) {
    match config {
        Value::String(text) => {
            if let Some(old) = address_in(text)
                && let Some(new) = moved.get(&old.port())
            {
                *text = text.replace(&format!(":{}", old.port()), &format!(":{new}"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| renumber(item, moved, first)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == "tcp_ports" {
                    let start = moved.values().max().map_or(first, |last| last + 1);
                    *value = Value::String(format!("{start}-{}", start + TCP_PORTS - 1));
                } else {
                    renumber(value, moved, first);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn ports(plan: &Plan) -> BTreeSet<u16> {
        plan.nodes.iter().flat_map(|node| ports_of(&node.config)).collect()
    }

    #[test]
    fn the_examples_make_a_plan() {
        let plan = Plan::load(&workspace::root().expect("root"), None).expect("plan");
        assert_eq!(plan.nodes[0].graph_url(), "http://127.0.0.1:8080/graphql");
        let services = plan.nodes.map(|node| (node.service.name, node.service.address.port()));
        assert_eq!(
            services,
            [("products.acme".to_owned(), 4101), ("reviews.acme".to_owned(), 4102)]
        );
    }

    #[test]
    fn every_port_moves_and_none_collides() {
        let root = workspace::root().expect("root");
        let before = ports(&Plan::load(&root, None).expect("plan"));
        let moved = Plan::load(&root, Some(33_000)).expect("plan");
        let expected: BTreeSet<u16> = (33_000..).take(before.len()).collect();
        assert_eq!(ports(&moved), expected);
        let first_tcp = 33_000 + u16::try_from(before.len()).expect("few");
        assert_eq!(
            moved.nodes[0].text("/plugins/envoy/tcp_ports"),
            format!("{first_tcp}-{}", first_tcp + 9)
        );
        assert_eq!(
            moved.nodes[0].text("/peers/b/address"),
            moved.nodes[1].text("/peering/listen")
        );
    }
}
