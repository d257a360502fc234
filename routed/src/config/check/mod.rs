//! What no type can say: rules between keys.

mod aggregates;
mod dynamic;
mod listeners;
mod peers;
mod policies;
mod prefixes;
mod services;
mod tunnels;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use catalyst_core::wire::MIN_HOLD_TIME;

use super::path::KeyPath;
use super::plugins::External;
use super::text::{Label, Listen, Spelled};
use super::types::Config;

pub(super) use services::{check_fit, check_names, check_service};

/// The shortest hold time but zero, and the longest (docs/protocol.md, OPEN).
const HOLD_TIME: (Duration, Duration) = (MIN_HOLD_TIME, Duration::from_secs(86_400));
/// The shortest send-hold time but zero, and the longest.
const SEND_HOLD_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
/// The longest `drain` and `startup_wait`.
const MAX_WAIT: Duration = Duration::from_secs(3600);
/// The most `domains` and `hosts`.
const MAX_NAMES: usize = 1000;
/// The most data planes that are programs of their own.
const MAX_EXTERNAL: usize = 16;
/// The names of the data planes that are not.
const OWN_PLANES: [&str; 3] = ["envoy", "graphql", "wireguard"];

/// A broken rule: the key and what is wrong with it.
pub(super) type Problem = (KeyPath, String);

/// Every rule that the configuration breaks, and what it probably does not mean.
pub(super) fn check(config: &Config) -> Problems {
    let mut problems = Problems::default();
    check_node(config, &mut problems);
    check_peering(config, &mut problems);
    peers::check_peers(config, &mut problems);
    dynamic::check_dynamic_peers(config, &mut problems);
    peers::warn_of_unguarded(config, &mut problems);
    services::check_services(config, &mut problems);
    prefixes::check_prefixes(config, &mut problems);
    check_plugins(config, &mut problems);
    listeners::check_listeners(config, &mut problems);
    tunnels::check_tunnels(config, &mut problems);
    policies::check_policies(config, &mut problems);
    aggregates::check_aggregates(config, &mut problems);
    problems
}

/// Collects problems.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// What refuses the configuration.
    pub(super) errors: Vec<Problem>,
    /// What is allowed and probably not meant.
    pub(super) warnings: Vec<Problem>,
}

impl Problems {
    pub(super) fn add(&mut self, path: KeyPath, message: impl Into<String>) {
        self.errors.push((path, message.into()));
    }

    pub(super) fn warn(&mut self, path: KeyPath, message: impl Into<String>) {
        self.warnings.push((path, message.into()));
    }

    pub(super) fn append(&mut self, mut more: Self) {
        self.errors.append(&mut more.errors);
        self.warnings.append(&mut more.warnings);
    }

    pub(super) fn unless(&mut self, holds: bool, path: KeyPath, message: impl FnOnce() -> String) {
        if !holds {
            self.add(path, message());
        }
    }
}

fn section(name: &str) -> KeyPath {
    KeyPath::default().field(name)
}

fn check_node(config: &Config, problems: &mut Problems) {
    let node = section("node");
    problems.unless(config.node.asn > 0, node.field("as"), || {
        "expected an AS number of at least 1, found 0".to_owned()
    });
    let state_dir = config.node.state_dir.as_os_str();
    problems.unless(!state_dir.is_empty(), node.field("state_dir"), || {
        "expected a directory, found \"\"".to_owned()
    });
    problems.unless(
        config.node.cluster.is_none() || config.node.reflector,
        node.field("cluster"),
        || "only a reflector belongs to a cluster; set node.reflector to true".to_owned(),
    );
    check_list(
        config.node.domains.iter().map(|d| d.0.0.as_str()),
        &node.field("domains"),
        problems,
    );
}

/// A list of names: bounded, each once.
fn check_list<'a>(names: impl ExactSizeIterator<Item = &'a str>, path: &KeyPath, problems: &mut Problems) {
    let count = names.len();
    problems.unless(count <= MAX_NAMES, path.clone(), || {
        format!("at most {MAX_NAMES} names, found {count}")
    });
    let mut seen = std::collections::BTreeSet::new();
    for (index, name) in names.enumerate() {
        problems.unless(seen.insert(name), path.index(index), || {
            format!("{name:?} is in this list already")
        });
    }
}

fn check_peering(config: &Config, problems: &mut Problems) {
    let path = section("peering");
    let peering = &config.peering;
    let hold = *peering.hold_time;
    problems.unless(
        hold.is_zero() || (HOLD_TIME.0..=HOLD_TIME.1).contains(&hold),
        path.field("hold_time"),
        || format!("expected 0s (no timer) or 300ms to 86400s, found {}", peering.hold_time),
    );
    if let Some(time) = &peering.send_hold_time {
        let fits = time.is_zero() || (SEND_HOLD_TIME.0..=SEND_HOLD_TIME.1).contains(&**time);
        problems.unless(fits, path.field("send_hold_time"), || {
            format!("expected 0s (no timer) or 1s to 86400s, found {time}")
        });
    }
    for (key, value) in [("drain", &peering.drain), ("startup_wait", &peering.startup_wait)] {
        problems.unless(**value <= MAX_WAIT, path.field(key), || {
            format!("expected at most 3600s, found {value}")
        });
    }
    problems.unless(
        peering.insecure || peering.listen.ip().is_loopback(),
        path.field("listen"),
        || off_loopback(*peering.listen, "peering.insecure"),
    );
    problems.unless(
        peering.next_hop.is_none() || config.plugins.envoy.is_none(),
        path.field("next_hop"),
        || "the envoy plugin announces its own peer listeners; set plugins.envoy.peer_listener instead".to_owned(),
    );
}

fn off_loopback(address: SocketAddr, key: &str) -> String {
    format!(
        "{address} is not a loopback address, and sessions are neither encrypted nor authenticated yet: whoever reaches \
         the port may pose as a peer; on a network that you trust set {key} to true"
    )
}

fn check_plugins(config: &Config, problems: &mut Problems) {
    let plugins = section("plugins");
    private(&config.admin.listen, section("admin").field("listen"), problems);
    if let Some(envoy) = &config.plugins.envoy {
        let path = plugins.field("envoy");
        private(&envoy.xds, path.field("xds"), problems);
        private(&Listen::Tcp(*envoy.admin), path.field("admin"), problems);
    }
    for (name, external) in &config.plugins.external {
        check_external(name, external, &plugins.field("external").key(name), problems);
    }
    let count = config.plugins.external.len();
    problems.unless(count <= MAX_EXTERNAL, plugins.field("external"), || {
        format!("at most {MAX_EXTERNAL} data planes, found {count}")
    });
    let Some(graphql) = &config.plugins.graphql else { return };
    let path = plugins.field("graphql");
    private(&graphql.control, path.field("control"), problems);
    private(&Listen::Tcp(*graphql.gateway), path.field("gateway"), problems);
    check_list(
        graphql.hosts.iter().map(|h| h.0.0.as_str()),
        &path.field("hosts"),
        problems,
    );
    problems.unless(config.plugins.envoy.is_some(), path, || {
        "the gateway reaches subgraphs through Envoy's egress listener; add plugins.envoy".to_owned()
    });
}

fn check_external(name: &str, external: &External, path: &KeyPath, problems: &mut Problems) {
    match Spelled::<Label>::parse(name) {
        Err(message) => problems.add(path.clone(), message),
        Ok(label) => problems.unless(label.0.0 == name, path.clone(), || {
            format!("a data plane is written in lower case: {label}")
        }),
    }
    problems.unless(!OWN_PLANES.contains(&name), path.clone(), || {
        format!("{name} is a data plane of the daemon itself; choose another name")
    });
    private(&external.listen_of(name), path.field("listen"), problems);
    let families = path.field("families");
    problems.unless(!external.families.is_empty(), families.clone(), || {
        "a data plane serves at least one family".to_owned()
    });
    check_list(external.families.iter().map(|f| f.as_str()), &families, problems);
    let protocols = path.field("protocols");
    problems.unless(!external.protocols.is_empty(), protocols.clone(), || {
        "a data plane serves at least one protocol".to_owned()
    });
    check_list(external.protocols.iter().map(|p| p.as_str()), &protocols, problems);
}

/// Whoever reaches these addresses may do everything: they stay on this host.
fn private(listen: &Listen, path: KeyPath, problems: &mut Problems) {
    let Listen::Tcp(address) = listen else { return };
    problems.unless(address.ip().is_loopback(), path, || {
        format!("{address} is open to the network without authentication; use a Unix socket or a loopback address")
    });
}

/// Whether binding both addresses would collide on the IP.
fn same_ip(a: IpAddr, b: IpAddr) -> bool {
    a == b || a.is_unspecified() || b.is_unspecified()
}
