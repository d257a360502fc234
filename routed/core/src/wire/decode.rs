//! Frames to messages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nom::IResult;
use nom::Parser;
use nom::combinator::rest;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u32};

use super::error::WireError;
use super::names::is_label;
use super::notification::clean;
use super::update::UpdateFrame;
use super::{Family, MAGIC, MAX_FRAME_BYTES, MIN_HOLD_TIME, Message, Notification, Open, RouteRefresh, VERSION};
use super::{capability, kind};

/// Bytes of the length field.
const LENGTH_BYTES: usize = 4;

/// The length of type and body, read from the length field of a frame and bounded; call it before allocating.
pub fn frame_length(field: &[u8; LENGTH_BYTES]) -> Result<usize, WireError> {
    let claimed = u32::from_be_bytes(*field);
    match usize::try_from(claimed) {
        Ok(length) if (1..=MAX_FRAME_BYTES - LENGTH_BYTES).contains(&length) => Ok(length),
        _ => Err(WireError::FrameLength(claimed)),
    }
}

/// Decodes the body of a frame of type `kind`. NLRI and attributes of an UPDATE stay slices of `body`.
pub fn decode(kind: u8, body: &Bytes) -> Result<Message, WireError> {
    match kind {
        kind::OPEN => open(body).map(Message::Open),
        kind::UPDATE => UpdateFrame::decode(body).map(Message::Update),
        kind::NOTIFICATION => notification(body).map(Message::Notification),
        kind::KEEPALIVE => keepalive(body),
        kind::ROUTE_REFRESH => route_refresh(body),
        kind::END_OF_RIB => end_of_rib(body),
        other => Err(WireError::UnknownType(other)),
    }
}

/// What follows the version in OPEN.
struct OpenFields<'a> {
    asn: u32,
    hold_time: Duration,
    node: &'a [u8],
    organisation: &'a [u8],
    capabilities: &'a [u8],
}

fn open(body: &[u8]) -> Result<Open, WireError> {
    let after_magic = body.strip_prefix(&MAGIC).ok_or(WireError::NotSynchronized)?;
    let (&version, fields) = after_magic.split_first().ok_or(WireError::Open("it is cut short"))?;
    if version != VERSION {
        return Err(WireError::UnsupportedVersion(version));
    }
    let (_, fields) = open_fields(fields).map_err(|_| WireError::Open("it is cut short"))?;
    if fields.asn == 0 {
        return Err(WireError::AsZero);
    }
    if !fields.hold_time.is_zero() && fields.hold_time < MIN_HOLD_TIME {
        return Err(WireError::HoldTime(fields.hold_time));
    }
    let capabilities = capability::decode(fields.capabilities)?;
    Ok(Open {
        version,
        asn: fields.asn,
        node: label(fields.node).ok_or(WireError::BadNode)?,
        organisation: label(fields.organisation).ok_or(WireError::BadOrganisation)?,
        hold_time: fields.hold_time,
        families: capabilities.families,
        route_refresh: capabilities.route_refresh,
        role: capabilities.role,
        graceful_restart: capabilities.graceful_restart,
    })
}

fn open_fields(input: &[u8]) -> IResult<&[u8], OpenFields<'_>> {
    let (input, (asn, hold_ms)) = (be_u32, be_u32).parse(input)?;
    let (input, (node, organisation)) = (length_data(be_u8), length_data(be_u8)).parse(input)?;
    let (input, capabilities) = rest(input)?;
    let hold_time = Duration::from_millis(u64::from(hold_ms));
    let fields = OpenFields {
        asn,
        hold_time,
        node,
        organisation,
        capabilities,
    };
    Ok((input, fields))
}

fn label(bytes: &[u8]) -> Option<Arc<str>> {
    is_label(bytes).then(|| std::str::from_utf8(bytes).ok())?.map(Arc::from)
}

fn family(message: &'static str, code: u8) -> Result<Family, WireError> {
    Family::from_code(code).ok_or(WireError::Family { message, family: code })
}

fn notification(body: &[u8]) -> Result<Notification, WireError> {
    let (rest, (code, subcode, data, text)) =
        notification_fields(body).map_err(|_| WireError::Notification("it is cut short"))?;
    if !rest.is_empty() {
        return Err(WireError::Notification("bytes follow its text"));
    }
    Ok(Notification {
        code,
        subcode,
        // A copy: the few bytes that stay must not hold on to the frame.
        data: Bytes::copy_from_slice(data),
        text: clean(&String::from_utf8_lossy(text)),
    })
}

type NotificationFields<'a> = (u8, u8, &'a [u8], &'a [u8]);

fn notification_fields(input: &[u8]) -> IResult<&[u8], NotificationFields<'_>> {
    (be_u8, be_u8, length_data(be_u8), length_data(be_u8)).parse(input)
}

fn keepalive(body: &[u8]) -> Result<Message, WireError> {
    let [] = sized("KEEPALIVE", body)?;
    Ok(Message::Keepalive)
}

fn route_refresh(body: &[u8]) -> Result<Message, WireError> {
    const MESSAGE: &str = "ROUTE-REFRESH";
    let [code, subtype] = sized(MESSAGE, body)?;
    let family = family(MESSAGE, code)?;
    Ok(Message::RouteRefresh(RouteRefresh { family, subtype }))
}

fn end_of_rib(body: &[u8]) -> Result<Message, WireError> {
    const MESSAGE: &str = "END-OF-RIB";
    let [code] = sized(MESSAGE, body)?;
    family(MESSAGE, code).map(Message::EndOfRib)
}

fn sized<const N: usize>(message: &'static str, body: &[u8]) -> Result<[u8; N], WireError> {
    let length = body.len();
    body.try_into().map_err(|_| WireError::BodyLength { message, length })
}
