//! The fuzz targets (fuzz/) as ordinary tests: over every input that once found something, over the vectors of
//! docs/protocol.md, and over some random ones. A new find goes to fuzz/regressions/TARGET/WHAT.

// `allow-panic-in-tests` does not reach what tests call.
#![allow(clippy::panic, clippy::unwrap_used)]

mod bodies;
#[path = "../protocol_support/mod.rs"]
mod protocol_support;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use bodies::session::driven::Words;
use bodies::{TARGETS, session};
use catalyst_core::record::{ReplayError, replay};

const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/regressions");

fn run(target: &str, input: &str, data: &[u8]) {
    let (_, body) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(data))) {
        eprintln!("target {target}, input {input} of {} bytes", data.len());
        resume_unwind(panic);
    }
}

#[test]
fn inputs_that_once_found_something_find_nothing() {
    let mut count = 0;
    for folder in entries(Path::new(REGRESSIONS)) {
        let target = folder.file_name().unwrap().to_str().unwrap();
        for input in entries(&folder) {
            run(target, &input.display().to_string(), &std::fs::read(&input).unwrap());
            count += 1;
        }
    }
    assert!(count > 0, "{REGRESSIONS} holds nothing");
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_vectors_of_the_page_find_nothing() {
    for vector in protocol_support::vectors() {
        run("frames", &vector.name, &[&[1, 2], &vector.frame[..]].concat());
        if let Some(message) = vector.frame.get(4..) {
            run("messages", &vector.name, message);
        }
    }
}

#[test]
fn random_inputs_find_nothing() {
    for seed in 0..150 {
        let data = random_bytes(seed, 600);
        for (target, _) in TARGETS {
            run(target, &format!("random {seed}"), &data);
        }
    }
}

/// At most so many bytes, the same for the same seed.
fn random_bytes(seed: u64, most: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 24
    };
    let length = next() % most;
    (0..length).map(|_| next().to_le_bytes()[0]).collect()
}

const RECORDINGS: u64 = 1000;

/// Each has a Speaker of its own, and so hash maps with seeds of their own: an order that shows is found here.
#[test]
fn recorded_sessions_of_random_events_replay_to_the_same_bytes() {
    let mut effects = 0;
    for seed in 0..RECORDINGS {
        let recording = session::record(&random_bytes(seed, 400));
        effects += recording.lines().filter(|line| line.starts_with('>')).count();
        replay(&recording, &Words).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(effects > 10 * 1000, "{effects} effects say little");
}

#[test]
fn a_recording_that_says_otherwise_does_not_replay() {
    let recording = session::record(&random_bytes(COMMITTED, 600));
    let (line, sent) = recording
        .lines()
        .zip(1..)
        .map(|(text, line)| (line, text))
        .find(|(_, text)| text.starts_with("> Send"))
        .unwrap();
    let other = recording.replacen(sent, &sent.replace("bytes: b", "bytes: c"), 1);
    let error = replay(&other, &Words).unwrap_err();
    assert!(
        matches!(error, ReplayError::Differs { line: at, .. } if at == line),
        "{error}"
    );
    let cut = recording.lines().take(5).collect::<Vec<_>>().join("\n");
    assert!(!matches!(
        replay(&cut, &Words),
        Err(ReplayError::Line { .. } | ReplayError::Head)
    ));
    assert_eq!(replay("something else", &Words), Err(ReplayError::Head));
    let unknown = format!(
        "{}\n5 explode 1\n",
        recording.lines().take(2).collect::<Vec<_>>().join("\n")
    );
    assert!(matches!(
        replay(&unknown, &Words),
        Err(ReplayError::Line { line: 3, .. })
    ));
}

/// Set, it makes the recording anew, to be committed once it has been judged why it differs.
const BLESS: &str = "CATALYST_BLESS";

/// Another process, another day: what was recorded then comes of the same events now.
#[test]
fn the_committed_recording_replays() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/sessions.recording");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(path, session::record(&random_bytes(COMMITTED, 600))).unwrap();
    }
    let recording = std::fs::read_to_string(path).unwrap();
    replay(&recording, &Words).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Of this seed: sessions come up, exchange routes and end, in few lines.
const COMMITTED: u64 = 15;
