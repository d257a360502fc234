//! WireGuard's own part: keys, peers, allowed addresses. The kernel does it ([`generic`]), or a program ([`userspace`]);
//! what is asked of either is the same, and so is what is made of its answers.

mod generic;
mod lines;
mod process;
mod uapi;
mod userspace;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalyst_plugin::Prefix;
use netlink_packet_route::link::InfoKind;

use super::{KernelError, Operation, Peers, unreachable_because};
use crate::keys::{self, PresharedKey, PublicKey};
use crate::liveness::PeerCounters;
use crate::resource::{Device, Key, Peer, Resource};
use generic::Generic;
use userspace::Userspace;

/// The bytes of a key that stands for none.
const NO_KEY: [u8; keys::KEY_BYTES] = [0; keys::KEY_BYTES];

/// Who does WireGuard.
pub(super) enum WireGuard {
    Kernel(Generic),
    Userspace(Userspace),
}

impl WireGuard {
    /// `program`: what does it outside of the kernel; without one, the kernel does.
    pub(super) fn open(program: Option<PathBuf>) -> Result<Self, KernelError> {
        Ok(match program {
            Some(program) => Self::Userspace(Userspace::new(program)),
            None => Self::Kernel(Generic::open()?),
        })
    }

    /// The kind of its devices.
    pub(super) fn kind(&self) -> InfoKind {
        match self {
            Self::Kernel(_) => InfoKind::Wireguard,
            Self::Userspace(_) => InfoKind::Tun,
        }
    }

    /// What runs the devices; `None`: nothing has to.
    pub(super) fn program(&mut self) -> Option<&mut Userspace> {
        match self {
            Self::Kernel(_) => None,
            Self::Userspace(userspace) => Some(userspace),
        }
    }

    /// Ends what has a device of ours and does not answer: it would keep its port when the device is gone.
    pub(super) fn retire(&mut self, device: &str) {
        if matches!(self, Self::Userspace(_)) {
            process::kill(device);
        }
    }

    /// `None`: there is no such WireGuard device.
    pub(super) fn read(&mut self, device: &str) -> Result<Option<Read>, KernelError> {
        match self {
            Self::Kernel(generic) => generic.read(device),
            Self::Userspace(_) => userspace::read(device),
        }
    }

    /// Whether a device of ours works at all. The kernel's does; a program may have ended, hang or talk nonsense.
    pub(super) fn answers(&mut self, device: &str) -> bool {
        match self {
            Self::Kernel(_) => true,
            Self::Userspace(_) => matches!(userspace::read(device), Ok(Some(_))),
        }
    }

    /// The key and the port of a device.
    pub(super) fn configure(&mut self, name: &str, device: &Device) -> Result<(), KernelError> {
        match self {
            Self::Kernel(generic) => generic.configure(name, device),
            Self::Userspace(_) => userspace::configure(name, device),
        }
    }

    /// Changes of one kind to the peers of one device ([`in_one_message`]). The caller bounds their number: a message to
    /// the kernel holds 64 KiB, and it does all of it before it does anything else.
    pub(super) fn change(&mut self, operations: &[Operation]) -> Result<(), KernelError> {
        let Some(device) = operations.first().and_then(device_of) else {
            return Ok(());
        };
        let changes = match operations {
            [Operation::Remove(Key::Allowed { .. }), ..] => move_away(operations)?,
            _ => operations.iter().filter_map(peer_change).collect(),
        };
        if changes.is_empty() {
            return Ok(());
        }
        match self {
            Self::Kernel(generic) => generic.change(device, &changes),
            Self::Userspace(_) => userspace::change(device, &changes),
        }
    }
}

/// What is told of one device. No `Debug`: keys are in it.
#[derive(Default)]
pub(super) struct Read {
    pub(super) public_key: Option<PublicKey>,
    pub(super) listen_port: u16,
    peers: BTreeMap<PublicKey, ReadPeer>,
}

#[derive(Default)]
struct ReadPeer {
    preshared_key: Option<PresharedKey>,
    keepalive_s: u16,
    endpoint: Option<SocketAddr>,
    counters: PeerCounters,
    allowed: Vec<Prefix>,
}

impl Read {
    /// Neither a key nor a peer: nobody has configured it.
    pub(super) fn is_blank(&self) -> bool {
        self.public_key.is_none_or(|key| key.0 == NO_KEY) && self.peers.is_empty()
    }

    pub(super) fn into_peers(self, device: &Arc<str>, peers: &mut Peers) {
        for (key, peer) in self.peers {
            let id = (device.clone(), key);
            peers.counters.insert(id.clone(), peer.counters);
            peers.endpoints.extend(peer.endpoint.map(|endpoint| (id, endpoint)));
            let content = Peer {
                preshared_key: peer.preshared_key,
                keepalive_s: peer.keepalive_s,
            };
            peers.held.insert(
                Key::Peer {
                    device: device.clone(),
                    key,
                },
                Resource::Peer(content),
            );
            let allowed = peer.allowed.into_iter();
            peers.held.extend(allowed.map(|prefix| {
                (
                    Key::Allowed {
                        device: device.clone(),
                        prefix,
                    },
                    Resource::Allowed(key),
                )
            }));
        }
    }
}

/// How long ago a handshake was; `at`, both since 1970, is 0 if there was none. A clock that was set back makes no
/// handshake of the future.
fn age(at: Duration, now: Duration) -> Option<Duration> {
    (!at.is_zero()).then(|| now.saturating_sub(at))
}

/// A change to one peer.
struct PeerChange<'a> {
    key: PublicKey,
    does: Does<'a>,
}

enum Does<'a> {
    /// Gives it this, and makes it if it is not there. Nothing else makes a peer.
    Make(&'a Peer),
    Call(SocketAddr),
    /// Takes these addresses from whoever has them.
    Allow(Vec<Prefix>),
    /// The same, as a peer that is new.
    MakeToAllow(Vec<Prefix>),
    Remove,
}

/// Whether two changes that follow each other may go in one message: the same kind, on one device.
pub(super) fn in_one_message(one: &Operation, other: &Operation) -> bool {
    let kind = |operation: &Operation| {
        let putting = matches!(operation, Operation::Put(..));
        match operation.key() {
            Key::Peer { device, .. } => Some((device.clone(), 0, putting)),
            Key::Endpoint { device, .. } => Some((device.clone(), 1, putting)),
            Key::Allowed { device, .. } => Some((device.clone(), 2, putting)),
            Key::Guard { .. }
            | Key::Rule { .. }
            | Key::Filter { .. }
            | Key::Device(_)
            | Key::Address { .. }
            | Key::Route { .. }
            | Key::Refused(_) => None,
        }
    };
    kind(one).is_some_and(|kind_of_one| Some(kind_of_one) == kind(other))
}

/// The device whose peers are changed.
pub(super) fn device_of(operation: &Operation) -> Option<&Arc<str>> {
    match operation.key() {
        Key::Peer { device, .. } | Key::Endpoint { device, .. } | Key::Allowed { device, .. } => Some(device),
        Key::Guard { .. }
        | Key::Rule { .. }
        | Key::Filter { .. }
        | Key::Device(_)
        | Key::Address { .. }
        | Key::Route { .. }
        | Key::Refused(_) => None,
    }
}

fn peer_change(operation: &Operation) -> Option<PeerChange<'_>> {
    let (key, does) = match operation {
        Operation::Put(Key::Peer { key, .. }, Resource::Peer(peer)) => (key, Does::Make(peer)),
        Operation::Put(Key::Endpoint { key, .. }, Resource::Endpoint(endpoint)) => (key, Does::Call(*endpoint)),
        Operation::Put(Key::Allowed { prefix, .. }, Resource::Allowed(key)) => (key, Does::Allow(vec![*prefix])),
        Operation::Remove(Key::Peer { key, .. }) => (key, Does::Remove),
        // An endpoint cannot be taken back.
        Operation::Put(..) | Operation::Remove(_) => return None,
    };
    Some(PeerChange { key: *key, does })
}

/// Moves allowed addresses to a peer that nobody is, and removes that peer: kernels up to 6.15, and programs of their
/// time, do not take a single address from a peer, and replacing all of a peer's addresses loses packets of the others.
fn move_away(operations: &[Operation]) -> Result<Vec<PeerChange<'_>>, KernelError> {
    let nobody = keys::random().map_err(|error| unreachable_because("random bytes", &error))?;
    let key = PublicKey(*nobody);
    let prefixes = operations.iter().filter_map(|operation| match operation.key() {
        Key::Allowed { prefix, .. } => Some(*prefix),
        _ => None,
    });
    let does = Does::MakeToAllow(prefixes.collect());
    Ok(vec![
        PeerChange { key, does },
        PeerChange {
            key,
            does: Does::Remove,
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_has_an_age_once_there_was_one() {
        let (at, now) = (Duration::from_secs, Duration::from_secs(100));
        assert_eq!(age(at(0), now), None);
        assert_eq!(age(at(40), now), Some(at(60)));
        assert_eq!(age(at(140), now), Some(Duration::ZERO), "the clock was set back");
    }

    #[test]
    fn addresses_that_go_are_taken_by_a_peer_that_goes() {
        let device: Arc<str> = "wg0".into();
        let prefix = |n: u8| Prefix::new([10, n, 0, 0].into(), 16).unwrap();
        let gone = [1, 2].map(|n| {
            Operation::Remove(Key::Allowed {
                device: device.clone(),
                prefix: prefix(n),
            })
        });
        let changes = move_away(&gone).unwrap();
        let [taken, left] = changes.as_slice() else {
            panic!("{} changes", changes.len())
        };
        assert!(matches!(&taken.does, Does::MakeToAllow(prefixes) if *prefixes == [prefix(1), prefix(2)]));
        assert!(matches!(left.does, Does::Remove));
        assert_eq!(taken.key, left.key);
        assert_ne!(taken.key, move_away(&gone).unwrap()[0].key);
    }
}
