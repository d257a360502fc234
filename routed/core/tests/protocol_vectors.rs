//! docs/protocol.md is normative: its vectors are read from the page itself.

mod protocol_support;

use bytes::BytesMut;
use catalyst_core::prefix::Prefix;
use catalyst_core::wire::{Family, Message, NlriBlock, Packer, decode_attrs, encode_attrs, pack_withdraw};
use protocol_support::{Vector, describe, frame_of, names, read, to_frame, vectors};

/// Set, it makes a failing vector print the block that would pass, to be pasted into the page once it has been judged.
const BLESS: &str = "CATALYST_BLESS";

fn meaning(vector: &Vector) -> String {
    match read(&vector.frame).expect("a whole frame") {
        Ok(message) => describe::message(&message),
        Err(error) => describe::wire_error(&error),
    }
}

fn of_mode(mode: &str) -> Vec<Vector> {
    let chosen: Vec<Vector> = vectors().into_iter().filter(|vector| vector.mode == mode).collect();
    assert!(!chosen.is_empty(), "no vector of mode {mode}");
    chosen
}

fn decoded(vector: &Vector) -> Message {
    read(&vector.frame).expect("a whole frame").expect("a good frame")
}

/// The bytes as this version would send them: what was decoded, encoded again, names and attributes included.
fn canonical(vector: &Vector) -> Vec<u8> {
    let message = decoded(vector);
    let Message::Update(update) = &message else {
        return to_frame(&message).to_vec();
    };
    let (mut packer, mut withdrawn, mut announced) = (Packer::default(), BytesMut::new(), BytesMut::new());
    for step in update.steps() {
        withdraw(&step.withdrawn, &mut withdrawn);
        let attrs = decode_attrs(&step.attrs).map_or(step.attrs.clone(), |attrs| encode_attrs(&attrs));
        announce(&step.announced, &attrs, &mut packer, &mut announced);
    }
    together(update.family(), &withdrawn, &announced)
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
    texts.iter().map(|text| text.parse().expect("a prefix"))
}

/// One UPDATE of what one withdraws and another one announces; each may be missing.
fn together(family: Family, withdrawn: &[u8], announced: &[u8]) -> Vec<u8> {
    // Length, type and family; an empty withdrawn block.
    let withdrawn = withdrawn.get(6..).unwrap_or(&[0, 0]);
    let groups = announced.get(8..).unwrap_or_default();
    let body = [&[2, family.code()], withdrawn, groups].concat();
    let length = u32::try_from(body.len()).expect("a frame");
    [&length.to_be_bytes()[..], &body].concat()
}

#[test]
fn every_vector_means_what_the_page_says() {
    for vector in vectors() {
        let meaning = meaning(&vector);
        if meaning != vector.meaning && std::env::var_os(BLESS).is_some() {
            println!(
                "```vector {} {}\n{:02x?}\n---\n{meaning}\n```\n",
                vector.mode, vector.name, vector.frame
            );
        }
        assert_eq!(meaning, vector.meaning, "{}", vector.name);
    }
}

#[test]
fn canonical_vectors_are_what_this_version_sends() {
    for vector in of_mode("canonical") {
        assert_eq!(canonical(&vector), vector.frame, "{}", vector.name);
    }
}

#[test]
fn accepted_vectors_are_what_others_may_send() {
    for vector in of_mode("accepted") {
        assert_eq!(describe::message(&decoded(&vector)), vector.meaning, "{}", vector.name);
        assert_ne!(canonical(&vector), vector.frame, "{} is canonical", vector.name);
    }
}

#[test]
fn treat_as_withdraw_vectors_are_good_frames_with_bad_attributes() {
    for vector in of_mode("treat-as-withdraw") {
        let bad = frame_of(decoded(&vector))
            .steps()
            .any(|step| step.attributes().is_err());
        assert!(bad, "{}", vector.name);
    }
}

#[test]
fn refused_vectors_end_the_session() {
    for vector in of_mode("refused") {
        assert!(matches!(read(&vector.frame), Some(Err(_))), "{}", vector.name);
    }
}

#[test]
fn names_and_modes_of_vectors_are_in_order() {
    let mut names: Vec<String> = vectors().into_iter().map(|vector| vector.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "a name is given twice");
    let modes = ["canonical", "accepted", "treat-as-withdraw", "refused"];
    assert!(vectors().iter().all(|vector| modes.contains(&vector.mode.as_str())));
}
