//! Path attributes as TLV: flags u8, code u8, length u16, value (docs/protocol.md, "Path attributes").

mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod tunnel;
mod value;

pub(crate) use decode::{as_path_holds, decode_kept, origin_of};
pub use decode::{check_family, decode_attrs};
pub use encode::encode_attrs;

/// The longest attribute set in bytes. Half a frame, so that what is added on the way (hops, a cluster, an originator)
/// can never make a set that was received too long to send.
pub const MAX_ATTRS_BYTES: usize = 32_768;
/// The most systems in AS_PATH.
pub const MAX_HOPS: usize = 255;
/// The most communities of each kind.
pub const MAX_COMMUNITIES: usize = 1024;
/// The most clusters in CLUSTER_LIST.
pub const MAX_CLUSTERS: usize = 255;
/// The most attributes of unknown code that are kept.
pub const MAX_UNKNOWN: usize = 32;
/// The longest path in SERVICE, in bytes.
pub const MAX_PATH_BYTES: usize = 255;
/// The most addresses in TUNNEL.
pub const MAX_TUNNEL_ADDRESSES: usize = 8;
/// The least MTU in TUNNEL, in bytes: that of IPv6.
pub const LEAST_TUNNEL_MTU: u16 = 1280;

/// Flag: not every implementation knows it. Clear: well-known.
const OPTIONAL: u8 = 0x80;
/// Flag: to be passed on by those who do not know it.
const TRANSITIVE: u8 = 0x40;
/// Flag: somebody on the way did not know it.
const PARTIAL: u8 = 0x20;

/// Well-known attributes carry the transitive flag (RFC 4271 section 4.3).
const WELL_KNOWN: u8 = TRANSITIVE;
const OPTIONAL_TRANSITIVE: u8 = OPTIONAL | TRANSITIVE;

/// An attribute that this version decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Origin,
    AsPath,
    NextHop,
    Med,
    LocalPref,
    Communities,
    Originator,
    ClusterList,
    LargeCommunities,
    OnlyToCustomer,
    OriginNode,
    Service,
    Tunnel,
}

impl Known {
    /// In order of code: the canonical order of an attribute set.
    const ALL: [Self; 13] = [
        Self::Origin,
        Self::AsPath,
        Self::NextHop,
        Self::Med,
        Self::LocalPref,
        Self::Communities,
        Self::Originator,
        Self::ClusterList,
        Self::LargeCommunities,
        Self::OnlyToCustomer,
        Self::OriginNode,
        Self::Service,
        Self::Tunnel,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// The code, BGP's where BGP has the attribute. From 224 on they are this protocol's own; 227 (ORIGIN_SIGNATURE,
    /// optional transitive) is reserved and unknown to this version.
    const fn code(self) -> u8 {
        self.row().0
    }

    const fn flags(self) -> u8 {
        self.row().1
    }

    const fn name(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (u8, u8, &'static str) {
        match self {
            Self::Origin => (1, WELL_KNOWN, "ORIGIN"),
            Self::AsPath => (2, WELL_KNOWN, "AS_PATH"),
            Self::NextHop => (3, WELL_KNOWN, "NEXT_HOP"),
            Self::Med => (4, OPTIONAL, "MULTI_EXIT_DISC"),
            Self::LocalPref => (5, WELL_KNOWN, "LOCAL_PREF"),
            Self::Communities => (8, OPTIONAL_TRANSITIVE, "COMMUNITIES"),
            Self::Originator => (9, OPTIONAL, "ORIGINATOR"),
            Self::ClusterList => (10, OPTIONAL, "CLUSTER_LIST"),
            Self::LargeCommunities => (32, OPTIONAL_TRANSITIVE, "LARGE_COMMUNITIES"),
            Self::OnlyToCustomer => (35, OPTIONAL_TRANSITIVE, "ONLY_TO_CUSTOMER"),
            Self::OriginNode => (224, WELL_KNOWN, "ORIGIN_NODE"),
            Self::Service => (225, WELL_KNOWN, "SERVICE"),
            Self::Tunnel => (226, OPTIONAL, "TUNNEL"),
        }
    }
}
