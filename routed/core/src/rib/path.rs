//! One path: a name as one peer offers it.

use crate::intern::{AttrId, NameId};

/// A path in the slab; 0 is none.
pub(crate) type PathId = u32;

/// A peer by its place in the configuration, from 1 on.
pub(crate) type PeerId = u16;

/// The peer of routes that this node originates.
pub(crate) const LOCAL: PeerId = 0;

/// Whether import accepted a path, or why not. Rejected paths are kept for `show route` and never selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Note {
    /// Takes part in the decision.
    #[default]
    Accepted = 0,
    /// RFC 8212: no policy accepts it.
    ImportPolicy = 1,
    /// RFC 4271 section 9.1.2: our AS is in AS_PATH.
    OwnAs = 2,
    /// RFC 4456 section 8: we are the ORIGINATOR.
    OwnOriginator = 3,
    /// RFC 4456 section 8: our cluster is in CLUSTER_LIST.
    OwnCluster = 4,
    /// Our organisation is in ORIGIN_NODE, and the peer is outside.
    OwnOrganisation = 5,
    /// The name belongs to our own domains, and the peer is outside.
    OwnDomain = 6,
    /// The prefix is within one that we originate, and the peer is outside.
    OwnPrefix = 7,
    /// RFC 9234 section 5: it was to go to customers only.
    RouteLeak = 8,
}

impl Note {
    /// As `show route` prints it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Accepted => "",
            Self::ImportPolicy => "rejected: import policy",
            Self::OwnAs => "rejected: our AS is in AS_PATH",
            Self::OwnOriginator => "rejected: this node is the ORIGINATOR",
            Self::OwnCluster => "rejected: our cluster is in CLUSTER_LIST",
            Self::OwnOrganisation => "rejected: our organisation is in ORIGIN_NODE",
            Self::OwnDomain => "rejected: the name is under our own domains",
            Self::OwnPrefix => "rejected: the prefix is within our own prefixes",
            Self::RouteLeak => "rejected: a route leak, ONLY_TO_CUSTOMER does not let it come from this peer",
        }
    }

    pub(crate) fn from_code(code: u8) -> Self {
        [
            Self::ImportPolicy,
            Self::OwnAs,
            Self::OwnOriginator,
            Self::OwnCluster,
            Self::OwnOrganisation,
            Self::OwnDomain,
            Self::OwnPrefix,
            Self::RouteLeak,
        ]
        .into_iter()
        .find(|note| *note as u8 == code)
        .unwrap_or_default()
    }
}

/// Marks of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PathFlags(u8);

impl PathFlags {
    /// Kept over the loss of its session (RFC 4724), and not sent again since.
    pub(crate) const STALE: u8 = 1;
    /// Sent before the peer began to send everything again (RFC 7313), and not since.
    pub(crate) const OLD: u8 = 2;

    pub(crate) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
    pub(super) fn stale() -> Self {
        Self(Self::STALE)
    }
    pub(super) fn set(&mut self, flag: u8) {
        self.0 |= flag;
    }
}

/// 24 bytes, on purpose: a node with ten peers holds ten of them per name.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// 0: a free place.
    pub(crate) name: NameId,
    /// As received.
    pub(crate) attr_in: AttrId,
    /// After import.
    pub(crate) attr: AttrId,
    pub(super) next_of_name: PathId,
    /// When it came or changed, in tenths of a second since the Speaker began.
    pub(crate) since: u32,
    pub(crate) peer: PeerId,
    pub(crate) note: Note,
    pub(crate) flags: PathFlags,
}

const _: () = assert!(size_of::<Path>() == 24);
