//! Attributes that cannot be read, and attributes that nobody knows.

use anyhow::{Context, Result, ensure};
use catalyst_core::attrs::Attrs;
use catalyst_core::wire::{Message, NlriBlock, encode_attrs};
use catalyst_netns_tests::{LONG, Network, Node, RawPeer, poll, scenario};

use super::{check_honest, meet, start, wait_for};

/// ORIGIN with a value that there is not.
const BAD_ORIGIN: [u8; 5] = [0x40, 1, 0, 1, 9];
/// Codes that version 1 does not know, optional: with the transitive bit, and without.
const TRANSITIVE: [u8; 6] = [0xc0, 200, 0, 2, 7, 8];
const NON_TRANSITIVE: [u8; 5] = [0x80, 201, 0, 1, 9];

fn wait_selected(b: &Node, names: &[&str]) -> Result<()> {
    poll(&format!("{names:?} in use"), LONG, || {
        names.iter().try_for_each(|name| b.selected(name).map(drop))
    })
}

#[test]
fn a_malformed_attribute_withdraws_its_names_and_nothing_else() -> Result<()> {
    scenario(|network: &mut Network| {
        let (mut b, mut d, gamma, _) = meet(network)?;
        start(&mut b, &mut d)?;
        let mut hostile = RawPeer::accept(&gamma, None)?;
        let honest = encode_attrs(&hostile.attrs());
        hostile.announce_set(&["one.gamma", "two.gamma"], &honest)?;
        wait_selected(&b, &["one.gamma", "two.gamma"])?;

        let rest = honest.get(5..).context("ORIGIN comes first")?;
        hostile.announce_set(&["one.gamma"], &[&BAD_ORIGIN[..], rest].concat())?;
        b.wait_gone("one.gamma")?;
        d.wait_gone("one.gamma")?;
        let shown = wait_for(&b, "gamma", "the count", |shown| shown["treated_as_withdraw"] == 1)?;
        ensure!(
            shown["state"] == "Established" && shown["established_count"] == 1 && shown["received"] == 1,
            "{shown:#}"
        );
        let text = b.ctl_ok(&["show", "peer", "gamma"])?;
        ensure!(
            text.contains("1 name treated as withdrawn, the last one: ORIGIN"),
            "{text}"
        );
        wait_selected(&b, &["two.gamma"])?;

        // Cut short, a mandatory one missing, a well-known one that there is not.
        let unknown = [&honest[..], &[0x40, 99, 0, 0]].concat();
        for (count, set) in [(2, &honest[..honest.len() - 1]), (3, rest), (4, &unknown[..])] {
            hostile.announce_set(&["two.gamma"], set)?;
            wait_for(&b, "gamma", "the count", |shown| shown["treated_as_withdraw"] == count)?;
        }
        b.wait_gone("two.gamma")?;
        hostile.announce_set(&["one.gamma"], &honest)?;
        wait_selected(&b, &["one.gamma"])?;
        ensure!(b.peer("gamma")?["established_count"] == 1, "the session stays");
        check_honest(&b, &d)
    })
}

/// The attributes with which a peer is told of a name.
fn hear_of(peer: &mut RawPeer, name: &str) -> Result<Attrs> {
    loop {
        let Message::Update(update) = peer.hear()? else {
            continue;
        };
        for step in update.steps() {
            let mut found = false;
            if let NlriBlock::Names(names) = &step.announced {
                names.for_each(|told| found |= told == name);
            }
            if found {
                return Ok(step.attributes()?);
            }
        }
    }
}

#[test]
fn what_nobody_knows_goes_on_if_it_is_transitive() -> Result<()> {
    scenario(|network: &mut Network| {
        let (mut b, mut d, gamma, delta) = meet(network)?;
        start(&mut b, &mut d)?;
        let mut next = RawPeer::deaf(&delta, None)?;
        let mut far = RawPeer::accept(&gamma, None)?;
        let set = [&encode_attrs(&far.attrs())[..], &TRANSITIVE, &NON_TRANSITIVE].concat();
        far.announce_set(&["new.gamma"], &set)?;
        let heard = hear_of(&mut next, "new.gamma")?;
        let unknown: Vec<_> = heard
            .unknown
            .iter()
            .map(|it| (it.flags, it.code, it.value.to_vec()))
            .collect();
        ensure!(
            unknown == [(0xe0, 200, vec![7, 8])],
            "optional, transitive, partial, and no other: {unknown:?}"
        );
        ensure!(heard.as_path == [65002, 65003], "{:?}", heard.as_path);
        ensure!(
            b.peer("gamma")?["treated_as_withdraw"] == 0,
            "nothing was wrong with it"
        );
        Ok(())
    })
}
