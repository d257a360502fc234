//! What a route leads to: a service name or a prefix (NLRI of RFC 4271 section 4.3, in one type for all families).

use std::fmt;
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
    fn names_sort_before_prefixes() {
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
