//! UPDATE: what is withdrawn, then groups of an attribute set and what it is announced with. Each set is coded against
//! the one before it in the frame, from both ends (docs/protocol.md, "UPDATE").

use bytes::{BufMut, Bytes, BytesMut};
use nom::IResult;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::be_u16;

use super::attrs::{MAX_ATTRS_BYTES, check_family, decode_attrs};
use super::encode::{frame, sized};
use super::error::{AttrError, Block, WireError};
use super::nlri::{Nlri, NlriBlock};
use super::{Family, LEAST_MAX_FRAME_BYTES, MAX_FRAME_BYTES, kind};
use crate::attrs::Attrs;

/// The most bytes that all attribute sets of one UPDATE spell out together: what a frame can have its receiver do.
pub const MAX_SPELLED_BYTES: usize = 4 * MAX_FRAME_BYTES;

/// A whole UPDATE as a frame carries it, validated by `decode`, attributes excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateFrame {
    family: Family,
    withdrawn: NlriBlock,
    groups: Bytes,
}

/// One step of an UPDATE: withdrawals, or names or prefixes that share one attribute set, or both.
///
/// `withdrawn` takes effect before `announced`: what is in both ends up announced. What is twice in one block counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The family.
    pub family: Family,
    /// What is withdrawn, of this family.
    pub withdrawn: NlriBlock,
    /// The attribute set of `announced`, undecoded; empty if nothing is announced.
    pub attrs: Bytes,
    /// What is announced, of this family.
    pub announced: NlriBlock,
}

impl Update {
    /// The attribute set, decoded and checked for the family.
    ///
    /// # Errors
    /// Whatever is wrong with it: what is announced then counts as withdrawn (RFC 7606).
    pub fn attributes(&self) -> Result<Attrs, AttrError> {
        let attrs = decode_attrs(&self.attrs)?;
        check_family(self.family, attrs.service.is_some())?;
        Ok(attrs)
    }
}

impl UpdateFrame {
    /// An UPDATE of one step.
    #[must_use]
    pub fn of(update: &Update) -> Self {
        let mut groups = BytesMut::new();
        if !update.announced.is_empty() {
            put_set(&[], &update.attrs, &mut groups);
            sized(&mut groups, |out| out.put_slice(update.announced.as_bytes()));
        }
        Self {
            family: update.family,
            withdrawn: update.withdrawn.clone(),
            groups: groups.freeze(),
        }
    }

    /// The family that it speaks of.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Its steps in order: the withdrawals, if any, stand in the first one. At least one; spelled out one at a time, so
    /// that never more is held than one attribute set.
    pub fn steps(&self) -> impl Iterator<Item = Update> + '_ {
        let mut withdrawn = Some(self.withdrawn.clone());
        let mut rest = &self.groups[..];
        let mut set = Bytes::new();
        std::iter::from_fn(move || {
            let group = Group::split(rest).ok();
            if group.is_none() && withdrawn.is_none() {
                return None;
            }
            let mut update = Update {
                family: self.family,
                withdrawn: withdrawn.take().unwrap_or_else(|| NlriBlock::empty(self.family)),
                attrs: Bytes::new(),
                announced: NlriBlock::empty(self.family),
            };
            if let Some((after, group)) = group {
                rest = after;
                set = group.spell(&set, &self.groups);
                update.attrs = set.clone();
                update.announced = NlriBlock::checked(self.family, self.groups.slice_ref(group.announced));
            }
            Some(update)
        })
    }

    pub(super) fn decode(body: &Bytes) -> Result<Self, WireError> {
        const MESSAGE: &str = "UPDATE";
        let (&code, blocks) = body.split_first().ok_or(WireError::BodyLength {
            message: MESSAGE,
            length: 0,
        })?;
        let family = Family::from_code(code).ok_or(WireError::Family {
            message: MESSAGE,
            family: code,
        })?;
        let (groups, withdrawn) = block(blocks).map_err(|_| WireError::Blocks(Block::Withdrawn))?;
        let update = Self {
            family,
            withdrawn: NlriBlock::decode(family, Block::Withdrawn, body.slice_ref(withdrawn))?,
            groups: body.slice_ref(groups),
        };
        update.check_groups()?;
        Ok(update)
    }

    fn check_groups(&self) -> Result<(), WireError> {
        let mut rest = &self.groups[..];
        let (mut before, mut spelled) = (0, 0);
        while !rest.is_empty() {
            let (after, group) = Group::split(rest)?;
            before = group.set_bytes(before)?;
            spelled += before;
            if spelled > MAX_SPELLED_BYTES {
                return Err(WireError::SetsTooLong);
            }
            NlriBlock::decode(self.family, Block::Announced, self.groups.slice_ref(group.announced))?;
            rest = after;
        }
        Ok(())
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        out.put_u8(self.family.code());
        sized(out, |out| out.put_slice(self.withdrawn.as_bytes()));
        out.put_slice(&self.groups);
    }
}

/// One group as it stands on the wire.
struct Group<'a> {
    prefix: usize,
    suffix: usize,
    middle: &'a [u8],
    announced: &'a [u8],
}

impl<'a> Group<'a> {
    fn split(input: &'a [u8]) -> Result<(&'a [u8], Self), WireError> {
        let (rest, (prefix, suffix, middle)) = set(input).map_err(|_| WireError::Blocks(Block::Attributes))?;
        let (rest, announced) = block(rest).map_err(|_| WireError::Blocks(Block::Announced))?;
        let group = Self {
            prefix: usize::from(prefix),
            suffix: usize::from(suffix),
            middle,
            announced,
        };
        Ok((rest, group))
    }

    /// How long the set is, given how long the one before it was.
    fn set_bytes(&self, before: usize) -> Result<usize, WireError> {
        let shared = self.prefix + self.suffix;
        if shared > before {
            return Err(WireError::SetShares);
        }
        let length = shared + self.middle.len();
        if shared > 0 && length > MAX_ATTRS_BYTES {
            return Err(WireError::SetsTooLong);
        }
        Ok(length)
    }

    /// The set, spelled out: a slice of the frame where nothing is shared.
    fn spell(&self, before: &[u8], frame: &Bytes) -> Bytes {
        if self.prefix + self.suffix == 0 {
            return frame.slice_ref(self.middle);
        }
        [
            &before[..self.prefix],
            self.middle,
            &before[before.len() - self.suffix..],
        ]
        .concat()
        .into()
    }
}

fn set(input: &[u8]) -> IResult<&[u8], (u16, u16, &[u8])> {
    (be_u16, be_u16, block).parse(input)
}

fn block(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let (input, length) = be_u16(input)?;
    take(length).parse(input)
}

/// Appends a set, coded against the one before it.
fn put_set(before: &[u8], set: &[u8], out: &mut BytesMut) {
    let prefix = before.iter().zip(set).take_while(|(one, other)| one == other).count();
    let ends = before[prefix..].iter().rev().zip(set[prefix..].iter().rev());
    let suffix = ends.take_while(|(one, other)| one == other).count();
    out.put_u16(short(prefix));
    out.put_u16(short(suffix));
    sized(out, |out| out.put_slice(&set[prefix..set.len() - suffix]));
}

/// A length within an attribute set, which is shorter than a frame.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// Bytes of a frame before the withdrawn block, with the length of that block.
const HEAD_BYTES: usize = 4 + 1 + 1 + 2;
/// Bytes of a group besides the set and the announced block.
const GROUP_BYTES: usize = 3 * 2 + 2;

/// Packs groups into as few UPDATE frames as hold them. Give groups whose sets are alike one after the other.
#[derive(Debug)]
pub struct Packer {
    /// The longest frame in bytes.
    limit: usize,
    /// Where the open frame begins in `out`.
    open: Option<(usize, Family)>,
    /// The set of the last group of the open frame.
    before: Vec<u8>,
    spelled: usize,
}

impl Default for Packer {
    /// For frames as long as the protocol has them.
    fn default() -> Self {
        Self::within(MAX_FRAME_BYTES)
    }
}

impl Packer {
    /// For frames of at most so many bytes, brought within [`LEAST_MAX_FRAME_BYTES`] and [`MAX_FRAME_BYTES`].
    #[must_use]
    pub fn within(limit: usize) -> Self {
        Self {
            limit: bounded(limit),
            open: None,
            before: Vec::new(),
            spelled: 0,
        }
    }

    /// Appends what is announced with `attrs` (from [`encode_attrs`](super::encode_attrs)) to the open frame, and to
    /// further ones where it is full. Give names sorted (any order works; neighbours that share text pack best). `out`
    /// holds whole frames after every call; between two calls nobody else may append to it.
    ///
    /// A set longer than [`MAX_ATTRS_BYTES`] would be treated as withdrawn by every receiver: it is withdrawn instead.
    pub fn announce<N: Nlri>(&mut self, attrs: &[u8], nlri: impl Iterator<Item = N>, out: &mut BytesMut) {
        if attrs.len() > MAX_ATTRS_BYTES {
            self.open = None;
            return pack_withdraw_within(nlri, self.limit, out);
        }
        let mut nlri = nlri.peekable();
        while let Some(family) = nlri.peek().map(|next| next.family()) {
            let start = self.frame_for(family, attrs.len(), N::MAX_BYTES, out);
            put_set(&self.before, attrs, out);
            self.before.clear();
            self.before.extend_from_slice(attrs);
            self.spelled += attrs.len();
            let room = self.limit - (out.len() - start) - 2;
            sized(out, |out| fill(family, &mut nlri, room, out));
            let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Where the frame begins that has room for a set and one name.
    fn frame_for(&mut self, family: Family, set: usize, name: usize, out: &mut BytesMut) -> usize {
        let fits = |start: usize| out.len() - start + GROUP_BYTES + set + name <= self.limit;
        match self.open {
            Some((start, open)) if open == family && fits(start) && self.spelled + set <= MAX_SPELLED_BYTES => start,
            _ => self.begin(family, out),
        }
    }

    fn begin(&mut self, family: Family, out: &mut BytesMut) -> usize {
        let start = out.len();
        self.open = Some((start, family));
        self.before.clear();
        self.spelled = 0;
        frame(kind::UPDATE, out, |out| {
            out.put_u8(family.code());
            out.put_u16(0);
        });
        start
    }
}

fn bounded(limit: usize) -> usize {
    limit.clamp(LEAST_MAX_FRAME_BYTES, MAX_FRAME_BYTES)
}

const _: () = assert!(HEAD_BYTES + GROUP_BYTES + MAX_ATTRS_BYTES + 2 * 256 <= LEAST_MAX_FRAME_BYTES);

/// Packs what shares one attribute set into as few UPDATE frames as hold it; see [`Packer::announce`].
pub fn pack_announce<N: Nlri>(attrs: &[u8], nlri: impl Iterator<Item = N>, out: &mut BytesMut) {
    Packer::default().announce(attrs, nlri, out);
}

/// Packs withdrawals into as few UPDATE frames as fit.
pub fn pack_withdraw<N: Nlri>(nlri: impl Iterator<Item = N>, out: &mut BytesMut) {
    pack_withdraw_within(nlri, MAX_FRAME_BYTES, out);
}

/// As [`pack_withdraw`], into frames of at most `limit` bytes; see [`Packer::within`].
pub fn pack_withdraw_within<N: Nlri>(nlri: impl Iterator<Item = N>, limit: usize, out: &mut BytesMut) {
    let room = bounded(limit) - HEAD_BYTES;
    let mut nlri = nlri.peekable();
    while let Some(family) = nlri.peek().map(|next| next.family()) {
        frame(kind::UPDATE, out, |out| {
            out.put_u8(family.code());
            sized(out, |out| fill(family, &mut nlri, room, out));
        });
    }
}

/// Takes what is of the family while another one is sure to fit in `room` bytes.
fn fill<N: Nlri>(
    family: Family,
    nlri: &mut std::iter::Peekable<impl Iterator<Item = N>>,
    room: usize,
    out: &mut BytesMut,
) {
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
