use std::sync::Arc;

use super::*;
use crate::kernel::Peers;
use crate::resource::{Key, Peer, Resource};

const NOW: Duration = Duration::from_secs(1_700_000_100);

fn hex_of(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

fn peers(text: &str) -> Peers {
    let mut peers = Peers::default();
    read(text.as_bytes(), NOW)
        .expect("an answer")
        .into_peers(&"wg0".into(), &mut peers);
    peers
}

/// Two peers, as wireguard-go tells of them, with a key that nobody knows.
fn answer() -> String {
    format!(
        "private_key={key}\nlisten_port=51820\nfwmark=7\npublic_key={one}\npreshared_key={psk}\nprotocol_version=1\n\
         endpoint=[2001:db8::1]:51821\nlast_handshake_time_sec=1700000040\nlast_handshake_time_nsec=5\ntx_bytes=3\nrx_bytes=7\n\
         persistent_keepalive_interval=5\nallowed_ip=10.2.0.0/16\nallowed_ip=2001:db8:2::/48\nsomething_new=x\n\
         public_key={other}\npreshared_key={none}\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\nerrno=0\n\n",
        key = hex_of(99),
        one = hex_of(1),
        psk = hex_of(8),
        other = hex_of(2),
        none = hex_of(0),
    )
}

#[test]
fn an_answer_is_read_whole() {
    let told = read(answer().as_bytes(), NOW).expect("an answer");
    assert_eq!(
        told.public_key,
        Some(PrivateKey::from_bytes([99; 32]).public_key()),
        "known by its private key alone"
    );
    assert_eq!(told.listen_port, 51820);
    assert!(!told.is_blank());

    let peers = peers(&answer());
    let device: Arc<str> = "wg0".into();
    let (one, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
    let of = |key| {
        let device = device.clone();
        peers.held[&Key::Peer { device, key }].clone()
    };
    let peer = |preshared_key, keepalive_s| {
        Resource::Peer(Peer {
            preshared_key,
            keepalive_s,
        })
    };
    assert_eq!(of(one), peer(Some(PresharedKey::from_bytes([8; 32])), 5));
    assert_eq!(of(other), peer(None, 0));
    let counted = peers.counters[&(device.clone(), one)];
    assert_eq!((counted.received, counted.sent), (7, 3));
    assert_eq!(counted.handshake_age.map(|age| age.as_secs()), Some(59));
    assert_eq!(peers.counters[&(device.clone(), other)].handshake_age, None);
    let called = "[2001:db8::1]:51821".parse().unwrap();
    assert_eq!(peers.endpoints.get(&(device.clone(), one)), Some(&called));
    for text in ["10.2.0.0/16", "2001:db8:2::/48"] {
        let (device, prefix) = (device.clone(), text.parse().unwrap());
        assert_eq!(peers.held[&Key::Allowed { device, prefix }], Resource::Allowed(one));
    }
    assert_eq!(peers.held.len(), 4);
}

#[test]
fn a_device_that_nobody_has_configured_is_blank() {
    let told = read(&b"listen_port=40091\nerrno=0\n\n"[..], NOW);
    assert!(told.expect("an answer").is_blank());
}

#[test]
fn a_refusal_is_one() {
    for text in ["errno=-98\n\n", "errno=98\n\n"] {
        assert!(matches!(done(text.as_bytes()), Err(Fault::Refused(98))));
    }
    assert!(done(&b"errno=0\n\n"[..]).is_ok());
}

#[test]
fn what_is_no_answer_is_not_taken_for_one_and_never_repeated() {
    let secret = hex_of(0xab);
    let long = "9".repeat(40);
    let bad = [
        String::new(),
        "\n".into(),
        "errno=0\n".into(),
        format!("private_key={secret}"),
        format!("private_key={secret}\n\n"),
        format!("private_key={secret}00\nerrno=0\n\n"),
        format!("private_key={}\nerrno=0\n\n", &secret[..63]),
        format!("private_key={}g\nerrno=0\n\n", &secret[..63]),
        format!("{secret}\nerrno=0\n\n"),
        format!("public_key={secret}\npreshared_key={secret}é\nerrno=0\n\n"),
        format!("public_key={secret}\nallowed_ip=10.0.0.0/33\nerrno=0\n\n"),
        format!("public_key={secret}\nallowed_ip=10.0.0.0\nerrno=0\n\n"),
        format!("public_key={secret}\nallowed_ip=-10.0.0.0/8\nerrno=0\n\n"),
        format!("public_key={secret}\nrx_bytes=-1\nerrno=0\n\n"),
        format!("public_key={secret}\nrx_bytes=+1\nerrno=0\n\n"),
        format!("public_key={secret}\nrx_bytes={long}\nerrno=0\n\n"),
        format!("public_key={secret}\nlast_handshake_time_nsec=1000000000\nerrno=0\n\n"),
        format!("public_key={secret}\npersistent_keepalive_interval=65536\nerrno=0\n\n"),
        "listen_port=70000\nerrno=0\n\n".into(),
        "listen_port=\nerrno=0\n\n".into(),
        "errno=x\n\n".into(),
        "errno=99999999999\n\n".into(),
        format!("{}=1\nerrno=0\n\n", "k".repeat(600)),
    ];
    for text in bad {
        let Err(Fault::Io(error)) = read(text.as_bytes(), NOW) else {
            panic!("taken for an answer: {text:?}")
        };
        let said = error.to_string();
        assert!(said.starts_with("bad answer: ") && !said.contains("abab"), "{said}");
    }
}

#[test]
fn handshakes_of_the_end_of_time_are_none_of_the_future() {
    let text = format!(
        "public_key={}\nlast_handshake_time_sec={}\nlast_handshake_time_nsec=999999999\nerrno=0\n\n",
        hex_of(1),
        u64::MAX
    );
    let age = peers(&text).counters[&("wg0".into(), PublicKey([1; 32]))].handshake_age;
    assert_eq!(age, Some(Duration::ZERO));
}

#[test]
fn an_endpoint_with_a_zone_that_has_a_name_is_none_of_ours() {
    let text = format!("public_key={}\nendpoint=[fe80::1%eth0]:51820\nerrno=0\n\n", hex_of(1));
    assert!(peers(&text).endpoints.is_empty());
}

#[test]
fn a_device_is_configured() {
    let device = Device {
        organisation: "b".into(),
        private_key: Some(PrivateKey::from_bytes([0x48; 32])),
        public_key: PublicKey([1; 32]),
        listen_port: 51820,
        mtu: 1420,
    };
    let said = configure(&device);
    let expected = format!("set=1\nprivate_key={}\nlisten_port=51820\nfwmark=0\n\n", hex_of(0x48));
    assert_eq!(*said, expected);
}

#[test]
fn only_a_new_peer_may_be_made() {
    let secret = PresharedKey::from_bytes([8; 32]);
    let peer = |preshared_key| Peer {
        preshared_key,
        keepalive_s: 5,
    };
    let (with, without) = (peer(Some(secret)), peer(None));
    let prefix: Prefix = "10.2.0.0/16".parse().unwrap();
    for (does, rest) in [
        (
            Does::Make(&with),
            format!("preshared_key={}\npersistent_keepalive_interval=5\n", hex_of(8)),
        ),
        // All zero takes it away.
        (
            Does::Make(&without),
            format!("preshared_key={}\npersistent_keepalive_interval=5\n", hex_of(0)),
        ),
        (
            Does::Call("[2001:db8::1]:7".parse().unwrap()),
            "update_only=true\nendpoint=[2001:db8::1]:7\n".into(),
        ),
        (
            Does::Allow(vec![prefix]),
            "update_only=true\nallowed_ip=10.2.0.0/16\n".into(),
        ),
        (Does::MakeToAllow(vec![prefix]), "allowed_ip=10.2.0.0/16\n".into()),
        (Does::Remove, "update_only=true\nremove=true\n".into()),
    ] {
        let key = PublicKey([1; 32]);
        let said = change(&[PeerChange { key, does }]);
        assert_eq!(*said, format!("set=1\npublic_key={}\n{rest}\n", hex_of(1)));
    }
}

#[test]
fn a_request_never_grows() {
    let prefixes: Vec<Prefix> = (0..64_u16)
        .map(|n| {
            Prefix::new(
                std::net::Ipv6Addr::new(0xfd00, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, n).into(),
                128,
            )
            .unwrap()
        })
        .collect();
    let peer = Peer {
        preshared_key: None,
        keepalive_s: u16::MAX,
    };
    let key = PublicKey([255; 32]);
    let endpoint = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535"
        .parse()
        .unwrap();
    let changes = [
        Does::Make(&peer),
        Does::Call(endpoint),
        Does::Allow(prefixes),
        Does::Remove,
    ]
    .map(|does| PeerChange { key, does });
    for one in 0..changes.len() {
        let said = change(&changes[one..=one]);
        assert!(said.len() <= said.capacity());
        let lines = said.lines().count();
        assert!(
            said.capacity() <= (lines + 3) * LINE_BYTES,
            "it has grown: {lines} lines in {}",
            said.capacity()
        );
    }
}
