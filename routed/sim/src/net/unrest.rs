//! A network that does not come to rest is found, not waited for: nothing ends its run otherwise.

use std::collections::BTreeMap;

use bytes::Bytes;
use catalyst_core::event::Event;
use catalyst_core::wire::{self, Message, NlriBlock, Update, kind};

use super::Net;

/// No network has more events within one virtual second, of each end of a session: trials have come to 350.
const EVENTS_PER_END: u64 = 4_000;
/// Nobody has news for so many seconds on end while nothing happens to the network.
const LONGEST_S: u64 = 60;
/// So many more events are listened to, to tell what it is about.
const LISTENED: u64 = 5_000;
/// So many of the things said most are told.
const TOLD: usize = 12;

/// What speaks for it that there will be no rest.
#[derive(Debug, Default)]
pub(super) struct Unrest {
    /// The virtual second.
    second: u64,
    /// Events before it, and the most that may follow within it.
    before: u64,
    most: u64,
    /// Seconds on end with an UPDATE, and the last of them.
    busy: u64,
    last_busy: u64,
    /// What is said, and how often; listened to only when there seems to be no rest.
    said: Option<(u64, BTreeMap<String, u64>)>,
}

impl Net {
    /// A run begins: what was before it was caused from outside.
    pub(super) fn forget_unrest(&mut self) {
        self.unrest = Unrest::default();
        self.begin_second();
    }

    /// The clock has moved.
    pub(super) fn look_for_unrest(&mut self) {
        if let Some((until, said)) = &self.unrest.said {
            assert!(self.events < *until, "{}", self.restless(said));
        } else if self.unrest.busy > LONGEST_S || self.events - self.unrest.before > self.unrest.most {
            self.unrest.said = Some((self.events + LISTENED, BTreeMap::new()));
        } else if self.second() != self.unrest.second {
            self.begin_second();
        }
    }

    fn begin_second(&mut self) {
        let ends: usize = self.nodes.iter().map(|node| node.config.peers.len()).sum();
        self.unrest.second = self.second();
        self.unrest.before = self.events;
        self.unrest.most = EVENTS_PER_END * u64::try_from(ends.max(1)).unwrap();
    }

    fn second(&self) -> u64 {
        (self.now - self.start).as_secs()
    }

    fn restless(&self, said: &BTreeMap<String, u64>) -> String {
        let mut said: Vec<_> = said.iter().map(|(what, times)| (*times, what)).collect();
        said.sort_unstable_by(|one, other| other.cmp(one));
        let lines = said.iter().take(TOLD);
        let lines: Vec<String> = lines.map(|(times, what)| format!("{times} times {what}")).collect();
        format!(
            "the network of seed {} finds no rest at {} ms: {} events in this second, UPDATEs for {} s on end; of the last {LISTENED} events\n{}",
            self.seed,
            self.elapsed_ms(),
            self.events - self.unrest.before,
            self.unrest.busy,
            lines.join("\n")
        )
    }

    /// A node takes an event.
    pub(super) fn listen(&mut self, node: usize, event: &Event) {
        let Event::Frame {
            kind: kind::UPDATE,
            body,
            ..
        } = event
        else {
            return;
        };
        let second = self.second();
        let unrest = &mut self.unrest;
        match second - unrest.last_busy {
            0 => {}
            1 => unrest.busy += 1,
            _ => unrest.busy = 1,
        }
        unrest.last_busy = second;
        if let Some((_, said)) = &mut unrest.said {
            for what in read(body) {
                *said.entry(format!("to node {node}: {what}")).or_default() += 1;
            }
        }
    }
}

/// What an UPDATE says, a line for each name.
fn read(body: &Bytes) -> Vec<String> {
    let Ok(Message::Update(frame)) = wire::decode(kind::UPDATE, body) else {
        return vec!["an UPDATE that cannot be read".to_owned()];
    };
    frame.steps().flat_map(|step| read_step(&step)).collect()
}

fn read_step(step: &Update) -> Vec<String> {
    let how = step.attributes().map_or_else(
        |wrong| wrong.to_string(),
        |attrs| format!("by {:?}, communities {:x?}", attrs.as_path, attrs.communities),
    );
    let mut lines = Vec::new();
    of_block(&step.withdrawn, |name| lines.push(format!("{name} withdrawn")));
    of_block(&step.announced, |name| lines.push(format!("{name} {how}")));
    lines
}

fn of_block(block: &NlriBlock, mut each: impl FnMut(&str)) {
    match block {
        NlriBlock::Names(names) => names.for_each(each),
        NlriBlock::Prefixes(prefixes) => prefixes.for_each(|prefix| each(&prefix.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catalyst_core::policy::{Action, Verdict};

    use crate::config::{each_its_own, network, node_name};
    use crate::net::{Checks, Net};
    use crate::policy_words::{policy, statement};
    use crate::seeds::caught;

    /// 1 and 2 each prefer the other's path to the name of 0, and what both say arrives at once.
    fn disagreement() -> Net {
        let mut configs = network(&each_its_own(3), &[(0, 1), (0, 2), (1, 2)]);
        for (node, other) in [(1, 2), (2, 1)] {
            let other = node_name(other);
            let config = configs[node].peers.iter_mut().find(|it| *it.name == *other);
            let prefers = vec![statement(
                "prefers",
                vec![],
                vec![Action::SetLocalPref(200)],
                Verdict::Accept,
            )];
            config.unwrap().import = policy("prefers", prefers);
        }
        let mut net = Net::up(configs, 7);
        net.checks = Checks::default();
        net
    }

    #[test]
    fn two_that_never_agree_are_found_and_what_they_say_is_told() {
        let mut net = disagreement();
        net.offer(0, "x.example");
        let wrong = caught(|| net.rest()).unwrap_err();
        assert!(wrong.contains("the network of seed 7 finds no rest"), "{wrong}");
        for what in [
            "times to node 1: x.example withdrawn",
            "times to node 2: x.example by [65002, 65001]",
        ] {
            assert!(wrong.contains(what), "{wrong}");
        }
    }

    #[test]
    fn what_is_caused_from_outside_is_no_unrest() {
        let mut net = disagreement();
        for round in 0..300 {
            net.offer(1, "y.example");
            net.withdraw(1, "y.example");
            net.run(Duration::from_secs(1));
            assert!(net.paths(0, "y.example").is_empty(), "round {round}");
        }
    }
}
