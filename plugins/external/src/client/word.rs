//! What an instance has said of names, so that each is said once, and everything again on a new stream. Pure.

use std::collections::{BTreeMap, BTreeSet};

use catalyst_plugin::{Destination, PlaneStatus};
use catalyst_proto::plugin::v1 as pb;

use crate::wire;

/// Statuses per message: with the longest names and reasons, well below 4 MiB.
const PER_MESSAGE: usize = 1000;

/// How far an instance is with names, and what its stream has not heard of that.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// The names that are not simply programmed.
    said: BTreeMap<Destination, PlaneStatus>,
    /// Names to tell of.
    fresh: BTreeSet<Destination>,
}

impl Word {
    /// A new stream knows nothing yet.
    pub(super) fn new_stream(&mut self) {
        self.fresh = self.said.keys().cloned().collect();
    }

    /// A name has changed: what was said of it is void.
    pub(super) fn forget(&mut self, name: &Destination) {
        self.said.remove(name);
        self.fresh.remove(name);
    }

    /// Everything may have changed.
    pub(super) fn forget_all(&mut self) {
        self.said.clear();
        self.fresh.clear();
    }

    /// Takes in news of a name, to be told with the next acknowledgement.
    pub(super) fn note(&mut self, name: Destination, status: PlaneStatus) {
        self.fresh.insert(name.clone());
        match status {
            PlaneStatus::Programmed => drop(self.said.remove(&name)),
            PlaneStatus::Pending(_) | PlaneStatus::Rejected(_) => drop(self.said.insert(name, status)),
        }
    }

    /// Makes `now` all that is not simply programmed.
    pub(super) fn replace(&mut self, now: BTreeMap<Destination, PlaneStatus>) {
        let recovered = self.said.keys().filter(|name| !now.contains_key(*name));
        for name in recovered.cloned().collect::<Vec<_>>() {
            self.note(name, PlaneStatus::Programmed);
        }
        for (name, status) in now {
            if self.said.get(&name) != Some(&status) {
                self.note(name, status);
            }
        }
    }

    /// The acknowledgement of a version, with all that there is to tell.
    pub(super) fn ack(&mut self, version: u64) -> Vec<pb::Ack> {
        let fresh = std::mem::take(&mut self.fresh).into_iter();
        let status = |name: Destination| {
            let status = self.said.get(&name).unwrap_or(&PlaneStatus::Programmed);
            wire::status(&name, status)
        };
        parts(version, &fresh.map(status).collect::<Vec<_>>())
    }
}

fn parts(version: u64, statuses: &[pb::Status]) -> Vec<pb::Ack> {
    let mut acks: Vec<pb::Ack> = statuses
        .chunks(PER_MESSAGE)
        .map(|part| pb::Ack {
            version,
            statuses: part.to_vec(),
            more: true,
        })
        .collect();
    match acks.last_mut() {
        Some(last) => last.more = false,
        None => acks.push(pb::Ack {
            version,
            ..pb::Ack::default()
        }),
    }
    acks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Destination {
        text.parse().unwrap()
    }

    fn refused(why: &str) -> PlaneStatus {
        PlaneStatus::Rejected(why.into())
    }

    fn told(acks: &[pb::Ack]) -> Vec<(String, String)> {
        let statuses = acks.iter().flat_map(|ack| &ack.statuses);
        statuses
            .map(|status| (status.destination.clone().unwrap().text, status.reason.clone()))
            .collect()
    }

    #[test]
    fn each_thing_is_said_once_and_everything_on_a_new_stream() {
        let mut word = Word::default();
        word.replace([(name("a"), refused("no")), (name("b"), refused("never"))].into());
        assert_eq!(
            told(&word.ack(1)),
            [("a".into(), "no".into()), ("b".into(), "never".into())]
        );
        assert_eq!(told(&word.ack(2)), []);
        word.replace([(name("b"), refused("never"))].into());
        assert_eq!(told(&word.ack(2)), [("a".into(), String::new())], "a is programmed now");
        word.new_stream();
        assert_eq!(told(&word.ack(2)), [("b".into(), "never".into())]);
        word.forget(&name("b"));
        word.new_stream();
        assert_eq!(told(&word.ack(3)), []);
    }

    #[test]
    fn many_statuses_are_told_in_parts() {
        let mut word = Word::default();
        let many = (0..2500).map(|n| (name(&format!("n{n}")), refused("no")));
        word.replace(many.collect());
        let acks = word.ack(7);
        assert_eq!(
            acks.iter()
                .map(|ack| (ack.statuses.len(), ack.more, ack.version))
                .collect::<Vec<_>>(),
            [(1000, true, 7), (1000, true, 7), (500, false, 7)]
        );
    }
}
