//! The private key of our tunnels, the next one, and how far the change from one to the other is, on disk: what a start
//! finds there it goes on with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context;
use catalyst_plugin::state_file;
use catalyst_wireguard::{KeyChange, Phase, PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};

use super::{read_or_set_aside, unix_seconds};

/// The private key in `node.state_dir`.
const KEY_FILE: &str = "wireguard.key";
/// The one that it is to be changed to.
const NEXT_FILE: &str = "wireguard.key.next";
/// How far the change is.
const STATE_FILE: &str = "rotation.json";
/// The longest such file: two short fields, and room.
const MAX_STATE_BYTES: u64 = 4096;

/// The keys.
#[derive(Debug)]
pub(super) struct Keys {
    /// What `private_key_file` names is not ours to change.
    directory: Option<PathBuf>,
    current: PrivateKey,
    next: Option<PrivateKey>,
    state: State,
}

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    phase: Step,
    /// When the key was made or came into use, in Unix seconds.
    #[serde(default)]
    key_since: Option<u64>,
}

/// [`Phase`], as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    Rest,
    Moving,
    Parting,
    Returning,
    Abandoning,
}

impl From<Phase> for Step {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Rest => Self::Rest,
            Phase::Moving => Self::Moving,
            Phase::Parting => Self::Parting,
            Phase::Returning => Self::Returning,
            Phase::Abandoning => Self::Abandoning,
        }
    }
}

impl Keys {
    /// The key that an administrator has written.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn of_file(file: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            directory: None,
            current: PrivateKey::load(file).context("plugins.wireguard.private_key_file")?,
            next: None,
            state: State::rest(None),
        })
    }

    /// Those of a state directory; makes a key where there is none.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub(super) fn open(directory: &Path) -> anyhow::Result<Self> {
        let made = fs::create_dir_all(directory)
            .map_err(anyhow::Error::from)
            .and_then(|()| Ok(PrivateKey::load_or_create(&directory.join(KEY_FILE))?));
        let current = made.with_context(|| {
            format!("the key of our tunnels in node.state_dir ({}); plugins.wireguard.private_key_file can name another file", directory.display())
        })?;
        let next = directory.join(NEXT_FILE);
        let next = next.exists().then(|| PrivateKey::load(&next)).transpose();
        let mut keys = Self {
            directory: Some(directory.to_owned()),
            current,
            next: next.context("the next key of our tunnels, which a change of keys goes on with")?,
            state: read_state(&directory.join(STATE_FILE)),
        };
        keys.state.phase = match (keys.state.phase, &keys.next) {
            // The new key got its place, and that it did was not written down any more.
            (Step::Moving, None) => Step::Parting,
            (Step::Abandoning, None) => Step::Rest,
            (phase, _) => phase,
        };
        Ok(keys)
    }

    /// Whether the key may be changed by this node.
    pub(super) fn are_ours(&self) -> bool {
        self.directory.is_some()
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state.phase {
            Step::Rest => Phase::Rest,
            Step::Moving => Phase::Moving,
            Step::Parting => Phase::Parting,
            Step::Returning => Phase::Returning,
            Step::Abandoning => Phase::Abandoning,
        }
    }

    /// What peers are told.
    pub(super) fn announced(&self) -> PublicKey {
        match (self.state.phase, &self.next) {
            (Step::Moving, Some(next)) => next.public_key(),
            _ => self.current.public_key(),
        }
    }

    /// What the devices have.
    pub(super) fn for_devices(&self) -> (PrivateKey, KeyChange) {
        let change = match (self.state.phase, &self.next) {
            (Step::Moving, Some(next)) => KeyChange::Moving(next.clone()),
            (Step::Abandoning, Some(next)) => KeyChange::Abandoning(next.clone()),
            (Step::Parting, _) => KeyChange::Parting,
            (Step::Returning, _) => KeyChange::Returning,
            (Step::Rest | Step::Moving | Step::Abandoning, _) => KeyChange::None,
        };
        (self.current.clone(), change)
    }

    /// What the devices have once a change to the next key has begun.
    pub(super) fn for_change(&self) -> Option<(PrivateKey, KeyChange)> {
        let next = self.next.clone()?;
        Some((self.current.clone(), KeyChange::Moving(next)))
    }

    /// Since when the key is in use, in Unix seconds.
    pub(super) fn since(&self) -> Option<u64> {
        let made = || {
            let file = self.directory.as_ref()?.join(KEY_FILE);
            let modified = fs::metadata(file).ok()?.modified().ok()?;
            Some(modified.duration_since(UNIX_EPOCH).ok()?.as_secs())
        };
        self.state.key_since.or_else(made)
    }

    /// Makes the key that the next change is to, if there is none yet.
    ///
    /// # Errors
    /// It cannot be kept.
    pub(super) fn prepare(&mut self) -> anyhow::Result<PublicKey> {
        let file = self.file(NEXT_FILE)?;
        let next = PrivateKey::load_or_create(&file)?;
        let public_key = next.public_key();
        self.next = Some(next);
        Ok(public_key)
    }

    /// Begins a change to the next key.
    ///
    /// # Errors
    /// It cannot be kept; nothing is changed.
    pub(super) fn begin(&mut self) -> anyhow::Result<PublicKey> {
        let public_key = self.prepare()?;
        self.keep(State {
            phase: Step::Moving,
            key_since: self.state.key_since,
        })?;
        Ok(public_key)
    }

    /// Goes on to a phase.
    ///
    /// # Errors
    /// It cannot be kept; nothing is changed, and it can be tried again.
    pub(super) fn enter(&mut self, phase: Phase) -> anyhow::Result<()> {
        let mut state = State {
            phase: phase.into(),
            ..self.state
        };
        if phase == Phase::Parting {
            // Before it is written that it was: without a next key there is only this way on.
            let (from, to) = (self.file(NEXT_FILE)?, self.file(KEY_FILE)?);
            rename(&from, &to).with_context(|| format!("{} as {}", from.display(), to.display()))?;
            if let Some(next) = self.next.take() {
                self.current = next;
            }
            state.key_since = Some(unix_seconds());
        }
        let was_given_up = self.state.phase == Step::Abandoning && phase == Phase::Rest;
        self.keep(state)?;
        if was_given_up {
            self.next = None;
            let file = self.file(NEXT_FILE)?;
            // Peers were told of it: the next change is to another one.
            fs::remove_file(&file).with_context(|| file.display().to_string())?;
        }
        Ok(())
    }

    fn keep(&mut self, state: State) -> anyhow::Result<()> {
        let file = self.file(STATE_FILE)?;
        state_file::replace(&file, &serde_json::to_vec_pretty(&state)?).with_context(|| file.display().to_string())?;
        self.state = state;
        Ok(())
    }

    fn file(&self, name: &str) -> anyhow::Result<PathBuf> {
        let directory = self.directory.as_ref();
        Ok(directory.context("the key is not this node's to change")?.join(name))
    }
}

impl State {
    fn rest(key_since: Option<u64>) -> Self {
        Self {
            phase: Step::Rest,
            key_since,
        }
    }
}

/// Survives a crash of the machine. Done before: fine.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && to.exists() => {}
        done => done?,
    }
    let directory = to.parent().unwrap_or(Path::new("."));
    fs::File::open(directory)?.sync_all()
}

/// Without it the files of the keys say enough.
fn read_state(file: &Path) -> State {
    let loss = "how far the change of our key was is lost: it is begun anew when it is asked for";
    read_or_set_aside(file, MAX_STATE_BYTES, loss).unwrap_or(State::rest(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_goes_on_after_a_start_wherever_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Keys::open(dir.path()).unwrap();
        let old = keys.announced();
        let prepared = keys.prepare().unwrap();
        assert_eq!((keys.announced(), keys.prepare().unwrap()), (old, prepared));
        assert_eq!(keys.begin().unwrap(), prepared);
        for phase in [Phase::Moving, Phase::Parting, Phase::Returning, Phase::Rest] {
            if phase != Phase::Moving {
                keys.enter(phase).unwrap();
            }
            keys = Keys::open(dir.path()).unwrap();
            assert_eq!((keys.phase(), keys.announced()), (phase, prepared));
            let (home, change) = keys.for_devices();
            let expected = if phase == Phase::Moving { old } else { prepared };
            assert_eq!((home.public_key(), change.phase()), (expected, phase));
        }
        assert!(!dir.path().join(NEXT_FILE).exists());
        assert!(keys.since().is_some_and(|since| since.abs_diff(unix_seconds()) < 1000));
    }

    #[test]
    fn what_was_given_up_is_not_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Keys::open(dir.path()).unwrap();
        let old = keys.announced();
        let next = keys.begin().unwrap();
        keys.enter(Phase::Abandoning).unwrap();
        let mut keys = Keys::open(dir.path()).unwrap();
        assert_eq!(
            (keys.announced(), keys.for_devices().1.phase()),
            (old, Phase::Abandoning)
        );
        keys.enter(Phase::Rest).unwrap();
        assert_eq!(keys.announced(), old);
        assert_ne!(keys.prepare().unwrap(), next);
    }

    #[test]
    fn a_crash_between_two_files_is_found_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Keys::open(dir.path()).unwrap();
        let next = keys.begin().unwrap();
        fs::rename(dir.path().join(NEXT_FILE), dir.path().join(KEY_FILE)).unwrap();
        let keys = Keys::open(dir.path()).unwrap();
        assert_eq!((keys.phase(), keys.announced()), (Phase::Parting, next));
    }

    #[test]
    fn a_key_of_an_administrator_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        PrivateKey::load_or_create(&file).unwrap();
        let mut keys = Keys::of_file(&file).unwrap();
        assert!(!keys.are_ours() && keys.prepare().is_err() && keys.begin().is_err());
    }
}
