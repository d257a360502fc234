//! What people and metrics are told of tunnels.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use catalyst_plugin::Prefix;

use crate::keys::PublicKey;
use crate::rotation::RotationSight;

/// How a tunnel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelState {
    /// Heard of; traffic passes.
    Up,
    /// In place, and silent.
    Down,
    /// Not in place; what is for it goes nowhere. With what it waits for.
    Guarded(Arc<str>),
    /// The peer announces another key than the one it is pinned to: guarded.
    WrongKey,
}

impl TunnelState {
    /// The spelling of CLI and JSON output.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Guarded(_) => "guarded",
            Self::WrongKey => "wrong key",
        }
    }
}

/// What there is to say of the keys of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyNews {
    /// We are changing ours.
    Ours,
    /// The peer is changing its.
    Theirs,
    /// The peer announces a key that it is not pinned to; the one that it had still serves.
    NotPinned,
}

impl KeyNews {
    /// The spelling of JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::NotPinned => "not pinned",
        }
    }
}

/// One of the two lines of a tunnel, of which there is a second in a change of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineStatus {
    /// The key of the peer on it.
    pub public_key: PublicKey,
    /// Whether the peer is heard on it.
    pub is_up: bool,
    /// Whether it is sent by.
    pub is_used: bool,
}

/// A row of `show tunnels`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelStatus {
    /// The peer by configuration.
    pub peer: Arc<str>,
    /// Its organisation.
    pub organisation: Arc<str>,
    /// Our device.
    pub device: Arc<str>,
    /// How it is.
    pub state: TunnelState,
    /// Whether a key is being changed.
    pub key_change: Option<KeyNews>,
    /// The line on the first device, where it is in place.
    pub home: Option<LineStatus>,
    /// The line on the second device, where it is in place.
    pub second: Option<LineStatus>,
    /// Whether it is configured by hand: then the peer hears nothing of us.
    pub is_by_hand: bool,
    /// Whether the peer's key is the one that is configured: without one, anybody at the session could have named it.
    pub authenticated: bool,
    /// The peer's key, where known.
    pub public_key: Option<PublicKey>,
    /// Where it was last heard from, else where it is called.
    pub endpoint: Option<SocketAddr>,
    /// How long ago it last shook hands, as of the last look at the kernel.
    pub handshake_age: Option<Duration>,
    /// When that was.
    pub last_handshake: Option<SystemTime>,
    /// Bytes.
    pub received: u64,
    /// Bytes.
    pub sent: u64,
    /// The peer's tunnel addresses in use.
    pub addresses: Vec<IpAddr>,
    /// What is sent to the peer, its addresses among it.
    pub allowed_prefixes: Vec<Prefix>,
}

#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) tunnels: Vec<TunnelStatus>,
    pub(crate) peers_at_home: Option<usize>,
    pub(crate) is_settled: bool,
    pub(crate) drift_repairs: u64,
    pub(crate) writes: u64,
}

/// Shows what a running plane knows. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct WireguardStats(Arc<Mutex<Shown>>);

impl WireguardStats {
    /// One row per configured peer, by name; as of the last look at the kernel.
    #[must_use]
    pub fn tunnels(&self) -> Vec<TunnelStatus> {
        self.shown().tunnels.clone()
    }

    /// What there is to see for a change of our key.
    #[must_use]
    pub fn sight(&self) -> RotationSight {
        let shown = self.shown();
        RotationSight {
            tunnels: shown.tunnels.clone(),
            peers_at_home: shown.peers_at_home,
            is_settled: shown.is_settled,
        }
    }

    /// How many pieces somebody else removed or altered in the kernel, that were put right.
    #[must_use]
    pub fn drift_repairs(&self) -> u64 {
        self.shown().drift_repairs
    }

    /// How many changes were asked of the kernel.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.shown().writes
    }

    pub(crate) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
