//! The wire format of docs/protocol.md. STUB: signatures are the contract, bodies are being written.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::attrs::Attrs;

/// Frame: u32 big-endian length of (type byte + body), u8 type, body.
pub const MAX_FRAME_BYTES: usize = 65_536;
/// Protocol version in OPEN.
pub const VERSION: u8 = 1;

/// A decoded message; NLRI and attributes of an UPDATE stay undecoded slices of the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// OPEN.
    Open(Open),
    /// KEEPALIVE.
    Keepalive,
    /// UPDATE.
    Update(Update),
    /// NOTIFICATION.
    Notification(Notification),
    /// ROUTE-REFRESH (RFC 7313 markers).
    RouteRefresh(RouteRefresh),
    /// END-OF-RIB of a family.
    EndOfRib(Family),
}

/// Address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Service names.
    Name = 1,
    /// IPv4 prefixes.
    Ipv4 = 2,
    /// IPv6 prefixes.
    Ipv6 = 3,
}

/// OPEN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Always [`VERSION`] when sent.
    pub version: u8,
    /// The sender's AS.
    pub asn: u32,
    /// The sender's node name.
    pub node: Arc<str>,
    /// The sender's organisation.
    pub organisation: Arc<str>,
    /// Hold time offered, whole seconds on... see docs/protocol.md (milliseconds, u32).
    pub hold_time: Duration,
    /// Families offered.
    pub families: Vec<Family>,
    /// Whether ROUTE-REFRESH is understood.
    pub route_refresh: bool,
}

/// UPDATE. All names in it share one attribute set; validated whole by `decode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The family.
    pub family: Family,
    /// Names withdrawn.
    pub withdrawn: NameBlock,
    /// The attribute set of `announced`, undecoded (see [`decode_attrs`]); empty if nothing is announced.
    pub attrs: Bytes,
    /// Names announced.
    pub announced: NameBlock,
}

/// Front-coded names, validated for structure and characters when the UPDATE was decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameBlock {
    bytes: Bytes,
    count: u32,
}

impl NameBlock {
    /// How many names it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }
    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// Calls `f` with each name in order; no allocation per name.
    pub fn for_each(&self, _f: impl FnMut(&str)) {
        unimplemented!()
    }
}

/// NOTIFICATION.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// Data, as the code defines.
    pub data: Bytes,
    /// A line for people (at most 255 bytes of UTF-8, no control characters).
    pub text: String,
}

/// ROUTE-REFRESH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRefresh {
    /// The family.
    pub family: Family,
    /// 0 request, 1 begin, 2 end (RFC 7313).
    pub subtype: u8,
}

/// Why a frame cannot be read: every variant maps to the NOTIFICATION to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Placeholder of the stub.
    #[error("malformed")]
    Malformed,
}

impl WireError {
    /// The NOTIFICATION that answers this error. Total, no wildcard arm.
    #[must_use]
    pub fn notification(&self) -> Notification {
        unimplemented!()
    }
}

/// An attribute set that is malformed in a frame that can still be read: treat-as-withdraw (RFC 7606).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AttrError(pub String);

/// Decodes the body of a frame of type `kind`.
pub fn decode(_kind: u8, _body: &Bytes) -> Result<Message, WireError> {
    unimplemented!()
}

/// Decodes the attribute set of an UPDATE. Unknown non-transitive attributes are dropped; unknown transitive ones kept.
pub fn decode_attrs(_raw: &Bytes) -> Result<Attrs, AttrError> {
    unimplemented!()
}

/// The canonical encoding of an attribute set (attributes in order of code). Equal sets give equal bytes.
#[must_use]
pub fn encode_attrs(_attrs: &Attrs) -> Bytes {
    unimplemented!()
}

/// Appends a whole frame (length, type, body) of any message but UPDATE with names to pack.
pub fn encode(_message: &Message, _out: &mut BytesMut) {
    unimplemented!()
}

/// Packs names into as few UPDATE frames as fit [`MAX_FRAME_BYTES`]; all share `attrs` (from [`encode_attrs`]).
/// Give names sorted (any order works; neighbours that share text pack best).
pub fn pack_announce<'a>(_attrs: &[u8], _names: impl Iterator<Item = &'a str>, _out: &mut BytesMut) {
    unimplemented!()
}

/// Packs withdrawals into as few UPDATE frames as fit.
pub fn pack_withdraw<'a>(_names: impl Iterator<Item = &'a str>, _out: &mut BytesMut) {
    unimplemented!()
}
