//! Nothing that arrives makes the decoder panic, or allocate more than a frame holds.

#[path = "fuzz/bodies/held.rs"]
mod held;
mod protocol_support;

use bytes::Bytes;
use catalyst_core::wire::{MAX_FRAME_BYTES, MAX_SPELLED_BYTES, Message, NlriBlock, WireError, decode, frame_length};
use held::most_held;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol_support::vectors;

/// Reads a frame as far as it can be read, names and attributes included, as the Speaker would.
fn read_all_of(length: [u8; 4], rest: &Bytes) -> Option<Result<(), WireError>> {
    let length = match frame_length(&length) {
        Ok(length) => length,
        Err(error) => return Some(Err(error)),
    };
    if rest.len() < length {
        return None;
    }
    Some(decode(rest[0], &rest.slice(1..length)).map(consume))
}

fn consume(message: Message) {
    let Message::Update(update) = message else { return };
    for step in update.steps() {
        let mut bytes = 0;
        for block in [&step.withdrawn, &step.announced] {
            match block {
                NlriBlock::Names(block) => block.for_each(|name| bytes += name.len()),
                NlriBlock::Prefixes(block) => block.for_each(|prefix| bytes += usize::from(prefix.length())),
            }
        }
        let _ = step.attributes();
    }
}

/// A frame; the counters of two shared buffers come on top where it is spent on two attribute sets.
const LIMIT: usize = MAX_FRAME_BYTES + 64;

/// What every frame, good or not, is held to: an answer, and bounded memory.
fn withstand(frame: &[u8]) -> Option<Result<(), WireError>> {
    let (length, rest) = frame.split_first_chunk::<4>()?;
    let rest = Bytes::copy_from_slice(rest);
    let mut outcome = None;
    let most = most_held(|| {
        outcome = read_all_of(*length, &rest);
        if let Some(Err(error)) = &outcome {
            let answer = error.notification();
            assert!(answer.text.len() <= 255 && answer.data.len() <= 255);
        }
    });
    let head = &frame[..frame.len().min(100)];
    assert!(
        most <= LIMIT,
        "{most} bytes were held for {} bytes: {head:02x?}",
        frame.len()
    );
    outcome
}

#[test]
fn what_is_held_is_counted() {
    assert_eq!(most_held(|| drop((vec![0u8; 1000], vec![0u8; 500]))), 1500);
    assert_eq!(most_held(|| (0..2).for_each(|_| drop(vec![0u8; 1000]))), 1000);
}

#[test]
fn every_truncation() {
    for vector in vectors() {
        for length in 0..vector.frame.len() {
            let cut = &vector.frame[..length];
            // As it comes from a socket, the rest is awaited.
            let outcome = withstand(cut);
            assert!(
                vector.mode == "refused" || outcome.is_none(),
                "{}: {outcome:?}",
                vector.name
            );
            // And with a length that claims that this is all.
            if length > 4 {
                let claimed = u32::try_from(length - 4).expect("a short frame").to_be_bytes();
                let whole = [&claimed[..], &cut[4..]].concat();
                assert!(withstand(&whole).is_some(), "{}", vector.name);
            }
        }
    }
}

#[test]
fn every_bit_flip() {
    for vector in vectors() {
        for bit in 0..vector.frame.len() * 8 {
            let mut frame = vector.frame.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            let outcome = withstand(&frame);
            // Only a length that claims more can leave a frame unanswered.
            assert!(outcome.is_some() || bit < 32, "{}: bit {bit}", vector.name);
        }
    }
}

#[test]
fn every_byte_at_every_place() {
    for vector in vectors() {
        for place in 4..vector.frame.len() {
            for byte in 0..=255 {
                let mut frame = vector.frame.clone();
                frame[place] = byte;
                assert!(
                    withstand(&frame).is_some() || vector.mode == "refused",
                    "{}: byte {place}",
                    vector.name
                );
            }
        }
    }
}

#[test]
fn the_length_is_bounded_before_anything_is_allocated() {
    for claimed in [0, 65_533, 65_536, 1 << 24, u32::MAX] {
        let mut outcome = None;
        let held = most_held(|| outcome = Some(frame_length(&claimed.to_be_bytes())));
        assert_eq!((outcome, held), (Some(Err(WireError::FrameLength(claimed))), 0));
    }
    assert_eq!(frame_length(&65_532u32.to_be_bytes()), Ok(65_532));
}

/// The frames that make the most of their 64 KiB: each kind of list at its longest, and names of one byte each, or
/// prefixes of none.
#[test]
fn full_frames_of_the_smallest_parts() {
    for (family, first, more) in [
        (1, &[0x81, 0, 0, b'a'][..], &[1, 0, b'a'][..]),
        (2, &[], &[0]),
        (3, &[], &[0]),
    ] {
        full_frame(family, first, more);
    }
}

fn full_frame(family: u8, first: &[u8], more: &[u8]) {
    let tlv = |flags: u8, code: u8, value: &[u8]| {
        let length = u16::try_from(value.len()).expect("a short value").to_be_bytes();
        [&[flags, code], &length[..], value].concat()
    };
    let mut attrs = tlv(0x40, 2, &[1; 4 * 255]);
    attrs.extend(tlv(0xc0, 8, &[1; 4 * 1024]));
    attrs.extend(tlv(0x80, 10, &b"\x01a".repeat(255)));
    attrs.extend(tlv(0xc0, 32, &[1; 12 * 1024]));
    for code in 100..132 {
        attrs.extend(tlv(0xc0, code, &[0; 400]));
    }
    let mut body = vec![2, family, 0, 0, 0, 0, 0, 0];
    body.extend(u16::try_from(attrs.len()).expect("half a frame").to_be_bytes());
    body.extend(attrs);
    let mut nlri = first.to_vec();
    while body.len() + 2 + nlri.len() + more.len() <= MAX_FRAME_BYTES - 4 {
        nlri.extend(more);
    }
    body.extend(u16::try_from(nlri.len()).expect("a block").to_be_bytes());
    body.extend(nlri);
    assert_eq!(withstand(&framed(&body)), Some(Ok(())));
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).expect("a frame").to_be_bytes()[..], body].concat()
}

/// A set that every group repeats whole: a few bytes that would have the receiver spell out megabytes are refused, and
/// up to the limit one set is held at a time.
#[test]
fn groups_that_repeat_a_long_set() {
    let longest = MAX_SPELLED_BYTES / 8;
    let mut body = vec![2, 1, 0, 0, 0, 0, 0, 0];
    body.extend(u16::try_from(longest).expect("half a frame").to_be_bytes());
    body.extend(vec![0; longest]);
    body.extend([0, 0]);
    let again = [
        &u16::try_from(longest).expect("half a frame").to_be_bytes()[..],
        &[0; 6],
    ]
    .concat();
    (0..7).for_each(|_| body.extend(&again));
    assert_eq!(withstand(&framed(&body)), Some(Ok(())));
    body.extend(&again);
    assert_eq!(withstand(&framed(&body)), Some(Err(WireError::SetsTooLong)));
}

proptest! {
    #[test]
    fn arbitrary_bodies(kind in 0u8..8, body in vec(any::<u8>(), 0..600)) {
        let length = u32::try_from(body.len() + 1).expect("a short body").to_be_bytes();
        withstand(&[&length[..], &[kind], &body].concat());
    }

    /// Good names and attributes behind a good head, damaged at a few places.
    #[test]
    fn damaged_vectors(which in any::<prop::sample::Index>(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let vectors = vectors();
        let mut frame = vectors[which.index(vectors.len())].frame.clone();
        for (place, byte) in damage {
            let place = place.index(frame.len());
            frame[place] = byte;
        }
        withstand(&frame);
    }
}
