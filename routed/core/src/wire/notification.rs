//! NOTIFICATION: its codes, and how people read it.

use std::fmt;

use bytes::Bytes;

/// The most data in bytes.
pub(super) const MAX_DATA_BYTES: usize = 255;
/// The longest text in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 255;

/// NOTIFICATION.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Error code, one of [`code`].
    pub code: u8,
    /// Error subcode, one of [`subcode`].
    pub subcode: u8,
    /// Data, as the code defines (at most 255 bytes).
    pub data: Bytes,
    /// A line for people (at most 255 bytes of UTF-8, no control characters).
    pub text: String,
}

/// Error codes: those of RFC 4271 section 4.5 and RFC 7313.
pub mod code {
    /// Message Header Error.
    pub const HEADER: u8 = 1;
    /// OPEN Message Error.
    pub const OPEN: u8 = 2;
    /// UPDATE Message Error.
    pub const UPDATE: u8 = 3;
    /// Hold Timer Expired.
    pub const HOLD_TIMER_EXPIRED: u8 = 4;
    /// Finite State Machine Error.
    pub const FSM: u8 = 5;
    /// Cease.
    pub const CEASE: u8 = 6;
    /// Send Hold Timer Expired (RFC 9687).
    pub const SEND_HOLD_TIMER_EXPIRED: u8 = 8;
}

/// Subcodes, by code. 0 is "unspecific" everywhere; from 128 on they are this protocol's own.
pub mod subcode {
    /// Of [`super::code::HEADER`] (RFC 4271 section 6.1).
    pub mod header {
        /// The magic bytes are missing.
        pub const NOT_SYNCHRONIZED: u8 = 1;
        /// A length is out of bounds; data: the length field, where that is at fault.
        pub const BAD_LENGTH: u8 = 2;
        /// No message has the type; data: the type.
        pub const BAD_TYPE: u8 = 3;
    }
    /// Of [`super::code::OPEN`] (RFC 4271 section 6.2).
    pub mod open {
        /// Cut short, or nothing below fits.
        pub const UNSPECIFIC: u8 = 0;
        /// Data: the version that the sender of the NOTIFICATION speaks.
        pub const UNSUPPORTED_VERSION: u8 = 1;
        /// Not the AS configured for the peer.
        pub const BAD_PEER_AS: u8 = 2;
        /// Bad BGP Identifier: not the node name configured, not a label, or our own.
        pub const BAD_NODE: u8 = 3;
        /// Below the minimum.
        pub const UNACCEPTABLE_HOLD_TIME: u8 = 6;
        /// A capability that the session needs is missing (RFC 5492).
        pub const UNSUPPORTED_CAPABILITY: u8 = 7;
        /// The roles of both sides do not fit, or a strict side was told none (RFC 9234 section 4.2).
        pub const ROLE_MISMATCH: u8 = 11;
        /// Not the organisation configured for the peer, or not a label.
        pub const BAD_ORGANISATION: u8 = 128;
    }
    /// Of [`super::code::UPDATE`] (RFC 4271 section 6.3). Most errors in attributes are not here: RFC 7606.
    pub mod update {
        /// The blocks do not fit in the UPDATE (Malformed Attribute List).
        pub const MALFORMED_BLOCKS: u8 = 1;
        /// A name or prefix cannot be read (Invalid Network Field).
        pub const INVALID_NLRI: u8 = 10;
        /// A family that the session has not agreed on; data: its code.
        pub const UNKNOWN_FAMILY: u8 = 128;
    }
    /// Of [`super::code::FSM`] (RFC 6608).
    pub mod fsm {
        /// An unexpected message in OpenSent; data: none.
        pub const IN_OPEN_SENT: u8 = 1;
        /// An unexpected message in OpenConfirm.
        pub const IN_OPEN_CONFIRM: u8 = 2;
        /// An unexpected message in Established.
        pub const IN_ESTABLISHED: u8 = 3;
    }
    /// Of [`super::code::CEASE`] (RFC 4486).
    pub mod cease {
        /// Maximum Number of Prefixes Reached.
        pub const MAX_PREFIXES: u8 = 1;
        /// Administrative Shutdown.
        pub const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
        /// Peer De-configured.
        pub const PEER_DECONFIGURED: u8 = 3;
        /// Administrative Reset.
        pub const ADMINISTRATIVE_RESET: u8 = 4;
        /// Connection Rejected.
        pub const CONNECTION_REJECTED: u8 = 5;
        /// Other Configuration Change.
        pub const OTHER_CONFIGURATION_CHANGE: u8 = 6;
        /// Connection Collision Resolution.
        pub const COLLISION_RESOLUTION: u8 = 7;
        /// Out of Resources.
        pub const OUT_OF_RESOURCES: u8 = 8;
        /// Hard Reset (RFC 8538); data: code, subcode and data of the reason.
        pub const HARD_RESET: u8 = 9;
    }
}

impl Notification {
    /// A NOTIFICATION without data. The text is made fit to send: see [`Notification::text`].
    #[must_use]
    pub fn new(code: u8, subcode: u8, text: impl AsRef<str>) -> Self {
        Self {
            code,
            subcode,
            data: Bytes::new(),
            text: clean(text.as_ref()),
        }
    }

    /// Cease, with a subcode of [`subcode::cease`].
    #[must_use]
    pub fn cease(subcode: u8, text: impl AsRef<str>) -> Self {
        Self::new(code::CEASE, subcode, text)
    }

    /// The same with data, cut to what fits.
    #[must_use]
    pub fn with_data(mut self, mut data: Bytes) -> Self {
        data.truncate(MAX_DATA_BYTES);
        self.data = data;
        self
    }

    /// The same as a hard reset (RFC 8538 section 3): no graceful restart follows it.
    #[must_use]
    pub fn hard_reset(&self) -> Self {
        let inner = [&[self.code, self.subcode], &self.data[..]].concat();
        Self::cease(subcode::cease::HARD_RESET, &self.text).with_data(inner.into())
    }

    /// Whether it is a hard reset.
    #[must_use]
    pub fn is_hard_reset(&self) -> bool {
        (self.code, self.subcode) == (code::CEASE, subcode::cease::HARD_RESET)
    }

    /// The reason that a hard reset carries, without its text.
    fn inner(&self) -> Option<Self> {
        let [code, subcode, ..] = self.data[..] else {
            return None;
        };
        self.is_hard_reset().then(|| Self::new(code, subcode, ""))
    }

    /// The name of its code.
    #[must_use]
    pub fn code_name(&self) -> Option<&'static str> {
        Some(match self.code {
            code::HEADER => "Message Header Error",
            code::OPEN => "OPEN Message Error",
            code::UPDATE => "UPDATE Message Error",
            code::HOLD_TIMER_EXPIRED => "Hold Timer Expired",
            code::FSM => "Finite State Machine Error",
            code::CEASE => "Cease",
            code::SEND_HOLD_TIMER_EXPIRED => "Send Hold Timer Expired",
            _ => return None,
        })
    }

    /// The name of its subcode; `None` for 0 and for those unknown.
    #[must_use]
    pub fn subcode_name(&self) -> Option<&'static str> {
        match self.code {
            code::HEADER => header_name(self.subcode),
            code::OPEN => open_name(self.subcode),
            code::UPDATE => update_name(self.subcode),
            code::FSM => fsm_name(self.subcode),
            code::CEASE => cease_name(self.subcode),
            _ => None,
        }
    }
}

fn header_name(value: u8) -> Option<&'static str> {
    use subcode::header::{BAD_LENGTH, BAD_TYPE, NOT_SYNCHRONIZED};
    Some(match value {
        NOT_SYNCHRONIZED => "Connection Not Synchronized",
        BAD_LENGTH => "Bad Message Length",
        BAD_TYPE => "Bad Message Type",
        _ => return None,
    })
}

fn open_name(value: u8) -> Option<&'static str> {
    use subcode::open;
    Some(match value {
        open::UNSUPPORTED_VERSION => "Unsupported Version Number",
        open::BAD_PEER_AS => "Bad Peer AS",
        open::BAD_NODE => "Bad Node",
        open::UNACCEPTABLE_HOLD_TIME => "Unacceptable Hold Time",
        open::UNSUPPORTED_CAPABILITY => "Unsupported Capability",
        open::ROLE_MISMATCH => "Role Mismatch",
        open::BAD_ORGANISATION => "Bad Organisation",
        _ => return None,
    })
}

fn update_name(value: u8) -> Option<&'static str> {
    use subcode::update::{INVALID_NLRI, MALFORMED_BLOCKS, UNKNOWN_FAMILY};
    Some(match value {
        MALFORMED_BLOCKS => "Malformed Blocks",
        INVALID_NLRI => "Invalid Name or Prefix",
        UNKNOWN_FAMILY => "Unknown Family",
        _ => return None,
    })
}

fn fsm_name(value: u8) -> Option<&'static str> {
    use subcode::fsm::{IN_ESTABLISHED, IN_OPEN_CONFIRM, IN_OPEN_SENT};
    Some(match value {
        IN_OPEN_SENT => "Unexpected Message in OpenSent",
        IN_OPEN_CONFIRM => "Unexpected Message in OpenConfirm",
        IN_ESTABLISHED => "Unexpected Message in Established",
        _ => return None,
    })
}

fn cease_name(value: u8) -> Option<&'static str> {
    use subcode::cease;
    Some(match value {
        cease::MAX_PREFIXES => "Maximum Number of Prefixes Reached",
        cease::ADMINISTRATIVE_SHUTDOWN => "Administrative Shutdown",
        cease::PEER_DECONFIGURED => "Peer De-configured",
        cease::ADMINISTRATIVE_RESET => "Administrative Reset",
        cease::CONNECTION_REJECTED => "Connection Rejected",
        cease::OTHER_CONFIGURATION_CHANGE => "Other Configuration Change",
        cease::COLLISION_RESOLUTION => "Connection Collision Resolution",
        cease::OUT_OF_RESOURCES => "Out of Resources",
        cease::HARD_RESET => "Hard Reset",
        _ => return None,
    })
}

/// `OPEN Message Error, Bad Peer AS: expected AS 65001, got AS 65009`.
impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code_name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "code {}", self.code)?,
        }
        match self.subcode_name() {
            Some(name) => write!(f, ", {name}")?,
            None if self.subcode == 0 => {}
            None => write!(f, ", subcode {}", self.subcode)?,
        }
        if let Some(inner) = self.inner().filter(|inner| !inner.is_hard_reset()) {
            write!(f, " ({inner})")?;
        }
        if self.text.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.text)
    }
}

/// The text cut to [`MAX_TEXT_BYTES`], with a space for every character that could move a terminal's cursor or turn
/// the direction of its text: it comes from outside and is printed by `show peer`.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_TEXT_BYTES));
    for c in text.chars().map(|c| if is_harmful(c) { ' ' } else { c }) {
        if out.len() + c.len_utf8() > MAX_TEXT_BYTES {
            break;
        }
        out.push(c);
    }
    out
}

fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_a_line() {
        let bad_as = Notification::new(code::OPEN, subcode::open::BAD_PEER_AS, "expected AS 1, got AS 2");
        assert_eq!(
            bad_as.to_string(),
            "OPEN Message Error, Bad Peer AS: expected AS 1, got AS 2"
        );
        assert_eq!(Notification::new(4, 0, "").to_string(), "Hold Timer Expired");
        assert_eq!(
            Notification::new(77, 5, "\x1b[2Jx\n").to_string(),
            "code 77, subcode 5:  [2Jx "
        );
    }

    #[test]
    fn text_is_cut_between_characters() {
        let text = "\u{e4}".repeat(200);
        assert_eq!(Notification::cease(2, text).text, "\u{e4}".repeat(127));
    }
}
