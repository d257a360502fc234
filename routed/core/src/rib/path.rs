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
    /// The prefix is, covers or is within an address of a tunnel of ours, and the peer is outside.
    TunnelAddress = 9,
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
            Self::TunnelAddress => "rejected: the prefix is, covers or is within the address of a tunnel",
            Self::RouteLeak => "rejected: a route leak, ONLY_TO_CUSTOMER does not let it come from this peer",
        }
    }

    pub(crate) fn from_code(code: u8) -> Self {
        const ALL: [Note; 10] = [
            Note::Accepted,
            Note::ImportPolicy,
            Note::OwnAs,
            Note::OwnOriginator,
            Note::OwnCluster,
            Note::OwnOrganisation,
            Note::OwnDomain,
            Note::OwnPrefix,
            Note::RouteLeak,
            Note::TunnelAddress,
        ];
        ALL.get(usize::from(code)).copied().unwrap_or_default()
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

/// A path as it is taken out of its page.
#[derive(Debug, Default, Clone, Copy)]
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

/// The note and flags of a path in one byte.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks(u8);

impl Marks {
    const FLAGS: u32 = 4;

    #[inline]
    pub(super) fn new(note: Note, PathFlags(flags): PathFlags) -> Self {
        Self(note as u8 | flags << Self::FLAGS)
    }

    #[inline]
    pub(super) fn note(self) -> Note {
        Note::from_code(self.0 & ((1 << Self::FLAGS) - 1))
    }

    #[inline]
    pub(super) fn flags(self) -> PathFlags {
        PathFlags(self.0 >> Self::FLAGS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_keep_note_and_flags() {
        for note in (0..10).map(Note::from_code) {
            for flags in 0..4 {
                let marks = Marks::new(note, PathFlags(flags));
                assert_eq!((marks.note(), marks.flags()), (note, PathFlags(flags)));
            }
        }
        assert_eq!(Note::from_code(Note::TunnelAddress as u8), Note::TunnelAddress);
    }
}
