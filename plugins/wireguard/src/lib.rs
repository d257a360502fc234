//! The WireGuard data plane: encrypted tunnels to other organisations, kernel routes through them, and guards that stand
//! wherever a tunnel may end, so that nothing leaves in the clear.
//!
//! Reads from top to bottom: [`plane`] is the [`DataPlane`](catalyst_plugin::DataPlane); [`plan`] is pure and turns
//! routes and configuration into [`resource`]s; [`kernel`] holds them, behind a small trait: `netlink` is the real one,
//! `fake` is one in memory. `liveness` (pure) says which tunnels are up. [`config`] and [`keys`] are what it is given.

pub mod config;
pub mod kernel;
pub mod keys;
mod liveness;
pub mod plan;
pub mod plane;
mod psk;
pub mod resource;
mod rotation;
mod stats;

pub use config::{ConfigError, KeyChange, TunnelDevice, TunnelPeer, WireguardConfig, drain};
pub use keys::{KeyError, PresharedKey, PrivateKey, PublicKey};
pub use plan::{Phase, Slot};
pub use plane::{WireguardPlane, WireguardSettings};
pub use rotation::{Rotation, RotationSight};
pub use stats::{KeyNews, LineStatus, TunnelState, TunnelStatus, WireguardStats};
