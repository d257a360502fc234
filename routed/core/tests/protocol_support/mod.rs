//! What the tests of the protocol share: the vectors of docs/protocol.md, and strategies for everything on the wire.

// Each test crate uses a part of this; `allow-panic-in-tests` does not reach what tests call.
#![allow(dead_code, unreachable_pub, clippy::panic)]

pub mod describe;
pub mod generate;

use bytes::{Bytes, BytesMut};
use catalyst_core::wire::{Message, NlriBlock, Update, UpdateFrame, WireError, decode, encode, frame_length};

/// The page itself, not a copy: it is normative.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");

/// A vector of docs/protocol.md: a block fenced as "vector MODE NAME".
#[derive(Debug)]
pub struct Vector {
    pub mode: String,
    pub name: String,
    pub frame: Vec<u8>,
    pub meaning: String,
}

/// Every vector of the page, in order.
pub fn vectors() -> Vec<Vector> {
    let page = std::fs::read_to_string(PAGE).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    let blocks = page.split("\n```vector ").skip(1);
    blocks
        .map(|block| parse(block.split("\n```").next().unwrap_or(block)))
        .collect()
}

fn parse(block: &str) -> Vector {
    let (head, rest) = block.split_once('\n').expect("a head line");
    let (mode, name) = head.split_once(' ').expect("a mode and a name");
    let (hex, meaning) = rest
        .split_once("\n---\n")
        .unwrap_or_else(|| panic!("{name}: no '---' line"));
    Vector {
        mode: mode.to_owned(),
        name: name.to_owned(),
        frame: hex.lines().flat_map(|line| bytes_of(line, name)).collect(),
        meaning: meaning.to_owned(),
    }
}

fn bytes_of(line: &str, name: &str) -> Vec<u8> {
    let hex = line.split('#').next().unwrap_or_default();
    let byte = |text| u8::from_str_radix(text, 16).unwrap_or_else(|error| panic!("{name}: {text:?}: {error}"));
    hex.split_whitespace().map(byte).collect()
}

/// Reads one frame as the daemon does: the length first, then exactly so many bytes. `None`: bytes are missing.
pub fn read(frame: &[u8]) -> Option<Result<Message, WireError>> {
    let (field, rest) = frame.split_first_chunk::<4>()?;
    let length = match frame_length(field) {
        Ok(length) => length,
        Err(error) => return Some(Err(error)),
    };
    let rest = Bytes::copy_from_slice(rest.get(..length)?);
    Some(decode(rest[0], &rest.slice(1..)))
}

/// The message of the only frame in `bytes`.
pub fn read_one(bytes: &[u8]) -> Message {
    let messages = read_all(bytes);
    assert_eq!(messages.len(), 1);
    messages.into_iter().next().expect("one message")
}

pub fn frame_of(message: Message) -> UpdateFrame {
    let Message::Update(update) = message else {
        panic!("no UPDATE: {message:?}")
    };
    update
}

/// The only step of an UPDATE.
pub fn update_of(message: Message) -> Update {
    let mut steps: Vec<Update> = frame_of(message).steps().collect();
    assert_eq!(steps.len(), 1);
    steps.remove(0)
}

/// The messages of whole, good frames.
pub fn read_all(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        messages.push(read(bytes).expect("a whole frame").expect("a good frame"));
        let length = u32::from_be_bytes(*bytes.first_chunk().expect("a length"));
        bytes = &bytes[4 + length as usize..];
    }
    messages
}

pub fn to_frame(message: &Message) -> BytesMut {
    let mut out = BytesMut::new();
    encode(message, &mut out);
    out
}

/// The names or prefixes of a block, as text.
pub fn names(block: &NlriBlock) -> Vec<String> {
    let mut names = Vec::with_capacity(block.len());
    match block {
        NlriBlock::Names(block) => block.for_each(|name| names.push(name.to_owned())),
        NlriBlock::Prefixes(block) => block.for_each(|prefix| names.push(prefix.to_string())),
    }
    assert_eq!(names.len(), block.len());
    names
}
