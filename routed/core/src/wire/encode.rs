//! Messages to frames, and names packed into as few UPDATE frames as hold them.

use std::iter::Peekable;

use bytes::{BufMut, BytesMut};

use super::attrs::MAX_ATTRS_BYTES;
use super::nlri::Nlri;
use super::notification::{MAX_DATA_BYTES, clean};
use super::{Family, MAGIC, MAX_FRAME_BYTES, Message, Notification, Open, Update, capability, kind};

/// Appends a whole frame (length, type, body) of any message. For what to announce or withdraw, see
/// [`pack_announce`] and [`pack_withdraw`].
pub fn encode(message: &Message, out: &mut BytesMut) {
    match message {
        Message::Open(message) => frame(kind::OPEN, out, |out| open(message, out)),
        Message::Keepalive => frame(kind::KEEPALIVE, out, |_| {}),
        Message::Update(message) => frame(kind::UPDATE, out, |out| update(message, out)),
        Message::Notification(message) => frame(kind::NOTIFICATION, out, |out| notification(message, out)),
        Message::RouteRefresh(message) => frame(kind::ROUTE_REFRESH, out, |out| {
            out.put_slice(&[message.family.code(), message.subtype]);
        }),
        Message::EndOfRib(family) => frame(kind::END_OF_RIB, out, |out| out.put_u8(family.code())),
    }
}

/// Packs names or prefixes into as few UPDATE frames as fit [`MAX_FRAME_BYTES`]; all share `attrs` (from
/// [`encode_attrs`](super::encode_attrs)). Give names sorted (any order works; neighbours that share text pack best), and
/// prefixes of one family together.
///
/// A set longer than [`MAX_ATTRS_BYTES`] would be treated as withdrawn by every receiver: they are withdrawn instead.
pub fn pack_announce<N: Nlri>(attrs: &[u8], nlri: impl Iterator<Item = N>, out: &mut BytesMut) {
    if attrs.len() > MAX_ATTRS_BYTES {
        return pack_withdraw(nlri, out);
    }
    let mut nlri = nlri.peekable();
    while let Some(family) = nlri.peek().map(|next| next.family()) {
        frame(kind::UPDATE, out, |out| {
            out.put_u8(family.code());
            out.put_u16(0);
            sized(out, |out| out.put_slice(attrs));
            let used = 10 + attrs.len();
            fill(family, &mut nlri, MAX_FRAME_BYTES - used, out);
        });
    }
}

/// Packs withdrawals into as few UPDATE frames as fit.
pub fn pack_withdraw<N: Nlri>(nlri: impl Iterator<Item = N>, out: &mut BytesMut) {
    let mut nlri = nlri.peekable();
    while let Some(family) = nlri.peek().map(|next| next.family()) {
        frame(kind::UPDATE, out, |out| {
            out.put_u8(family.code());
            sized(out, |out| fill(family, &mut nlri, MAX_FRAME_BYTES - 10, out));
            out.put_u16(0);
        });
    }
}

/// Takes what is of the family while another one is sure to fit in `room` bytes.
fn fill<N: Nlri>(family: Family, nlri: &mut Peekable<impl Iterator<Item = N>>, room: usize, out: &mut BytesMut) {
    let start = out.len();
    let mut previous = None;
    while out.len() - start + N::MAX_BYTES <= room {
        let Some(next) = nlri.next_if(|next| next.family() == family) else {
            return;
        };
        next.append(previous, out);
        previous = Some(next);
    }
}

fn frame(kind: u8, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
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

fn update(update: &Update, out: &mut BytesMut) {
    out.put_u8(update.family.code());
    sized(out, |out| out.put_slice(update.withdrawn.as_bytes()));
    sized(out, |out| out.put_slice(&update.attrs));
    out.put_slice(update.announced.as_bytes());
}

fn notification(message: &Notification, out: &mut BytesMut) {
    out.put_slice(&[message.code, message.subcode]);
    short(out, &message.data[..message.data.len().min(MAX_DATA_BYTES)]);
    short(out, clean(&message.text).as_bytes());
}
