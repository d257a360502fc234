//! Target `messages`: what can be decoded is the same after it was encoded again, and decoding holds no more than a frame.
//!
//! Input: the type of a message, then its body.

use bytes::{Bytes, BytesMut};
use catalyst_core::attrs::Attrs;
use catalyst_core::prefix::Prefix;
use catalyst_core::wire::{
    AttrError, MAX_FRAME_BYTES, Message, NlriBlock, Packer, UpdateFrame, decode, decode_attrs, encode, encode_attrs,
    frame_length, pack_withdraw,
};

use super::held::most_held;

/// A frame; the counters of two shared buffers come on top where it is spent on two attribute sets.
const LIMIT: usize = MAX_FRAME_BYTES + 64;

pub fn run(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else {
        return;
    };
    if data.len() > MAX_FRAME_BYTES - 4 {
        return;
    }
    let body = Bytes::copy_from_slice(body);
    let held = most_held(|| consume(kind, &body));
    assert!(held <= LIMIT, "{held} bytes are held for {}", data.len());
    match decode(kind, &body) {
        Ok(message) => {
            assert_eq!(reread(&message), message, "encoding changes it");
            if let Message::Update(update) = &message {
                packed_again(update);
            }
        }
        Err(error) => {
            let answer = Message::Notification(error.notification());
            assert_eq!(reread(&answer), answer, "the answer to {error}");
        }
    }
}

/// Reads a message as far as it can be read, as the Speaker would.
fn consume(kind: u8, body: &Bytes) {
    let Ok(Message::Update(update)) = decode(kind, body) else {
        return;
    };
    for step in update.steps() {
        let mut bytes = 0;
        for block in [&step.withdrawn, &step.announced] {
            match block {
                NlriBlock::Names(block) => block.for_each(|name| bytes += name.len()),
                NlriBlock::Prefixes(block) => block.for_each(|prefix| bytes += usize::from(prefix.length())),
            }
        }
        drop(step.attributes());
    }
}

fn reread(message: &Message) -> Message {
    let mut frame = BytesMut::new();
    encode(message, &mut frame);
    read_one(frame.freeze())
}

fn read_one(mut frame: Bytes) -> Message {
    let messages = read_all(&mut frame);
    assert_eq!(messages.len(), 1, "one frame");
    messages.into_iter().next().unwrap()
}

/// The messages of whole, good frames.
pub fn read_all(frames: &mut Bytes) -> Vec<Message> {
    let mut messages = Vec::new();
    while !frames.is_empty() {
        let length = frame_length(frames.first_chunk().expect("a length")).expect("a good length");
        let mut frame = frames.split_to(4 + length).split_off(4);
        let kind = frame.split_to(1)[0];
        messages.push(decode(kind, &frame).unwrap_or_else(|error| panic!("what we send is refused: {error}")));
    }
    messages
}

/// What an UPDATE says: withdrawn, then announced with what.
#[derive(Debug, PartialEq)]
struct Said {
    withdrawn: Vec<String>,
    announced: Vec<(Result<Attrs, AttrError>, String)>,
}

fn said<'a>(updates: impl IntoIterator<Item = &'a UpdateFrame>) -> Said {
    let (mut withdrawn, mut announced) = (Vec::new(), Vec::new());
    for step in updates.into_iter().flat_map(UpdateFrame::steps) {
        withdrawn.extend(names(&step.withdrawn));
        let attrs = decode_attrs(&step.attrs);
        announced.extend(names(&step.announced).into_iter().map(|name| (attrs.clone(), name)));
    }
    Said { withdrawn, announced }
}

/// The names or prefixes of a block, as text.
pub fn names(block: &NlriBlock) -> Vec<String> {
    let mut names = Vec::new();
    match block {
        NlriBlock::Names(block) => block.for_each(|name| names.push(name.to_owned())),
        NlriBlock::Prefixes(block) => block.for_each(|prefix| names.push(prefix.to_string())),
    }
    assert_eq!(names.len(), block.len());
    names
}

/// Packed as this version packs, it says the same. A set that cannot be read, or one that is too long to be sent, is
/// left out.
fn packed_again(update: &UpdateFrame) {
    let (mut out, mut packer) = (BytesMut::new(), Packer::default());
    for step in update.steps() {
        withdraw(&step.withdrawn, &mut out);
    }
    for step in update.steps() {
        if let Some(raw) = canonical(&step.attrs) {
            announce(&step.announced, &raw, &mut packer, &mut out);
        }
    }
    let mut wanted = said([update]);
    wanted.announced.retain(|(attrs, _)| attrs.is_ok());
    let updates: Vec<UpdateFrame> = read_all(&mut out.freeze()).into_iter().map(update_of).collect();
    assert_eq!(said(&updates), wanted);
}

fn update_of(message: Message) -> UpdateFrame {
    let Message::Update(update) = message else {
        panic!("no UPDATE: {message:?}")
    };
    update
}

/// The set as this version writes it, which reads the same.
fn canonical(raw: &Bytes) -> Option<Bytes> {
    let attrs = decode_attrs(raw).ok()?;
    let again = encode_attrs(&attrs);
    assert_eq!(
        decode_attrs(&again).as_ref(),
        Ok(&attrs),
        "encoding changes an attribute set"
    );
    Some(again)
}

fn withdraw(block: &NlriBlock, out: &mut BytesMut) {
    let texts = names(block);
    match block {
        NlriBlock::Names(_) => pack_withdraw(texts.iter().map(String::as_str), out),
        NlriBlock::Prefixes(_) => pack_withdraw(prefixes(&texts), out),
    }
}

fn announce(block: &NlriBlock, attrs: &[u8], packer: &mut Packer, out: &mut BytesMut) {
    let texts = names(block);
    match block {
        NlriBlock::Names(_) => packer.announce(attrs, texts.iter().map(String::as_str), out),
        NlriBlock::Prefixes(_) => packer.announce(attrs, prefixes(&texts), out),
    }
}

fn prefixes(texts: &[String]) -> impl Iterator<Item = Prefix> + '_ {
    texts.iter().map(|text| text.parse().unwrap())
}
