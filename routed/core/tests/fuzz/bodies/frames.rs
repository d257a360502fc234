//! Target `frames`: a byte stream splits into the same frames however it is cut, and no byte of it is lost.
//!
//! Input: two bytes that seed the cuts, then the stream.

use bytes::BytesMut;
use catalyst_core::wire::{Framed, Framing, MAX_FRAME_BYTES};

use super::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let seed = input.short();
    let stream = input.0;
    let (whole, left) = split(stream, |_| stream.len());
    let mut state = u32::from(seed) | 1;
    let (cut, left_of_cut) = split(stream, |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wide = if state >> 31 == 0 { 7 } else { 1000 };
        1 + (state >> 8) as usize % wide
    });
    assert_eq!(whole, cut, "the cuts show");
    assert_eq!(left, left_of_cut, "what is left depends on the cuts");
    check(stream, &whole, left);
}

/// The frames of a stream that arrives in chunks of given sizes, and how many bytes are left at the end.
fn split(stream: &[u8], mut size: impl FnMut(usize) -> usize) -> (Vec<Framed>, usize) {
    let (mut framing, mut arrived, mut frames) = (Framing::default(), BytesMut::new(), Vec::new());
    let mut rest = stream;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(size(rest.len()).min(rest.len()));
        rest = after;
        arrived.extend_from_slice(chunk);
        while let Some(frame) = framing.take(&mut arrived) {
            frames.push(frame);
        }
        // Growing doubles.
        let bound = 2 * (MAX_FRAME_BYTES + chunk.len());
        assert!(
            arrived.capacity() <= bound,
            "{} bytes are set aside",
            arrived.capacity()
        );
    }
    (frames, arrived.len())
}

/// The frames, written again, are the stream.
fn check(stream: &[u8], frames: &[Framed], left: usize) {
    let mut again = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        match frame {
            Framed::Whole { kind, body } => {
                again.extend(u32::try_from(body.len() + 1).unwrap().to_be_bytes());
                again.push(*kind);
                again.extend_from_slice(body);
            }
            Framed::Bad(length) => {
                assert!(
                    !(1..=MAX_FRAME_BYTES - 4).contains(&(*length as usize)),
                    "{length} is in bounds"
                );
                assert_eq!(at + 1, frames.len(), "something follows what cannot be read");
                again.extend(length.to_be_bytes());
                assert!(stream.starts_with(&again));
                return;
            }
        }
    }
    assert!(stream.starts_with(&again));
    assert_eq!(again.len() + left, stream.len(), "bytes are lost");
}
