//! Names front-coded from both ends: each against the one before it in its block (docs/protocol.md, "Name blocks").
//!
//! `*.dc1.acme` and `orders.dc1.acme` share an end, `orders1.acme` and `orders2.acme` both a start and an end: a name
//! costs two bytes, or three where its length is another one, and what is new in its middle.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::name::{MAX_LABEL_BYTES, MAX_NAME_BYTES, NameError};

/// Front-coded names, validated for structure and characters when the UPDATE was decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameBlock {
    bytes: Bytes,
}

/// What is wrong with a name in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameProblem {
    /// The block ends inside it.
    Truncated,
    /// It shares more bytes with the name before it than that name has.
    SharesTooMuch,
    /// What it spells is not a service name in canonical form.
    Name(NameError),
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the block ends inside it"),
            Self::SharesTooMuch => f.write_str("it shares more bytes with the name before it than that name has"),
            Self::Name(error) => error.fmt(f),
        }
    }
}

impl NameBlock {
    /// Validates a block. An error carries the index of the name at fault, counted from 0.
    pub(super) fn decode(bytes: Bytes) -> Result<Self, (u32, NameProblem)> {
        let mut name = Name::empty();
        let mut rest = &bytes[..];
        let mut count = 0;
        while !rest.is_empty() {
            rest = name.read_checked(rest).map_err(|problem| (count, problem))?;
            count += 1;
        }
        Ok(Self { bytes })
    }

    /// A block that was validated before.
    pub(super) fn checked(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// The block as it stands on the wire.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many names it holds; counted anew with every call.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut rest = &self.bytes[..];
        let mut count = 0;
        while let Some((_, after)) = Entry::split(rest) {
            rest = after;
            count += 1;
        }
        count
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Calls `f` with each name in order; no allocation per name.
    pub fn for_each(&self, mut f: impl FnMut(&str)) {
        // Every byte of a validated block is ASCII, so the default is never taken.
        self.for_each_key(|key| f(std::str::from_utf8(key).unwrap_or_default()));
    }

    /// Calls `f` with the bytes of each name in order, which nobody has to look at again to know that they are text.
    pub(super) fn for_each_key(&self, mut f: impl FnMut(&[u8])) {
        let mut name = Name::empty();
        let mut rest = &self.bytes[..];
        while let Some((entry, after)) = Entry::split(rest) {
            rest = after;
            if name.apply(&entry).is_ok() {
                f(name.as_bytes());
            }
        }
    }
}

/// Above it, the first byte of an entry says that prefix and suffix follow; below, that the suffix is what makes the
/// name as long as the one before it.
const SUFFIX: u8 = 0x80;
/// The first byte of an entry whose length follows in a byte of its own.
const LONG: u8 = 0xff;

/// One front-coded name.
struct Entry<'a> {
    prefix: usize,
    /// `None`: the name is as long as the one before it.
    suffix: Option<usize>,
    middle: &'a [u8],
}

impl<'a> Entry<'a> {
    #[inline]
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (prefix, suffix, length, rest) = match bytes {
            [length, prefix, rest @ ..] if *length < SUFFIX => (*prefix, None, *length, rest),
            [LONG, length, prefix, suffix, rest @ ..] => (*prefix, Some(*suffix), *length, rest),
            [LONG, ..] => return None,
            [length, prefix, suffix, rest @ ..] => (*prefix, Some(*suffix), length - SUFFIX, rest),
            _ => return None,
        };
        let (middle, rest) = rest.split_at_checked(usize::from(length))?;
        let entry = Self {
            prefix: usize::from(prefix),
            suffix: suffix.map(usize::from),
            middle,
        };
        Some((entry, rest))
    }
}

/// The name that the next one is coded against, on the stack.
struct Name {
    bytes: [u8; MAX_NAME_BYTES],
    len: usize,
}

impl Name {
    fn empty() -> Self {
        Self {
            bytes: [0; MAX_NAME_BYTES],
            len: 0,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn read_checked<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], NameProblem> {
        let (entry, rest) = Entry::split(bytes).ok_or(NameProblem::Truncated)?;
        self.apply(&entry)?;
        check_changed(self.as_bytes(), entry.prefix, entry.prefix + entry.middle.len()).map_err(NameProblem::Name)?;
        Ok(rest)
    }

    #[inline]
    fn apply(&mut self, entry: &Entry<'_>) -> Result<(), NameProblem> {
        let &Entry { prefix, suffix, middle } = entry;
        let as_long = || self.len.checked_sub(prefix + middle.len());
        let suffix = suffix.or_else(as_long).ok_or(NameProblem::SharesTooMuch)?;
        if prefix + suffix > self.len {
            return Err(NameProblem::SharesTooMuch);
        }
        let (end, kept) = (prefix + middle.len(), self.len - suffix);
        if end + suffix > MAX_NAME_BYTES {
            return Err(NameProblem::Name(NameError::TooLong(end + suffix)));
        }
        if end != kept {
            self.bytes.copy_within(kept..self.len, end);
        }
        self.bytes[prefix..end].copy_from_slice(middle);
        self.len = end + suffix;
        Ok(())
    }
}

/// Checks `name`, of which the bytes outside `from..to` are the two ends of a name that was checked before.
///
/// Only the labels that touch `from..to`, its two seams included, can be wrong: whole labels were taken over on either
/// side of them. A `*` taken over stands either at the very start, as before, or inside what is looked at.
#[inline]
fn check_changed(name: &[u8], from: usize, to: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    let start = name[..from].iter().rposition(|&b| b == b'.').map_or(0, |dot| dot + 1);
    let end = name[to..]
        .iter()
        .position(|&b| b == b'.')
        .map_or(name.len(), |dot| to + dot);
    let mut labels = &name[start..end];
    if start == 0
        && let Some(rest) = labels.strip_prefix(b"*")
    {
        if rest.is_empty() {
            return Ok(());
        }
        labels = rest.strip_prefix(b".").ok_or(NameError::Wildcard)?;
    }
    labels.split(|&b| b == b'.').try_for_each(check_label)
}

#[inline]
fn check_label(label: &[u8]) -> Result<(), NameError> {
    let (Some(first), Some(last)) = (label.first(), label.last()) else {
        return Err(NameError::EmptyLabel);
    };
    if label.len() > MAX_LABEL_BYTES {
        return Err(NameError::LabelTooLong(label.len()));
    }
    if let Some(&bad) = label.iter().find(|&&b| !LABEL_BYTE[usize::from(b)]) {
        return Err(if bad == b'*' {
            NameError::Wildcard
        } else {
            NameError::BadCharacter(char::from(bad))
        });
    }
    if *first == b'-' || *last == b'-' {
        return Err(NameError::Hyphen);
    }
    Ok(())
}

/// Whether `bytes` is one label of a service name: a node, an organisation, a cluster.
pub(super) fn is_label(bytes: &[u8]) -> bool {
    check_label(bytes).is_ok()
}

/// The bytes of a label; a table, since every byte that arrives is looked up.
const LABEL_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let alphabet = b"abcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut i = 0;
    while i < alphabet.len() {
        table[alphabet[i] as usize] = true;
        i += 1;
    }
    table
};

/// Appends `name`, coded against `previous`. At most 4 bytes longer than the name.
pub(super) fn append(previous: &str, name: &str, out: &mut BytesMut) {
    let (before, now) = (previous.as_bytes(), name.as_bytes());
    let prefix = shared(before.iter(), now.iter());
    let suffix = shared(before[prefix..].iter().rev(), now[prefix..].iter().rev());
    let middle = &now[prefix..now.len() - suffix];
    put_entry(
        byte(prefix),
        byte(suffix),
        byte(middle.len()),
        before.len() == now.len(),
        out,
    );
    out.put_slice(middle);
}

fn put_entry(prefix: u8, suffix: u8, length: u8, as_long: bool, out: &mut BytesMut) {
    if as_long && length < SUFFIX {
        out.put_slice(&[length, prefix]);
    } else if length < LONG - SUFFIX {
        out.put_slice(&[SUFFIX + length, prefix, suffix]);
    } else {
        out.put_slice(&[LONG, length, prefix, suffix]);
    }
}

fn shared<'a>(a: impl Iterator<Item = &'a u8>, b: impl Iterator<Item = &'a u8>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

/// A length within a name as a byte: a name is shorter than 256.
fn byte(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
