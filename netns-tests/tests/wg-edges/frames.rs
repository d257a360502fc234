//! What passes the underlay.

use std::fmt;

use anyhow::Result;
use catalyst_netns_tests::Capture;

/// Of the devices that are always there, and of those in a change of keys.
const TUNNEL_PORTS: [u16; 2] = [51820, 51830];
const PEERING_PORT: u16 = 1790;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP_V6: u8 = 58;

/// Frames by what they are.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Between the ports of the tunnel, fragments included.
    pub(crate) wireguard: usize,
    /// Those of the above that are only a part of a message.
    pub(crate) fragments: usize,
    /// The sessions of the daemons.
    pub(crate) peering: usize,
    /// ARP, neighbour discovery, MLD, router solicitations.
    pub(crate) neighbours: usize,
    /// Errors of routers and hosts about the above.
    pub(crate) errors: usize,
    /// Everything else, in words.
    pub(crate) clear: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Wireguard,
    Peering,
    Neighbours,
    Error,
    Clear,
}

impl Seen {
    pub(crate) fn add(&mut self, capture: &Capture) -> Result<()> {
        for frame in capture.take()? {
            match kind(&frame) {
                Kind::Wireguard => {
                    self.wireguard += 1;
                    self.fragments += usize::from(is_fragment(&frame));
                }
                Kind::Peering => self.peering += 1,
                Kind::Neighbours => self.neighbours += 1,
                Kind::Error => self.errors += 1,
                Kind::Clear => self.clear.push(words(&frame)),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "underlay: {} WireGuard ({} fragments), {} peering, {} neighbours, {} errors, {} in the clear",
            self.wireguard,
            self.fragments,
            self.peering,
            self.neighbours,
            self.errors,
            self.clear.len()
        )
    }
}

/// Of IPv4: more fragments follow, or it is not the first.
fn is_fragment(frame: &[u8]) -> bool {
    matches!(frame.get(20..22), Some(&[high, low]) if high & 0x3f != 0 || low != 0)
}

fn kind(frame: &[u8]) -> Kind {
    let packet = frame.get(14..).unwrap_or_default();
    match frame.get(12..14) {
        Some([0x08, 0x06]) => Kind::Neighbours,
        Some([0x08, 0x00]) => ipv4(packet),
        Some([0x86, 0xdd]) => ipv6(packet),
        _ => Kind::Clear,
    }
}

/// A packet without options, between the ends of the underlay.
fn ipv4(packet: &[u8]) -> Kind {
    let addresses = [packet.get(12..16), packet.get(16..20)];
    let is_underlay =
        |address: &Option<&[u8]>| matches!(address, Some([192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _]));
    if packet.first() != Some(&0x45) || !addresses.iter().all(is_underlay) {
        return Kind::Clear;
    }
    let has_port = |port: u16| {
        let port = port.to_be_bytes();
        packet.get(20..22) == Some(&port) || packet.get(22..24) == Some(&port)
    };
    let later_fragment = packet.get(6..8).is_some_and(|word| word[0] & 0x1f != 0 || word[1] != 0);
    match packet.get(9) {
        Some(&UDP) if later_fragment => Kind::Wireguard,
        // A message type of WireGuard with its three reserved zeroes.
        Some(&UDP)
            if TUNNEL_PORTS.into_iter().any(has_port) && matches!(packet.get(28..32), Some([1..=4, 0, 0, 0])) =>
        {
            Kind::Wireguard
        }
        Some(&TCP) if has_port(PEERING_PORT) => Kind::Peering,
        // It quotes the packet that it is about.
        Some(&ICMP) if matches!(packet.get(20), Some(3 | 11)) => {
            if ipv4(packet.get(28..).unwrap_or_default()) == Kind::Clear {
                Kind::Clear
            } else {
                Kind::Error
            }
        }
        _ => Kind::Clear,
    }
}

/// Router and neighbour discovery (133 to 136) and MLDv2 reports (143, behind a hop-by-hop header).
fn ipv6(packet: &[u8]) -> Kind {
    match (packet.get(6), packet.get(40), packet.get(48)) {
        (Some(&ICMP_V6), Some(133..=136), _) | (Some(0), Some(&ICMP_V6), Some(143)) => Kind::Neighbours,
        _ => Kind::Clear,
    }
}

fn words(frame: &[u8]) -> String {
    let packet = frame.get(14..).unwrap_or_default();
    match frame.get(12..14) {
        Some([0x08, 0x00]) if packet.len() >= 20 => format!(
            "IPv4 {:?} -> {:?} protocol {}: {:02x?}",
            &packet[12..16],
            &packet[16..20],
            packet[9],
            &packet[20..packet.len().min(60)]
        ),
        _ => format!("{frame:02x?}"),
    }
}
