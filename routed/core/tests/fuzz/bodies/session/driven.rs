//! The Speaker of a world, of which everything may be written down.

use std::ops::Deref;
use std::time::Instant;

use catalyst_core::event::{Effect, Event, SpeakerConfig};
use catalyst_core::record::{Configurations, Recorder};
use catalyst_core::speaker::Speaker;

use super::super::input::Input;
use super::config;

pub enum Driven {
    Plain(Box<Speaker>),
    Recorded(Box<Recorder>),
}

impl Driven {
    pub fn plain(config: SpeakerConfig, now: Instant) -> Self {
        let mut speaker = Speaker::new(config, now);
        speaker.start(now);
        Self::Plain(speaker.into())
    }

    pub fn recorded(config: SpeakerConfig, word: &str, now: Instant) -> Self {
        Self::Recorded(Recorder::start(config, word, now).into())
    }

    pub fn handle(&mut self, event: Event, word: &str, now: Instant) {
        match self {
            Self::Plain(speaker) => speaker.handle(event, now),
            Self::Recorded(recorder) => recorder.handle(event, word, now),
        }
    }

    pub fn flush(&mut self, now: Instant) {
        match self {
            Self::Plain(speaker) => speaker.flush(now),
            Self::Recorded(recorder) => recorder.flush(now),
        }
    }

    pub fn drain_effects(&mut self) -> Vec<Effect> {
        match self {
            Self::Plain(speaker) => speaker.drain_effects().collect(),
            Self::Recorded(recorder) => recorder.drain_effects(),
        }
    }

    pub fn is_recorded(&self) -> bool {
        matches!(self, Self::Recorded(_))
    }

    pub fn recording(&self) -> &str {
        match self {
            Self::Plain(_) => "",
            Self::Recorded(recorder) => recorder.text(),
        }
    }
}

impl Deref for Driven {
    type Target = Speaker;

    fn deref(&self) -> &Speaker {
        match self {
            Self::Plain(speaker) => speaker,
            Self::Recorded(recorder) => recorder.speaker(),
        }
    }
}

/// The bytes of the input that a configuration was made from, in hex; `bare` where domains, aggregates and tunnels were then
/// taken away; of a single peer, its number and then the bytes.
pub struct Words;

impl Configurations for Words {
    fn speaker(&self, word: &str) -> Option<SpeakerConfig> {
        let bare = word.strip_prefix("bare-");
        let data = unhex(bare.unwrap_or(word))?;
        let mut config = config::speaker(&mut Input(&data));
        if bare.is_some() {
            (config.domains, config.aggregates) = (Vec::new(), Vec::new());
            config.peers.iter_mut().for_each(|peer| peer.tunnel = None);
            let guests = config.dynamic_peers.iter_mut();
            guests.for_each(|guests| guests.template.tunnel = None);
        }
        Some(config)
    }

    fn peer_add(&self, word: &str) -> Option<Event> {
        let (index, data) = word.split_once('-')?;
        let peer = config::peer(index.parse().ok()?, &mut Input(&unhex(data)?));
        Some(Event::PeerAdd(Box::new(peer)))
    }
}

/// What was read of an input since, in hex.
pub fn hex(before: &[u8], after: &Input<'_>) -> String {
    let read = &before[..before.len() - after.0.len()];
    read.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digit).collect()
}
