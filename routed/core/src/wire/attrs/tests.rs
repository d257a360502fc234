use bytes::{BufMut, Bytes, BytesMut};

use super::*;
use crate::attrs::{Attrs, Origin, OriginNode, Protocol, RouterId, ServiceAttr, UnknownAttr};
use crate::wire::Family;

fn minimal() -> Attrs {
    Attrs {
        origin: Origin::Igp,
        as_path: vec![65001],
        next_hop: "127.0.0.1:8082".parse().unwrap(),
        origin_node: OriginNode {
            router_id: RouterId {
                asn: 65001,
                node: "a".into(),
            },
            organisation: "acme".into(),
        },
        local_pref: None,
        med: None,
        communities: Vec::new(),
        large_communities: Vec::new(),
        originator: None,
        cluster_list: Vec::new(),
        service: Some(ServiceAttr {
            protocol: Protocol::Http,
            path: None,
            weight: 1,
            health: 100,
        }),
        only_to_customer: None,
        tunnel: None,
        unknown: Vec::new(),
    }
}

fn tlv(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[flags, code], &length[..], value].concat()
}

/// The minimal set with one more attribute behind it.
fn with(flags: u8, code: u8, value: &[u8]) -> Bytes {
    [&encode_attrs(&minimal())[..], &tlv(flags, code, value)]
        .concat()
        .into()
}

/// The minimal set with the value of one attribute replaced.
fn replaced(known: Known, flags: u8, value: &[u8]) -> Bytes {
    [&without(known)[..], &tlv(flags, known.code(), value)].concat().into()
}

fn without(known: Known) -> Bytes {
    let (mut out, mut rest) = (BytesMut::new(), encode_attrs(&minimal()));
    while !rest.is_empty() {
        let attr = rest.split_to(4 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        if attr[1] != known.code() {
            out.put_slice(&attr);
        }
    }
    out.freeze()
}

fn error(raw: &Bytes) -> String {
    decode_attrs(raw).expect_err("an error").0
}

#[test]
fn the_table_is_in_order_of_code() {
    assert!(Known::ALL.is_sorted_by_key(|known| known.code()));
}

#[test]
fn order_on_the_wire_does_not_matter() {
    let mut expected = minimal();
    expected.med = Some(7);
    let raw = [tlv(OPTIONAL, 4, &7u32.to_be_bytes()), encode_attrs(&minimal()).to_vec()].concat();
    assert_eq!(decode_attrs(&raw.into()), Ok(expected));
}

#[test]
fn communities_are_a_set() {
    let values = [7u32, 3, 7].map(u32::to_be_bytes).concat();
    let attrs = decode_attrs(&with(OPTIONAL_TRANSITIVE | PARTIAL, 8, &values)).unwrap();
    assert_eq!(attrs.communities, [3, 7]);
}

#[test]
fn unknown_attributes_go_by_their_flags() {
    assert_eq!(decode_attrs(&with(OPTIONAL, 228, b"new")).unwrap().unknown, []);
    let kept = decode_attrs(&with(OPTIONAL_TRANSITIVE | 0x1f, 100, b"?")).unwrap();
    let value = Bytes::from_static(b"?");
    assert_eq!(
        kept.unknown,
        [UnknownAttr {
            flags: 0xe0,
            code: 100,
            value
        }]
    );
    // In order of code, between the known ones: a second node on the way writes the same bytes.
    assert_eq!(decode_attrs(&encode_attrs(&kept)), Ok(kept));
    let text = error(&with(TRANSITIVE, 100, b""));
    assert!(
        text.starts_with("unknown attribute (100) at byte 46: it is well-known"),
        "{text}"
    );
}

#[test]
fn what_is_missing_is_named() {
    for (known, text) in [
        (Known::Origin, "ORIGIN (1) is missing"),
        (Known::AsPath, "AS_PATH (2) is missing"),
        (Known::NextHop, "NEXT_HOP (3) is missing"),
        (Known::OriginNode, "ORIGIN_NODE (224) is missing"),
    ] {
        assert_eq!(error(&without(known)), text);
    }
    assert_eq!(error(&Bytes::new()), "ORIGIN (1) is missing");
}

#[test]
fn service_goes_with_names_and_with_nothing_else() {
    let has_service = |raw: &Bytes| decode_attrs(raw).unwrap().service.is_some();
    assert!(has_service(&encode_attrs(&minimal())) && !has_service(&without(Known::Service)));
    let problem = |family, has| check_family(family, has).map_err(|error| error.0);
    assert_eq!(
        (problem(Family::Name, true), problem(Family::Ipv6, false)),
        (Ok(()), Ok(()))
    );
    assert_eq!(problem(Family::Name, false), Err("SERVICE (225) is missing".to_owned()));
    let text = "SERVICE (225) is of names, not of prefixes".to_owned();
    assert_eq!(problem(Family::Ipv4, true), Err(text));
}

#[test]
fn broken_structure_names_the_place() {
    let raw = encode_attrs(&minimal());
    assert_eq!(
        error(&raw.slice(..4)),
        "the attribute at byte 0 is longer than the attribute set"
    );
    assert_eq!(
        error(&raw.slice(..7)),
        "the attribute at byte 5 is longer than the attribute set"
    );
    assert_eq!(
        error(&with(TRANSITIVE, 1, &[0])),
        "ORIGIN (1) at byte 46: it appears twice"
    );
    let long = Bytes::from(vec![0; MAX_ATTRS_BYTES + 1]);
    assert_eq!(error(&long), "an attribute set of 32769 bytes is longer than 32768");
}

#[test]
fn every_known_attribute_has_its_flags_and_length() {
    for known in Known::ALL {
        let others = |flags: &u8| {
            !matches!(
                (flags ^ known.flags(), known.flags()),
                (0, _) | (PARTIAL, OPTIONAL_TRANSITIVE)
            )
        };
        for flags in (0..8u8).map(|bits| bits << 5).filter(others) {
            let text = error(&replaced(known, flags, &[]));
            assert!(
                text.starts_with(known.name()) && text.contains("its flags are"),
                "{text}"
            );
        }
        let lists = [
            Known::AsPath,
            Known::Communities,
            Known::LargeCommunities,
            Known::ClusterList,
        ];
        if !lists.contains(&known) {
            assert!(
                error(&replaced(known, known.flags(), &[])).ends_with("its length is wrong"),
                "{known:?}"
            );
        }
        let text = error(&replaced(known, known.flags(), &[9; 3]));
        assert!(text.ends_with("its length is wrong"), "{known:?}: {text}");
    }
}

#[test]
fn values_are_bounded() {
    let refused = |known: Known, value: &[u8], problem: &str| {
        let text = error(&replaced(known, known.flags(), value));
        assert!(text.ends_with(problem), "{text}");
    };
    refused(Known::Origin, &[3], "3 is not an origin");
    refused(Known::AsPath, &[0; 4], "AS 0 is not a system");
    refused(Known::AsPath, &[1; 4 * 256], "256 entries, the most is 255");
    refused(Known::NextHop, &[0; 6], "0.0.0.0 is not the address of a host");
    refused(
        Known::NextHop,
        &[0, 1, 224, 0, 0, 1],
        "224.0.0.1 is not the address of a host",
    );
    let mapped = [[0, 1].as_slice(), &[0; 10], &[0xff, 0xff, 127, 0, 0, 1]].concat();
    refused(Known::NextHop, &mapped, "::ffff:127.0.0.1 is not the address of a host");
    refused(Known::Communities, &[1; 4 * 1025], "1025 entries, the most is 1024");
    refused(
        Known::LargeCommunities,
        &[1; 12 * 1025],
        "1025 entries, the most is 1024",
    );
    refused(Known::ClusterList, &b"\x01a".repeat(256), "more than 255 clusters");
    refused(Known::ClusterList, b"\x01A", "is not a label");
    refused(Known::Originator, b"\0\0\0\x01\0", "is not a label");
    refused(Known::OriginNode, b"\0\0\0\0\x01a\x01b", "AS 0 is not a system");
    refused(Known::OriginNode, b"\0\0\0\x01\x01a\x02b-", "is not a label");
    refused(Known::OnlyToCustomer, &[0; 4], "AS 0 is not a system");
    refused(Known::Service, &[0, 100, 0, 1], "no protocol has code 0");
    refused(Known::Service, &[1, 101, 0, 1], "a health of 101 is above 100");
    refused(
        Known::Service,
        b"\x02\x64\0\x01/x",
        "a service of protocol http has no path",
    );
    refused(Known::Service, b"\x03\x64\0\x01x", "visible ASCII");
    refused(Known::Service, b"\x03\x64\0\x01/ ", "visible ASCII");
    let long = [b"\x03\x64\0\x01/".as_slice(), &[b'x'; 255]].concat();
    refused(Known::Service, &long, "a path of 256 bytes is longer than 255");
}

/// Serial 5, MTU 1420, a key, no endpoint, address 10.9.0.1.
const TUNNEL: [&[u8]; 5] = [
    &[0, 0, 0, 0, 0, 0, 0, 5],
    &[5, 0x8c],
    &[7; 32],
    &[0],
    &[1, 4, 10, 9, 0, 1],
];

/// A set of prefixes with TUNNEL, one part of it replaced.
fn tunnelled(part: usize, bytes: &[u8]) -> Bytes {
    let mut value = TUNNEL;
    value[part] = bytes;
    [&without(Known::Service)[..], &tlv(OPTIONAL, 226, &value.concat())]
        .concat()
        .into()
}

#[test]
fn tunnel_is_read_whole_and_its_addresses_are_a_set() {
    let read = |raw: &Bytes| decode_attrs(raw).unwrap().tunnel.unwrap();
    let plain = read(&tunnelled(3, &[0]));
    assert_eq!((plain.serial, plain.mtu, plain.public_key), (5, 1420, [7; 32]));
    assert_eq!(
        (plain.endpoint, &plain.addresses[..]),
        (None, &["10.9.0.1/32".parse().unwrap()][..])
    );
    let endpoint = read(&tunnelled(3, &[6, 0, 9, 192, 0, 2, 1])).endpoint;
    assert_eq!(endpoint, Some("192.0.2.1:9".parse().unwrap()));
    let addresses = &read(&tunnelled(4, &[3, 4, 10, 9, 0, 2, 4, 10, 9, 0, 1, 4, 10, 9, 0, 2])).addresses;
    assert_eq!(
        *addresses,
        ["10.9.0.1/32", "10.9.0.2/32"].map(|text| text.parse().unwrap())
    );
}

#[test]
fn a_malformed_tunnel_is_refused_for_what_is_wrong() {
    let refused = |part: usize, bytes: &[u8], problem: &str| {
        let text = error(&tunnelled(part, bytes));
        assert!(
            text.starts_with("TUNNEL (226) at byte 38: ") && text.ends_with(problem),
            "{text}"
        );
    };
    refused(1, &[4, 0xff], "an MTU of 1279 is below 1280");
    refused(2, &[0; 32], "a key of zeros is no key");
    refused(2, &[7; 31], "its length is wrong");
    for (bytes, problem) in [
        (&[6, 0, 0, 192, 0, 2, 1][..], "nothing listens on port 0"),
        (&[6, 0, 9, 0, 0, 0, 0], "0.0.0.0 is not the address of a host"),
        (&[6, 0, 9, 224, 0, 0, 1], "224.0.0.1 is not the address of a host"),
        (&[5, 0, 9, 192, 0, 2], "its length is wrong"),
        (&[1, 0], "its length is wrong"),
        (&[255, 0, 9], "its length is wrong"),
    ] {
        refused(3, bytes, problem);
    }
    let mapped = [&[1, 16][..], &[0; 10], &[0xff, 0xff, 10, 9, 0, 1]].concat();
    let nine = [&[9][..], &[4, 10, 9, 0, 1].repeat(9)].concat();
    for (bytes, problem) in [
        (&[0][..], "0 addresses, there are 1 to 8"),
        (&nine, "9 addresses, there are 1 to 8"),
        (
            &[1, 4, 255, 255, 255, 255],
            "255.255.255.255 is not the address of a host",
        ),
        (&mapped, "::ffff:10.9.0.1 is not the address of a host"),
        (&[1, 5, 10, 9, 0, 1, 0], "its length is wrong"),
        (&[2, 4, 10, 9, 0, 1], "its length is wrong"),
        (&[1, 4, 10, 9, 0, 1, 0], "its length is wrong"),
        (&[], "its length is wrong"),
    ] {
        refused(4, bytes, problem);
    }
    let text = error(&with(OPTIONAL, 226, &TUNNEL.concat()));
    assert_eq!(text, "TUNNEL (226) is of prefixes, not of names");
}

#[test]
fn unknown_attributes_are_bounded() {
    let mut raw = encode_attrs(&minimal()).to_vec();
    for code in 100..=132 {
        raw.extend(tlv(OPTIONAL_TRANSITIVE, code, b""));
    }
    assert!(error(&raw.into()).ends_with("more than 32 unknown attributes"));
}
