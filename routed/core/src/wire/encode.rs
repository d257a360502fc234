//! Messages to frames.

use bytes::{BufMut, BytesMut};

use super::notification::{MAX_DATA_BYTES, clean};
use super::{MAGIC, Message, Notification, Open, capability, kind};

/// Appends a whole frame (length, type, body) of any message. For what to announce or withdraw, see
/// [`Packer`](super::Packer) and [`pack_withdraw`](super::pack_withdraw).
pub fn encode(message: &Message, out: &mut BytesMut) {
    match message {
        Message::Open(message) => frame(kind::OPEN, out, |out| open(message, out)),
        Message::Keepalive => frame(kind::KEEPALIVE, out, |_| {}),
        Message::Update(message) => frame(kind::UPDATE, out, |out| message.put(out)),
        Message::Notification(message) => frame(kind::NOTIFICATION, out, |out| notification(message, out)),
        Message::RouteRefresh(message) => frame(kind::ROUTE_REFRESH, out, |out| {
            out.put_slice(&[message.family.code(), message.subtype]);
        }),
        Message::EndOfRib(family) => frame(kind::END_OF_RIB, out, |out| out.put_u8(family.code())),
    }
}

/// Appends a frame: its length, its type, what `body` writes.
pub(super) fn frame(kind: u8, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    body(out);
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A u16 length, then what `block` writes. Everything that is written so is bounded below 65536 by the frame.
pub(super) fn sized(out: &mut BytesMut, block: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u16(0);
    block(out);
    let length = u16::try_from(out.len() - start - 2).unwrap_or(u16::MAX);
    out[start..start + 2].copy_from_slice(&length.to_be_bytes());
}

/// A u8 length, then the bytes, cut to what a u8 can say. Labels, texts and paths are bounded where they are made.
pub(super) fn short(out: &mut BytesMut, bytes: &[u8]) {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    out.put_u8(length);
    out.put_slice(&bytes[..usize::from(length)]);
}

fn open(open: &Open, out: &mut BytesMut) {
    out.put_slice(&MAGIC);
    out.put_u8(open.version);
    out.put_u32(open.asn);
    out.put_u32(u32::try_from(open.hold_time.as_millis()).unwrap_or(u32::MAX));
    short(out, open.node.as_bytes());
    short(out, open.organisation.as_bytes());
    capability::encode(open, out);
}

fn notification(message: &Notification, out: &mut BytesMut) {
    out.put_slice(&[message.code, message.subcode]);
    short(out, &message.data[..message.data.len().min(MAX_DATA_BYTES)]);
    short(out, clean(&message.text).as_bytes());
}
