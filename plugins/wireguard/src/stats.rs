//! What people and metrics are told of tunnels.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use catalyst_plugin::Prefix;

use crate::keys::PublicKey;

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
    /// Whether the peer's key is the one that is configured: without one, anybody at the session could have named it.
    pub authenticated: bool,
    /// The peer's key, where known.
    pub public_key: Option<PublicKey>,
    /// Where it was last heard from, else where it is called.
    pub endpoint: Option<SocketAddr>,
    /// How long ago it last shook hands.
    pub handshake_age: Option<Duration>,
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
