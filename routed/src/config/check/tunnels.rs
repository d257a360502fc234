//! Rules about tunnels: whose addresses they have, and that none of them leads to its own other end.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use catalyst_core::route::Prefix;

use super::super::path::KeyPath;
use super::super::text::{Label, Spelled};
use super::super::types::{Config, Peer};
use super::super::wireguard::{OwnTunnel, PeerTunnel, StaticTunnel, Wireguard};
use super::{Problems, section};

/// The bounds of `keepalive`.
const KEEPALIVE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
/// The least of `rotate_every`: changes are not to follow each other like one.
const MIN_ROTATE_EVERY: Duration = Duration::from_secs(3600);
/// The most keys that a peer may be pinned to: of today, of tomorrow, and some to spare.
const MAX_PINNED_KEYS: usize = 4;
/// The bounds of `mtu`: IPv6 needs the least, the most leaves room for what WireGuard adds over IPv6.
const MTU: RangeInclusive<u16> = 1280..=65_455;
/// The tables of the kernel itself: compat, default, main, local.
const KERNEL_TABLES: RangeInclusive<u32> = 252..=255;
/// The most addresses of one tunnel.
const MAX_ADDRESSES: usize = 8;
/// The most prefixes of a static tunnel.
const MAX_PREFIXES: usize = 10_000;
/// The most organisations, and the most static tunnels.
const MAX_TUNNELS: usize = 1000;
/// The longest name of a network device in bytes: IFNAMSIZ of if_nametoindex(3), less its NUL and the sign of a second one in a
/// change of keys.
const MAX_DEVICE_BYTES: usize = 14;

pub(super) fn check_tunnels(config: &Config, problems: &mut Problems) {
    let mut taken = Taken::default();
    if let Some(wireguard) = &config.plugins.wireguard {
        check_wireguard(config, wireguard, &mut taken, problems);
    }
    for (name, peer) in &config.peers {
        let Some(tunnel) = &peer.tunnel else { continue };
        let path = section("peers").key(name).field("tunnel");
        check_peer_tunnel(config, (peer, tunnel), &path, &mut taken, problems);
    }
}

/// Whose the addresses in tunnels are.
#[derive(Debug, Default)]
struct Taken(Vec<(Prefix, KeyPath)>);

impl Taken {
    /// Claims addresses, or says who has them.
    fn claim(&mut self, addresses: &[Spelled<Prefix>], path: &KeyPath, problems: &mut Problems) {
        let count = addresses.len();
        problems.unless((1..=MAX_ADDRESSES).contains(&count), path.clone(), || {
            format!("expected 1 to {MAX_ADDRESSES} addresses, found {count}")
        });
        for (index, address) in addresses.iter().enumerate() {
            let path = path.index(index);
            problems.unless(!address.0.is_martian(), path.clone(), || {
                format!("{address} can be nobody's address in a tunnel")
            });
            let other = self
                .0
                .iter()
                .find(|(other, _)| other.covers(address.0) || address.0.covers(*other));
            if let Some((prefix, other)) = other {
                problems.add(path.clone(), format!("{address} and {prefix} of {other} overlap"));
            }
            self.0.push((address.0, path));
        }
    }
}

fn check_wireguard(config: &Config, wireguard: &Wireguard, taken: &mut Taken, problems: &mut Problems) {
    let path = section("plugins").field("wireguard");
    let keepalive = &wireguard.keepalive;
    problems.unless(KEEPALIVE.contains(&**keepalive), path.field("keepalive"), || {
        format!("expected 1s to 300s, found {keepalive}")
    });
    if let Some(every) = &wireguard.rotate_every {
        problems.unless(**every >= MIN_ROTATE_EVERY, path.field("rotate_every"), || {
            format!("expected at least 1h, found {every}")
        });
        check_rotation(wireguard, &path, problems);
    }
    let table = wireguard.table;
    problems.unless(
        table > 0 && !KERNEL_TABLES.contains(&table),
        path.field("table"),
        || format!("{table} is a table of the kernel's own; choose another one that nothing uses"),
    );
    let priority = wireguard.rule_priority;
    problems.unless((1..=32_765).contains(&priority), path.field("rule_priority"), || {
        format!("expected 1 to 32765 (before the main table), found {priority}")
    });
    let protocol = wireguard.route_protocol;
    problems.unless(protocol >= 5, path.field("route_protocol"), || {
        format!("{protocol} is what the kernel and ip(8) use themselves; expected 5 to 255")
    });
    let key_file = &wireguard.private_key_file;
    let empty = key_file.as_ref().is_some_and(|file| file.as_os_str().is_empty());
    problems.unless(!empty, path.field("private_key_file"), || {
        "expected a file, found \"\"".to_owned()
    });
    if let Some(program) = wireguard.userspace.as_ref().filter(|program| !program.is_absolute()) {
        problems.add(
            path.field("userspace"),
            format!("expected the absolute path of a program, found {program:?}"),
        );
    }
    for (key, count) in [("tunnels", wireguard.tunnels.len()), ("static", wireguard.fixed.len())] {
        problems.unless(count <= MAX_TUNNELS, path.field(key), || {
            format!("at most {MAX_TUNNELS} tunnels, found {count}")
        });
    }
    let mut devices = BTreeMap::new();
    let mut ports: BTreeMap<u16, KeyPath> = BTreeMap::new();
    for (organisation, own) in &wireguard.tunnels {
        let path = path.field("tunnels").key(organisation);
        check_organisation(config, organisation, &path, problems);
        check_own(config, organisation, own, &path, problems);
        check_hosts(&own.addresses, &path.field("addresses"), problems);
        taken.claim(&own.addresses, &path.field("addresses"), problems);
        if let Some(other) = devices.insert(own.device_of(organisation), organisation) {
            let message = format!(
                "the device of tunnels[{other:?}] has the same name, {:?}",
                own.device_of(organisation)
            );
            problems.add(path.field("device"), message);
        }
        let second = own
            .second
            .as_ref()
            .map(|second| (second.listen_port, path.field("second")));
        for (port, path) in [Some((own.listen_port, path.clone())), second].into_iter().flatten() {
            let path = path.field("listen_port");
            if let Some(other) = ports.insert(port, path.clone()) {
                problems.add(path, format!("{other} is the same port"));
            }
        }
    }
    for (name, fixed) in &wireguard.fixed {
        check_static(
            config,
            wireguard,
            (name, fixed),
            &path.field("static").key(name),
            taken,
            problems,
        );
    }
}

/// What is to happen by itself must be able to.
fn check_rotation(wireguard: &Wireguard, path: &KeyPath, problems: &mut Problems) {
    let every = path.field("rotate_every");
    problems.unless(wireguard.private_key_file.is_none(), every.clone(), || {
        format!("{} is not for this node to change", path.field("private_key_file"))
    });
    problems.unless(wireguard.fixed.is_empty(), every.clone(), || {
        format!("the other ends of {} would not hear of it", path.field("static"))
    });
    for (organisation, _) in wireguard.tunnels.iter().filter(|(_, own)| own.second.is_none()) {
        let second = path.field("tunnels").key(organisation).field("second");
        problems.add(
            every.clone(),
            format!("set {second}, the device for the time of a change"),
        );
    }
}

fn check_organisation(config: &Config, organisation: &str, path: &KeyPath, problems: &mut Problems) {
    match Spelled::<Label>::parse(organisation) {
        Err(message) => problems.add(path.clone(), message),
        Ok(label) if label.0.0 != organisation => {
            problems.add(
                path.clone(),
                format!("an organisation is written in lower case: {label}"),
            );
        }
        Ok(label) if label == config.node.organisation => {
            problems.add(path.clone(), "tunnels lead to other organisations, and this is ours");
        }
        Ok(_) => {}
    }
}

fn check_own(config: &Config, organisation: &str, own: &OwnTunnel, path: &KeyPath, problems: &mut Problems) {
    problems.unless(own.listen_port > 0, path.field("listen_port"), || {
        "expected a port of at least 1, found 0".to_owned()
    });
    problems.unless(MTU.contains(&own.mtu), path.field("mtu"), || {
        format!("expected 1280 to 65455 bytes, found {}", own.mtu)
    });
    if let Some(device) = &own.device {
        problems.unless(is_device(device), path.field("device"), || {
            format!("expected the name of a network device (1 to {MAX_DEVICE_BYTES} of a-z, A-Z, 0-9, '-', '_', '.'), found {device:?}")
        });
    }
    if let Some(endpoint) = &own.endpoint {
        check_host(**endpoint, &path.field("endpoint"), problems);
    }
    if let Some(second) = &own.second {
        let path = path.field("second");
        problems.unless(second.listen_port > 0, path.field("listen_port"), || {
            "expected a port of at least 1, found 0".to_owned()
        });
        if let Some(endpoint) = &second.endpoint {
            check_host(**endpoint, &path.field("endpoint"), problems);
            problems.unless(own.endpoint.is_some(), path.field("endpoint"), || {
                "the first device has no endpoint, and is to be used as well".to_owned()
            });
            problems.unless(own.endpoint != Some(*endpoint), path.field("endpoint"), || {
                format!("{endpoint} is the endpoint of the first device")
            });
        }
    }
    let Some(envoy) = &config.plugins.envoy else { return };
    if let Some(listener) = envoy.peer_listeners.get(organisation)
        && !own.addresses.iter().any(|address| address.0.contains(listener.ip()))
    {
        let key = section("plugins")
            .field("envoy")
            .field("peer_listeners")
            .key(organisation);
        problems.warn(
            path.field("addresses"),
            format!("{key} is at {listener}, beside the tunnel: peers that require the tunnel take no route that leads there"),
        );
    }
}

fn check_static(
    config: &Config,
    wireguard: &Wireguard,
    (name, fixed): (&str, &StaticTunnel),
    path: &KeyPath,
    taken: &mut Taken,
    problems: &mut Problems,
) {
    match Spelled::<Label>::parse(name) {
        Ok(label) if label.0.0 == name => {}
        Ok(label) => problems.add(
            path.clone(),
            format!("a tunnel's name is written in lower case: {label}"),
        ),
        Err(message) => problems.add(path.clone(), message),
    }
    problems.unless(!config.peers.contains_key(name), path.clone(), || {
        format!("peers[{name:?}] has this name, and its tunnel would")
    });
    check_end(wireguard, &fixed.organisation, &path.field("organisation"), problems);
    check_hosts(&fixed.addresses, &path.field("addresses"), problems);
    taken.claim(&fixed.addresses, &path.field("addresses"), problems);
    let count = fixed.prefixes.len();
    problems.unless(count <= MAX_PREFIXES, path.field("prefixes"), || {
        format!("at most {MAX_PREFIXES} prefixes, found {count}")
    });
    for (index, prefix) in fixed.prefixes.iter().enumerate() {
        problems.unless(!prefix.0.is_martian(), path.field("prefixes").index(index), || {
            format!("{prefix} cannot be behind a tunnel")
        });
    }
    let behind = fixed.prefixes.iter().chain(&fixed.addresses).map(|prefix| prefix.0);
    if let Some(endpoint) = &fixed.endpoint {
        check_host(**endpoint, &path.field("endpoint"), problems);
        check_recursion(endpoint.ip(), behind, &path.field("endpoint"), problems);
    }
    check_secret(fixed.preshared_key_file.as_deref(), path, problems);
}

fn check_peer_tunnel(
    config: &Config,
    (peer, tunnel): (&Peer, &PeerTunnel),
    path: &KeyPath,
    taken: &mut Taken,
    problems: &mut Problems,
) {
    taken.claim(&tunnel.addresses, &path.field("addresses"), problems);
    check_secret(tunnel.preshared_key_file.as_deref(), path, problems);
    problems.unless(config.is_outside(peer), path.clone(), || {
        "tunnels lead to other organisations, and this peer is of ours".to_owned()
    });
    match &config.plugins.wireguard {
        Some(wireguard) if config.is_outside(peer) => {
            check_end(wireguard, config.organisation_of(peer), path, problems);
        }
        Some(_) => {}
        None => problems.add(
            path.clone(),
            "a tunnel needs the wireguard plugin; add plugins.wireguard",
        ),
    }
    if let Some(keys) = &tunnel.public_key {
        let count = keys.items().len();
        problems.unless((1..=MAX_PINNED_KEYS).contains(&count), path.field("public_key"), || {
            format!("expected 1 to {MAX_PINNED_KEYS} keys, found {count}")
        });
    }
    let behind = || {
        peer.allowed_prefixes
            .iter()
            .chain(&tunnel.addresses)
            .map(|prefix| prefix.0)
    };
    check_recursion(peer.address.ip(), behind(), path, problems);
    if let Some(endpoint) = &tunnel.endpoint {
        check_host(**endpoint, &path.field("endpoint"), problems);
        check_recursion(endpoint.ip(), behind(), &path.field("endpoint"), problems);
    }
    for family in tunnel.addresses.iter().map(|address| Spelled(address.0.family())) {
        problems.unless(peer.families.contains(&family), path.field("addresses"), || {
            format!("a tunnel is announced by its addresses, and {family} is not among the families of this peer")
        });
    }
}

fn check_end(wireguard: &Wireguard, organisation: &str, path: &KeyPath, problems: &mut Problems) {
    problems.unless(wireguard.tunnels.contains_key(organisation), path.clone(), || {
        let key = section("plugins").field("wireguard").field("tunnels").key(organisation);
        format!("a tunnel has two ends: set {key} to say what ours is")
    });
}

/// A packet to the other end of a tunnel that has to go through this tunnel never leaves.
fn check_recursion(end: IpAddr, behind: impl Iterator<Item = Prefix>, path: &KeyPath, problems: &mut Problems) {
    for prefix in behind {
        problems.unless(!prefix.contains(end), path.clone(), || {
            format!("{end} is reached outside of the tunnel, and {prefix} through it")
        });
    }
}

fn check_hosts(addresses: &[Spelled<Prefix>], path: &KeyPath, problems: &mut Problems) {
    for (index, address) in addresses.iter().enumerate() {
        let host = Prefix::of_host(address.0.address());
        problems.unless(host == address.0, path.index(index), || {
            format!("expected the address of a host such as {host}, found {address}")
        });
    }
}

fn check_host(address: SocketAddr, path: &KeyPath, problems: &mut Problems) {
    let ip = address.ip();
    problems.unless(!ip.is_unspecified() && !ip.is_multicast(), path.clone(), || {
        format!("expected the address of a host, found {address}")
    });
}

fn check_secret(file: Option<&std::path::Path>, path: &KeyPath, problems: &mut Problems) {
    problems.unless(
        file.is_none_or(|file| !file.as_os_str().is_empty()),
        path.field("preshared_key_file"),
        || "expected a file, found \"\"".to_owned(),
    );
}

fn is_device(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=MAX_DEVICE_BYTES).contains(&name.len()) && name.bytes().all(fits) && !matches!(name, "." | "..")
}
