//! Capabilities in OPEN (docs/protocol.md, "OPEN"; RFC 5492): what they say, to bytes and back.

use std::fmt;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u32};
use nom::{IResult, Parser};

use super::encode::short;
use super::{Family, Open, WireError};
use crate::policy::Role;

/// The families offered, one byte each.
pub const FAMILIES: u8 = 1;
/// ROUTE-REFRESH is understood (RFC 2918, with the markers of RFC 7313). Empty.
pub const ROUTE_REFRESH: u8 = 2;
/// Role (RFC 9234).
pub const ROLE: u8 = 9;
/// Graceful restart (RFC 4724, RFC 8538).
pub const GRACEFUL_RESTART: u8 = 64;

/// Bits of the graceful restart capability.
const RESTARTING: u8 = 0x80;
const NOTIFICATION: u8 = 0x40;
/// The bit of a family in the graceful restart capability.
const FORWARDING: u8 = 0x80;

/// A role as it stands on the wire (RFC 9234 section 4.1); a code that nobody knows yet matches no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleCode(pub u8);

impl RoleCode {
    /// The role, if it is one of RFC 9234.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        Role::ALL.into_iter().find(|role| Self::from(*role) == self)
    }
}

impl From<Role> for RoleCode {
    fn from(role: Role) -> Self {
        Self(match role {
            Role::Provider => 0,
            Role::RouteServer => 1,
            Role::RouteServerClient => 2,
            Role::Customer => 3,
            Role::Peer => 4,
        })
    }
}

/// Graceful restart, as one side offers it (RFC 4724 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GracefulRestart {
    /// Restart State: the sender has just started, and its END-OF-RIB is not worth waiting for before one's own.
    pub restarting: bool,
    /// A NOTIFICATION that is no hard reset leaves routes in place, too (RFC 8538 section 2).
    pub notification: bool,
    /// How long the sender asks to be waited for, in whole milliseconds.
    pub restart_time: Duration,
    /// The families whose routes may be kept, each with Forwarding State: whether what the sender forwarded before the
    /// restart is forwarded still.
    pub families: Vec<(Family, bool)>,
}

impl GracefulRestart {
    /// Forwarding State of a family; `None`: its routes are not to be kept.
    #[must_use]
    pub fn forwarding(&self, family: Family) -> Option<bool> {
        let of_family = |(known, forwarding): &(Family, bool)| (*known == family).then_some(*forwarding);
        self.families.iter().find_map(of_family)
    }
}

/// What the capabilities of an OPEN say together.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    pub(super) families: Vec<Family>,
    pub(super) route_refresh: bool,
    pub(super) role: Option<RoleCode>,
    pub(super) graceful_restart: Option<GracefulRestart>,
}

/// Reads all of them. Unknown capabilities and families are ignored (RFC 5492 section 3); what is given twice counts
/// once, but of two graceful restarts the last one counts (RFC 4724 section 3), and two roles must be one
/// (RFC 9234 section 4.2).
pub(super) fn decode(mut input: &[u8]) -> Result<Capabilities, WireError> {
    let mut all = Capabilities::default();
    while !input.is_empty() {
        let (rest, (code, value)) = tlv(input).map_err(|_| WireError::Open("a capability is cut short"))?;
        input = rest;
        match code {
            FAMILIES => add_families(&mut all.families, value),
            ROUTE_REFRESH => all.route_refresh = true,
            ROLE => all.role = Some(role(all.role, value)?),
            GRACEFUL_RESTART => all.graceful_restart = Some(graceful_restart(value)?),
            _ => {}
        }
    }
    Ok(all)
}

fn tlv(input: &[u8]) -> IResult<&[u8], (u8, &[u8])> {
    (be_u8, length_data(be_u8)).parse(input)
}

fn add_families(families: &mut Vec<Family>, codes: &[u8]) {
    for family in codes.iter().filter_map(|&code| Family::from_code(code)) {
        if !families.contains(&family) {
            families.push(family);
        }
    }
}

fn role(before: Option<RoleCode>, value: &[u8]) -> Result<RoleCode, WireError> {
    let &[code] = value else {
        return Err(WireError::Open("the role is not one byte"));
    };
    match before {
        Some(RoleCode(other)) if other != code => Err(WireError::TwoRoles(other, code)),
        Some(_) | None => Ok(RoleCode(code)),
    }
}

fn graceful_restart(value: &[u8]) -> Result<GracefulRestart, WireError> {
    const MALFORMED: WireError = WireError::Open("graceful restart is cut short");
    let (pairs, (flags, restart_ms)) = restart_head(value).map_err(|_| MALFORMED)?;
    let (pairs, rest) = pairs.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(MALFORMED);
    }
    let mut families: Vec<(Family, bool)> = Vec::new();
    for [code, flags] in pairs {
        let Some(family) = Family::from_code(*code) else {
            continue;
        };
        if !families.iter().any(|(known, _)| *known == family) {
            families.push((family, flags & FORWARDING != 0));
        }
    }
    Ok(GracefulRestart {
        restarting: flags & RESTARTING != 0,
        notification: flags & NOTIFICATION != 0,
        restart_time: Duration::from_millis(restart_ms.into()),
        families,
    })
}

fn restart_head(input: &[u8]) -> IResult<&[u8], (u8, u32)> {
    (be_u8, be_u32).parse(input)
}

impl Open {
    /// Its capabilities in words, for people.
    #[must_use]
    pub fn capabilities(&self) -> Vec<String> {
        let families: Vec<&str> = self.families.iter().map(|family| family.as_str()).collect();
        let mut words = vec![format!("families {}", families.join(" "))];
        if self.route_refresh {
            words.push("route refresh".to_owned());
        }
        if let Some(code) = self.role {
            words.push(format!("role {code}"));
        }
        if let Some(graceful) = &self.graceful_restart {
            words.push(format!("graceful restart {graceful}"));
        }
        words
    }
}

impl fmt::Display for RoleCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role() {
            Some(role) => f.pad(role.as_str()),
            None => write!(f, "{}", self.0),
        }
    }
}

/// `120000 ms, restarting, notification, name forwarding`.
impl fmt::Display for GracefulRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.restart_time.as_millis())?;
        if self.restarting {
            f.write_str(", restarting")?;
        }
        if self.notification {
            f.write_str(", notification")?;
        }
        for (family, forwarding) in &self.families {
            let state = if *forwarding { "forwarding" } else { "not forwarding" };
            write!(f, ", {} {state}", family.as_str())?;
        }
        Ok(())
    }
}

/// Appends the capabilities of an OPEN, in order of code.
pub(super) fn encode(open: &Open, out: &mut BytesMut) {
    let families: Vec<u8> = open.families.iter().map(|family| family.code()).collect();
    put(FAMILIES, &families, out);
    if open.route_refresh {
        put(ROUTE_REFRESH, &[], out);
    }
    if let Some(RoleCode(code)) = open.role {
        put(ROLE, &[code], out);
    }
    if let Some(graceful) = &open.graceful_restart {
        put(GRACEFUL_RESTART, &restart_value(graceful), out);
    }
}

fn put(code: u8, value: &[u8], out: &mut BytesMut) {
    out.put_u8(code);
    short(out, value);
}

fn restart_value(graceful: &GracefulRestart) -> Vec<u8> {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let mut value = vec![bit(graceful.restarting, RESTARTING) | bit(graceful.notification, NOTIFICATION)];
    let restart_ms = u32::try_from(graceful.restart_time.as_millis()).unwrap_or(u32::MAX);
    value.extend(restart_ms.to_be_bytes());
    let pair = |(family, forwarding): &(Family, bool)| [family.code(), bit(*forwarding, FORWARDING)];
    value.extend(graceful.families.iter().flat_map(pair));
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_code_of_its_own() {
        for role in Role::ALL {
            assert_eq!(RoleCode::from(role).role(), Some(role));
        }
        assert_eq!(RoleCode(5).role(), None);
    }

    #[test]
    fn of_two_graceful_restarts_the_last_one_counts() {
        let bytes = [64, 5, 0x80, 0, 0, 0, 1, 64, 7, 0x40, 0, 0, 3, 0xe8, 1, 0x80];
        let graceful = decode(&bytes).unwrap().graceful_restart.unwrap();
        assert_eq!((graceful.restarting, graceful.notification), (false, true));
        assert_eq!(graceful.restart_time, Duration::from_secs(1));
        assert_eq!(graceful.forwarding(Family::Name), Some(true));
        assert_eq!(graceful.forwarding(Family::Ipv4), None);
    }

    #[test]
    fn of_a_family_given_twice_the_first_bit_counts() {
        let graceful = graceful_restart(&[0, 0, 0, 0, 0, 1, 0x80, 99, 0x80, 1, 0]).unwrap();
        assert_eq!(graceful.families, [(Family::Name, true)]);
    }
}
