//! What the withdrawn and announced blocks of an UPDATE hold (NLRI, RFC 4271 section 4.3): names or prefixes.

use bytes::{Bytes, BytesMut};

use super::Family;
use super::error::{Block, WireError};
use super::names::{self, NameBlock};
use super::prefixes::{self, PrefixBlock};
use crate::destination::PrefixKey;
use crate::name::MAX_NAME_BYTES;
use crate::prefix::Prefix;

/// A block of an UPDATE, by its family; validated whole when the UPDATE was decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NlriBlock {
    /// Service names.
    Names(NameBlock),
    /// Prefixes of one family.
    Prefixes(PrefixBlock),
}

impl Default for NlriBlock {
    fn default() -> Self {
        Self::Names(NameBlock::default())
    }
}

impl NlriBlock {
    /// A block of a family with nothing in it.
    #[must_use]
    pub fn empty(family: Family) -> Self {
        Self::checked(family, Bytes::new())
    }

    /// A block that [`NlriBlock::decode`] has accepted before.
    pub(super) fn checked(family: Family, bytes: Bytes) -> Self {
        match family {
            Family::Name => Self::Names(NameBlock::checked(bytes)),
            Family::Ipv4 | Family::Ipv6 => Self::Prefixes(PrefixBlock::checked(family, bytes)),
        }
    }

    pub(super) fn decode(family: Family, block: Block, bytes: Bytes) -> Result<Self, WireError> {
        if family == Family::Name {
            let names = NameBlock::decode(bytes);
            return names
                .map(Self::Names)
                .map_err(|(index, problem)| WireError::Name { block, index, problem });
        }
        PrefixBlock::decode(family, bytes)
            .map(Self::Prefixes)
            .map_err(|(index, problem)| WireError::Prefix { block, index, problem })
    }

    /// The block as it stands on the wire.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Names(block) => block.as_bytes(),
            Self::Prefixes(block) => block.as_bytes(),
        }
    }

    /// How many names or prefixes it holds; counted anew with every call.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Names(block) => block.len(),
            Self::Prefixes(block) => block.len(),
        }
    }

    /// More names or prefixes than this it cannot hold: each takes a byte at least.
    pub(crate) fn len_at_most(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Calls `f` with the key in the name table of each, in order; no allocation.
    pub(crate) fn for_each_key(&self, mut f: impl FnMut(&[u8])) {
        match self {
            Self::Names(block) => block.for_each_key(f),
            Self::Prefixes(block) => block.for_each(|prefix| f(PrefixKey::new(prefix).as_bytes())),
        }
    }
}

/// One destination as an UPDATE carries it: a service name as text, or a [`Prefix`].
pub trait Nlri: Copy {
    /// The most bytes that it takes in a block.
    const MAX_BYTES: usize;

    /// The family of the UPDATE that carries it.
    fn family(self) -> Family;

    /// Appends it to a block, after `previous` (`None`: first in its block).
    fn append(self, previous: Option<Self>, out: &mut BytesMut);
}

impl Nlri for &str {
    /// Four bytes before all of it.
    const MAX_BYTES: usize = 4 + MAX_NAME_BYTES;

    fn family(self) -> Family {
        Family::Name
    }

    fn append(self, previous: Option<Self>, out: &mut BytesMut) {
        debug_assert_eq!(crate::name::check(self), Ok(()));
        names::append(previous.unwrap_or_default(), self, out);
    }
}

impl Nlri for Prefix {
    const MAX_BYTES: usize = 1 + 16;

    fn family(self) -> Family {
        Self::family(self)
    }

    fn append(self, _: Option<Self>, out: &mut BytesMut) {
        prefixes::append(self, out);
    }
}
