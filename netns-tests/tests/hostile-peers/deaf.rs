//! A peer that does not read.

use anyhow::{Result, ensure};
use catalyst_netns_tests::{Network, RawPeer, scenario};
use serde_json::json;

use super::{check_honest, meet, start, wait_for, wait_for_log};

/// Together more than the window and what the kernel takes.
const NAMES: u64 = 30_000;
const BATCH: u64 = 1000;
/// The longest label.
const LABEL: usize = 60;

/// A name that shares no text with others.
fn name(n: u64) -> String {
    let digits = |part: u64| {
        format!(
            "{:016x}",
            (n * 12 + part + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
        )
    };
    let text: String = (0..12).map(digits).collect();
    let labels: Vec<&str> = (0..text.len())
        .step_by(LABEL)
        .map(|at| &text[at..text.len().min(at + LABEL)])
        .collect();
    labels.join(".")
}

#[test]
fn a_peer_that_does_not_read_is_given_up_and_costs_the_others_nothing() -> Result<()> {
    scenario(|network: &mut Network| {
        let (mut b, mut d, gamma, delta) = meet(network)?;
        b.config["peering"]["send_hold_time"] = json!("6s");
        start(&mut b, &mut d)?;
        let deaf = RawPeer::deaf(&gamma, None)?;
        let mut busy = RawPeer::accept(&delta, None)?;
        b.wait_established("gamma")?;
        b.wait_established("delta")?;
        let mut attrs = busy.attrs();
        // Again and again other attributes: what waits for the deaf one is told once, in its last state.
        for med in 0..3 {
            attrs.med = Some(med);
            for from in (0..NAMES / BATCH).map(|nth| nth * BATCH) {
                let names: Vec<String> = (from..from + BATCH).map(name).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                busy.announce(&names, &attrs)?;
            }
        }
        wait_for(&d, "b", "all at the peer that reads", |shown| {
            shown["received"] == NAMES
        })?;
        let shown = b.peer("gamma")?;
        if shown["state"] == "Established" {
            let waiting = shown["pending"].as_u64().unwrap_or_default();
            ensure!((1..=NAMES).contains(&waiting), "{shown:#}");
        }
        let words = "told the peer: Send Hold Timer Expired: nothing was taken for 6000 ms";
        // Not last_error: it is dialled again soon, and nobody is there.
        wait_for_log(&b, words)?;
        let shown = b.peer("gamma")?;
        ensure!(shown["session"]["messages"]["sent"]["notification"] == 1, "{shown:#}");
        ensure!(b.peer("delta")?["established_count"] == 1, "the one that reads stays");
        check_honest(&b, &d)?;
        drop(deaf);
        Ok(())
    })
}
