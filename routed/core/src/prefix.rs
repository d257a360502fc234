//! IP prefixes: the destinations of the families IPv4 and IPv6.

mod set;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::wire::Family;

pub use set::PrefixSet;

/// A network address and its length in bits; every bit beyond the length is zero, so that a prefix has one spelling.
///
/// Ordered by family (IPv4 first), then address, then length: a prefix stands before those within it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why something is not a prefix. The text itself is not repeated: the caller names the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// No `/`, or what stands around it is neither an address nor a number.
    #[error("a prefix is an IP address, '/' and a length (10.2.0.0/16, 2001:db8::/32)")]
    Form,
    /// Longer than the address.
    #[error("a prefix of this family has at most {max} bits, this one has {found}")]
    Length {
        /// The length in bits.
        found: u8,
        /// The most: 32 or 128.
        max: u8,
    },
    /// Bits beyond the length are set.
    #[error("bits beyond the length of a prefix are zero: the network is {0}")]
    HostBits(Prefix),
}

impl Prefix {
    /// The prefix of an address that has no bit set beyond `length`.
    ///
    /// # Errors
    /// [`PrefixError::Length`] and [`PrefixError::HostBits`].
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let network = Self::of(address, length)?;
        if network.address == address {
            return Ok(network);
        }
        Err(PrefixError::HostBits(network))
    }

    /// The prefix of this length that an address is in.
    ///
    /// # Errors
    /// [`PrefixError::Length`].
    pub fn of(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let max = max_length(address);
        if length > max {
            return Err(PrefixError::Length { found: length, max });
        }
        Ok(Self {
            address: cut(address, length),
            length,
        })
    }

    /// The prefix of an address alone.
    #[must_use]
    pub fn of_host(address: IpAddr) -> Self {
        let length = max_length(address);
        Self { address, length }
    }

    /// This prefix and every one that it is within, the longest first.
    pub fn and_supernets(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |prefix| prefix.parent())
    }

    /// The network address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The length in bits.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// IPv4 or IPv6.
    #[must_use]
    pub fn family(self) -> Family {
        match self.address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && cut(address, self.length) == self.address
    }

    /// Whether `other` is this prefix or one within it.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        other.length >= self.length && self.contains(other.address)
    }

    /// The prefix one bit shorter, which this one is in; `None` for one of length 0.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        let length = self.length.checked_sub(1)?;
        let address = cut(self.address, length);
        Some(Self { address, length })
    }

    /// What makes a prefix one that nobody may offer to another organisation: it lies in "this host", loopback,
    /// link-local, multicast or reserved addresses (RFC 6890), or spells IPv4 as IPv6.
    #[must_use]
    pub fn is_martian(self) -> bool {
        MARTIANS_V4
            .iter()
            .map(|(octets, length)| (IpAddr::from(*octets), *length))
            .chain(
                MARTIANS_V6
                    .iter()
                    .map(|(parts, length)| (IpAddr::from(*parts), *length)),
            )
            .any(|(address, length)| Self { address, length }.covers(self))
    }
}

const MARTIANS_V4: [([u8; 4], u8); 5] = [
    ([0, 0, 0, 0], 8),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// `::` and `::1`, IPv4 written as IPv6, link-local, multicast.
const MARTIANS_V6: [([u16; 8], u8); 5] = [
    ([0; 8], 128),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

fn max_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Sets the bits beyond `length`, which the address has, to zero.
fn cut(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = text.split_once('/').ok_or(PrefixError::Form)?;
        let address = address.parse().map_err(|_| PrefixError::Form)?;
        if !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PrefixError::Form);
        }
        Self::new(address, length.parse().map_err(|_| PrefixError::Form)?)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_none() {
            return write!(f, "{}/{}", self.address, self.length);
        }
        f.pad(&format!("{}/{}", self.address, self.length))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_has_one_spelling() {
        for text in [
            "0.0.0.0/0",
            "10.2.0.0/16",
            "10.2.3.4/32",
            "::/0",
            "2001:db8::/32",
            "::1/128",
        ] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(prefix("2001:0DB8:0::/32").to_string(), "2001:db8::/32");
        for (text, error) in [
            ("", PrefixError::Form),
            ("10.2.0.0", PrefixError::Form),
            ("10.2.0.0/", PrefixError::Form),
            ("10.2.0.0/+8", PrefixError::Form),
            ("10.2.0.0/1 6", PrefixError::Form),
            ("10.2/16", PrefixError::Form),
            ("fe80::%1/10", PrefixError::Form),
            ("10.2.0.0/256", PrefixError::Form),
            ("10.2.0.0/33", PrefixError::Length { found: 33, max: 32 }),
            ("::/129", PrefixError::Length { found: 129, max: 128 }),
            ("10.2.0.1/16", PrefixError::HostBits(prefix("10.2.0.0/16"))),
            ("128.0.0.0/0", PrefixError::HostBits(prefix("0.0.0.0/0"))),
            ("2001:db8::1/127", PrefixError::HostBits(prefix("2001:db8::/127"))),
        ] {
            assert_eq!(text.parse::<Prefix>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_covers_itself_and_what_is_longer() {
        for (one, other, covers) in [
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.255.0.0/16", true),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("0.0.0.0/0", "255.255.255.255/32", true),
            ("0.0.0.0/0", "::/0", false),
            ("::/0", "2001:db8::/32", true),
            ("2001:db8::/32", "2001:db9::/32", false),
        ] {
            assert_eq!(prefix(one).covers(prefix(other)), covers, "{one} {other}");
        }
        assert!(prefix("10.0.0.0/8").contains("10.9.8.7".parse().unwrap()));
        assert!(!prefix("::/0").contains("10.9.8.7".parse().unwrap()));
    }

    #[test]
    fn parents_lead_to_the_default() {
        let chain: Vec<Prefix> = Prefix::of_host("192.0.2.129".parse().unwrap())
            .and_supernets()
            .collect();
        assert_eq!(chain.len(), 33);
        assert!(chain.is_sorted_by(|one, other| other.covers(*one)));
        assert_eq!((chain[8], chain[32]), (prefix("192.0.2.0/24"), prefix("0.0.0.0/0")));
    }

    #[test]
    fn martians_are_known() {
        for text in [
            "127.0.0.1/32",
            "169.254.0.0/16",
            "224.0.0.0/24",
            "240.0.0.0/4",
            "0.0.0.0/8",
            "::1/128",
        ] {
            assert!(prefix(text).is_martian(), "{text}");
        }
        for text in ["fe80::/64", "ff02::/16", "::ffff:10.0.0.0/104", "255.255.255.255/32"] {
            assert!(prefix(text).is_martian(), "{text}");
        }
        for text in [
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/8",
            "2001:db8::/32",
            "192.0.2.0/24",
            "fd00::/8",
        ] {
            assert!(!prefix(text).is_martian(), "{text}");
        }
    }
}
