//! A Byzantine peer: a node whose frames are damaged on their way, or come again, or come out of order.

use bytes::Bytes;

use super::{Net, Rng};

/// Frames that were sent lately, to be sent once more by somebody who should not.
#[derive(Debug, Default)]
pub(super) struct Recent(Vec<(u8, Bytes)>);

const KEPT: usize = 16;

impl Recent {
    fn keep(&mut self, kind: u8, body: &Bytes, rng: &mut Rng) {
        if self.0.len() < KEPT {
            self.0.push((kind, body.clone()));
        } else {
            self.0[rng.index(KEPT)] = (kind, body.clone());
        }
    }
}

impl Net {
    /// What arrives in place of a frame that a node sends.
    pub(super) fn damage(&mut self, node: usize, kind: u8, body: Bytes) -> Vec<(u8, Bytes)> {
        let Some(one_of) = self.hostile.get(&node).copied() else {
            return vec![(kind, body)];
        };
        self.recent.keep(kind, &body, &mut self.rng);
        if self.rng.below(one_of) != 0 {
            return vec![(kind, body)];
        }
        let rng = &mut self.rng;
        match rng.below(8) {
            0..=2 => vec![(kind, flip(rng, &body))],
            3 => vec![(kind, body.slice(..rng.index(body.len() + 1)))],
            4 => vec![(kind, lengthen(rng, &body))],
            5 => vec![(u8::try_from(rng.below(12)).unwrap(), body)],
            6 => vec![(kind, body.clone()), (kind, body)],
            _ => {
                let again = self.recent.0[rng.index(self.recent.0.len())].clone();
                vec![again, (kind, body)]
            }
        }
    }
}

fn flip(rng: &mut Rng, body: &Bytes) -> Bytes {
    let mut bytes = body.to_vec();
    for _ in 0..1 + rng.below(3) {
        if !bytes.is_empty() {
            let at = rng.index(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
    }
    bytes.into()
}

fn lengthen(rng: &mut Rng, body: &Bytes) -> Bytes {
    let mut bytes = body.to_vec();
    let at = rng.index(bytes.len() + 1);
    let more = (0..1 + rng.below(9)).map(|_| u8::try_from(rng.below(256)).unwrap());
    let more: Vec<u8> = more.collect();
    bytes.splice(at..at, more);
    bytes.into()
}
