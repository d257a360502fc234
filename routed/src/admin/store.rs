//! The services added at run time, kept in `node.state_dir` so that they survive a restart.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use catalyst_core::event::LocalService;
use catalyst_core::name::ServiceName;

use crate::config::{Service, load_services, local_service};

const FILE: &str = "services.json";

/// The services added at run time, in memory and on disk.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    services: BTreeMap<ServiceName, Service>,
}

impl Store {
    /// Reads what an earlier run has kept.
    pub(super) fn open(directory: &Path) -> anyhow::Result<Self> {
        let file = directory.join(FILE);
        let services = if file.exists() {
            load_services(&file)?
        } else {
            BTreeMap::new()
        };
        Ok(Self {
            directory: directory.to_owned(),
            services,
        })
    }

    pub(super) fn local_services(&self) -> Vec<LocalService> {
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
        let by_text: BTreeMap<&str, &Service> = next.iter().map(|(name, service)| (name.as_str(), service)).collect();
        let text = serde_json::to_string_pretty(&by_text)?;
        write(&self.directory, &text)
            .with_context(|| format!("cannot be kept in {} (node.state_dir)", self.directory.display()))?;
        self.services = next;
        Ok(())
    }
}

/// Whole or not at all: a crash leaves the old file or the new one.
fn write(directory: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let new = directory.join(format!("{FILE}.new"));
    let mut file = fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, directory.join(FILE))
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

    #[test]
    fn services_survive_and_the_last_one_counts() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let name = ServiceName::parse("orders.acme").unwrap();
        let mut store = Store::open(&state).unwrap();
        store.put(name.clone(), service(1)).unwrap();
        store.put(name.clone(), service(2)).unwrap();
        let kept = Store::open(&state).unwrap().local_services();
        assert_eq!(kept, [local_service(name.clone(), &service(2))]);
        store.remove(&name).unwrap();
        assert!(Store::open(&state).unwrap().local_services().is_empty());
    }

    #[test]
    fn what_cannot_be_kept_is_refused_whole() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        fs::write(&state, "in the way").unwrap();
        let mut store = Store {
            directory: state,
            services: BTreeMap::new(),
        };
        let error = format!(
            "{:#}",
            store.put(ServiceName::parse("a").unwrap(), service(1)).unwrap_err()
        );
        assert!(
            error.contains("cannot be kept in") && error.contains("node.state_dir"),
            "{error}"
        );
        assert!(store.local_services().is_empty());
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{\"a\": {}}").unwrap();
        let error = Store::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("services.json:1:7: [\"a\"]: missing key \"protocol\""),
            "{error}"
        );
    }
}
