//! The services added at run time, kept in `node.state_dir` so that they survive a restart.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use catalyst_core::event::{LocalRoute, LocalService};
use catalyst_core::name::ServiceName;
use catalyst_plugin::state_file;
use serde::Serialize;

use crate::config::{ConfigErrors, MAX_FILE_BYTES, SERVICES_VERSION, Service, load_services, local_service};

const FILE: &str = "services.json";

/// The services added at run time, in memory and on disk.
#[derive(Debug)]
pub struct Store {
    file: PathBuf,
    services: BTreeMap<ServiceName, Service>,
}

/// The file as it is written; `config::load_services` reads it.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    services: BTreeMap<&'a str, &'a Service>,
}

impl Store {
    /// Takes up what an earlier run has kept in `directory`. A file that cannot be used never holds up the start: it is
    /// set aside, which the log says, and the services of the configuration are what is left.
    #[must_use]
    pub fn open(directory: &Path) -> Self {
        let file = directory.join(FILE);
        let services = read(&file).unwrap_or_else(|error| {
            set_aside(&file, &error);
            BTreeMap::new()
        });
        Self { file, services }
    }

    /// These, and over them the services that were added at run time: what this node is to offer.
    pub(crate) fn over(&self, configured: Vec<LocalRoute>) -> Vec<LocalRoute> {
        let stands = |route: &LocalRoute| match route {
            LocalRoute::Service(service) => !self.services.contains_key(&service.name),
            LocalRoute::Prefix(_) => true,
        };
        let kept = configured.into_iter().filter(stands);
        kept.chain(self.local_services().into_iter().map(LocalRoute::Service))
            .collect()
    }

    /// The service of this name that was added at run time.
    pub(super) fn get(&self, name: &ServiceName) -> Option<&Service> {
        self.services.get(name)
    }

    /// The services that were added at run time, in order of name.
    pub(super) fn services(&self) -> impl Iterator<Item = (&ServiceName, &Service)> {
        self.services.iter()
    }

    fn local_services(&self) -> Vec<LocalService> {
        self.services
            .iter()
            .map(|(name, service)| local_service(name.clone(), service))
            .collect()
    }

    /// Keeps a service; nothing changes if it cannot be written.
    pub(super) fn put(&mut self, name: ServiceName, service: Service) -> anyhow::Result<()> {
        let mut next = self.services.clone();
        next.insert(name, service);
        self.replace(next)
    }

    /// Forgets a service; nothing changes if it cannot be written.
    pub(super) fn remove(&mut self, name: &ServiceName) -> anyhow::Result<()> {
        if !self.services.contains_key(name) {
            return Ok(());
        }
        let mut next = self.services.clone();
        next.remove(name);
        self.replace(next)
    }

    fn replace(&mut self, next: BTreeMap<ServiceName, Service>) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(&Written {
            version: SERVICES_VERSION,
            services: next.iter().map(|(name, service)| (name.as_str(), service)).collect(),
        })?;
        // What is larger would not be read back.
        ensure!(
            text.len() as u64 <= MAX_FILE_BYTES,
            "cannot be kept: more than {MAX_FILE_BYTES} bytes of services added at run time"
        );
        state_file::replace(&self.file, &text)
            .with_context(|| format!("cannot be kept in {} (node.state_dir)", self.file.display()))?;
        self.services = next;
        Ok(())
    }
}

fn read(file: &Path) -> Result<BTreeMap<ServiceName, Service>, ConfigErrors> {
    match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(_) | Ok(_) => load_services(file),
    }
}

/// One line with both paths: this is all that an operator gets to know of the loss.
fn set_aside(file: &Path, error: &ConfigErrors) {
    let (first, more) = (error.0.first(), error.0.len().saturating_sub(1));
    let mut error = first.map(ToString::to_string).unwrap_or_default();
    if more > 0 {
        error.push_str(&format!(" (and {more} more)"));
    }
    let renamed = state_file::set_aside(file);
    let file = file.display();
    match renamed {
        Ok(kept_as) => tracing::error!(
            %file, kept_as = %kept_as.display(), %error,
            "the services added at run time cannot be read: starting without them, their file is set aside"
        ),
        Err(rename) => tracing::error!(
            %file, %rename, %error,
            "the services added at run time cannot be read: starting without them, their file cannot be set aside"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_service;

    fn service(port: u16) -> Service {
        let json =
            format!(r#"{{"protocol": "http", "endpoints": [{{"url": "http://127.0.0.1:{port}"}}], "weight": 7}}"#);
        parse_service("orders.acme", &json).unwrap().1
    }

    fn name() -> ServiceName {
        ServiceName::parse("orders.acme").unwrap()
    }

    #[test]
    fn services_survive_and_the_last_one_counts() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let mut store = Store::open(&state);
        store.put(name(), service(1)).unwrap();
        store.put(name(), service(2)).unwrap();
        let kept = Store::open(&state).local_services();
        assert_eq!(kept, [local_service(name(), &service(2))]);
        store.remove(&name()).unwrap();
        assert!(Store::open(&state).local_services().is_empty());
    }

    #[test]
    fn what_cannot_be_kept_is_refused_whole() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        fs::write(&state, "in the way").unwrap();
        let mut store = Store {
            file: state.join(FILE),
            services: BTreeMap::new(),
        };
        let error = format!("{:#}", store.put(name(), service(1)).unwrap_err());
        assert!(
            error.contains("cannot be kept in") && error.contains("node.state_dir"),
            "{error}"
        );
        assert!(store.local_services().is_empty());
    }

    /// Whatever stands in the place of the file, the store opens empty, what was there is kept, and new services are.
    #[test]
    fn a_damaged_file_is_set_aside() {
        type Damage = fn(&Path) -> io::Result<()>;
        let good =
            r#"{"version": 1, "services": {"a.acme": {"protocol": "tcp", "endpoints": [{"url": "tcp://h:1"}]}}}"#;
        let damages: [Damage; 7] = [
            |file| fs::write(file, ""),
            |file| {
                fs::write(
                    file,
                    r#"{"version": 1, "services": {"a.acme": {"protocol": "tcp", "endp"#,
                )
            },
            |file| fs::write(file, b"\xff\x00garbage"),
            |file| fs::write(file, r#"{"version": 2, "offers": []}"#),
            |file| fs::write(file, r#"{"version": 1, "services": {"a": {}}}"#),
            |file| fs::create_dir(file),
            |file| std::os::unix::fs::symlink(file, file),
        ];
        for (number, damage) in damages.into_iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(FILE);
            fs::write(&file, good).unwrap();
            assert_eq!(
                Store::open(dir.path()).local_services().len(),
                1,
                "the good one is read"
            );
            fs::remove_file(&file).unwrap();
            damage(&file).unwrap();
            let mut store = Store::open(dir.path());
            assert!(store.local_services().is_empty());
            let aside = fs::symlink_metadata(dir.path().join("services.json.corrupt"));
            assert!(aside.is_ok(), "damage {number} is kept");
            store.put(name(), service(1)).unwrap();
            assert_eq!(Store::open(dir.path()).local_services().len(), 1);
        }
    }

    #[test]
    fn another_version_is_called_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        fs::write(&file, r#"{"version": 2, "offers": []}"#).unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(
            error.ends_with("services.json:1:13: version: expected 1, found 2: another catalyst-routed has written it"),
            "{error}"
        );
    }
}
