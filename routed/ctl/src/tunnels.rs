//! `show tunnels`.

use catalyst_proto::admin::v1::{ListTunnelsResponse, OwnTunnel, Tunnel};

use crate::answer::Answer;
use crate::client::Client;
use crate::failure::Outcome;
use crate::model;
use crate::output::{Format, Output};
use crate::routes::or;
use crate::table::{Fit, Table};
use crate::text::{columns, count, duration, wrap};

pub(crate) async fn show(client: &mut Client, out: &mut Output) -> Outcome {
    let answer = client.tunnels().await?;
    if out.format == Format::Json {
        return out.json(&model::Tunnels::from(answer));
    }
    if answer.tunnels.is_empty() {
        return out.line("no tunnels");
    }
    render(&answer).iter().try_for_each(|line| out.line(line))
}

fn render(answer: &ListTunnelsResponse) -> Vec<String> {
    let mut table = Table::new(&[
        ("PEER", Fit::Middle(8)),
        ("ORGANISATION", Fit::Middle(8)),
        ("DEVICE", Fit::Whole),
        ("STATE", Fit::Whole),
        ("ENDPOINT", Fit::Wrap(15)),
        ("HANDSHAKE", Fit::Whole),
        ("RECEIVED", Fit::Whole),
        ("SENT", Fit::Whole),
    ]);
    for tunnel in &answer.tunnels {
        table.row([
            tunnel.peer.clone(),
            tunnel.organisation.clone(),
            tunnel.device.clone(),
            state(tunnel),
            or_dash(&tunnel.endpoint),
            tunnel
                .handshake_age_ms
                .map_or("never".to_owned(), |age| duration(age / 1000)),
            bytes(tunnel.received_bytes),
            bytes(tunnel.sent_bytes),
        ]);
    }
    let mut lines = table.lines();
    if let Some(change) = &answer.key_rotation {
        let missing = change.missing.join(", ");
        let waits = if missing.is_empty() {
            String::new()
        } else {
            format!("; it waits for {missing}")
        };
        lines.push(String::new());
        lines.extend(wrap(
            &format!("our key is being changed: {}{waits}", change.phase),
            columns(),
        ));
    }
    if !answer.key_rotation_failure.is_empty() {
        lines.push(String::new());
        lines.extend(wrap(
            &format!("our key was not changed: {}", answer.key_rotation_failure),
            columns(),
        ));
    }
    for tunnel in &answer.tunnels {
        lines.push(String::new());
        lines.extend(describe(tunnel));
    }
    for ours in &answer.ours {
        lines.push(String::new());
        lines.extend(describe_ours(ours));
    }
    if answer.drift_repairs > 0 {
        lines.push(String::new());
        let times = count(answer.drift_repairs, "time");
        lines.push(format!("what others changed in the kernel was put right {times}"));
    }
    lines
}

fn describe(tunnel: &Tunnel) -> Vec<String> {
    let mut answer = Answer::default();
    answer.heading(&format!("{}:", tunnel.peer));
    answer.property("not up", &tunnel.reason);
    answer.property("public key", &key(tunnel));
    answer.property("addresses", &tunnel.addresses.join(", "));
    answer.property("prefixes", &tunnel.prefixes.join(", "));
    answer.property("shadowed", &tunnel.shadowed.join(", "));
    answer.lines
}

/// With a word on a change of keys.
fn state(tunnel: &Tunnel) -> String {
    let change = match tunnel.key_change.as_str() {
        "" => return tunnel.state.clone(),
        "not pinned" => "new key not pinned",
        _ => "new key",
    };
    format!("{}, {change}", tunnel.state)
}

fn describe_ours(ours: &OwnTunnel) -> Vec<String> {
    let mut answer = Answer::default();
    answer.heading(&format!("our end to {}:", ours.organisation));
    answer.property("device", &ours.device);
    answer.property("public key", &ours.public_key);
    answer.property("endpoint", or(&ours.endpoint, "none: we call the other side"));
    answer.property("addresses", &ours.addresses.join(", "));
    answer.property("mtu", &ours.mtu.to_string());
    answer.property("serial", &ours.serial.to_string());
    answer.property("told to", or(&ours.told.join(", "), "nobody yet"));
    answer.lines
}

fn key(tunnel: &Tunnel) -> String {
    if tunnel.public_key.is_empty() || tunnel.authenticated {
        return tunnel.public_key.clone();
    }
    let why = if tunnel.state == "wrong key" {
        "announced; tunnel.public_key has another one"
    } else {
        "unauthenticated: no key is configured"
    };
    format!("{} ({why})", tunnel.public_key)
}

fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text.to_owned()
    }
}

/// `812 B`, `1.2 KiB`, `3.0 GiB`.
fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    // Tenths, so that no float rounds.
    let mut tenths = u128::from(number) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{WIDTH, width};
    use catalyst_proto::admin::v1::KeyRotation;

    fn tunnel(peer: &str) -> Tunnel {
        Tunnel {
            peer: peer.to_owned(),
            organisation: "globex".to_owned(),
            device: "cat-globex".to_owned(),
            state: "up".to_owned(),
            authenticated: true,
            public_key: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=".to_owned(),
            endpoint: "198.51.100.2:51820".to_owned(),
            handshake_age_ms: Some(42_000),
            received_bytes: 812,
            sent_bytes: 3 << 30,
            addresses: vec!["10.255.0.2".to_owned()],
            prefixes: vec!["10.2.0.0/16".to_owned(), "10.255.0.2/32".to_owned()],
            ..Tunnel::default()
        }
    }

    #[test]
    fn a_table_then_each_tunnel() {
        let down = Tunnel {
            state: "down".to_owned(),
            reason: "nothing was heard for 15 s".to_owned(),
            authenticated: false,
            endpoint: String::new(),
            handshake_age_ms: None,
            shadowed: vec!["10.3.0.0/16".to_owned()],
            ..tunnel("c")
        };
        let answer = ListTunnelsResponse {
            tunnels: vec![tunnel("b"), down],
            ours: vec![OwnTunnel {
                organisation: "globex".to_owned(),
                device: "cat-globex".to_owned(),
                addresses: vec!["10.255.0.1".to_owned(), "fd00:255::1".to_owned()],
                endpoint: String::new(),
                public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=".to_owned(),
                mtu: 1420,
                serial: 1_764_200_000,
                told: vec!["b".to_owned()],
            }],
            drift_repairs: 1,
            writes: 7,
            ..ListTunnelsResponse::default()
        };
        let lines = render(&answer);
        assert!(lines.iter().all(|line| width(line) <= WIDTH), "{lines:#?}");
        let expected = "\
PEER  ORGANISATION  DEVICE      STATE  ENDPOINT            HANDSHAKE  RECEIVED  SENT
b     globex        cat-globex  up     198.51.100.2:51820  42s        812 B     3.0 GiB
c     globex        cat-globex  down   -                   never      812 B     3.0 GiB

b:
  public key      HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=
  addresses       10.255.0.2
  prefixes        10.2.0.0/16, 10.255.0.2/32

c:
  not up          nothing was heard for 15 s
  public key      HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw= (unauthenticated: no key is
                  configured)
  addresses       10.255.0.2
  prefixes        10.2.0.0/16, 10.255.0.2/32
  shadowed        10.3.0.0/16

our end to globex:
  device          cat-globex
  public key      xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
  endpoint        none: we call the other side
  addresses       10.255.0.1, fd00:255::1
  mtu             1420
  serial          1764200000
  told to         b

what others changed in the kernel was put right 1 time";
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn a_change_of_keys_is_told() {
        let changing = Tunnel {
            key_change: "ours".to_owned(),
            ..tunnel("b")
        };
        let mut answer = ListTunnelsResponse {
            tunnels: vec![changing],
            key_rotation: Some(KeyRotation {
                phase: "moving to the second device".to_owned(),
                missing: vec!["b".to_owned()],
            }),
            ..ListTunnelsResponse::default()
        };
        let shown = render(&answer).join("\n");
        assert!(shown.contains("up, new key  198.51.100.2:51820"), "{shown}");
        let said = "our key is being changed: moving to the second device; it waits for b";
        assert!(shown.contains(said), "{shown}");
        answer.key_rotation = None;
        answer.key_rotation_failure = "there is no tunnel to b".to_owned();
        answer.tunnels[0].key_change = "not pinned".to_owned();
        let shown = render(&answer).join("\n");
        assert!(
            shown.contains("our key was not changed: there is no tunnel to b"),
            "{shown}"
        );
        assert!(shown.contains("up, new key not pinned"), "{shown}");
    }

    #[test]
    fn bytes_are_short() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_300_000, "1.2 MiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
