//! The wire format of docs/protocol.md, which is normative: the section names there are the words used here.
//!
//! A frame is a u32 length, a u8 type and a body. [`frame_length`] bounds a frame before anything is allocated for it,
//! [`decode`] validates the body once and leaves NLRI and attributes as slices of it, [`decode_attrs`] reads an
//! attribute set. What a frame gets wrong splits in two: [`WireError`] ends the session with its NOTIFICATION,
//! [`AttrError`] only withdraws the names that it came with (RFC 7606).

mod attrs;
pub mod capability;
mod decode;
mod encode;
mod error;
mod families;
mod framing;
mod names;
mod nlri;
mod notification;
mod prefixes;
mod update;

use std::sync::Arc;
use std::time::Duration;

pub use attrs::{LEAST_TUNNEL_MTU, MAX_TUNNEL_ADDRESSES};
pub use attrs::{MAX_ATTRS_BYTES, MAX_CLUSTERS, MAX_COMMUNITIES, MAX_HOPS, MAX_PATH_BYTES, MAX_UNKNOWN};
pub(crate) use attrs::{as_path_holds, decode_kept, origin_of};
pub use attrs::{check_family, decode_attrs, encode_attrs};
pub use capability::{GracefulRestart, RoleCode};
pub use decode::{decode, frame_length};
pub use encode::encode;
pub use error::{AttrError, Block, WireError};
pub use families::Families;
pub use framing::{Framed, Framing};
pub use names::{NameBlock, NameProblem};
pub use nlri::{Nlri, NlriBlock};
pub use notification::{Notification, code, subcode};
pub use prefixes::{PrefixBlock, PrefixProblem};
pub use update::{MAX_SPELLED_BYTES, Packer, Update, UpdateFrame, pack_announce, pack_withdraw, pack_withdraw_within};

/// The longest frame in bytes, its length field included.
pub const MAX_FRAME_BYTES: usize = 65_536;
/// The least that the longest frame of a session may be bounded to, in bytes: a set of attributes of the greatest length and
/// a name fit.
pub const LEAST_MAX_FRAME_BYTES: usize = 40_960;
/// Protocol version in OPEN.
pub const VERSION: u8 = 1;
/// The first bytes of every OPEN: a peer that speaks another protocol is recognised by the lack of them.
pub const MAGIC: [u8; 4] = *b"CTLY";
/// The shortest hold time that is not zero. Below it, a busy machine would lose sessions to its own scheduler.
pub const MIN_HOLD_TIME: Duration = Duration::from_millis(300);

/// The type byte of each message. BGP's numbers; END-OF-RIB is a message of its own here.
pub mod kind {
    /// OPEN.
    pub const OPEN: u8 = 1;
    /// UPDATE.
    pub const UPDATE: u8 = 2;
    /// NOTIFICATION.
    pub const NOTIFICATION: u8 = 3;
    /// KEEPALIVE.
    pub const KEEPALIVE: u8 = 4;
    /// ROUTE-REFRESH.
    pub const ROUTE_REFRESH: u8 = 5;
    /// END-OF-RIB.
    pub const END_OF_RIB: u8 = 6;
}

/// A decoded message; NLRI and attributes of an UPDATE stay undecoded slices of the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// OPEN.
    Open(Open),
    /// KEEPALIVE.
    Keepalive,
    /// UPDATE.
    Update(UpdateFrame),
    /// NOTIFICATION.
    Notification(Notification),
    /// ROUTE-REFRESH (RFC 7313 markers).
    RouteRefresh(RouteRefresh),
    /// END-OF-RIB of a family.
    EndOfRib(Family),
}

impl Message {
    /// The family that it speaks of; `None`: of none.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        match self {
            Self::Update(update) => Some(update.family()),
            Self::RouteRefresh(refresh) => Some(refresh.family),
            Self::EndOfRib(family) => Some(*family),
            Self::Open(_) | Self::Keepalive | Self::Notification(_) => None,
        }
    }

    /// Its type on the wire.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Open(_) => kind::OPEN,
            Self::Keepalive => kind::KEEPALIVE,
            Self::Update(_) => kind::UPDATE,
            Self::Notification(_) => kind::NOTIFICATION,
            Self::RouteRefresh(_) => kind::ROUTE_REFRESH,
            Self::EndOfRib(_) => kind::END_OF_RIB,
        }
    }

    /// The name of its type, as docs/protocol.md spells it.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Open(_) => "OPEN",
            Self::Keepalive => "KEEPALIVE",
            Self::Update(_) => "UPDATE",
            Self::Notification(_) => "NOTIFICATION",
            Self::RouteRefresh(_) => "ROUTE-REFRESH",
            Self::EndOfRib(_) => "END-OF-RIB",
        }
    }
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

impl Family {
    /// Every family, in order of code.
    pub const ALL: [Self; 3] = [Self::Name, Self::Ipv4, Self::Ipv6];

    /// The family of a code on the wire.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.code() == code)
    }

    /// The reverse of [`Family::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.as_str() == text)
    }

    /// Its code on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The spelling of CLI and JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// OPEN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Always [`VERSION`]: another one is refused by `decode`.
    pub version: u8,
    /// The sender's AS; never 0 (RFC 7607).
    pub asn: u32,
    /// The sender's node name: one label of a service name.
    pub node: Arc<str>,
    /// The sender's organisation: one label of a service name.
    pub organisation: Arc<str>,
    /// Hold time offered, in whole milliseconds: zero (none) or at least [`MIN_HOLD_TIME`].
    pub hold_time: Duration,
    /// Families offered; unknown ones are left out by `decode`.
    pub families: Vec<Family>,
    /// Whether ROUTE-REFRESH is understood.
    pub route_refresh: bool,
    /// The sender's role, if it claims one (RFC 9234).
    pub role: Option<RoleCode>,
    /// Graceful restart, if it is offered (RFC 4724).
    pub graceful_restart: Option<GracefulRestart>,
}

impl Open {
    /// The families that both offer: those of the session.
    #[must_use]
    pub fn common_families(&self, other: &Self) -> Families {
        let offered = |open: &Self| open.families.iter().copied().collect::<Families>();
        offered(self).common(offered(other))
    }
}

/// ROUTE-REFRESH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRefresh {
    /// The family.
    pub family: Family,
    /// 0 request, 1 begin, 2 end (RFC 7313). Others are to be ignored.
    pub subtype: u8,
}
