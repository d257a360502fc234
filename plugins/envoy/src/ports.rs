//! Which port the egress listener of a tcp service has. The same name keeps its port, across restarts too: clients have
//! it in their configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use catalyst_plugin::state_file;
use serde::{Deserialize, Serialize};

const FILE: &str = "tcp-ports.json";
/// Far more than 65,536 names of 253 bytes need.
const MAX_FILE_BYTES: u64 = 32 << 20;
/// What the file's form is called; another form is not understood.
const VERSION: u32 = 1;

/// The assignments could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", path.display())]
pub struct PortsError {
    path: PathBuf,
    error: io::Error,
}

/// Every port of the range is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("every port of plugins.envoy.tcp_ports ({start}-{end}) is taken by another tcp service")]
pub struct Exhausted {
    start: u16,
    end: u16,
}

/// The content of the file: every name that has had a port, the one unused for longest first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Absent in files of before it was introduced.
    #[serde(default = "first_version")]
    version: u32,
    ports: Vec<StoredPort>,
}

fn first_version() -> u32 {
    VERSION
}

impl Default for Stored {
    fn default() -> Self {
        Self {
            version: VERSION,
            ports: Vec::new(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPort {
    name: String,
    port: u16,
}

/// The port of each tcp service's egress listener, for whoever shows it to people. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LocalPorts(Arc<RwLock<BTreeMap<String, u16>>>);

impl LocalPorts {
    /// The port that a name has, in use or remembered.
    #[must_use]
    pub fn port_of(&self, name: &str) -> Option<u16> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    fn set(&self, name: &str, port: u16) {
        let mut shown = self.0.write().unwrap_or_else(PoisonError::into_inner);
        shown.insert(name.to_owned(), port);
    }

    fn remove(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[derive(Debug, Clone, Copy)]
struct Assigned {
    port: u16,
    /// Its place in `idle`, if it has no service.
    idle: Option<u64>,
}

/// Port assignments. A name that goes keeps its port until no port is left that nobody has ever had; then the name that
/// went first loses it.
#[derive(Debug, Clone)]
pub struct Ports {
    range: RangeInclusive<u16>,
    excluded: BTreeSet<u16>,
    by_name: BTreeMap<String, Assigned>,
    used: BTreeSet<u16>,
    /// Ports that nobody may have had yet: a port that was used or excluded once stays so.
    fresh: RangeInclusive<u16>,
    /// Names without a service at present, the first to go in front.
    idle: BTreeMap<u64, String>,
    /// Names that have gone so far.
    gone: u64,
    path: Option<PathBuf>,
    unsaved: bool,
    shown: LocalPorts,
}

impl Ports {
    /// The assignments as they are at any later time.
    #[must_use]
    pub fn shown(&self) -> LocalPorts {
        self.shown.clone()
    }

    /// Loads the assignments from `state_dir`. A file that cannot be used is set aside; the warning says so.
    #[must_use]
    pub fn load(state_dir: Option<&Path>, range: RangeInclusive<u16>) -> (Self, Option<String>) {
        let path = state_dir.map(|dir| dir.join(FILE));
        let (stored, warning) = match path.as_deref().map(read) {
            None => (Stored::default(), None),
            Some(Ok(stored)) => (stored, None),
            Some(Err(error)) => (Stored::default(), path.as_deref().map(|path| set_aside(path, &error))),
        };
        (Self::from_stored(stored, range, path), warning)
    }

    fn from_stored(stored: Stored, range: RangeInclusive<u16>, path: Option<PathBuf>) -> Self {
        let mut ports = Self {
            fresh: range.clone(),
            range,
            excluded: BTreeSet::new(),
            by_name: BTreeMap::new(),
            used: BTreeSet::new(),
            idle: BTreeMap::new(),
            gone: 0,
            path,
            unsaved: false,
            shown: LocalPorts::default(),
        };
        for StoredPort { name, port } in stored.ports {
            // The range may have been changed since; a duplicate can only come from an editor: the first one counts.
            if ports.range.contains(&port) && !ports.by_name.contains_key(&name) && ports.used.insert(port) {
                ports.insert(&name, port);
                ports.release(&name);
            }
        }
        ports.unsaved = false;
        ports
    }

    fn insert(&mut self, name: &str, port: u16) {
        self.by_name.insert(name.to_owned(), Assigned { port, idle: None });
        self.shown.set(name, port);
    }

    /// Takes a port out of the range (a listener of the node itself has it).
    pub fn exclude(&mut self, port: u16) {
        self.excluded.insert(port);
        if self.used.remove(&port) {
            for (name, lost) in self.by_name.extract_if(.., |_, taken| taken.port == port) {
                self.shown.remove(&name);
                if let Some(place) = lost.idle {
                    self.idle.remove(&place);
                }
            }
            self.unsaved = true;
        }
    }

    /// The port of a name: the one that it has or had, else one that nobody ever had, else the one that has been
    /// without a service for longest.
    ///
    /// # Errors
    /// All of them are in use.
    pub fn assign(&mut self, name: &str) -> Result<u16, Exhausted> {
        if let Some(assigned) = self.by_name.get_mut(name) {
            if let Some(place) = assigned.idle.take() {
                self.idle.remove(&place);
            }
            return Ok(assigned.port);
        }
        let unknown = |port: &u16| !self.used.contains(port) && !self.excluded.contains(port);
        let port = match self.fresh.find(unknown) {
            Some(port) => port,
            None => self.take_from_idle()?,
        };
        self.insert(name, port);
        self.used.insert(port);
        self.unsaved = true;
        Ok(port)
    }

    fn take_from_idle(&mut self) -> Result<u16, Exhausted> {
        let full = Exhausted {
            start: *self.range.start(),
            end: *self.range.end(),
        };
        let (_, name) = self.idle.pop_first().ok_or(full.clone())?;
        self.shown.remove(&name);
        self.by_name.remove(&name).map(|assigned| assigned.port).ok_or(full)
    }

    /// The service of a name is gone; true if it had a port. The port stays remembered.
    pub fn release(&mut self, name: &str) -> bool {
        let Some(assigned) = self.by_name.get_mut(name).filter(|assigned| assigned.idle.is_none()) else {
            return false;
        };
        self.gone += 1;
        assigned.idle = Some(self.gone);
        self.idle.insert(self.gone, name.to_owned());
        self.unsaved = true;
        true
    }

    /// The port that a name has, in use or remembered.
    #[must_use]
    pub fn port_of(&self, name: &str) -> Option<u16> {
        self.by_name.get(name).map(|assigned| assigned.port)
    }

    /// Writes the assignments down if they have changed, all or nothing.
    ///
    /// # Errors
    /// The file cannot be written; the next call tries again.
    pub fn persist(&mut self) -> Result<(), PortsError> {
        let Some(path) = self.path.as_deref().filter(|_| self.unsaved) else {
            return Ok(());
        };
        write(path, &self.stored()).map_err(|error| PortsError {
            path: path.to_owned(),
            error,
        })?;
        self.unsaved = false;
        Ok(())
    }

    fn stored(&self) -> Stored {
        let live = self.by_name.iter().filter(|(_, assigned)| assigned.idle.is_none());
        let in_order = self.idle.values().chain(live.map(|(name, _)| name));
        let ports = in_order.filter_map(|name| {
            Some(StoredPort {
                name: name.clone(),
                port: self.port_of(name)?,
            })
        });
        Stored {
            version: VERSION,
            ports: ports.collect(),
        }
    }
}

fn read(path: &Path) -> io::Result<Stored> {
    let Some(text) = state_file::read(path, MAX_FILE_BYTES)? else {
        return Ok(Stored::default());
    };
    let Version { version } = serde_json::from_slice(&text)?;
    if version != VERSION {
        let message = format!("version {version}, expected {VERSION}: another catalyst-routed has written it");
        return Err(io::Error::other(message));
    }
    Ok(serde_json::from_slice(&text)?)
}

/// Read first: the rest of another version may look like anything.
#[derive(Deserialize)]
struct Version {
    #[serde(default = "first_version")]
    version: u32,
}

fn set_aside(path: &Path, error: &io::Error) -> String {
    let kept = match state_file::set_aside(path) {
        Ok(aside) => format!("it is kept as {}", aside.display()),
        Err(rename) => format!("and it cannot be renamed: {rename}"),
    };
    format!("{}: {error}; {kept}; tcp services get new ports", path.display())
}

fn write(path: &Path, stored: &Stored) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(stored)?;
    text.push(b'\n');
    state_file::replace(path, &text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_keeps_its_port_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (mut ports, warning) = Ports::load(Some(dir.path()), 100..=109);
        assert_eq!(warning, None);
        assert_eq!(
            (ports.assign("a"), ports.assign("b"), ports.assign("c")),
            (Ok(100), Ok(101), Ok(102))
        );
        ports.release("a");
        ports.persist().unwrap();
        let (mut again, warning) = Ports::load(Some(dir.path()), 100..=109);
        assert_eq!(warning, None);
        assert_eq!(
            (again.assign("d"), again.assign("b"), again.assign("a")),
            (Ok(103), Ok(101), Ok(100))
        );
    }

    #[test]
    fn the_port_unused_for_longest_is_taken_last() {
        let (mut ports, _) = Ports::load(None, 100..=101);
        assert_eq!((ports.assign("a"), ports.assign("b")), (Ok(100), Ok(101)));
        assert_eq!(ports.assign("c"), Err(Exhausted { start: 100, end: 101 }));
        ports.release("b");
        ports.release("a");
        assert_eq!(ports.assign("c"), Ok(101), "b went first");
        assert_eq!(ports.assign("a"), Ok(100), "a still has its own");
        assert!(ports.assign("b").is_err());
    }

    #[test]
    fn what_is_shown_follows_every_assignment() {
        let (mut ports, _) = Ports::load(None, 100..=102);
        let shown = ports.shown();
        let names = ["a", "b", "c", "d"];
        let check = |ports: &Ports, expected: [Option<u16>; 4]| {
            assert_eq!(names.map(|name| ports.port_of(name)), expected);
            assert_eq!(names.map(|name| shown.port_of(name)), expected);
        };
        ports.exclude(101);
        ports.assign("a").unwrap();
        ports.assign("b").unwrap();
        check(&ports, [Some(100), Some(102), None, None]);
        assert!(ports.release("a") && !ports.release("a") && !ports.release("c"));
        check(&ports, [Some(100), Some(102), None, None]);
        ports.assign("c").unwrap();
        check(&ports, [None, Some(102), Some(100), None]);
        ports.exclude(102);
        check(&ports, [None, None, Some(100), None]);
        ports.release("c");
        ports.exclude(100);
        check(&ports, [None; 4]);
        assert!(ports.assign("d").is_err(), "nothing is left, idle or fresh");
    }

    /// Whatever stands in the place of the file, the start goes on without it, and it is kept.
    #[test]
    fn a_damaged_file_is_set_aside_with_a_message() {
        type Damage = fn(&Path) -> io::Result<()>;
        let damages: [(&str, Damage); 5] = [
            ("line 1", |path| fs::write(path, "{\"ports\": [")),
            ("line 1", |path| fs::write(path, b"\xff\x00 no JSON")),
            ("line 1", |path| fs::write(path, "")),
            ("version 2, expected 1", |path| {
                fs::write(path, r#"{"version": 2, "taken": {}}"#)
            }),
            ("directory", |path| fs::create_dir(path)),
        ];
        for (says, damage) in damages {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(FILE);
            damage(&file).unwrap();
            let (mut ports, warning) = Ports::load(Some(dir.path()), 100..=109);
            let warning = warning.unwrap();
            let aside = dir.path().join("tcp-ports.json.corrupt");
            for part in [says, &*file.display().to_string(), &*aside.display().to_string()] {
                assert!(warning.contains(part), "{part}: {warning}");
            }
            assert!(aside.exists());
            ports.assign("a").unwrap();
            ports.persist().unwrap();
            let (again, warning) = Ports::load(Some(dir.path()), 100..=109);
            assert_eq!((again.port_of("a"), warning), (Some(100), None));
        }
    }

    #[test]
    fn a_file_of_before_versions_is_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), r#"{"ports": [{"name": "a", "port": 107}]}"#).unwrap();
        let (ports, warning) = Ports::load(Some(dir.path()), 100..=109);
        assert_eq!((ports.port_of("a"), warning), (Some(107), None));
    }

    #[test]
    fn what_no_longer_fits_the_range_is_dropped() {
        let text = r#"{"ports":[{"name":"a","port":100},{"name":"b","port":200},{"name":"c","port":200},{"name":"d","port":9}]}"#;
        let stored: Stored = serde_json::from_str(text).unwrap();
        let mut ports = Ports::from_stored(stored, 200..=202, None);
        ports.exclude(201);
        assert_eq!((ports.assign("b"), ports.assign("c")), (Ok(200), Ok(202)));
        assert!(ports.assign("a").is_err());
    }

    #[test]
    fn an_unwritable_place_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file");
        fs::write(&blocked, "").unwrap();
        let (mut ports, _) = Ports::load(Some(&blocked), 100..=109);
        ports.assign("a").unwrap();
        let error = ports.persist().unwrap_err().to_string();
        assert!(error.contains("tcp-ports.json"), "{error}");
    }
}
