//! Recordings: what happened to a Speaker and what it did, line by line, so that it can be run again.
//!
//! The first line names the format. Then each line is `MICROSECONDS EVENT FIELDS..`, an event that was handled or `flush`,
//! and below it one line `> EFFECT` for each effect that came of it. Time counts from the start. A configuration is a word
//! that whoever recorded chose for it and knows how to read again: policies are compiled, and cannot be written here.
//!
//! The output of a Speaker depends on (state, event, now) alone, so a recording that is replayed gives the same bytes, in
//! another process too. Where it does not, something depends on the order of a hash map, or on a clock.

mod read;
mod write;

use std::time::{Duration, Instant};

use crate::event::{Effect, Event, SpeakerConfig};
use crate::speaker::Speaker;

/// The first line of every recording; another number is another format.
pub const HEAD: &str = "catalyst-recording 1";

/// A recording that cannot be read, or that does not replay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It is not a recording of this format.
    #[error("the first line is not {HEAD:?}")]
    Head,
    /// A line is not what was written.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// What came of the events is something else than before.
    #[error("line {line}: recorded {recorded:?}, replayed {replayed:?}")]
    Differs {
        /// Counted from 1.
        line: usize,
        /// What the recording says; empty: it ends there.
        recorded: String,
        /// What came now; empty: nothing.
        replayed: String,
    },
}

/// A Speaker of which everything is written down.
#[derive(Debug)]
pub struct Recorder {
    speaker: Speaker,
    start: Instant,
    text: String,
}

impl Recorder {
    /// Starts a Speaker; `word` stands for its configuration.
    #[must_use]
    pub fn start(config: SpeakerConfig, word: &str, now: Instant) -> Self {
        let mut recorder = Self {
            speaker: Speaker::new(config, now),
            start: now,
            text: format!("{HEAD}\n0 start {}\n", write::escaped(word)),
        };
        recorder.speaker.start(now);
        recorder
    }

    /// The Speaker.
    #[must_use]
    pub fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    /// What was recorded so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// [`Speaker::handle`]; `word` stands for the configuration in the event, if there is one.
    pub fn handle(&mut self, event: Event, word: &str, now: Instant) {
        let line = write::event(&event, word);
        self.line(&line, now);
        self.speaker.handle(event, now);
    }

    /// [`Speaker::flush`].
    pub fn flush(&mut self, now: Instant) {
        self.line("flush", now);
        self.speaker.flush(now);
    }

    /// [`Speaker::drain_effects`].
    pub fn drain_effects(&mut self) -> Vec<Effect> {
        let effects: Vec<Effect> = self.speaker.drain_effects().collect();
        for effect in &effects {
            let words = self.words(effect);
            self.text.push_str(&format!("> {words}\n"));
        }
        effects
    }

    /// An effect as it is compared: an instant says nothing on another day.
    fn words(&self, effect: &Effect) -> String {
        if let Effect::Pause { conn, until } = effect {
            let since = until.saturating_duration_since(self.start).as_micros();
            return format!("Pause {{ conn: {conn:?}, until: {since} }}");
        }
        format!("{effect:?}")
    }

    fn line(&mut self, line: &str, now: Instant) {
        let since = now.saturating_duration_since(self.start).as_micros();
        self.text.push_str(&format!("{since} {line}\n"));
    }
}

/// Where the words of configurations lead.
pub trait Configurations {
    /// The configuration of a word.
    fn speaker(&self, word: &str) -> Option<SpeakerConfig>;

    /// The event with a single peer of a word.
    fn peer_add(&self, word: &str) -> Option<Event>;
}

/// Runs a recording again and compares what comes of it.
///
/// # Errors
/// It cannot be read, or something else comes of it: the first difference.
pub fn replay(recording: &str, configurations: &impl Configurations) -> Result<(), ReplayError> {
    let again = run_again(recording, configurations)?;
    let (mut recorded, mut replayed) = (recording.lines(), again.lines());
    let mut line = 0;
    loop {
        line += 1;
        let (was, is) = (recorded.next(), replayed.next());
        if was != is {
            return Err(ReplayError::Differs {
                line,
                recorded: was.unwrap_or_default().to_owned(),
                replayed: is.unwrap_or_default().to_owned(),
            });
        }
        if was.is_none() {
            return Ok(());
        }
    }
}

/// The recording of what the events of a recording lead to now.
fn run_again(recording: &str, configurations: &impl Configurations) -> Result<String, ReplayError> {
    let mut lines = recording.lines().zip(1..);
    if lines.next().is_none_or(|(line, _)| line != HEAD) {
        return Err(ReplayError::Head);
    }
    let start = Instant::now();
    let mut recorder: Option<Recorder> = None;
    for (text, line) in lines.filter(|(text, _)| !text.starts_with('>')) {
        let step = step(text, &mut recorder, start, configurations);
        step.map_err(|problem| ReplayError::Line { line, problem })?;
    }
    Ok(recorder.map(|recorder| recorder.text).unwrap_or_default())
}

fn step(
    text: &str,
    recorder: &mut Option<Recorder>,
    start: Instant,
    configurations: &impl Configurations,
) -> Result<(), String> {
    let (micros, line) = text.split_once(' ').ok_or("there is no time")?;
    let micros = micros.parse().map_err(|_| "the time is no number")?;
    let now = start + Duration::from_micros(micros);
    if let Some(word) = line.strip_prefix("start ") {
        let word = read::unescaped(word).ok_or("the word of a configuration cannot be read")?;
        let config = configurations.speaker(&word).ok_or("nobody knows this configuration")?;
        *recorder = Some(Recorder::start(config, &word, now));
    } else {
        let recorder = recorder.as_mut().ok_or("it does not begin with start")?;
        match line {
            "flush" => recorder.flush(now),
            line => {
                let (event, word) = read::event(line, configurations)?;
                recorder.handle(event, &word, now);
            }
        }
    }
    if let Some(recorder) = recorder {
        recorder.drain_effects();
    }
    Ok(())
}
