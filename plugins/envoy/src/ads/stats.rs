//! Counters and the picture that `show plugins` prints.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use crate::resource::{ResourceKey, ResourceKind};

/// What went over one stream, or all of them, for one kind of resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindCounters {
    /// Responses sent, the empty ones too.
    pub responses: u64,
    /// Resources sent in them.
    pub resources: u64,
    /// Their content in bytes.
    pub bytes: u64,
    /// Removals sent.
    pub removed: u64,
    /// Responses that Envoy acknowledged.
    pub acks: u64,
    /// Responses that Envoy refused.
    pub nacks: u64,
}

impl AddAssign for KindCounters {
    fn add_assign(&mut self, other: Self) {
        self.responses += other.responses;
        self.resources += other.resources;
        self.bytes += other.bytes;
        self.removed += other.removed;
        self.acks += other.acks;
        self.nacks += other.nacks;
    }
}

/// Counters by kind.
pub(super) type Counters = BTreeMap<ResourceKind, KindCounters>;

/// One connected Envoy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvoyReport {
    /// The node id of its bootstrap.
    pub node: Arc<str>,
    /// Its version (`1.40.0`); empty if it does not say.
    pub version: Arc<str>,
    /// Resources that it has confirmed.
    pub resources: usize,
    /// What went over its stream.
    pub counters: BTreeMap<ResourceKind, KindCounters>,
}

/// One resource that Envoy refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedReport {
    /// The resource.
    pub key: ResourceKey,
    /// Envoy's own words.
    pub reason: Arc<str>,
}

/// The state of the ADS server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The connected Envoys, in the order of their arrival.
    pub envoys: Vec<EnvoyReport>,
    /// The resources in quarantine.
    pub rejected: Vec<RejectedReport>,
    /// Wanted resources.
    pub desired: usize,
    /// What went over all streams since the server started, ended ones too.
    pub totals: BTreeMap<ResourceKind, KindCounters>,
}

impl Report {
    /// Resources and removals sent over all streams since the server started.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.totals.values().map(|kind| kind.resources + kind.removed).sum()
    }
}

impl fmt::Display for EnvoyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envoy {} {}: {} resources", self.node, self.version, self.resources)
    }
}

impl fmt::Display for RejectedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused: {}", self.key, self.reason)
    }
}

/// One line per Envoy, then one per refused resource.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.envoys.is_empty() {
            writeln!(f, "no Envoy connected")?;
        }
        self.envoys.iter().try_for_each(|envoy| writeln!(f, "{envoy}"))?;
        self.rejected.iter().try_for_each(|rejected| writeln!(f, "{rejected}"))
    }
}
