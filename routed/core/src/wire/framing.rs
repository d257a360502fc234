//! The byte stream of a connection to frames.

use bytes::{Bytes, BytesMut};

use super::decode::frame_length;

/// One item of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    /// A whole frame.
    Whole {
        /// Its type.
        kind: u8,
        /// Its body.
        body: Bytes,
    },
    /// The length that was claimed is out of bounds; nothing after it can be trusted, and nothing comes after it.
    Bad(u32),
}

/// Splits a stream into frames; a length is checked before anything is allocated for it.
#[derive(Debug, Default)]
pub struct Framing {
    broken: bool,
}

impl Framing {
    /// Takes the next frame off the front of what has arrived; `None`: bytes are missing, and there is room for them.
    pub fn take(&mut self, arrived: &mut BytesMut) -> Option<Framed> {
        if self.broken {
            arrived.clear();
            return None;
        }
        let field = arrived.first_chunk::<4>()?;
        let Ok(length) = frame_length(field) else {
            self.broken = true;
            return Some(Framed::Bad(u32::from_be_bytes(*field)));
        };
        let missing = (4 + length).saturating_sub(arrived.len());
        if missing > 0 {
            arrived.reserve(missing);
            return None;
        }
        let mut frame = arrived.split_to(4 + length).freeze().split_off(4);
        let kind = frame.split_to(1)[0];
        Some(Framed::Whole { kind, body: frame })
    }
}
