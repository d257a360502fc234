//! Our end of the tunnels to other organisations: the key, and what their peers are told of it.

mod keys;
mod rotation;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use catalyst_core::attrs::Tunnel;
use catalyst_core::event::SpeakerConfig;
use catalyst_core::prefix::Prefix;
use catalyst_plugin::state_file;
use catalyst_wireguard::{KeyChange, Phase, PrivateKey, PublicKey, TunnelDevice, TunnelPeer, WireguardConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::{Config, OwnTunnel, PeerTunnel, Spelled, StaticTunnel, Text, Wireguard, WireguardKey};
use keys::Keys;
pub(crate) use rotation::{RotateError, RotationShown, Rotator};

/// What peers were last told, in `node.state_dir`.
const TOLD_FILE: &str = "tunnels.json";
/// The longest such file: a thousand organisations with eight addresses each need a third of it.
const MAX_TOLD_BYTES: u64 = 1 << 20;

/// Our end of the tunnels. Cheap to clone; all clones are the same one.
#[derive(Debug, Clone)]
pub struct OwnTunnels(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Mutex<Keys>,
    file: PathBuf,
    told: Mutex<BTreeMap<String, Told>>,
}

/// What the peers of one organisation were last told. The serial grows when anything else in it changes, also over
/// restarts: of two words of a node the one with the higher serial counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    serial: u64,
    public_key: String,
    endpoint: Option<SocketAddr>,
    addresses: Vec<String>,
    mtu: u16,
}

impl OwnTunnels {
    /// Reads the key, or makes one, as the configuration says; `None`: the plugin is off.
    ///
    /// # Errors
    /// The key cannot be read or made: a tunnel with another key than peers know would be one to nowhere.
    pub fn open(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(wireguard) = &config.plugins.wireguard else {
            return Ok(None);
        };
        let keys = match &wireguard.private_key_file {
            Some(file) => Keys::of_file(file),
            None => Keys::open(&config.node.state_dir),
        };
        let file = config.node.state_dir.join(TOLD_FILE);
        Ok(Some(Self(Arc::new(Inner {
            keys: Mutex::new(keys?),
            told: Mutex::new(read_told(&file)),
            file,
        }))))
    }

    /// Has the peers of a new configuration be told of our ends, and remembers it.
    pub fn announce(&self, config: &Config, speaker: &mut SpeakerConfig) {
        let mut told = self.told();
        let before = told.clone();
        self.tell(config, speaker, &mut told);
        if *told != before
            && let Err(error) = keep(&self.0.file, &told)
        {
            tracing::warn!(file = %self.0.file.display(), %error, "the serial numbers of our tunnels cannot be kept");
        }
    }

    /// As [`OwnTunnels::announce`], for a configuration that is only thought of.
    pub fn foresee(&self, config: &Config, speaker: &mut SpeakerConfig) {
        let mut told = self.told().clone();
        self.tell(config, speaker, &mut told);
    }

    fn tell(&self, config: &Config, speaker: &mut SpeakerConfig, told: &mut BTreeMap<String, Told>) {
        let Some(wireguard) = &config.plugins.wireguard else {
            return;
        };
        let (public_key, phase) = {
            let keys = self.keys();
            (keys.announced(), keys.phase())
        };
        let end = |(organisation, own): (&'_ String, &OwnTunnel), told: &mut _| {
            Arc::new(end(organisation, own, (public_key, listening(own, phase)), told))
        };
        let ends: BTreeMap<&str, Arc<Tunnel>> = (wireguard.tunnels.iter())
            .map(|(organisation, own)| (organisation.as_str(), end((organisation, own), told)))
            .collect();
        for peer in &mut speaker.peers {
            let end = ends.get(&*peer.organisation);
            if let Some(tunnel) = &mut peer.tunnel {
                tunnel.own = end.cloned();
            }
        }
    }

    /// What the plugin runs on; `None`: it is off.
    #[must_use]
    pub fn wireguard(&self, config: &Config) -> Option<WireguardConfig> {
        let wireguard = config.plugins.wireguard.as_ref()?;
        let keys = self.keys().for_devices();
        Some(devices_and_peers(config, wireguard, keys))
    }

    /// What the plugin runs on once a change to the next key has begun.
    fn foresee_change(&self, config: &Config) -> Option<WireguardConfig> {
        let wireguard = config.plugins.wireguard.as_ref()?;
        let keys = self.keys().for_change()?;
        Some(devices_and_peers(config, wireguard, keys))
    }

    /// How far a change of our key is.
    fn phase(&self) -> Phase {
        self.keys().phase()
    }

    fn has_own_key(&self) -> bool {
        self.keys().are_ours()
    }

    fn key_since(&self) -> Option<u64> {
        self.keys().since()
    }

    fn prepare(&self) -> anyhow::Result<PublicKey> {
        self.keys().prepare()
    }

    fn begin(&self) -> anyhow::Result<PublicKey> {
        self.keys().begin()
    }

    fn enter(&self, phase: Phase) -> anyhow::Result<()> {
        self.keys().enter(phase)
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the plugin runs on, with these keys.
fn devices_and_peers(
    config: &Config,
    wireguard: &Wireguard,
    (private_key, key_change): (PrivateKey, KeyChange),
) -> WireguardConfig {
    WireguardConfig {
        private_key,
        key_change,
        table: wireguard.table,
        rule_priority: wireguard.rule_priority,
        protocol: wireguard.route_protocol,
        keepalive: *wireguard.keepalive,
        tunnels: wireguard.tunnels.iter().map(device).collect(),
        peers: peers(config, wireguard),
        own_prefixes: config
            .prefixes
            .keys()
            .filter_map(|prefix| prefix.parse().ok())
            .collect(),
    }
}

/// What the peers of an organisation are told of an end: its key, and where it listens.
fn end(
    organisation: &str,
    own: &OwnTunnel,
    (public_key, endpoint): (PublicKey, Option<SocketAddr>),
    told: &mut BTreeMap<String, Told>,
) -> Tunnel {
    let mut addresses: Vec<Prefix> = own.addresses.iter().map(|address| address.0).collect();
    addresses.sort_unstable();
    let mut now = Told {
        serial: 0,
        public_key: WireguardKey(public_key.0).print(),
        endpoint,
        addresses: addresses.iter().map(ToString::to_string).collect(),
        mtu: own.mtu,
    };
    let before = told.get(organisation).map_or(0, |before| before.serial);
    now.serial = before;
    if told.get(organisation) != Some(&now) {
        // The time, so that it also grows where nothing can be kept.
        now.serial = unix_seconds().max(before.saturating_add(1));
    }
    let serial = now.serial;
    told.insert(organisation.to_owned(), now);
    Tunnel {
        public_key: public_key.0,
        endpoint,
        addresses,
        mtu: own.mtu,
        serial,
    }
}

/// Where peers call us: at the second device while that has the key that they are told of, and no other does.
fn listening(own: &OwnTunnel, phase: Phase) -> Option<SocketAddr> {
    match phase {
        Phase::Moving | Phase::Parting => own.second_endpoint(),
        Phase::Rest | Phase::Returning | Phase::Abandoning => own.endpoint.map(|endpoint| endpoint.0),
    }
}

fn device((organisation, own): (&String, &OwnTunnel)) -> (Arc<str>, TunnelDevice) {
    let device = TunnelDevice {
        device: own.device_of(organisation).into(),
        listen_port: own.listen_port,
        second_port: own.second.as_ref().map_or(0, |second| second.listen_port),
        is_called: own.second_endpoint().is_some(),
        addresses: prefixes(&own.addresses),
        mtu: own.mtu,
    };
    (organisation.as_str().into(), device)
}

fn peers(config: &Config, wireguard: &Wireguard) -> BTreeMap<Arc<str>, TunnelPeer> {
    let fixed = wireguard
        .fixed
        .iter()
        .map(|(name, fixed)| (name.as_str().into(), static_peer(fixed)));
    let announced = config.peers.iter().filter_map(|(name, peer)| {
        let organisation = config.organisation_of(peer);
        let tunnel = announced(peer.tunnel.as_ref()?, organisation, prefixes(&peer.allowed_prefixes));
        Some((name.as_str().into(), tunnel))
    });
    fixed.chain(announced).collect()
}

fn announced(tunnel: &PeerTunnel, organisation: &str, allowed_prefixes: Vec<Prefix>) -> TunnelPeer {
    TunnelPeer {
        organisation: organisation.into(),
        addresses: prefixes(&tunnel.addresses),
        public_keys: tunnel
            .public_key
            .iter()
            .flat_map(|keys| keys.items())
            .map(|key| PublicKey(key.0.0))
            .collect(),
        preshared_key: tunnel.preshared_key_file.clone(),
        endpoint: tunnel.endpoint.map(|endpoint| endpoint.0),
        allowed_prefixes,
        static_tunnel: None,
        static_prefixes: Vec::new(),
    }
}

fn static_peer(fixed: &StaticTunnel) -> TunnelPeer {
    let mut addresses = prefixes(&fixed.addresses);
    addresses.sort_unstable();
    let key = fixed.public_key.0.0;
    TunnelPeer {
        organisation: fixed.organisation.as_str().into(),
        public_keys: vec![PublicKey(key)],
        preshared_key: fixed.preshared_key_file.clone(),
        endpoint: fixed.endpoint.map(|endpoint| endpoint.0),
        allowed_prefixes: Vec::new(),
        static_tunnel: Some(Arc::new(Tunnel {
            public_key: key,
            endpoint: fixed.endpoint.map(|endpoint| endpoint.0),
            addresses: addresses.clone(),
            // What our own device has is all there is to say of a packet's length.
            mtu: u16::MAX,
            serial: 0,
        })),
        static_prefixes: prefixes(&fixed.prefixes),
        addresses,
    }
}

fn prefixes(spelled: &[Spelled<Prefix>]) -> Vec<Prefix> {
    spelled.iter().map(|prefix| prefix.0).collect()
}

/// What peers were told.
fn read_told(file: &Path) -> BTreeMap<String, Told> {
    let loss = "what peers were told of our tunnels is lost: the time gives the next serial numbers";
    read_or_set_aside(file, MAX_TOLD_BYTES, loss).unwrap_or_default()
}

/// What a file of ours says; `None`: there is none. What cannot be read is set aside, and the log tells of the `loss`.
fn read_or_set_aside<T: DeserializeOwned>(file: &Path, max_bytes: u64, loss: &str) -> Option<T> {
    let read = state_file::read(file, max_bytes).map_err(|error| error.to_string());
    let parse = |content: Vec<u8>| serde_json::from_slice(&content).map_err(|error| error.to_string());
    read.and_then(|content| content.map(parse).transpose())
        .unwrap_or_else(|error| {
            let aside = state_file::set_aside(file);
            let aside = aside.map_or_else(
                |error| format!("it cannot be set aside: {error}"),
                |path| path.display().to_string(),
            );
            tracing::warn!(file = %file.display(), %error, set_aside = %aside, "{loss}");
            None
        })
}

fn keep(file: &Path, told: &BTreeMap<String, Told>) -> anyhow::Result<()> {
    Ok(state_file::replace(file, &serde_json::to_vec_pretty(told)?)?)
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
