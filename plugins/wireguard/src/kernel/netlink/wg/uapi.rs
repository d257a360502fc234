//! What is said to a program that does WireGuard, and what it says: the text protocol that all of them speak
//! (<https://www.wireguard.com/xplatform/>). What it tells is taken for what anybody might say.

use std::fmt::Write;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use catalyst_plugin::Prefix;
use zeroize::Zeroizing;

use super::lines::Lines;
use super::{Does, NO_KEY, PeerChange, Read, ReadPeer, age};
use crate::keys::{KEY_BYTES, PresharedKey, PrivateKey, PublicKey};
use crate::resource::Device;

/// Asks for everything.
pub(super) const GET: &str = "get=1\n\n";
/// Ten thousand peers with a hundred addresses each have less.
const ANSWER_BYTES: usize = 1 << 26;
/// What one line of a request takes at most.
const LINE_BYTES: usize = 96;

/// Why there is no answer that counts.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is none, or one that is none.
    Io(io::Error),
    /// It refuses, with this error number of the system.
    Refused(i32),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A request. Keys are in it: it never grows, which would leave a copy, and is wiped.
struct Request(Zeroizing<String>);

impl Request {
    fn set(lines: usize) -> Self {
        let mut text = String::with_capacity((lines + 2) * LINE_BYTES);
        text.push_str("set=1\n");
        Self(Zeroizing::new(text))
    }

    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        // Text takes anything.
        let _ = writeln!(self.0, "{key}={value}");
    }

    fn key(&mut self, name: &str, key: &[u8; KEY_BYTES]) {
        self.0.push_str(name);
        self.0.push('=');
        for nibble in key.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            self.0.extend(char::from_digit(nibble.into(), 16));
        }
        self.0.push('\n');
    }

    fn end(mut self) -> Zeroizing<String> {
        self.0.push('\n');
        self.0
    }
}

/// Sets the key and the port of a device.
pub(super) fn configure(device: &Device) -> Zeroizing<String> {
    let mut request = Request::set(3);
    if let Some(key) = &device.private_key {
        request.key("private_key", key.bytes());
    }
    request.line("listen_port", device.listen_port);
    request.line("fwmark", 0);
    request.end()
}

/// Changes peers.
pub(super) fn change(changes: &[PeerChange<'_>]) -> Zeroizing<String> {
    let lines = |change: &PeerChange<'_>| match &change.does {
        Does::Allow(prefixes) | Does::MakeToAllow(prefixes) => 2 + prefixes.len(),
        Does::Make(_) | Does::Call(_) | Does::Remove => 3,
    };
    let mut request = Request::set(changes.iter().map(lines).sum());
    for change in changes {
        request.key("public_key", &change.key.0);
        if !matches!(change.does, Does::Make(_) | Does::MakeToAllow(_)) {
            request.line("update_only", true);
        }
        match &change.does {
            Does::Make(peer) => {
                let none = &NO_KEY;
                let preshared_key = peer.preshared_key.as_ref().map_or(none, PresharedKey::bytes);
                request.key("preshared_key", preshared_key);
                request.line("persistent_keepalive_interval", peer.keepalive_s);
            }
            Does::Call(endpoint) => request.line("endpoint", endpoint),
            Does::Allow(prefixes) | Does::MakeToAllow(prefixes) => {
                prefixes.iter().for_each(|prefix| request.line("allowed_ip", prefix));
            }
            Does::Remove => request.line("remove", true),
        }
    }
    request.end()
}

/// Whether a request to change something was carried out.
///
/// # Errors
/// It was not, or nobody knows.
pub(super) fn done(answer: impl io::Read) -> Result<(), Fault> {
    each(answer, |_, _| Some(()))
}

/// The answer to [`GET`]; `now` is since 1970.
///
/// # Errors
/// It was refused, or is none. Its text is never part of the error.
pub(super) fn read(answer: impl io::Read, now: Duration) -> Result<Read, Fault> {
    let mut read = Read::default();
    let mut peer = None;
    let mut handshake = Duration::ZERO;
    each(answer, |key, value| {
        match key {
            "private_key" => read.public_key = Some(PrivateKey::from_bytes(*hex(value)?).public_key()),
            "listen_port" => read.listen_port = number(value)?,
            "public_key" => {
                peer = Some(PublicKey(*hex(value)?));
                handshake = Duration::ZERO;
            }
            _ => {}
        }
        let Some(told) = peer else { return Some(()) };
        take(read.peers.entry(told).or_default(), &mut handshake, (key, value), now)
    })?;
    Ok(read)
}

/// One line about a peer. `handshake` is put together from two.
fn take(peer: &mut ReadPeer, handshake: &mut Duration, (key, value): (&str, &str), now: Duration) -> Option<()> {
    match key {
        "preshared_key" => {
            let key = hex(value)?;
            peer.preshared_key = (*key != NO_KEY).then(|| PresharedKey::from_bytes(*key));
        }
        "persistent_keepalive_interval" => peer.keepalive_s = number(value)?,
        // One with a zone that has a name is none that we called.
        "endpoint" => peer.endpoint = value.parse::<SocketAddr>().ok(),
        "last_handshake_time_sec" => *handshake = Duration::new(number(value)?, handshake.subsec_nanos()),
        "last_handshake_time_nsec" => {
            let nanos = number(value).filter(|nanos| *nanos < 1_000_000_000)?;
            *handshake = Duration::new(handshake.as_secs(), nanos);
        }
        "rx_bytes" => peer.counters.received = number(value)?,
        "tx_bytes" => peer.counters.sent = number(value)?,
        "allowed_ip" => {
            let (address, length) = value.split_once('/')?;
            peer.allowed
                .push(Prefix::of(address.parse::<IpAddr>().ok()?, number(length)?).ok()?);
        }
        _ => {}
    }
    peer.counters.handshake_age = age(*handshake, now);
    Some(())
}

/// Gives the lines of an answer, up to `errno`, which has to be there.
fn each(answer: impl io::Read, mut take: impl FnMut(&str, &str) -> Option<()>) -> Result<(), Fault> {
    let mut lines = Lines::new(answer, ANSWER_BYTES);
    let mut errno = None;
    for number in 1_usize.. {
        let line = lines.next()?;
        if line.is_empty() {
            break;
        }
        let taken = line.split_once('=').and_then(|(key, value)| {
            if key == "errno" {
                errno = Some(value.parse::<i32>().ok()?);
                return Some(());
            }
            take(key, value)
        });
        if taken.is_none() {
            let text = format!("bad answer: line {number} makes no sense");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
        }
    }
    match errno {
        Some(0) => Ok(()),
        Some(errno) => Err(Fault::Refused(errno.saturating_abs())),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "bad answer: it has no errno").into()),
    }
}

/// Digits and nothing else.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

fn hex(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let digits = text.as_bytes();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let nibble = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(nibble).ok()?;
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests;
