//! Whatever is encoded is decoded as it was.

mod protocol_support;

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use catalyst_core::attrs::Attrs;
use catalyst_core::prefix::Prefix;
use catalyst_core::wire::{
    MAX_FRAME_BYTES, Message, Packer, Update, UpdateFrame, decode_attrs, encode_attrs, pack_announce, pack_withdraw,
};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol_support::{frame_of, generate, names, read_all, read_one, to_frame, update_of};

fn updates(frames: &[u8]) -> Vec<Update> {
    read_all(frames).into_iter().map(update_of).collect()
}

fn steps(frames: &[u8]) -> Vec<Update> {
    let frames = read_all(frames).into_iter().map(frame_of);
    frames.flat_map(|frame| frame.steps().collect::<Vec<_>>()).collect()
}

fn announced(attrs: &[u8], names: &[String]) -> Vec<Update> {
    let mut out = BytesMut::new();
    pack_announce(attrs, names.iter().map(String::as_str), &mut out);
    updates(&out)
}

fn withdrawn(names: &[String]) -> Vec<Update> {
    let mut out = BytesMut::new();
    pack_withdraw(names.iter().map(String::as_str), &mut out);
    updates(&out)
}

/// Names of exactly 30 bytes, as the targets for speed and size count them.
fn thirty_byte_names(count: u32) -> Vec<String> {
    let names: Vec<String> = (0..count)
        .map(|i| format!("svc-{i:07}.team-7.dc1.acme.io", i = i * 7))
        .collect();
    assert!(names.iter().all(|name| name.len() == 30));
    names
}

proptest! {
    #[test]
    fn open(open in generate::open()) {
        let message = Message::Open(open);
        prop_assert_eq!(read_one(&to_frame(&message)), message);
    }

    #[test]
    fn notification(notification in generate::notification()) {
        let message = Message::Notification(notification);
        prop_assert_eq!(read_one(&to_frame(&message)), message);
    }

    #[test]
    fn route_refresh(refresh in generate::route_refresh()) {
        let message = Message::RouteRefresh(refresh);
        prop_assert_eq!(read_one(&to_frame(&message)), message);
    }

    #[test]
    fn end_of_rib(family in generate::family()) {
        let message = Message::EndOfRib(family);
        prop_assert_eq!(read_one(&to_frame(&message)), message);
    }

    #[test]
    fn attributes(attrs in generate::attrs()) {
        let raw = encode_attrs(&attrs);
        prop_assert_eq!(decode_attrs(&raw), Ok(attrs));
        prop_assert_eq!(encode_attrs(&decode_attrs(&raw).unwrap()), raw);
    }

    /// Every message in any order of its attributes says the same.
    #[test]
    fn attributes_in_any_order(attrs in generate::attrs(), seed in any::<u64>()) {
        let mut parts = split(encode_attrs(&attrs));
        let count = parts.len() as u64;
        parts.sort_by_key(|part| (u64::from(part[1]).wrapping_mul(seed | 1)) % (count * 7));
        prop_assert_eq!(decode_attrs(&parts.concat().into()), Ok(attrs));
    }

    #[test]
    fn update(attrs in generate::attrs(), out in vec(generate::name(), 0..40), new in vec(generate::name(), 0..40)) {
        let raw = encode_attrs(&attrs);
        let (withdraws, announces) = (withdrawn(&out), announced(&raw, &new));
        prop_assert!(withdraws.len() <= 1 && announces.len() <= 1);
        let both = Update {
            family: catalyst_core::wire::Family::Name,
            withdrawn: withdraws.into_iter().next().map(|update| update.withdrawn).unwrap_or_default(),
            attrs: raw,
            announced: announces.into_iter().next().map(|update| update.announced).unwrap_or_default(),
        };
        prop_assert_eq!(names(&both.withdrawn), out);
        prop_assert_eq!(names(&both.announced), new);
        let message = Message::Update(UpdateFrame::of(&both));
        prop_assert_eq!(read_one(&to_frame(&message)), message);
    }

    /// Groups come back as they went in, whatever their sets share, over as many frames as they need.
    #[test]
    fn groups(groups in vec((generate::attrs(), vec(generate::name(), 1..6)), 0..20), repeat in 0usize..3) {
        let mut sent: Vec<(Bytes, Vec<String>)> =
            groups.into_iter().map(|(attrs, names)| (encode_attrs(&attrs), names)).collect();
        sent.extend_from_slice(&sent.clone()[..repeat.min(sent.len())]);
        let (mut packer, mut out) = (Packer::default(), BytesMut::new());
        for (raw, names) in &sent {
            packer.announce(raw, names.iter().map(String::as_str), &mut out);
        }
        let got: Vec<(Bytes, Vec<String>)> =
            steps(&out).into_iter().map(|step| (step.attrs, names(&step.announced))).collect();
        prop_assert_eq!(got, sent);
    }
}

proptest! {
    #[test]
    fn prefixes(attrs in generate::attrs(), new in vec(generate::prefix(), 0..60)) {
        let raw = encode_attrs(&attrs);
        let (mut announced, mut withdrawn) = (BytesMut::new(), BytesMut::new());
        pack_announce(&raw, new.iter().copied(), &mut announced);
        pack_withdraw(new.iter().copied(), &mut withdrawn);
        let (announced, withdrawn) = (updates(&announced), updates(&withdrawn));
        let told: Vec<String> = announced.iter().flat_map(|update| names(&update.announced)).collect();
        let gone: Vec<String> = withdrawn.iter().flat_map(|update| names(&update.withdrawn)).collect();
        let expected: Vec<String> = new.iter().map(ToString::to_string).collect();
        prop_assert_eq!((&told, &gone), (&expected, &expected));
        prop_assert!(announced.iter().all(|update| update.attrs == raw));
        for update in announced.into_iter().chain(withdrawn) {
            let message = Message::Update(UpdateFrame::of(&update));
            prop_assert_eq!(read_one(&to_frame(&message)), message);
        }
    }
}

fn split(mut raw: Bytes) -> Vec<Bytes> {
    let mut parts = Vec::new();
    while !raw.is_empty() {
        parts.push(raw.split_to(4 + usize::from(u16::from_be_bytes([raw[2], raw[3]]))));
    }
    parts
}

#[test]
fn keepalive() {
    assert_eq!(to_frame(&Message::Keepalive)[..], [0, 0, 0, 1, 4]);
    assert_eq!(read_one(&to_frame(&Message::Keepalive)), Message::Keepalive);
}

fn some_attrs() -> Attrs {
    let set = protocol_support::vectors()
        .into_iter()
        .find(|vector| vector.name == "update-with-every-attribute");
    let update = update_of(read_one(&set.expect("the vector").frame));
    decode_attrs(&update.attrs).expect("good attributes")
}

#[test]
fn names_fill_frames_to_the_brim() {
    let all = thirty_byte_names(100_000);
    let mut out = BytesMut::new();
    pack_announce(&encode_attrs(&some_attrs()), all.iter().map(String::as_str), &mut out);
    assert!(
        out.len() <= 5 * all.len(),
        "{} bytes for {} names",
        out.len(),
        all.len()
    );
    let frames = updates(&out);
    let sent: Vec<String> = frames.iter().flat_map(|update| names(&update.announced)).collect();
    assert!(sent == all);
    let least = out.len().div_ceil(MAX_FRAME_BYTES - 256);
    assert!(frames.len() <= least, "{} frames for {} bytes", frames.len(), out.len());

    out.clear();
    pack_withdraw(all.iter().map(String::as_str), &mut out);
    let gone: Vec<String> = updates(&out)
        .iter()
        .flat_map(|update| names(&update.withdrawn))
        .collect();
    assert!(gone == all);
}

#[test]
fn prefixes_fill_frames_to_the_brim() {
    let all: Vec<Prefix> = (0..100_000u32)
        .map(|n| Prefix::new(IpAddr::V4((0x0a00_0000 | n << 8 & 0x00ff_ff00).into()), 24).expect("a network"))
        .collect();
    let mut out = BytesMut::new();
    pack_announce(&encode_attrs(&some_attrs()), all.iter().copied(), &mut out);
    assert!(
        out.len() <= 41 * all.len() / 10,
        "{} bytes for {} prefixes",
        out.len(),
        all.len()
    );
    let frames = updates(&out);
    let sent: Vec<String> = frames.iter().flat_map(|update| names(&update.announced)).collect();
    assert!(sent.iter().zip(&all).all(|(sent, prefix)| *sent == prefix.to_string()) && sent.len() == all.len());
    let least = out.len().div_ceil(MAX_FRAME_BYTES - 256);
    assert!(frames.len() <= least, "{} frames for {} bytes", frames.len(), out.len());
}

/// The longest names and the longest attribute set still make frames that the other side takes.
#[test]
fn the_longest_of_everything_fits() {
    let label = "x".repeat(63);
    let all: Vec<String> = (0..600).map(|i| format!("{i:061}.{label}.{label}.{label}")).collect();
    let mut attrs = some_attrs();
    attrs.communities = (0..1024).collect();
    attrs.large_communities = (0..1024).map(|i| (i, i, i)).collect();
    attrs.cluster_list = vec![label.as_str().into(); 200];
    let raw = encode_attrs(&attrs);
    assert_eq!(decode_attrs(&raw), Ok(attrs));
    let sent: Vec<String> = announced(&raw, &all)
        .iter()
        .flat_map(|update| names(&update.announced))
        .collect();
    assert!(sent == all);
}

#[test]
fn attributes_too_long_for_anybody_withdraw_the_names() {
    let mut attrs = some_attrs();
    attrs.large_communities = (0..4000).map(|i| (i, i, i)).collect();
    let updates = announced(&encode_attrs(&attrs), &["a.acme".to_owned()]);
    assert_eq!(
        (names(&updates[0].withdrawn), updates[0].announced.len()),
        (vec!["a.acme".to_owned()], 0)
    );
}
