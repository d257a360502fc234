//! What is told at one scrape, and where it is read.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use catalyst_core::view::{PeerView, PlaneCounts, RibView};
use catalyst_envoy::ads::AdsHandle;
use catalyst_wireguard::{TunnelStatus, WireguardStats};

use crate::config::Config;
use crate::driver::{Gone, SpeakerHandle};
use crate::tunnels::{RotationShown, Rotator};

/// Where everything is read.
pub(crate) struct Source {
    node: NodeIdentity,
    started: SystemTime,
    speaker: SpeakerHandle,
    /// `None`: the plugin is off.
    envoy: Option<AdsHandle>,
    /// `None`: the plugin is off.
    tunnels: Option<TunnelSource>,
}

/// Where tunnels are read.
pub(crate) struct TunnelSource {
    pub(crate) stats: WireguardStats,
    pub(crate) rotator: Arc<Rotator>,
}

/// Who this node is. It stays the same while the daemon runs.
#[derive(Debug, Clone)]
pub(super) struct NodeIdentity {
    pub(super) name: String,
    pub(super) asn: u32,
    pub(super) organisation: String,
}

/// The daemon at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) node: NodeIdentity,
    pub(super) started: SystemTime,
    pub(super) now: SystemTime,
    pub(super) peers: Vec<PeerView>,
    pub(super) rib: RibView,
    pub(super) planes: Vec<PlaneCounts>,
    /// Resources that Envoy refuses; `None`: the plugin is off.
    pub(super) envoy_refused: Option<u64>,
    /// `None`: the plugin is off.
    pub(super) tunnels: Option<Tunnels>,
}

/// The tunnels at one moment.
#[derive(Debug)]
pub(super) struct Tunnels {
    pub(super) rows: Vec<TunnelStatus>,
    pub(super) drift_repairs: u64,
    pub(super) writes: u64,
    pub(super) rotation: RotationShown,
}

impl Source {
    /// Of a daemon that started just now.
    pub(crate) fn new(
        config: &Config,
        speaker: SpeakerHandle,
        envoy: Option<AdsHandle>,
        tunnels: Option<TunnelSource>,
    ) -> Self {
        Self {
            node: NodeIdentity {
                name: config.node.name.to_string(),
                asn: config.node.asn,
                organisation: config.node.organisation.to_string(),
            },
            started: SystemTime::now(),
            speaker,
            envoy,
            tunnels,
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub(super) async fn read(&self) -> Result<Snapshot, Gone> {
        let asked = self.speaker.query(|speaker, now| {
            let tables = (speaker.peers(now), speaker.sizes(), speaker.plane_counts());
            (wall_clock(now), tables)
        });
        let (now, (peers, rib, planes)) = asked.await?;
        let tunnels = match &self.tunnels {
            Some(tunnels) => Some(tunnels.read().await),
            None => None,
        };
        Ok(Snapshot {
            node: self.node.clone(),
            started: self.started,
            now,
            peers,
            rib,
            planes,
            envoy_refused: self.envoy.as_ref().map(|ads| ads.rejected_count() as u64),
            tunnels,
        })
    }
}

impl TunnelSource {
    async fn read(&self) -> Tunnels {
        Tunnels {
            rows: self.stats.tunnels(),
            drift_repairs: self.stats.drift_repairs(),
            writes: self.stats.writes(),
            rotation: self.rotator.shown().await,
        }
    }
}

impl Snapshot {
    /// The Unix time, in seconds, of what was so long ago.
    pub(super) fn time_of(&self, age: Duration) -> u64 {
        unix_seconds(self.now.checked_sub(age).unwrap_or(UNIX_EPOCH))
    }
}

/// What the clock on the wall said at an instant.
fn wall_clock(at: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(at.elapsed()).unwrap_or(now)
}

/// To the nearest: the clocks of two scrapes differ by less than that, and most often not at all.
pub(super) fn unix_seconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.saturating_add(Duration::from_millis(500)).as_secs()
}
