//! What a route leads to: a service name or a prefix (NLRI of RFC 4271 section 4.3, in one type for all families).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::name::{NameError, ServiceName};
use crate::prefix::{Prefix, PrefixError};
use crate::wire::Family;

/// What a route leads to. Ordered as tables print it: names first, then IPv4, then IPv6 prefixes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// A service name.
    Name(ServiceName),
    /// An IP prefix.
    Prefix(Prefix),
}

/// Why a text is neither a service name nor a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It has no '/', and is not a service name.
    #[error(transparent)]
    Name(NameError),
    /// It has a '/', and is not a prefix.
    #[error(transparent)]
    Prefix(PrefixError),
}

impl Destination {
    /// The family of its routes.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Name(_) => Family::Name,
            Self::Prefix(prefix) => prefix.family(),
        }
    }

    /// The service name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&ServiceName> {
        match self {
            Self::Name(name) => Some(name),
            Self::Prefix(_) => None,
        }
    }

    /// The prefix, if it is one.
    #[must_use]
    pub fn prefix(&self) -> Option<Prefix> {
        match self {
            Self::Name(_) => None,
            Self::Prefix(prefix) => Some(*prefix),
        }
    }

    /// Its key in the name table; keys sort as destinations do.
    pub(crate) fn with_key<T>(&self, f: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Name(name) => f(name.as_str().as_bytes()),
            Self::Prefix(prefix) => f(PrefixKey::new(*prefix).as_bytes()),
        }
    }

    /// The destination of a key.
    pub(crate) fn from_key(key: &[u8]) -> Self {
        match prefix_of_key(key) {
            Some(prefix) => Self::Prefix(prefix),
            None => Self::Name(ServiceName::from_checked(
                std::str::from_utf8(key).expect("names are ASCII"),
            )),
        }
    }
}

/// The first byte of the keys of each family of prefixes: above every byte of a name, so that names sort first.
const IPV4_KEY: u8 = 0x80 | Family::Ipv4 as u8;
const IPV6_KEY: u8 = 0x80 | Family::Ipv6 as u8;

/// The key of a prefix: a mark, the address, the length.
pub(crate) struct PrefixKey {
    bytes: [u8; 18],
    len: usize,
}

impl PrefixKey {
    pub(crate) fn new(prefix: Prefix) -> Self {
        let mut key = Self { bytes: [0; 18], len: 0 };
        match prefix.address() {
            std::net::IpAddr::V4(ip) => key.fill(IPV4_KEY, &ip.octets(), prefix.length()),
            std::net::IpAddr::V6(ip) => key.fill(IPV6_KEY, &ip.octets(), prefix.length()),
        }
        key
    }

    fn fill(&mut self, mark: u8, octets: &[u8], length: u8) {
        self.len = octets.len() + 2;
        self.bytes[0] = mark;
        self.bytes[1..=octets.len()].copy_from_slice(octets);
        self.bytes[octets.len() + 1] = length;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The family of a key.
pub(crate) fn family_of_key(key: &[u8]) -> Family {
    match key.first() {
        Some(&IPV4_KEY) => Family::Ipv4,
        Some(&IPV6_KEY) => Family::Ipv6,
        Some(_) | None => Family::Name,
    }
}

/// The prefix of a key; `None` for that of a name.
pub(crate) fn prefix_of_key(key: &[u8]) -> Option<Prefix> {
    let (address, length) = match *key {
        [IPV4_KEY, ref octets @ .., length] => (Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into(), length),
        [IPV6_KEY, ref octets @ .., length] => (Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into(), length),
        _ => return None,
    };
    Prefix::new(address, length).ok()
}

impl From<ServiceName> for Destination {
    fn from(name: ServiceName) -> Self {
        Self::Name(name)
    }
}

impl From<Prefix> for Destination {
    fn from(prefix: Prefix) -> Self {
        Self::Prefix(prefix)
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    /// No service name has a '/', every prefix has.
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        if text.contains('/') {
            return text.parse().map(Self::Prefix).map_err(DestinationError::Prefix);
        }
        ServiceName::parse(text).map(Self::Name).map_err(DestinationError::Name)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_destinations_do_and_lead_back() {
        let texts = [
            "*",
            "*.acme",
            "a.acme",
            "zz.acme",
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.0.0.0/16",
            "10.0.1.0/24",
            "255.255.255.255/32",
            "::/0",
            "2001:db8::/32",
            "2001:db8::/48",
            "ffff::/16",
        ];
        let destinations: Vec<Destination> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(destinations.is_sorted());
        let keys: Vec<Vec<u8>> = destinations.iter().map(|it| it.with_key(<[u8]>::to_vec)).collect();
        assert!(keys.is_sorted());
        for (destination, key) in destinations.iter().zip(&keys) {
            assert_eq!(Destination::from_key(key), *destination);
            assert_eq!(family_of_key(key), destination.family());
        }
    }

    #[test]
    fn a_text_is_a_name_or_a_prefix() {
        let error = |text: &str| text.parse::<Destination>().unwrap_err().to_string();
        assert!(error("a..b").contains("label"));
        assert!(error("10.0.0.0/40").contains("at most 32 bits"));
        assert!(
            matches!("10.2.0.0".parse(), Ok(Destination::Name(_))),
            "an address is a fine name"
        );
    }
}
