//! What can be wrong with a frame, and the NOTIFICATION that says so.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::names::NameProblem;
use super::notification::{Notification, code, subcode};
use super::prefixes::PrefixProblem;
use super::{MAX_FRAME_BYTES, MIN_HOLD_TIME, VERSION};

/// Why a frame cannot be read: every variant maps to the NOTIFICATION to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length field is out of bounds; nothing after it can be trusted.
    #[error("a frame of {0} bytes is out of bounds (1 to {limit})", limit = MAX_FRAME_BYTES - 4)]
    FrameLength(u32),
    /// The frame is longer than this peer's may be.
    #[error("a frame of {} bytes is longer than what is taken from this peer, {limit} bytes", .field.saturating_add(4))]
    FrameLimit {
        /// The length field of the frame.
        field: u32,
        /// The longest whole frame that is taken, in bytes.
        limit: u32,
    },
    /// No message has this type.
    #[error("no message has type {0}")]
    UnknownType(u8),
    /// The body of a message of fixed size has another size.
    #[error("the body of {message} has {length} bytes")]
    BodyLength {
        /// The message.
        message: &'static str,
        /// The length of its body in bytes.
        length: usize,
    },
    /// OPEN does not begin with the magic bytes: the other side speaks something else.
    #[error("OPEN does not begin with 'CTLY': this is not a Catalyst peer")]
    NotSynchronized,
    /// OPEN of another version.
    #[error("version {0} is not supported, this is version {VERSION}")]
    UnsupportedVersion(u8),
    /// OPEN of AS 0 (RFC 7607).
    #[error("AS 0 is not a system")]
    AsZero,
    /// The node name in OPEN is not a label.
    #[error("the node name in OPEN is not a label of a service name")]
    BadNode,
    /// The organisation in OPEN is not a label.
    #[error("the organisation in OPEN is not a label of a service name")]
    BadOrganisation,
    /// The hold time in OPEN is below the minimum and not 0.
    #[error("a hold time of {} ms is neither 0 nor at least {} ms", .0.as_millis(), MIN_HOLD_TIME.as_millis())]
    HoldTime(Duration),
    /// OPEN is cut short or its capabilities are.
    #[error("OPEN is malformed: {0}")]
    Open(&'static str),
    /// OPEN claims two roles (RFC 9234 section 4.2).
    #[error("roles {0} and {1} in one OPEN")]
    TwoRoles(u8, u8),
    /// The blocks of an UPDATE do not fit in it.
    #[error("the {0} block of an UPDATE is longer than the UPDATE")]
    Blocks(Block),
    /// An attribute block of an UPDATE shares more bytes with the one before it than that one has.
    #[error("an attribute block shares more bytes with the one before it than that one has")]
    SetShares,
    /// The attribute sets of an UPDATE spell out to more than a receiver has to bear.
    #[error("the attribute sets of an UPDATE spell out to more than {limit} bytes, or one that shares to more than {one}",
        limit = super::MAX_SPELLED_BYTES, one = super::MAX_ATTRS_BYTES)]
    SetsTooLong,
    /// A name in an UPDATE cannot be read.
    #[error("name {index} of the {block} block: {problem}")]
    Name {
        /// The block that it is in.
        block: Block,
        /// Its place in the block, counted from 0.
        index: u32,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// A prefix in an UPDATE cannot be read.
    #[error("prefix {index} of the {block} block: {problem}")]
    Prefix {
        /// The block that it is in.
        block: Block,
        /// Its place in the block, counted from 0.
        index: u32,
        /// What is wrong with it.
        problem: PrefixProblem,
    },
    /// A family that the session has not agreed on, or that nobody knows.
    #[error("family {family} in {message} was not agreed on")]
    Family {
        /// The message.
        message: &'static str,
        /// The code of the family.
        family: u8,
    },
    /// A NOTIFICATION is malformed. It must not be answered (RFC 4271 section 6.4): close the connection.
    #[error("NOTIFICATION is malformed: {0}")]
    Notification(&'static str),
}

impl WireError {
    /// The NOTIFICATION that answers this error. Total, no wildcard arm.
    #[must_use]
    pub fn notification(&self) -> Notification {
        let (code, subcode, data) = self.answer();
        Notification::new(code, subcode, self.to_string()).with_data(data)
    }

    /// Whether a NOTIFICATION may answer it at all.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        !matches!(self, Self::Notification(_))
    }

    fn answer(&self) -> (u8, u8, Bytes) {
        use subcode::{header, open, update};
        let none = Bytes::new();
        match self {
            Self::FrameLength(length) => (code::HEADER, header::BAD_LENGTH, copy(&length.to_be_bytes())),
            Self::FrameLimit { field, .. } => (code::HEADER, header::BAD_LENGTH, copy(&field.to_be_bytes())),
            Self::UnknownType(kind) => (code::HEADER, header::BAD_TYPE, copy(&[*kind])),
            Self::BodyLength { .. } | Self::Notification(_) => (code::HEADER, header::BAD_LENGTH, none),
            Self::NotSynchronized => (code::HEADER, header::NOT_SYNCHRONIZED, none),
            Self::UnsupportedVersion(_) => (code::OPEN, open::UNSUPPORTED_VERSION, copy(&[VERSION])),
            Self::AsZero => (code::OPEN, open::BAD_PEER_AS, none),
            Self::BadNode => (code::OPEN, open::BAD_NODE, none),
            Self::BadOrganisation => (code::OPEN, open::BAD_ORGANISATION, none),
            Self::HoldTime(_) => (code::OPEN, open::UNACCEPTABLE_HOLD_TIME, none),
            Self::Open(_) => (code::OPEN, open::UNSPECIFIC, none),
            Self::TwoRoles(_, _) => (code::OPEN, open::ROLE_MISMATCH, none),
            Self::Blocks(_) | Self::SetShares | Self::SetsTooLong => (code::UPDATE, update::MALFORMED_BLOCKS, none),
            Self::Name { .. } | Self::Prefix { .. } => (code::UPDATE, update::INVALID_NLRI, none),
            Self::Family { family, .. } => (code::UPDATE, update::UNKNOWN_FAMILY, copy(&[*family])),
        }
    }
}

fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A part of an UPDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// What is withdrawn.
    Withdrawn,
    /// The attribute set.
    Attributes,
    /// What is announced.
    Announced,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Withdrawn => "withdrawn",
            Self::Attributes => "attribute",
            Self::Announced => "announced",
        })
    }
}

/// An attribute set that is malformed in a frame that can still be read: treat-as-withdraw (RFC 7606). The text names
/// the attribute and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AttrError(pub String);
