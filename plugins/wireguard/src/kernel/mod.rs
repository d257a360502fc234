//! The kernel, as little of it as the plane needs.

pub mod fake;
pub mod netlink;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::WireguardConfig;
use crate::keys::PublicKey;
pub use crate::liveness::PeerCounters;
use crate::resource::{Key, Resource};

/// What of the kernel is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The routing table; also in the name of the nftables table and the alias of devices, so that two nodes of one host
    /// leave each other alone.
    pub table: u32,
    /// The priority of our rules.
    pub priority: u32,
    /// Marks our routes and rules.
    pub protocol: u8,
    /// Devices by configuration.
    pub devices: BTreeSet<Arc<str>>,
}

impl Scope {
    /// The scope of a configuration.
    #[must_use]
    pub fn of(config: &WireguardConfig) -> Self {
        Self {
            table: config.table,
            priority: config.rule_priority,
            protocol: config.protocol,
            devices: config.devices().collect(),
        }
    }

    /// The alias of a device of ours.
    #[must_use]
    pub fn alias(&self, organisation: &str) -> String {
        format!("{}{organisation}", self.alias_prefix())
    }

    /// What the aliases of our devices begin with.
    #[must_use]
    pub fn alias_prefix(&self) -> String {
        format!("catalyst:{}:", self.table)
    }

    /// Our nftables table, of family inet.
    #[must_use]
    pub fn filter(table: u32) -> String {
        format!("catalyst_{table}")
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Makes it, or makes it what it is to be.
    Put(Key, Resource),
    /// Removes it; that it is not there is fine.
    Remove(Key),
}

impl Operation {
    /// What is changed.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Remove(key) => key,
        }
    }
}

/// The WireGuard devices as they are now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Peers {
    /// Peers, endpoints and allowed addresses.
    pub held: BTreeMap<Key, Resource>,
    /// What the kernel counts.
    pub counters: BTreeMap<(Arc<str>, PublicKey), PeerCounters>,
    /// Where each peer was last heard from.
    pub endpoints: BTreeMap<(Arc<str>, PublicKey), SocketAddr>,
}

/// Why the kernel did not do something. Never tells what was sent to it: keys are in there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// It refused.
    #[error("{what}: {}", std::io::Error::from_raw_os_error(*errno))]
    Refused {
        /// The operation.
        what: Arc<str>,
        /// The system's error number.
        errno: i32,
    },
    /// A device of this name is there, and not ours.
    #[error("there is another device of the name {0}, which is left alone")]
    Foreign(Arc<str>),
    /// It could not be asked.
    #[error("{what}: {why}")]
    Unreachable {
        /// The operation.
        what: Arc<str>,
        /// The fault.
        why: Arc<str>,
    },
}

/// Holds resources. One call at a time; each bounds its own waiting.
pub trait Kernel: Send + 'static {
    /// Everything of ours that it holds.
    fn observe(&mut self, scope: &Scope) -> impl Future<Output = Result<BTreeMap<Key, Resource>, KernelError>> + Send;

    /// Carries out changes in order, each on its own: one that fails does not keep others from being tried.
    fn apply(
        &mut self,
        scope: &Scope,
        operations: Vec<Operation>,
    ) -> impl Future<Output = Vec<Result<(), KernelError>>> + Send;

    /// The peers of these devices, if they are ours.
    fn peers(&mut self, scope: &Scope) -> impl Future<Output = Result<Peers, KernelError>> + Send;

    /// Sends something small through a tunnel, whose answer is heard: keepalives alone come from one side only.
    fn probe(&mut self, probes: Vec<Probe>) -> impl Future<Output = ()> + Send;

    /// Waits until somebody else may have changed something of ours. Cancel-safe.
    fn changed(&mut self, scope: &Scope) -> impl Future<Output = ()> + Send;
}

/// A probe of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// It never leaves by another device.
    pub device: Arc<str>,
    /// Our tunnel address.
    pub from: IpAddr,
    /// The peer's.
    pub to: IpAddr,
}
