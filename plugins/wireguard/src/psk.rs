//! The files of pre-shared keys, read again when they change.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::WireguardConfig;
use crate::keys::PresharedKey;
use crate::plan::PresharedKeys;

/// What tells one version of a file from the next.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

/// The files and what was in them.
#[derive(Debug, Default)]
pub(crate) struct PresharedKeyFiles {
    seen: BTreeMap<Arc<str>, (PathBuf, Stamp)>,
    keys: PresharedKeys,
}

impl PresharedKeyFiles {
    /// Reads what has changed. Whether anything came of it.
    pub(crate) fn refresh(&mut self, config: &WireguardConfig) -> bool {
        let files = || {
            config
                .peers
                .iter()
                .filter_map(|(name, peer)| Some((name, peer.preshared_key.as_ref()?)))
        };
        let before = self.keys.clone();
        self.seen
            .retain(|name, _| config.peers.get(name).is_some_and(|peer| peer.preshared_key.is_some()));
        self.keys.retain(|name, _| self.seen.contains_key(name));
        for (name, path) in files() {
            let now = (path.clone(), stamp(path));
            if self.seen.get(name) == Some(&now) && now.1.is_some() {
                continue;
            }
            self.seen.insert(name.clone(), now);
            let key = PresharedKey::load(path).map_err(|error| error.to_string().into());
            self.keys.insert(name.clone(), key);
        }
        before != self.keys
    }

    pub(crate) fn keys(&self) -> PresharedKeys {
        self.keys.clone()
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    let (modified, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Some((found.ino(), found.size(), modified.0, modified.1, changed.0, changed.1))
}
