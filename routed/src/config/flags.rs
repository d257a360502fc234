//! The flags that stand for keys, and what they expand to.

use super::path::{KeyPath, Step};
use super::set::{FlagError, Override};
use super::tree::{Member, Node, Origin, Value};

/// A flag for one key.
pub(super) struct Shorthand {
    /// Its name, without the dashes.
    pub(super) flag: &'static str,
    /// The key.
    pub(super) path: &'static str,
    /// What stands for the value in `--help`; empty: `true` may be left out.
    pub(super) value: &'static str,
}

const fn short(flag: &'static str, path: &'static str, value: &'static str) -> Shorthand {
    Shorthand { flag, path, value }
}

/// Every flag that stands for one key.
pub(super) const SHORTHANDS: &[Shorthand] = &[
    short("name", "node.name", "LABEL"),
    short("as", "node.as", "NUMBER"),
    short("org", "node.organisation", "LABEL"),
    short("state-dir", "node.state_dir", "DIR"),
    short("reflector", "node.reflector", ""),
    short("listen", "peering.listen", "IP:PORT"),
    short("hold-time", "peering.hold_time", "DURATION"),
    short("insecure", "peering.insecure", ""),
    short("admin", "admin.listen", "ADDR"),
    short("xds", "plugins.envoy.xds", "ADDR"),
    short("ingress", "plugins.envoy.ingress", "IP:PORT"),
    short("egress", "plugins.envoy.egress", "IP:PORT"),
    short("peer-listener", "plugins.envoy.peer_listener", "IP:PORT"),
    short("tcp-ports", "plugins.envoy.tcp_ports", "FIRST-LAST"),
    short("envoy-admin", "plugins.envoy.admin", "IP:PORT"),
    short("gateway-control", "plugins.graphql.control", "ADDR"),
    short("gateway", "plugins.graphql.gateway", "IP:PORT"),
];

/// A flag of the command line that says something about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Its name, without the dashes.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The longest flag that an error repeats, in characters.
const MAX_SHOWN: usize = 100;

impl Flag {
    /// A flag.
    #[must_use]
    pub fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    /// The flag as errors repeat it.
    pub(super) fn shown(&self) -> String {
        let value: String = self.value.chars().take(MAX_SHOWN).collect();
        let ellipsis = if value.len() < self.value.len() { "..." } else { "" };
        format!("--{} {value}{ellipsis}", self.name)
    }

    /// What it stands for, in order.
    pub(super) fn expand(&self) -> Result<Vec<Override>, FlagError> {
        match self.name.as_str() {
            "set" => Override::parse(&self.value).map(|one| vec![one]),
            "peer" => expand_peer(&self.value),
            "service" => expand_service(&self.value),
            name => match SHORTHANDS.iter().find(|s| s.flag == name) {
                Some(short) => Override::new(&fixed(short.path), &self.value).map(|one| vec![one]),
                None => Err((KeyPath::default(), "no such flag".to_owned())),
            },
        }
    }
}

/// A path of [`SHORTHANDS`]: identifiers and dots.
pub(super) fn fixed(path: &str) -> KeyPath {
    KeyPath(path.split('.').map(|key| Step::Field(key.to_owned())).collect())
}

/// `NAME=AS@IP:PORT[,KEY=VALUE...]`.
fn expand_peer(text: &str) -> Result<Vec<Override>, FlagError> {
    let usage = || (fixed("peers"), "expected NAME=AS@IP:PORT[,KEY=VALUE...]".to_owned());
    let (name, rest) = text.split_once('=').ok_or_else(usage)?;
    let (asn, rest) = rest.split_once('@').ok_or_else(usage)?;
    let mut parts = rest.split(',');
    let address = parts.next().ok_or_else(usage)?;
    let path = fixed("peers").key(name);
    let mut overrides = vec![whole(&path, Vec::new())];
    overrides.push(Override::new(&path.field("as"), asn)?);
    overrides.push(Override::new(&path.field("address"), address)?);
    for part in parts {
        overrides.push(extra(&path, part)?);
    }
    Ok(overrides)
}

/// `NAME=PROTOCOL@URL[,URL...][,KEY=VALUE...]`.
fn expand_service(text: &str) -> Result<Vec<Override>, FlagError> {
    let usage = || {
        (
            fixed("services"),
            "expected NAME=PROTOCOL@URL[,URL...][,KEY=VALUE...]".to_owned(),
        )
    };
    let (name, rest) = text.split_once('=').ok_or_else(usage)?;
    let (protocol, rest) = rest.split_once('@').ok_or_else(usage)?;
    let (urls, extras): (Vec<&str>, Vec<&str>) = rest.split(',').partition(|part| part.contains("://"));
    let path = fixed("services").key(name);
    let endpoints = urls.iter().map(|url| object(vec![("url", string(url))])).collect();
    let members = vec![
        ("protocol", string(protocol)),
        ("endpoints", node(Value::Array(endpoints))),
    ];
    let mut overrides = vec![whole(&path, members)];
    for part in extras {
        overrides.push(extra(&path, part)?);
    }
    Ok(overrides)
}

fn extra(path: &KeyPath, part: &str) -> Result<Override, FlagError> {
    let Some((key, value)) = part.split_once('=') else {
        return Err((
            path.clone(),
            format!("expected KEY=VALUE, found {}", super::type_error::quote(part)),
        ));
    };
    Override::new(&path.field(key), value)
}

/// Replaces what stands at `path`.
fn whole(path: &KeyPath, members: Vec<(&str, Node)>) -> Override {
    Override {
        path: path.clone(),
        value: Some(object(members)),
    }
}

fn object(members: Vec<(&str, Node)>) -> Node {
    let member = |(key, node): (&str, Node)| Member {
        key: key.to_owned(),
        origin: Origin::Nowhere,
        node,
    };
    node(Value::Object(members.into_iter().map(member).collect()))
}

fn string(text: &str) -> Node {
    node(Value::String(text.to_owned()))
}

fn node(value: Value) -> Node {
    Node {
        origin: Origin::Nowhere,
        value,
    }
}
